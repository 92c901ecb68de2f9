"""The server over real sockets: what breaks the protocol gets a typed error, what is lost is asked for, nothing stops it."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import msgpack
import numpy as np
import pytest
import zmq

from nvila_edge.navigation.actions import ACTIONS, SENTENCES
from nvila_edge.navigation.profiles import PROFILES
from nvila_edge.serving import wire
from nvila_edge.serving.address import checked_bind, checked_server
from nvila_edge.serving.client import Client
from nvila_edge.serving.errors import ServerStartError, WireError
from nvila_edge.serving.jpeg import encode_jpeg
from nvila_edge.serving.main import serve_engine
from nvila_edge.serving.server import Server, ServerLimits
from nvila_edge.serving.sessions import SessionLimits, Sessions, SessionState, TokenCache
from nvila_edge.serving.work import MAX_WAITING_BYTES, MAX_WAITING_FRAMES, EncodeJob, Waiting, Work
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


def test_hello_tells_the_profile(raw: Raw) -> None:
    info = raw.ask(wire.pack("hello", 1))
    assert (info["v"], info["type"], info["id"], info["profile"], info["window"]) == (1, "info", 1, "stream", 8)


def test_frames_then_decide_is_a_decision_with_ten_candidates(raw: Raw, engine: PixelEngine) -> None:
    raw.frame(1)
    reply = raw.decide([1], [])
    assert index(reply) in range(1, 10) and sum(reply["candidates"]) == pytest.approx(1)
    assert {"queue", "encode", "decide", "rebuild", "prefill"} <= set(reply["timing_ms"])
    assert engine.encoded == 1, "a frame is encoded once"


def test_the_newest_frames_own_stamp_comes_back_with_the_decision(raw: Raw) -> None:
    for frame_id, captured_s in ((1, -3.5), (2, 1e9)):
        raw.say(wire.pack("frame", frame_id, "s", frame_id=frame_id, captured_s=captured_s), jpeg(frame_id))
    first = raw.decide([1], [], n=0)
    assert first["captured_s"] == -3.5, "whatever the client's clock says, also after a jump"
    reply = raw.decide([2], [(1, index(first))], n=1)
    assert reply["captured_s"] == 1e9 and {"queue", "vision", "prefill", "decode"} <= reply["timing_ms"].keys()
    raw.frame(3)
    assert "captured_s" not in raw.decide([3], [(1, index(first)), (2, index(reply))], n=2), "an older client gives none"


def test_a_frame_is_encoded_on_arrival(raw: Raw, engine: PixelEngine) -> None:
    raw.frame(1)
    deadline_s = time.monotonic() + 3
    while engine.encoded == 0 and time.monotonic() < deadline_s:
        time.sleep(0.005)
    assert engine.encoded == 1
    assert raw.decide([1], [])["timing_ms"]["encode"] < 5 and engine.encoded == 1


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([b"nonsense"], "malformed"),
        ([wire.pack("hello", 1)[:-2]], "malformed"),
        ([wire.pack("hello", 1)] * 3, "malformed"),
        ([wire.pack("hello", 1)] * 1000, "malformed"),
        ([msgpack.packb({"v": 2, "type": "hello", "id": 4})], "version"),
        ([wire.pack("frame", 1, "s", frame_id=1), b"not a jpeg"], "not_jpeg"),
        ([wire.pack("frame", 1, "s", frame_id=1), jpeg(1)[:-9]], "truncated"),
        ([wire.pack("frame", 1, "s", frame_id=1), b"\xff\xd8" + bytes(wire.MAX_MESSAGE_BYTES)], "too_large"),
        ([wire.pack("frame", 1, "s")], "malformed"),
        ([wire.pack("shutdown", 1, "s")], "malformed"),
    ],
)
def test_bad_messages_get_typed_errors(raw: Raw, parts: list[bytes], code: str) -> None:
    reply = raw.ask(*parts)
    assert (reply["type"], reply["code"]) == ("error", code)
    assert reply["message"] and reply["mend"]


def test_a_refused_frame_is_named(raw: Raw) -> None:
    reply = raw.ask(wire.pack("frame", 7, "s", frame_id=41), b"not a jpeg")
    assert (reply["code"], reply["id"], reply["session"], reply["frame_id"]) == ("not_jpeg", 7, "s", 41)


@pytest.mark.parametrize("instruction", ["", "x" * 5000])
def test_a_bad_instruction_gets_an_error_that_names_the_limit(raw: Raw, instruction: str) -> None:
    raw.frame(1)
    reply = raw.decide([1], [], instruction=instruction)
    assert (reply["type"], reply["code"], reply["id"], reply["session"]) == ("error", "instruction", 2, "s")


def test_a_message_far_beyond_the_limit_costs_only_its_sender_the_connection(raw: Raw) -> None:
    raw.say(wire.pack("frame", 1, "s", frame_id=1), bytes(40 * 1024 * 1024))
    other = Raw(raw.socket.getsockopt_string(zmq.LAST_ENDPOINT))
    assert other.ask(wire.pack("ping", 1))["type"] == "pong"
    other.close()
    time.sleep(0.3)  # the sender's socket reconnects by itself


def test_a_jpeg_with_broken_insides_is_reported_when_it_is_encoded(raw: Raw) -> None:
    data = bytearray(jpeg(1))
    data[2:2] = b"\xff\xc0\x00\x11\x08\x00\x10\x00\x10"  # a second frame header in front: the sizes disagree
    raw.say(wire.pack("frame", 1, "s", frame_id=1), bytes(data))
    reply = raw.hear()
    assert (reply["type"], reply["code"], reply["frame_id"]) == ("error", "not_jpeg", 1)


def test_a_repeated_request_gets_the_same_answer_and_moves_nothing_on(raw: Raw) -> None:
    raw.frame(1)
    first = raw.decide([1], [], n=0)
    again = raw.decide([1], [], n=0)
    assert {k: v for k, v in first.items() if k not in ("id", "timing_ms")} == {
        k: v for k, v in again.items() if k not in ("id", "timing_ms")
    }
    raw.frame(2)
    raw.frame(3, "other")
    raw.frame(1, "other")
    raw.frame(2, "other")
    past = [(1, index(first))]
    assert index(raw.decide([2], past, n=1)) == index(raw.decide([2], past, n=1, session="other"))


def test_a_lost_session_is_rebuilt_to_the_same_answers(raw: Raw) -> None:
    past: list[tuple[int, int]] = []
    replies = []
    for n in range(40):
        raw.frame(n)
        replies.append(raw.decide([n], past, n=n))
        past.append((n, index(replies[-1])))
    raw.say(wire.pack("bye", 5000, "s"))
    rounds = 0
    while (reply := raw.decide([39], past[:39], n=39))["type"] == "missing":
        rounds += 1
        assert len(reply["frames"]) <= wire.MAX_RESEND and rounds < 5
        for frame_id in reply["frames"]:
            raw.frame(frame_id)
    assert rounds == 2 and reply["candidates"] == replies[39]["candidates"]


def test_a_decision_that_was_not_carried_out_leaves_no_trace(raw: Raw) -> None:
    for frame_id in (1, 2, 3):
        raw.frame(frame_id)
        raw.frame(frame_id, "other")
    first = index(raw.decide([1], [], n=0))
    raw.decide([2], [(1, first)], n=1)
    anew = raw.decide([3], [(1, first)], n=2)
    raw.decide([1], [], n=0, session="other")
    assert anew["candidates"] == raw.decide([3], [(1, first)], n=1, session="other")["candidates"]


@pytest.mark.parametrize("engine", ["navila"], indirect=True)
def test_a_window_is_asked_for_where_it_has_gaps(raw: Raw) -> None:
    for frame_id in (2, 4):
        raw.frame(frame_id)
    assert raw.decide([1, 2, 3, 4], [])["frames"] == [1, 3]
    raw.frame(1)
    raw.frame(3)
    assert index(raw.decide([1, 2, 3, 4], [])) > 0
    assert raw.decide(list(range(9)), [])["code"] == "malformed"
    assert raw.decide([1], [(0, 1)])["code"] == "malformed"


def test_mutilated_messages_leave_the_server_up_and_its_memory_bounded(raw: Raw, server: Server) -> None:
    rng = np.random.default_rng(np.random.SeedSequence([3]))
    whole = [wire.pack("frame", 1, "s", frame_id=1), jpeg(1)]
    decide = wire.pack("decide", 1, "s", instruction="go", n=0, frames=[1], past=[[2, 3]], deadline_ms=50)
    for _ in range(2000):
        parts = [bytearray(part) for part in (whole if rng.random() < 0.5 else [decide])]
        part = parts[int(rng.integers(len(parts)))]
        match int(rng.integers(4)):
            case 0:
                del part[int(rng.integers(len(part))) :]
            case 1:
                part[int(rng.integers(len(part)))] = int(rng.integers(256))
            case 2:
                parts.append(part)
            case 3:
                part += rng.bytes(int(rng.integers(1, 100)))
        raw.say(*map(bytes, parts))
        while raw.socket.poll(0):
            assert raw.hear()["type"] in ("error", "decision", "missing")
    while raw.socket.poll(300):
        raw.hear()
    sessions, work = server._sessions, server._work  # noqa: SLF001
    assert 0 < len(sessions) <= 3 and len(work) == 0, "all that was whole is encoded, and nothing is kept of the rest"
    assert all(state.tokens.nbytes <= 64 * 2**20 for state in sessions)
    for name in [state.name for state in sessions]:
        raw.say(wire.pack("bye", 1, name))
    raw.frame(5, "fresh")
    assert raw.decide([5], [], session="fresh")["type"] == "decision"
    assert len(sessions) == 1 and len(work) == 0


def test_sessions_that_come_and_go_leave_nothing_behind(raw: Raw, server: Server, engine: PixelEngine) -> None:
    engine.delay_s = 0.5
    raw.frame(0, "busy")
    raw.say(wire.pack("decide", 9000, "busy", instruction="go", n=0, frames=[0], past=[], deadline_ms=5000))
    time.sleep(0.1)  # the worker decides, and frames wait
    for name in ("killed a", "killed b"):  # no bye
        raw.frame(1, name)
    raw.ask(wire.pack("ping", 9001, "busy"))
    assert len(server._work) == 2  # noqa: SLF001
    time.sleep(0.22)
    raw.ask(wire.pack("ping", 9002, "busy"))
    for name in ("new a", "new b"):
        raw.say(wire.pack("frame", 9003, name, frame_id=1), jpeg(1))
    raw.ask(wire.pack("ping", 9004, "busy"))
    assert {state.name for state in server._sessions} == {"busy", "new a", "new b"}  # noqa: SLF001
    assert len(server._work) == 2, "the evicted sessions' frames went with them"  # noqa: SLF001
    assert raw.hear()["type"] == "decision"


def test_a_flood_of_sessions_of_one_client_leaves_places_for_others() -> None:
    dropped: list[str] = []
    sessions = Sessions(SessionLimits(sessions=6, per_client=4), dropped.append)
    sessions.open("robot", b"robot")
    for index in range(50):
        sessions.open(f"flood {index}", b"hostile")
    assert {state.name for state in sessions} == {"robot", *(f"flood {index}" for index in range(46, 50))}
    assert dropped == [f"flood {index}" for index in range(46)]
    sessions.open("flood 46", b"hostile")
    sessions.open("another robot", b"another")
    assert len(sessions) == 6


def test_sessions_whose_connection_ended_make_room_at_once(raw: Raw, server: Server) -> None:
    address = raw.socket.getsockopt_string(zmq.LAST_ENDPOINT)
    for name in ("dead a", "dead b", "dead c"):
        dead = Raw(address)
        dead.frame(1, name)
        assert dead.ask(wire.pack("ping", 1, name))["type"] == "pong"
        dead.close()
    deadline_s = time.monotonic() + 3
    while (reply := raw.decide([1], [], session="alive"))["type"] == "error" and time.monotonic() < deadline_s:
        time.sleep(0.01)  # the server has yet to hear of the end
    assert reply["type"] == "missing", reply
    assert {state.name for state in server._sessions} == {"alive"}  # noqa: SLF001


def waiting(nbytes: int) -> Waiting:
    return Waiting(b"c", 1, bytes(nbytes))


def test_waiting_frames_are_bounded_in_number_and_bytes_and_the_oldest_fall_out() -> None:
    work, state = Work(), SessionState("s", TokenCache(1), 0.0)
    for frame_id in range(100):
        work.put_frame(state, frame_id, waiting(10))
    assert len(work) == MAX_WAITING_FRAMES and work.has_frame("s", 99) and not work.has_frame("s", 0)
    large = waiting(MAX_WAITING_BYTES // 8)
    for frame_id in range(100, 120):
        work.put_frame(state, frame_id, large)
        work.put_frame(state, frame_id, large)
    assert len(work) == 8 and work.has_frame("s", 112) and not work.has_frame("s", 111)


def test_a_session_is_known_to_the_queue_only_while_something_of_it_waits() -> None:
    work = Work()
    for name in ("a", "b"):
        for frame_id in (1, 2):
            work.put_frame(SessionState(name, TokenCache(1), 0.0), frame_id, waiting(10))
    jobs = [work.next() for _ in range(3)]
    assert [(job.state.name, job.frame_id) for job in jobs if isinstance(job, EncodeJob)] == [("a", 2), ("b", 2), ("a", 1)]
    assert work.take_frame("b", 1) == waiting(10) and work.take_frame("b", 1) is None
    assert len(work) == 0 and not work._queues  # noqa: SLF001
    work.put_frame(SessionState("c", TokenCache(1), 0.0), 1, waiting(10))
    work.forget("c")
    assert not work._queues  # noqa: SLF001


def test_an_engine_that_fails_gives_an_error_and_serves_on(raw: Raw) -> None:
    raw.frame(1)
    reply = raw.decide([1], [], instruction="crash the engine")
    assert (reply["type"], reply["code"]) == ("error", "engine") and "as told" in reply["message"]
    assert raw.decide([1], [])["type"] == "decision"


def test_a_rejected_answer_is_a_decision_without_action(raw: Raw) -> None:
    raw.frame(1)
    reply = raw.decide([1], [], instruction="mumble")
    assert reply["type"] == "decision" and reply["action"] is None


def test_pings_are_answered_at_once_while_a_decision_is_slow(raw: Raw, engine: PixelEngine) -> None:
    engine.delay_s = 0.5
    raw.frame(1)
    raw.say(wire.pack("decide", 7, "s", instruction="go", n=0, frames=[1], past=[], deadline_ms=5000))
    time.sleep(0.1)
    started_s = time.monotonic()
    assert raw.ask(wire.pack("ping", 8))["type"] == "pong"
    assert time.monotonic() - started_s < 0.2
    assert raw.hear()["type"] == "decision"


def test_a_newer_request_replaces_one_that_waits(raw: Raw, engine: PixelEngine) -> None:
    engine.delay_s = 0.3
    raw.frame(1)
    raw.frame(1, "other")
    raw.say(wire.pack("decide", 100, "other", instruction="go", n=0, frames=[1], past=[], deadline_ms=5000))
    time.sleep(0.05)
    for request_id in (101, 102):
        raw.say(wire.pack("decide", request_id, "s", instruction="go", n=request_id, frames=[1], past=[], deadline_ms=5000))
    replies = {reply["id"]: reply for reply in (raw.hear(), raw.hear(), raw.hear())}
    assert replies[101]["code"] == "superseded"
    assert replies[100]["type"] == replies[102]["type"] == "decision"


def test_a_request_that_waited_beyond_its_deadline_is_not_decided(raw: Raw, engine: PixelEngine) -> None:
    engine.delay_s = 0.3
    raw.frame(1)
    raw.frame(1, "other")
    raw.say(wire.pack("decide", 100, "other", instruction="go", n=0, frames=[1], past=[], deadline_ms=5000))
    time.sleep(0.05)
    raw.say(wire.pack("decide", 101, "s", instruction="go", n=0, frames=[1], past=[], deadline_ms=50))
    replies = {reply["id"]: reply for reply in (raw.hear(), raw.hear())}
    assert replies[101]["code"] == "deadline"


def test_sessions_are_bounded_and_the_silent_make_room(raw: Raw) -> None:
    for name in "abc":
        raw.frame(1, name)
    raw.frame(1, "d")
    reply = raw.hear()
    assert (reply["type"], reply["code"]) == ("error", "busy")
    time.sleep(0.3)
    for name in "bc":
        raw.ask(wire.pack("ping", 1, name))
    raw.frame(1, "d")
    assert raw.decide([1], [], session="d")["type"] == "decision"
    assert raw.decide([1], [], session="b")["type"] == "decision"


def test_idle_sessions_expire() -> None:
    gone: list[str] = []
    sessions = Sessions(SessionLimits(idle_s=0.05), gone.append)
    sessions.open("a")
    time.sleep(0.06)
    sessions.open("b")
    sessions.expire()
    assert gone == ["a"] and len(sessions) == 1


def test_the_token_cache_keeps_within_its_bytes() -> None:
    cache = TokenCache(1000)
    for frame_id in range(10):
        cache.put(frame_id, np.zeros(100, np.float32))
        cache.get(0)
    assert cache.nbytes == 800 and 0 in cache and 9 in cache and 5 not in cache
    cache.put(9, np.zeros(1000, np.float32))
    assert 9 in cache and cache.nbytes == 4000


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


def test_a_server_that_cannot_start_opens_nothing(engine: PixelEngine) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(ValueError, match="reachable from other computers"):
            Server(engine, "tcp://0.0.0.0:5555")
        with pytest.raises(ValueError, match="--keys DIR"):
            Client("tcp://10.0.0.1:5555")
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_engine_that_cannot_warm_up_gives_the_address_back(engine: PixelEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(engine, "encode", lambda _: [][0])
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ServerStartError, match=r"first decision failed \(IndexError.*export the bundle again"):
        serve_engine(engine, address, announce=lambda _: None)
    Server(engine, address).close()


def test_a_taken_port_is_named_with_its_mend(engine: PixelEngine) -> None:
    first = Server(engine, "tcp://127.0.0.1:*")
    with pytest.raises(ServerStartError, match=r"cannot bind to tcp://127.0.0.1:\d+.*choose another port"):
        Server(engine, first.address)
    first.stop()
    first.run()


def test_wire_errors_carry_code_message_and_mend() -> None:
    error = WireError("code", "message", "mend")
    assert str(error) == "message (code); mend" and len(ACTIONS) == 10
