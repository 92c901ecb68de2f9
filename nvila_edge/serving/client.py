"""The client: one I/O thread owns the DEALER socket, pings at 10 Hz and knows within milliseconds when the server's connection breaks.

Needs numpy, pyzmq, msgpack and cv2 only, so that an old robot computer can run it. No method waits without a bound.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from nvila_edge.navigation.agent_profiles import OURS
from nvila_edge.serving import wire
from nvila_edge.serving.address import checked_server
from nvila_edge.serving.errors import DeadlinePassed, LinkDown, RemoteError, ServingError
from nvila_edge.serving.keys import ClientKeys
from nvila_edge.serving.link import PING_EVERY_S, SILENCE_S, Heartbeat
from nvila_edge.serving.waking import Waker

_OUTBOX = 256  # messages; the oldest fall out, and frames among them are asked for again
_REFUSED = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
_BROKEN = zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED


@dataclass(frozen=True)
class ServerInfo:
    """What a server says of itself: `boot` changes with every start; `profile` and `window` are its model's prompt profile and history length,
    `agent` names the agent that it is meant for."""

    boot: str
    profile: str
    window: int
    agent: str = OURS.name


class Client:
    """A connection to one server; reconnects by itself. It is also the Link that the agent's loop watches. Use it as a context manager."""

    def __init__(self, address: str, *, silence_s: float = SILENCE_S, keys: ClientKeys | None = None) -> None:
        """Connects in the background. `silence_s`: how long a connected server may be silent before it counts as gone; in a simulator,
        where time stands still while nothing is decided, a large value keeps results independent of the machine's load.
        Raises ValueError for an address that is not tcp, or beyond loopback without keys."""
        self.address = checked_server(address, keys is not None)
        self._context = zmq.Context()
        self._dealer, self._monitor = self._connect(address, keys)
        self._beat = Heartbeat(silence_s)
        self._outbox: deque[list[bytes]] = deque(maxlen=_OUTBOX)
        self._replies: dict[int, dict[str, Any] | None] = {}
        self._ids = itertools.count(1)
        self._session = ""
        self._version_error: ServingError | None = None
        self._refused = False
        self._closing = False
        self._waker = Waker()
        self._thread = threading.Thread(target=self._io, name="nvila-edge client", daemon=True)
        self._thread.start()

    def _connect(self, address: str, keys: ClientKeys | None) -> tuple[zmq.Socket, zmq.Socket]:
        dealer = self._context.socket(zmq.DEALER)
        options = {
            zmq.LINGER: 0,
            zmq.IPV6: int("[" in address),
            zmq.IMMEDIATE: 1,
            zmq.SNDHWM: _OUTBOX,
            zmq.RCVHWM: _OUTBOX,
            zmq.RECONNECT_IVL: 20,
            zmq.RECONNECT_IVL_MAX: 200,
        }
        for option, value in options.items():
            dealer.setsockopt(option, value)
        dealer.setsockopt(zmq.MAXMSGSIZE, wire.MAX_MESSAGE_BYTES)
        if keys is not None:
            keys.secure(dealer)
        monitor = dealer.get_monitor_socket(zmq.EVENT_CONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | _REFUSED | _BROKEN)
        try:
            dealer.connect(address)
        except zmq.ZMQError as error:
            dealer.disable_monitor()
            monitor.close(0)
            dealer.close(0)
            self._context.term()
            raise ValueError(f"cannot connect to {address!r}: {error.strerror}; give an address like tcp://127.0.0.1:5555") from error
        return dealer, monitor

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Say goodbye and end the I/O thread. Later frames and byes go nowhere, later requests raise LinkDown."""
        if self._closing:
            return
        if self._session:
            self.bye(self._session)
        self._closing = True
        self._waker.wake()
        self._thread.join(timeout=2.0)
        self._waker.close()

    # --- the link

    @property
    def alive(self) -> bool:
        """Connected, not shutting down, and a pong within the last 300 ms."""
        return self._beat.alive

    def settle(self) -> bool:
        """Wait until the server is alive (True) or certainly gone (False)."""
        return self._beat.settle()

    def wait_alive(self, timeout_s: float) -> bool:
        """Wait until the server is alive, at most that long; whether it is. Raises WireError "version" when it speaks another version, RemoteError
        "keys" when it does not let this client in."""
        up = self._beat.wait_alive(timeout_s)
        self._check_version()
        if not up and self._refused:
            mend = "give --keys DIR with the keys that this server made for this client, and start the server with its own"
            raise RemoteError("keys", f"the server at {self.address} did not accept this client's keys (or one side has none)", mend)
        return up

    def _check_version(self) -> None:
        if self._version_error is not None:
            raise self._version_error

    # --- requests

    def hello(self, timeout_s: float) -> ServerInfo:
        """Who serves. Raises LinkDown, DeadlinePassed, RemoteError or WireError."""
        reply = self.request("hello", "", timeout_s)
        return ServerInfo(
            wire.text(reply, "boot", 1, 64),
            wire.text(reply, "profile", 1, 64),
            wire.integer(reply, "window", 1, wire.MAX_WINDOW),
            wire.text({"agent": OURS.name} | reply, "agent", 1, 64),  # servers from before agents had names do not say
        )

    def send_frame(self, session: str, frame_id: int, jpeg: bytes, captured_s: float | None = None) -> None:
        """Send a frame, captured at `captured_s` (monotonic clock), without waiting; lost silently when the server is gone: it will ask for it.

        A client has one session at a time: the first frame of another one ends the one before."""
        if self._session not in ("", session):
            self.bye(self._session)
        self._session = session
        stamp = {} if captured_s is None else {"captured_s": captured_s}
        self._send([wire.pack("frame", next(self._ids), session, frame_id=frame_id, **stamp), jpeg])

    def bye(self, session: str) -> None:
        """The session is over; the server may forget it."""
        self._session = ""
        self._send([wire.pack("bye", next(self._ids), session)])

    def request(self, kind: str, session: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        """Send a request and wait for its reply's header.

        Raises LinkDown when the server goes, RemoteError when it answers with an error, DeadlinePassed when it is up but late,
        WireError when it speaks another protocol version.
        """
        self._check_version()
        asked_s, request_id, changed = time.monotonic(), next(self._ids), self._beat.changed
        with changed:
            boot = self._beat.boot
            self._replies[request_id] = None
            self._send([wire.pack(kind, request_id, session, **fields)])
            try:
                while (reply := self._replies[request_id]) is None:
                    self._check_version()
                    self._check_link(boot, asked_s)
                    if time.monotonic() > asked_s + timeout_s:
                        raise DeadlinePassed(f"no answer to {kind!r} from {self.address} within {timeout_s:g} s")
                    changed.wait(0.02)
            finally:
                del self._replies[request_id]
        return _checked(reply)

    def _check_link(self, boot: str, asked_s: float) -> None:
        if self._beat.broken(asked_s):
            self._outbox.clear()
            raise LinkDown(f"the server at {self.address} is gone")
        if boot and self._beat.boot != boot:
            raise LinkDown(f"the server at {self.address} restarted")

    def _send(self, parts: list[bytes]) -> None:
        self._outbox.append(parts)
        self._waker.wake()

    # --- I/O thread

    def _io(self) -> None:
        try:
            self._exchange()
        finally:  # whatever happens here, the link is down and nothing moves
            self._beat.connection(False)
            self._dealer.disable_monitor()
            self._monitor.close(0)
            self._dealer.close(50)  # ms for the goodbye
            self._context.term()

    def _exchange(self) -> None:
        poller = zmq.Poller()
        for source in (self._dealer, self._monitor, self._waker.fileno()):
            poller.register(source, zmq.POLLIN)
        next_ping_s = 0.0
        while not self._closing:
            poller.poll(max(1, int(1000 * (next_ping_s - time.monotonic()))))
            self._waker.clear()
            self._receive()  # first, so that an answer that came just before the end counts
            self._note_connection()
            if time.monotonic() >= next_ping_s:
                next_ping_s = time.monotonic() + PING_EVERY_S
                self._transmit([wire.pack("ping", next(self._ids), self._session)])
            self._flush()
        self._flush()

    def _flush(self) -> None:
        while self._outbox:
            try:
                self._transmit(self._outbox.popleft())
            except IndexError:  # cleared meanwhile by the thread that found the server gone
                return

    def _transmit(self, parts: list[bytes]) -> None:
        try:
            self._dealer.send_multipart(parts, zmq.NOBLOCK)
        except zmq.Again:  # not connected, or the server does not read: nothing is queued for later, so nothing stale is ever sent
            pass

    def _note_connection(self) -> None:
        while self._monitor.poll(0):
            event = parse_monitor_message(self._monitor.recv_multipart())["event"]
            if event & _REFUSED:
                self._refused = True
            elif event & _BROKEN:
                self._beat.connection(False)
            elif event & zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._refused = False
                self._beat.connection(True)
                self._transmit([wire.pack("ping", next(self._ids), self._session)])

    def _receive(self) -> None:
        while True:
            try:
                parts = self._dealer.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                header = wire.header_of(parts)
                wire.check_version(header, "server")
            except ServingError as error:
                self._version_error = error if error.code == "version" else self._version_error
                continue
            except RecursionError:  # nesting a thousand deep: nothing of ours
                continue
            self._deliver(header)

    def _deliver(self, header: dict[str, Any]) -> None:
        kind, request_id = header.get("type"), header.get("id")
        if kind == "pong":
            self._version_error = None
            self._beat.pong(str(header.get("boot", "")), bool(header.get("draining")))
        elif kind == "error" and header.get("code") == "version":
            self._version_error = RemoteError("version", str(header.get("message")), str(header.get("mend")))
        elif isinstance(request_id, int) and request_id in self._replies:  # anything else comes too late: nobody waits for it any more
            with self._beat.changed:
                if request_id in self._replies:
                    self._replies[request_id] = header
                    self._beat.changed.notify_all()


def _checked(reply: dict[str, Any]) -> dict[str, Any]:
    if reply.get("type") != "error":
        return reply
    code, message, mend = (str(reply.get(name, "")) for name in ("code", "message", "mend"))
    if code == "draining":
        raise LinkDown("the server is shutting down")
    if code == "deadline":
        raise DeadlinePassed(message, mend)
    raise RemoteError(code, message, mend)
