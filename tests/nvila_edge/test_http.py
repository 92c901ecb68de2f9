"""The HTTP port: bounded, for this computer only, and answering while the model is busy."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from nvila_edge.navigation.profiles import PROFILES
from nvila_edge.serving import http as serving_http
from nvila_edge.serving.errors import DeadlinePassed, ServerStartError, ServingError
from nvila_edge.serving.http import MAX_BODY_BYTES, MAX_CONNECTIONS, Call, HttpServer, Reply
from nvila_edge.serving.metrics import BUCKETS_S, Metrics
from nvila_edge.serving.routes import watch_routes
from nvila_edge.serving.server import Server
from tests.nvila_edge.pixel_engine import PixelEngine


def echo(call: Call) -> Reply:
    return Reply(200, b"%d bytes" % len(call.body))


def fail(call: Call) -> Reply:
    raise RuntimeError("as told")


@pytest.fixture
def served() -> Iterator[HttpServer]:
    server = HttpServer(0, {"GET /": echo, "POST /": echo, "GET /fail": fail})
    yield server
    server.close()


def ask(server: HttpServer, method: str = "GET", path: str = "/", body: bytes | None = None, **headers: str) -> tuple[int, str]:
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def connected(server: HttpServer) -> socket.socket:
    address = urlsplit(server.url)
    assert address.hostname and address.port
    return socket.create_connection((address.hostname, address.port), timeout=10)


def test_routes_are_answered_and_what_a_route_raises_is_told_without_its_insides(served: HttpServer) -> None:
    assert ask(served) == (200, "0 bytes") and ask(served, "POST", body=b"abc") == (200, "3 bytes")
    assert ask(served, path="/?x=1") == (200, "0 bytes")
    status, said = ask(served, path="/fail")
    assert status == 500 and "RuntimeError" in said and "as told" not in said
    status, said = ask(served, path="/nowhere")
    assert status == 404 and "GET /fail" in said


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Host": ""}])
def test_pages_of_other_sites_get_nothing(served: HttpServer, headers: dict[str, str]) -> None:
    assert ask(served, "GET", "/", None, **headers)[0] == 403
    assert ask(served, Host="localhost:1", Origin="http://127.0.0.1:3000")[0] == 200


@pytest.mark.parametrize(
    "head", ["GET / HTTP/1.1\r\nHost: [", "GET http://[ HTTP/1.1\r\nHost: localhost", "GET / HTTP/1.1\r\nHost: a\r\nOrigin: http://["]
)
def test_an_address_that_is_none_is_a_bad_request(served: HttpServer, head: str) -> None:
    with connected(served) as raw:
        raw.sendall(f"{head}\r\n\r\n".encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("length", [str(MAX_BODY_BYTES + 1), "-1", "x", "9" * 40])
def test_a_body_without_a_sane_length_is_refused_before_it_is_read(served: HttpServer, length: str) -> None:
    with connected(served) as raw:
        raw.sendall(f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 413")


def test_a_request_that_trickles_is_cut_off_and_others_are_served(served: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_http, "_REQUEST_S", 0.3)
    with connected(served) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost:")
        began_s = time.monotonic()
        assert ask(served)[0] == 200
        assert raw.recv(100) == b"" and time.monotonic() - began_s < 5


def test_connections_are_bounded_and_places_come_back(served: HttpServer) -> None:
    idle = [connected(served) for _ in range(MAX_CONNECTIONS)]
    deadline_s = time.monotonic() + 5
    while (status := ask_or_reset(served)) == 200 and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert status in (503, 0), "refused at once"
    for raw in idle:
        raw.close()
    deadline_s = time.monotonic() + 5
    while (status := ask_or_reset(served)) != 200 and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert status == 200


def ask_or_reset(server: HttpServer) -> int:
    """The status; 0 when the connection was refused with what we said unread."""
    try:
        return ask(server)[0]
    except OSError:
        return 0


def test_a_taken_port_and_a_wrong_one_are_named(served: HttpServer) -> None:
    port = urlsplit(served.url).port
    assert port
    with pytest.raises(ServerStartError, match=rf"127.0.0.1:{port}.*--http 0"):
        HttpServer(port, {})
    with pytest.raises(ValueError, match="--http 70000"):
        HttpServer(70000, {})


def test_health_follows_the_server_and_is_told_while_the_model_is_busy() -> None:
    server = Server(PixelEngine(PROFILES["stream"]), "tcp://127.0.0.1:*")
    watched = HttpServer(0, watch_routes(server))
    thread = threading.Thread(target=server.run)
    try:
        status, said = ask(watched, path="/healthz")
        assert status == 503 and '"starting"' in said
        thread.start()
        release = threading.Event()
        waiting = threading.Thread(target=lambda: server.run_task(lambda: release.wait(10), 20))
        waiting.start()
        deadline_s = time.monotonic() + 5
        while server.gauges()["busy_seconds"] == 0 and time.monotonic() < deadline_s:
            time.sleep(0.01)
        began_s = time.monotonic()
        status, said = ask(watched, path="/healthz")
        assert status == 200 and '"ok"' in said and time.monotonic() - began_s < 2
        assert "nvila_edge_busy_seconds 0\n" not in ask(watched, path="/metrics")[1]
        with pytest.raises(DeadlinePassed, match="no time"):
            server.run_task(lambda: 1, 0.05)
        release.set()
        waiting.join(5)
        with pytest.raises(ZeroDivisionError):
            server.run_task(lambda: 1 // 0, 5)
        assert server.run_task(lambda: 7, 5) == 7
    finally:
        server.stop()
        thread.join(5)
    status, said = ask(watched, path="/healthz")
    assert status == 503 and '"draining"' in said
    with pytest.raises(ServingError, match="shutting down"):
        server.run_task(lambda: 1, 5)
    watched.close()


def test_histograms_are_cumulative_and_their_sums_are_right() -> None:
    metrics = Metrics()
    for seconds in (0.0005, 0.002, 0.002, 99.0):
        metrics.observe("queue", seconds)
    metrics.count("errors_total", code="busy")
    metrics.count("errors_total", 2, code="busy")
    lines = metrics.text({"sessions": 2, "waiting": 0, "busy_seconds": 0.0}).splitlines()
    buckets = [int(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("nvila_edge_stage_seconds_bucket")]
    assert buckets == [1, *[3] * (len(BUCKETS_S) - 1), 4]
    assert 'nvila_edge_stage_seconds_sum{stage="queue"} 99.0045' in lines and 'nvila_edge_stage_seconds_count{stage="queue"} 4' in lines
    assert 'nvila_edge_errors_total{code="busy"} 3' in lines and "nvila_edge_sessions 2" in lines
    assert len([line for line in lines if line.startswith("# TYPE")]) == len({line for line in lines if line.startswith("# TYPE")})
