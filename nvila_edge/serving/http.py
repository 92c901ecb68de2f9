"""A small HTTP server on loopback, in threads of its own: bounded in connections, bytes and time, and answering while the model is busy.

Pages of other sites must not reach it through a browser on this computer, so requests under another host's name or from another origin are refused.
"""

from __future__ import annotations

import logging
import select
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from nvila_edge.serving.address import is_loopback
from nvila_edge.serving.errors import ServerStartError

MAX_CONNECTIONS = 32
MAX_BODY_BYTES = 32 * 1024 * 1024  # 24 MiB of media in base64
_REQUEST_S = 20.0  # within which a request must have arrived, however it trickles
_WRITE_S = 30.0  # that a client may take to read what fits in a socket's buffer
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """A request. `gone` tells whether the client hung up."""

    method: str
    path: str
    body: bytes
    gone: Callable[[], bool]


@dataclass(frozen=True)
class Reply:
    """A response; a body that is an iterator is sent piece by piece. `done` is called at the end, whether it arrived or not."""

    status: int
    body: bytes | Iterator[bytes]
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    done: Callable[[], None] = lambda: None


Route = Callable[[Call], Reply]


class HttpServer:
    """Serves routes, given as {"GET /path": function}; closes every connection after one request."""

    def __init__(self, port: int, routes: dict[str, Route], option: str = "--http") -> None:
        """Port 0 picks a free one; `option` is where people gave it. Raises ServerStartError when it is taken, ValueError when it is no port."""
        if not 0 <= port < 65536:
            raise ValueError(f"{option} {port}: expected a port from 0 (which picks a free one) to 65535")
        try:
            self._server = _Bounded(("127.0.0.1", port), routes)
        except OSError as error:
            mend = f"choose another port ({option} 0 picks a free one) or stop the program that has it"
            raise ServerStartError(f"cannot listen for HTTP on 127.0.0.1:{port}: {error.strerror}", mend) from error
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more connections; those under way have their own bounds."""
        self._server.shutdown()
        self._server.server_close()


class _Bounded(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads, block_on_close, allow_reuse_address, request_queue_size = True, False, True, MAX_CONNECTIONS

    def __init__(self, address: tuple[str, int], routes: dict[str, Route]) -> None:
        self.routes = routes
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._arriving: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            request.settimeout(0.0)  # the buffer of a new connection has room; if not, it gets nothing
            try:
                request.send(_FULL)
            except OSError:
                pass
            self.shutdown_request(request)
            return
        with self._lock:
            self._arriving[request] = time.monotonic() + _REQUEST_S
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.arrived(request)
            self._places.release()

    def arrived(self, request: socket.socket) -> None:
        """The whole request was read: its time no longer runs."""
        with self._lock:
            self._arriving.pop(request, None)

    def service_actions(self) -> None:
        """Called twice a second: ends connections whose request does not come to its end."""
        now_s = time.monotonic()
        with self._lock:
            for request in [request for request, until_s in self._arriving.items() if until_s < now_s]:
                del self._arriving[request]
                try:
                    request.shutdown(socket.SHUT_RDWR)
                except OSError:  # already gone
                    pass

    def handle_error(self, request: Any, client_address: Any) -> None:
        _LOG.debug("an HTTP connection ended", exc_info=True)  # clients that hang up; what routes raise is answered below


class _Handler(BaseHTTPRequestHandler):
    server: _Bounded  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version, server_version, sys_version, timeout = "HTTP/1.1", "nvila-edge", "", _WRITE_S

    def do_GET(self) -> None:  # noqa: N802  the library's name
        self._answer()

    def do_POST(self) -> None:  # noqa: N802
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        _LOG.debug(format, *args)

    def _answer(self) -> None:
        self.close_connection = True
        refused = self._refused()
        body = b"" if refused else self._body()
        if refused is None and body is None:
            refused = _said(413, f"the body needs a Content-Length of at most {MAX_BODY_BYTES} bytes")
        self.server.arrived(self.connection)
        reply = refused or self._routed(body or b"")
        try:
            self._send(reply)
        finally:
            reply.done()

    def _refused(self) -> Reply | None:
        try:
            host, origin = urlsplit(f"//{self.headers.get('Host', '')}").hostname, self.headers.get("Origin")
            theirs, self._path = urlsplit(origin or "").hostname, urlsplit(self.path).path
        except ValueError as error:
            return _said(400, f"the path, Host or Origin is no address ({error})")
        if not host or not is_loopback(host) or (origin and not is_loopback(theirs or "")):
            return _said(403, "this server answers programs of this computer only, by the names localhost and 127.0.0.1")
        return None

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "0" if self.command == "GET" else "")
        if not length.isascii() or not length.isdecimal() or len(length) > 12 or int(length) > MAX_BODY_BYTES:
            return None
        data = self.rfile.read(int(length))
        if len(data) < int(length):
            raise ConnectionError("the client hung up within its request")
        return data

    def _routed(self, body: bytes) -> Reply:
        path = self._path
        route = self.server.routes.get(f"{self.command} {path}")
        if route is None:
            return _said(404, f"{self.command} {path[:100]} is not known; there are {', '.join(sorted(self.server.routes))}")
        try:
            return route(Call(self.command, path, body, self._gone))
        except ConnectionError:
            raise
        except Exception as error:  # whatever a route raises, the server stays up
            _LOG.error("a request failed", exc_info=error)
            return _said(500, f"the request failed: {type(error).__name__}; see the server's log")

    def _gone(self) -> bool:
        """Whether the client hung up: it has nothing more to say, so that whatever can be read is the end."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        whole = reply.body if isinstance(reply.body, bytes) else None
        headers = {"Content-Type": reply.content_type, "Connection": "close", "Cache-Control": "no-store", **reply.headers}
        for name, value in (headers | ({} if whole is None else {"Content-Length": str(len(whole))})).items():
            self.send_header(name, value)
        self.end_headers()
        for piece in (whole,) if whole is not None else reply.body:
            assert isinstance(piece, bytes)
            self.wfile.write(piece)


def _said(status: int, message: str) -> Reply:
    return Reply(status, message.encode() + b"\n", "text/plain; charset=utf-8")
