"""CURVE keys: what lets a server and an agent on two computers check and encrypt each other (ZeroMQ's CurveZMQ, RFC 26).

A server's folder holds `server.key` and `server.key_secret`, and in `clients/` the public key of every client that it lets in. A client's folder
holds `server.key` and its own `client.key` and `client.key_secret`: it is made by the server's side and copied to the robot by hand.
A server reads its folder when it starts: restart it to let a client in that is new, or to shut one out whose key was removed.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

CLIENTS = "clients"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class ServerKeys:
    """A server's pair (Z85 text) and the folder of the clients that it lets in."""

    public: bytes
    secret: bytes
    clients: Path

    def secure(self, router: zmq.Socket) -> ThreadAuthenticator:
        """Let only those who are clients now connect to a socket that is not bound yet; returns the authenticator, which the caller stops."""
        authenticator = ThreadAuthenticator(router.context)
        authenticator.start()
        authenticator.configure_curve(domain="*", location=str(self.clients))
        router.curve_publickey, router.curve_secretkey, router.curve_server = self.public, self.secret, True
        return authenticator


@dataclass(frozen=True)
class ClientKeys:
    """A client's pair and its server's public key (Z85 text)."""

    public: bytes
    secret: bytes
    server: bytes

    def secure(self, dealer: zmq.Socket) -> None:
        """Let a socket that is not connected yet talk to this server only."""
        dealer.curve_publickey, dealer.curve_secretkey, dealer.curve_serverkey = self.public, self.secret, self.server


def server_keys(folder: Path) -> ServerKeys:
    """The keys in a server's folder. Raises ValueError when they are not there, damaged, readable by others, or let nobody in."""
    public, secret = _pair(folder / "server.key_secret", f"make keys with `nvila-edge serve --keys {folder} --new-client robot`")
    clients = folder / CLIENTS
    if not any(clients.glob("*.key")):
        raise ValueError(f"{clients} lets nobody in; add a client with `nvila-edge serve --keys {folder} --new-client robot`")
    return ServerKeys(public, secret, clients)


def client_keys(folder: Path) -> ClientKeys:
    """The keys in a client's folder. Raises ValueError when they are not there or damaged."""
    mend = "copy the folder that `nvila-edge serve --keys DIR --new-client NAME` made on the server's computer"
    public, secret = _pair(folder / "client.key_secret", mend)
    return ClientKeys(public, secret, _read(folder / "server.key", mend)[0])


def new_client(folder: Path, name: str) -> Path:
    """Make keys for a client, and the server's when there are none yet; returns the folder that belongs on the client's computer.

    Raises ValueError for a name that is no file name or is taken.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"client name {name!r}: up to 64 letters, digits, - and _ are allowed")
    (folder / CLIENTS).mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if not (folder / "server.key_secret").exists():
        _create(folder, "server")
    allowed, bundle = folder / CLIENTS / f"{name}.key", folder / f"for-{name}"
    if allowed.exists() or bundle.exists():
        raise ValueError(
            f"{allowed if allowed.exists() else bundle} exists; choose another name, or remove it and restart the server to shut that client out"
        )
    with tempfile.TemporaryDirectory(dir=folder) as made:
        _create(Path(made), "client")
        shutil.copy(folder / "server.key", made)
        shutil.copytree(made, bundle)
    bundle.chmod(0o700)
    shutil.copy(bundle / "client.key", allowed)
    return bundle


def _create(folder: Path, name: str) -> None:
    _, secret = zmq.auth.create_certificates(folder, name)
    Path(secret).chmod(0o600)


def _pair(path: Path, mend: str) -> tuple[bytes, bytes]:
    public, secret = _read(path, mend)
    if secret is None:
        raise ValueError(f"{path} holds no secret key; {mend}")
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise ValueError(f"{path} can be read by others on this computer; mend it with: chmod 600 {path}")
    return public, secret


def _read(path: Path, mend: str) -> tuple[bytes, bytes | None]:
    try:
        public, secret = zmq.auth.load_certificate(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"no key in {path} ({error}); {mend}") from error
    if any(key is not None and len(key) != 40 for key in (public, secret)):  # Z85 of 32 bytes
        raise ValueError(f"the key in {path} is damaged; {mend}")
    return public, secret
