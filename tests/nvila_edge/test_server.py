"""The server over real sockets: decisions, what is lost is asked for, nothing stops it."""

from __future__ import annotations

import os
import signal
import socket
import time

import pytest
import zmq

from nvila_edge.navigation.actions import ACTIONS
from nvila_edge.serving import wire
from nvila_edge.serving.client import Client
from nvila_edge.serving.errors import ServerStartError, WireError
from nvila_edge.serving.main import serve_engine
from nvila_edge.serving.server import Server
from tests.nvila_edge.pixel_engine import PixelEngine
from tests.nvila_edge.raw_client import Raw, engine, index, jpeg, raw, server

__all__ = ["engine", "raw", "server"]  # fixtures


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
