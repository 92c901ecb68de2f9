"""What breaks the protocol gets a typed error, and the server stays up."""

from __future__ import annotations

import time

import cv2
import msgpack
import numpy as np
import pytest
import zmq

from nvila_edge.serving import wire
from nvila_edge.serving.errors import WireError
from nvila_edge.serving.jpeg import jpeg_size
from nvila_edge.serving.server import Server
from tests.nvila_edge.raw_client import Raw, engine, jpeg, raw, server

__all__ = ["engine", "raw", "server"]  # fixtures


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
        ([b"\x81\xa1v" + b"\x91" * 1015 + b"\x90"], "malformed"),  # as deep as msgpack reads it, and deeper than repr can say
    ],
)
def test_bad_messages_get_typed_errors(raw: Raw, parts: list[bytes], code: str) -> None:
    reply = raw.ask(*parts)
    assert (reply["type"], reply["code"]) == ("error", code)
    assert reply["message"] and reply["mend"]


@pytest.mark.parametrize("inserted", [b"\xff\x01", b"\xff\x00", b"\xff\xd0"])
def test_a_jpeg_whose_header_decoders_read_differently_is_refused(inserted: bytes) -> None:
    with pytest.raises(WireError, match="no place in a header"):
        jpeg_size(jpeg(1)[:2] + inserted + jpeg(1)[2:])


def test_a_jpeg_of_hundreds_of_scans_is_refused_before_it_is_decoded() -> None:
    picture = cv2.imencode(".jpg", np.full((64, 64, 3), 90, np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert jpeg_size(picture) == (64, 64)
    at = picture.rindex(b"\xff\xda")
    with pytest.raises(WireError, match="3.. scans; at most 64"):
        jpeg_size(picture[:at] + 300 * picture[at:-2] + picture[-2:])


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
