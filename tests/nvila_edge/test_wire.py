"""The wire format: what goes in comes out, and everything else is a typed error."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvila_edge.navigation.actions import ACTIONS, Forward, Stop, Turn
from nvila_edge.navigation.decision import Decision
from nvila_edge.serving import wire
from nvila_edge.serving.errors import WireError
from nvila_edge.serving.jpeg import decode_jpeg, encode_jpeg, jpeg_size


def _decide(**changes: object) -> bytes:
    header = {
        "v": 1,
        "type": "decide",
        "id": 7,
        "session": "s",
        "instruction": "go",
        "n": 3,
        "frames": [4],
        "past": [[1, 2]],
        "deadline_ms": 500,
    }
    return msgpack.packb(header | changes)  # pyright: ignore[reportReturnType]


def _code(parts: list[bytes]) -> str:
    with pytest.raises(WireError) as caught:
        wire.parse_request(parts)
    assert caught.value.message and caught.value.mend
    return caught.value.code


@given(
    st.text(min_size=1, max_size=128),
    st.lists(st.integers(0, 2**53), min_size=1, max_size=64),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 9)), max_size=500),
    st.integers(1, 600_000),
)
def test_a_decide_request_survives_the_wire(session: str, frames: list[int], past: list[tuple[int, int]], deadline_ms: int) -> None:
    request = wire.Decide(5, session, "walk to the fridge", 9, tuple(frames), tuple(past), deadline_ms)
    fields = {name: value for name, value in vars(request).items() if name not in ("id", "session")}
    assert wire.parse_request([wire.pack("decide", 5, session, **fields)]) == request


@given(st.lists(st.binary(max_size=300), max_size=4))
def test_any_bytes_are_a_request_or_a_wire_error(parts: list[bytes]) -> None:
    try:
        wire.parse_request(parts)
    except WireError as error:
        assert error.code in ("malformed", "version")


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats() | st.text(max_size=20), st.lists, max_leaves=8))
def test_any_value_in_any_field_is_a_request_or_a_wire_error(value: object) -> None:
    for name in ("v", "type", "id", "session", "instruction", "n", "frames", "past", "deadline_ms"):
        try:
            wire.parse_request([_decide(**{name: value})])
        except WireError as error:
            assert error.code in ("malformed", "version", "instruction")


@pytest.mark.parametrize("action", [*ACTIONS, Forward(100), Turn(-90), None])
def test_a_decision_survives_the_wire_to_the_bit(action: object) -> None:
    candidates = tuple(float(p) for p in np.random.default_rng(1).dirichlet(np.ones(10)))
    decision = Decision(action, "text", candidates[3], candidates, {"prefill": 12.5})  # pyright: ignore[reportArgumentType]
    packed = wire.pack("decision", 1, "s", n=0, **wire.decision_fields(decision))
    assert wire.parse_decision(wire.header_of([packed])) == decision
    assert Stop() in ACTIONS


@pytest.mark.parametrize("version", [0, 2, "1", None, True])
def test_another_protocol_version_is_named_with_its_mend(version: object) -> None:
    with pytest.raises(
        WireError, match=r"the client speaks protocol version .*, this side speaks 1 \(version\); install the same nvila-edge"
    ):
        wire.parse_request([_decide(v=version)])


@pytest.mark.parametrize(("instruction", "words"), [("", "empty"), (" \n ", "empty"), ("x" * 5000, "5000 characters; at most 2000")])
def test_an_empty_or_overlong_instruction_is_an_instruction_error(instruction: str, words: str) -> None:
    assert _code([_decide(instruction=instruction)]) == "instruction"
    with pytest.raises(WireError) as caught:
        wire.parse_request([_decide(instruction=instruction)])
    assert words in f"{caught.value.message}; {caught.value.mend}"


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([], "malformed"),
        ([b""], "malformed"),
        ([b"\xc1"], "malformed"),
        ([_decide()[:-3]], "malformed"),
        ([_decide() + b"x"], "malformed"),
        ([_decide(), b"jpeg"], "malformed"),
        ([_decide()] * 3, "malformed"),
        ([b"x" * (wire.MAX_HEADER_BYTES + 1)], "malformed"),
        ([_decide(), b"x" * wire.MAX_MESSAGE_BYTES], "too_large"),
        ([_decide(frames=[])], "malformed"),
        ([_decide(frames=[-1])], "malformed"),
        ([_decide(past=[[1, 10]])], "malformed"),
        ([_decide(deadline_ms=0)], "malformed"),
        ([_decide(type="kill")], "malformed"),
    ],
)
def test_broken_messages_have_typed_errors(parts: list[bytes], code: str) -> None:
    assert _code(parts) == code


def test_a_frame_keeps_its_colours_and_shape() -> None:
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[:, :32] = (200, 30, 10)
    rgb[:, 32:] = (10, 30, 200)
    back = decode_jpeg(encode_jpeg(rgb))
    assert back.shape == rgb.shape
    assert np.abs(back[24, 8].astype(int) - (200, 30, 10)).max() < 8
    assert np.abs(back[24, 56].astype(int) - (10, 30, 200)).max() < 8


def test_broken_jpegs_are_refused_before_decoding() -> None:
    jpeg = encode_jpeg(np.full((32, 32, 3), 90, np.uint8))
    assert jpeg_size(jpeg) == (32, 32)
    huge = jpeg.replace(b"\x00\x20\x00\x20", b"\x27\x10\x27\x10", 1)  # 10,000 x 10,000 in the frame header
    for data, code in [
        (b"", "not_jpeg"),
        (b"\x89PNG....", "not_jpeg"),
        (jpeg[:-20], "truncated"),
        (huge, "frame_size"),
        (b"\xff\xd8\xff\xd9", "not_jpeg"),
    ]:
        with pytest.raises(WireError) as caught:
            decode_jpeg(data)
        assert caught.value.code == code


@given(st.binary(max_size=200))
def test_any_bytes_within_jpeg_marks_are_a_frame_or_a_wire_error(middle: bytes) -> None:
    try:
        decode_jpeg(b"\xff\xd8" + middle + b"\xff\xd9")
    except WireError as error:
        assert error.code in ("not_jpeg", "frame_size")


@pytest.mark.parametrize(
    "frame", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_arrays_that_are_no_frame_are_refused(frame: np.ndarray) -> None:
    with pytest.raises(WireError):
        encode_jpeg(frame)


def test_an_instruction_of_two_thousand_characters_is_allowed() -> None:
    request = wire.parse_request([_decide(instruction="x" * 2000)])
    assert isinstance(request, wire.Decide) and len(request.instruction) == 2000


@pytest.mark.parametrize(
    ("stamp", "read"), [({}, None), ({"captured_s": 12.5}, 12.5), ({"captured_s": 3}, 3.0), ({"captured_s": None}, None)]
)
def test_a_capture_stamp_may_be_given_or_left_out(stamp: dict, read: float | None) -> None:
    request = wire.parse_request([wire.pack("frame", 1, "s", frame_id=2, **stamp), b"jpeg"])
    assert isinstance(request, wire.PutFrame) and request.captured_s == read


@pytest.mark.parametrize("stamp", [float("nan"), float("inf"), -1e300, True, "12.5", [1.0]])
def test_a_capture_stamp_that_is_no_time_is_refused(stamp: object) -> None:
    with pytest.raises(WireError, match="captured_s is .*a number of seconds"):
        wire.parse_request([wire.pack("frame", 1, "s", frame_id=2, captured_s=stamp), b"jpeg"])
