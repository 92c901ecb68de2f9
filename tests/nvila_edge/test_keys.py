"""CURVE keys: who has them gets in, also from another address; who has not is told so; nothing listens beyond loopback without them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nvila_edge.navigation.profiles import PROFILES
from nvila_edge.serving.address import checked_bind, checked_server
from nvila_edge.serving.client import Client
from nvila_edge.serving.errors import RemoteError
from nvila_edge.serving.keys import ServerKeys, client_keys, new_client, server_keys
from nvila_edge.serving.server import Server
from tests.nvila_edge.pixel_engine import PixelEngine


@contextmanager
def running(keys: ServerKeys | None, bind: str = "tcp://127.0.0.1:*") -> Iterator[Server]:
    server = Server(PixelEngine(PROFILES["stream"]), bind, keys=keys)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(timeout=10)


def test_a_client_with_keys_gets_in_and_others_are_told_why_not(tmp_path: Path) -> None:
    mine, foreign = new_client(tmp_path / "keys", "robot"), new_client(tmp_path / "other", "robot")
    with running(server_keys(tmp_path / "keys")) as server:
        with Client(server.address, keys=client_keys(mine)) as client:
            assert client.wait_alive(5) and client.hello(2).profile == "stream"
        for keys in (None, client_keys(foreign)):
            with Client(server.address, keys=keys) as client, pytest.raises(RemoteError, match="did not accept"):
                client.wait_alive(0.7)
                client.wait_alive(0.7)
        with Client(server.address, keys=client_keys(mine)) as client:
            assert client.wait_alive(5)


def test_a_client_with_keys_does_not_talk_to_a_server_without(tmp_path: Path) -> None:
    mine = new_client(tmp_path / "keys", "robot")
    with running(None) as server, Client(server.address, keys=client_keys(mine)) as client:
        with pytest.raises(RemoteError, match="did not accept"):
            client.wait_alive(0.7)
            client.wait_alive(0.7)


def test_a_client_that_is_removed_is_shut_out_of_the_next_start(tmp_path: Path) -> None:
    first, second = new_client(tmp_path / "keys", "first"), new_client(tmp_path / "keys", "second")
    (tmp_path / "keys" / "clients" / "first.key").unlink()
    with running(server_keys(tmp_path / "keys")) as server:
        with Client(server.address, keys=client_keys(second)) as client:
            assert client.wait_alive(5)
        with Client(server.address, keys=client_keys(first)) as client, pytest.raises(RemoteError, match="did not accept"):
            client.wait_alive(0.7)
            client.wait_alive(0.7)


def test_all_interfaces_may_be_bound_with_keys_only(tmp_path: Path) -> None:
    mine = new_client(tmp_path / "keys", "robot")
    with pytest.raises(ValueError, match="--keys DIR"):
        Server(PixelEngine(PROFILES["stream"]), "tcp://0.0.0.0:*")
    with pytest.raises(ValueError, match="--keys DIR"):
        checked_server("tcp://192.0.2.7:5555")
    assert checked_server("tcp://robot.local:5555", keys=True) and checked_bind("tcp://0.0.0.0:5555", keys=True)
    with running(server_keys(tmp_path / "keys"), "tcp://0.0.0.0:*") as server:
        address = f"tcp://{socket.gethostbyname('localhost')}:{server.address.rpartition(':')[2]}"
        with Client(address, keys=client_keys(mine)) as client:
            assert client.wait_alive(5)


def test_damaged_missing_and_readable_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--new-client robot"):
        server_keys(tmp_path)
    bundle = new_client(tmp_path / "keys", "robot")
    with pytest.raises(ValueError, match="exists; choose another name"):
        new_client(tmp_path / "keys", "robot")
    with pytest.raises(ValueError, match="letters"):
        new_client(tmp_path / "keys", "../robot")
    secret = bundle / "client.key_secret"
    secret.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        client_keys(bundle)
    secret.chmod(0o600)
    secret.write_text(secret.read_text().replace("secret-key", "nothing"))
    with pytest.raises(ValueError, match="no secret key"):
        client_keys(bundle)
    secret.write_text('metadata\ncurve\n    public-key = "short"\n    secret-key = "short"\n')
    with pytest.raises(ValueError, match="damaged"):
        client_keys(bundle)
    (tmp_path / "keys" / "clients" / "robot.key").unlink()
    with pytest.raises(ValueError, match="lets nobody in"):
        server_keys(tmp_path / "keys")
