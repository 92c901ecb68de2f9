"""Which addresses may be used: tcp within this computer; beyond it only with keys, with which two computers check each other (keys.py)."""

from __future__ import annotations

import ipaddress

DEFAULT_BIND = "tcp://127.0.0.1:5555"


def checked_bind(bind: str, keys: bool = False) -> str:
    """`bind` when it is tcp on a loopback address, or anywhere with keys; port "*" or 0 picks a free one. Raises ValueError naming what is
    allowed."""
    allowed = f"allowed: tcp on a loopback address, such as {DEFAULT_BIND} (port * picks a free one)"
    host, port = _host_and_port(bind)
    if not host or not (port == "*" or (port.isascii() and port.isdecimal() and int(port) < 65536)):
        raise ValueError(f"cannot bind to {bind!r}; {allowed}")
    if not keys and not is_loopback(host):
        raise ValueError(
            f"{bind!r} is reachable from other computers, and without keys anybody there could drive the robot; give --keys DIR "
            f"(`nvila-edge serve --keys DIR --new-client robot` makes them), or {allowed}, and reach it by ssh -L"
        )
    return bind


def checked_server(address: str, keys: bool = False) -> str:
    """`address` when it is tcp to a loopback address, or anywhere with keys. Raises ValueError naming what is allowed."""
    host, port = _host_and_port(address)
    if not host or not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"cannot connect to {address!r}; give an address like {DEFAULT_BIND}")
    if not keys and not is_loopback(host):
        raise ValueError(
            f"{address!r} is not on this computer, and what is sent there could be read and forged on the way: give --keys DIR with the keys "
            f"that its server made for this client, or forward a port (ssh -L 5555:127.0.0.1:5555 HOST) and give {DEFAULT_BIND}"
        )
    return address


def _host_and_port(address: str) -> tuple[str, str]:
    """Both empty unless it is tcp."""
    scheme, _, rest = address.partition("://")
    host, _, port = rest.rpartition(":")
    return (host, port) if scheme == "tcp" else ("", "")


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this computer."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
