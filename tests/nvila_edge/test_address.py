"""Addresses: loopback without keys, anything else only with them."""

from __future__ import annotations

import pytest

from nvila_edge.serving.address import checked_bind, checked_server


@pytest.mark.parametrize(
    "bind", ["tcp://127.0.0.1:5555", "tcp://127.0.0.1:*", "tcp://localhost:0", "tcp://[::1]:5555", "tcp://127.1.2.3:80"]
)
def test_loopback_addresses_are_allowed(bind: str) -> None:
    assert checked_bind(bind) == bind


@pytest.mark.parametrize(
    "bind", ["tcp://*:5555", "tcp://0.0.0.0:5555", "tcp://192.168.1.4:5555", "tcp://robot.local:5555", "tcp://[::]:5555"]
)
def test_addresses_beyond_loopback_are_refused(bind: str) -> None:
    with pytest.raises(ValueError, match="is reachable from other computers.*allowed: tcp on a loopback address"):
        checked_bind(bind)


@pytest.mark.parametrize("bind", ["", "5555", "udp://127.0.0.1:5555", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "tcp://127.0.0.1:http"])
def test_addresses_that_are_none_are_refused(bind: str) -> None:
    with pytest.raises(ValueError, match="allowed: tcp on a loopback address"):
        checked_bind(bind)


@pytest.mark.parametrize("address", ["tcp://192.168.1.4:5555", "tcp://robot.local:5555", "tcp://[2001:db8::1]:5555"])
def test_a_client_does_not_speak_in_plain_text_to_another_computer(address: str) -> None:
    with pytest.raises(ValueError, match="is not on this computer.*--keys DIR.*ssh -L"):
        checked_server(address)


@pytest.mark.parametrize("address", ["", "nowhere", "tcp://127.0.0.1:*", "tcp://127.0.0.1:0", "ipc://x", "tcp://127.0.0.1"])
def test_an_address_that_nothing_can_listen_on_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="give an address like tcp://127.0.0.1:5555"):
        checked_server(address)
