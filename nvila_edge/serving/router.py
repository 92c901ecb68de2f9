"""The server's socket, for one thread: messages in, replies out, and a way for other threads to wake it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import zmq

from nvila_edge.serving import wire
from nvila_edge.serving.address import checked_bind
from nvila_edge.serving.errors import ServerStartError
from nvila_edge.serving.keys import ServerKeys
from nvila_edge.serving.waking import Waker

_HARD_MESSAGE_BYTES = 2 * wire.MAX_MESSAGE_BYTES  # beyond this ZeroMQ cuts the connection; below, the sender is told
_POLL_MS = 100
_AT_ONCE = 64  # messages; then replies go out
_OPTIONS = {
    zmq.LINGER: 200, zmq.MAXMSGSIZE: _HARD_MESSAGE_BYTES, zmq.RCVHWM: 256, zmq.SNDHWM: 256, zmq.ROUTER_MANDATORY: 1,
}  # fmt: skip
_LOG = logging.getLogger(__name__)


class Router:
    """A bound ROUTER socket. All but `wake` belongs to one thread."""

    def __init__(self, bind: str, keys: ServerKeys | None) -> None:
        """Binds at once. Raises ValueError for an address beyond loopback without keys, ServerStartError when it is taken."""
        checked_bind(bind, keys is not None)
        self._waker = Waker()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._authenticator = keys.secure(self._socket) if keys else None
        self.address = self._bind(bind)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._waker.fileno(), zmq.POLLIN)

    def _bind(self, bind: str) -> str:
        for option, value in (_OPTIONS | {zmq.IPV6: int("[" in bind)}).items():
            self._socket.setsockopt(option, value)
        try:
            self._socket.bind(bind)
        except zmq.ZMQError as error:
            self.close()
            host, port = bind.rpartition(":")[::2]
            mend = f"choose another port (--bind {host}:{int(port) + 1 if port.isdecimal() else '*'}) or stop the program that has it"
            raise ServerStartError(f"cannot bind to {bind}: {error.strerror}", mend) from error
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def wait(self) -> None:
        """Until a message is there or somebody called `wake`, 100 ms at the most."""
        self._poller.poll(_POLL_MS)
        self._waker.clear()

    def wake(self) -> None:
        """From any thread."""
        self._waker.wake()

    def receive(self) -> Iterator[tuple[bytes, list[bytes], int]]:
        """What has come, some messages at the most: client, parts, and bytes on the wire."""
        for _ in range(_AT_ONCE):
            try:
                client = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            parts: list[bytes] = []
            received = 0
            while self._socket.getsockopt(zmq.RCVMORE):
                part = self._socket.recv(copy=False)
                received += len(part.buffer)
                if len(parts) <= wire.MAX_PARTS:  # one more than any message has, so that it is refused; the rest is dropped here
                    parts.append(bytes(part.buffer))
            yield client, parts, received

    def send(self, client: bytes, reply: bytes) -> bool:
        """Whether it went out: not to a client that is gone, or does not read its replies."""
        try:
            self._socket.send_multipart([client, reply], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            _LOG.info("reply dropped: %s", error)
            return False
        return True

    def hung_up(self, client: bytes) -> bool:
        """Whether that connection has ended: messages to it are refused (ROUTER_MANDATORY). Clients pass over the type of this one."""
        try:
            self._socket.send_multipart([client, wire.pack("probe", None)], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            return error.errno == zmq.EHOSTUNREACH
        return False

    def close(self) -> None:
        """Give the address back. Twice does no harm."""
        self._socket.close()
        if self._authenticator is not None:
            self._authenticator.stop()
            self._authenticator = None
        self._context.term()
        self._waker.close()
