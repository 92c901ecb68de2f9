"""A bare socket that says anything to a real server, and the fixtures that start one: import `engine`, `server` and `raw`."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import msgpack
import numpy as np
import pytest
import zmq

from nvila_edge.navigation.actions import SENTENCES
from nvila_edge.navigation.profiles import PROFILES
from nvila_edge.serving import wire
from nvila_edge.serving.jpeg import encode_jpeg
from nvila_edge.serving.server import Server, ServerLimits
from nvila_edge.serving.sessions import SessionLimits
from tests.nvila_edge.pixel_engine import PixelEngine


class Raw:
    """A bare DEALER socket: says anything, waits with a bound."""

    def __init__(self, address: str) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(address)
        self.ids = 0

    def say(self, *parts: bytes) -> None:
        self.socket.send_multipart(parts)

    def hear(self, timeout_ms: int = 3000) -> dict:
        assert self.socket.poll(timeout_ms), "no reply"
        return msgpack.unpackb(self.socket.recv())

    def ask(self, *parts: bytes) -> dict:
        self.say(*parts)
        return self.hear()

    def frame(self, frame_id: int, session: str = "s") -> None:
        self.ids += 1
        self.say(wire.pack("frame", self.ids, session, frame_id=frame_id), jpeg(frame_id))

    def decide(self, frames: list[int], past: list[tuple[int, int]], n: int = 0, session: str = "s", **changes: object) -> dict:
        self.ids += 1
        fields = {"instruction": "go", "n": n, "frames": frames, "past": past, "deadline_ms": 5000} | changes
        return self.ask(wire.pack("decide", self.ids, session, **fields))

    def close(self) -> None:
        self.socket.close()
        self.context.term()


def jpeg(frame_id: int) -> bytes:
    return encode_jpeg(np.random.default_rng(frame_id).integers(0, 255, (32, 32, 3), dtype=np.uint8))


def index(reply: dict) -> int:
    assert reply["type"] == "decision", reply
    return SENTENCES.index(reply["text"])


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> PixelEngine:
    return PixelEngine(PROFILES[getattr(request, "param", "stream")])


@pytest.fixture
def server(engine: PixelEngine) -> Server:
    return Server(engine, "tcp://127.0.0.1:*", ServerLimits(SessionLimits(sessions=3, evict_after_s=0.2)))


@pytest.fixture
def raw(server: Server) -> Iterator[Raw]:
    thread = threading.Thread(target=server.run)
    thread.start()
    client = Raw(server.address)
    yield client
    assert client.ask(wire.pack("ping", 99999))["type"] == "pong", "the server is still up after the test"
    client.close()
    server.stop()
    thread.join(5)
    assert not thread.is_alive()
