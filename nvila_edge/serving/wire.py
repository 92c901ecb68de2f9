"""The wire format, version 1: multipart messages [msgpack header, JPEG?] between DEALER clients and a ROUTER server.

Every header is a map with "v" (protocol version), "type", "id" (request id, echoed in the reply) and "session" (chosen by the client).

| request | more fields | reply |
|---|---|---|
| hello | | info: boot, profile, window, agent, address |
| ping | | pong: boot, draining |
| frame | frame_id, captured_s?; JPEG as the second part | none, or error with frame_id |
| decide | instruction, n, frames, past, deadline_ms, blocked? | decision, missing or error |
| say | instruction, n, frames, deadline_ms, max_new_tokens | decision without action, missing or error |
| bye | | none |

`decide` answers within the grammar, `say` with whatever text the model has, for the client to read. A server from before `say` calls it malformed.
A client may also get a "probe" that it did not ask for, with which a full server finds out whether it is still connected: pass over it.
An error has code, message and mend; id, session and frame_id are those of the message that it answers, as far as they could be read.
A decision has timing_ms: queue, vision, prefill, decode (see sessions.answer) and captured_s, the client's own stamp of the newest frame decided on, when
it gave one: the server's clock is never compared with the client's. Fields with a question mark may be left out, unknown ones are passed over.
No field is ever unpickled or evaluated; sizes and types are checked before anything is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from nvila_edge.navigation.actions import ACTIONS, MOST_AMOUNT, Action, Forward, Stop, Turn
from nvila_edge.navigation.decision import Decision
from nvila_edge.navigation.profiles import checked_instruction
from nvila_edge.serving.errors import WireError

PROTOCOL_VERSION = 1
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
MAX_HEADER_BYTES = 65536
MAX_PARTS = 2
MAX_WINDOW = 64  # frames of one decision
MAX_PAST = 2000  # decisions of one episode
MAX_RESEND = 32  # frames that one "missing" asks for: a rebuild goes in rounds, so that nothing grows without bound
MAX_SESSION_CHARS = 128
MAX_DEADLINE_MS = 600_000
MAX_NEW_TOKENS = 256  # of one free answer; every token is a pass over the language model
_MAX_ID = 2**53  # exact in every language's doubles
_MEND_CLIENT = "use the client of the same nvila-edge version"

Past = tuple[tuple[int, int], ...]  # (frame id, index into ACTIONS) of every earlier decision of the episode


@dataclass(frozen=True)
class Hello:
    """Who are you?"""

    id: int


@dataclass(frozen=True)
class Ping:
    """Are you there? Also keeps the session from idling out."""

    id: int
    session: str


@dataclass(frozen=True)
class PutFrame:
    """A frame, sent when captured; `captured_s` on the client's own monotonic clock, echoed with what is decided on it."""

    id: int
    session: str
    frame_id: int
    jpeg: bytes
    captured_s: float | None = None


@dataclass(frozen=True)
class Decide:
    """What is the next action? `frames`: the window's frame ids, oldest first; `past`: what was decided before, empty for `navila`; `blocked`:
    the last forward step met something; `max_new_tokens`: 0 for an answer within the grammar, else the most of a free one."""

    id: int
    session: str
    instruction: str
    n: int
    frames: tuple[int, ...]
    past: Past
    deadline_ms: int
    blocked: bool = False
    max_new_tokens: int = 0


@dataclass(frozen=True)
class Bye:
    """The session is over."""

    id: int
    session: str


Request = Hello | Ping | PutFrame | Decide | Bye


def pack(kind: str, request_id: int | None, session: str = "", **fields: Any) -> bytes:
    """A header of this protocol version."""
    packed = msgpack.packb({"v": PROTOCOL_VERSION, "type": kind, "id": request_id, "session": session, **fields})
    assert packed is not None
    return packed


def header_of(parts: Sequence[bytes]) -> dict[str, Any]:
    """The header map of a message, its size limits checked. Raises WireError: malformed or too_large."""
    size = sum(len(part) for part in parts)
    if size > MAX_MESSAGE_BYTES:
        message = f"the message has {size} bytes; at most {MAX_MESSAGE_BYTES} are allowed"
        raise WireError("too_large", message, "choose a smaller camera resolution")
    if not 1 <= len(parts) <= MAX_PARTS or len(parts[0]) > MAX_HEADER_BYTES:
        raise _malformed(f"{len(parts)} parts; allowed are a header of at most {MAX_HEADER_BYTES} bytes and a JPEG")
    try:
        header = msgpack.unpackb(parts[0], raw=False, strict_map_key=True)
    except Exception as error:  # msgpack raises a dozen types, some of them not its own
        raise _malformed(f"the header is not msgpack: {type(error).__name__}") from error
    if not isinstance(header, dict):
        raise _malformed(f"the header is a {type(header).__name__}, not a map")
    return header


def check_version(header: dict[str, Any], other: str) -> None:
    """Raises WireError "version" unless the header is of this protocol version; `other` says who sent it."""
    version = header.get("v")
    if version is True or version != PROTOCOL_VERSION:
        message = f"the {other} speaks protocol version {version!r:.20}, this side speaks {PROTOCOL_VERSION}"
        raise WireError("version", message, "install the same nvila-edge version on both computers")


def parse_request(parts: Sequence[bytes]) -> Request:
    """A typed request from message parts (identity removed). Raises WireError and nothing else."""
    header = header_of(parts)
    check_version(header, "client")
    request_id = integer(header, "id")
    kind = header.get("type")
    if (len(parts) == 2) != (kind == "frame"):
        raise _malformed(f"{len(parts)} parts in a message of type {kind!r:.20}; only frames have a second part")
    if kind == "hello":
        return Hello(request_id)
    session = text(header, "session", 0 if kind == "ping" else 1, MAX_SESSION_CHARS)
    if kind == "ping":
        return Ping(request_id, session)
    if kind == "frame":
        return PutFrame(request_id, session, integer(header, "frame_id"), parts[1], stamp(header, "captured_s"))
    if kind == "decide":
        past = tuple(_past_item(item) for item in sequence(header, "past", 0, MAX_PAST))
        return _decide(header, request_id, session, past, 0)
    if kind == "say":
        return _decide(header, request_id, session, (), integer(header, "max_new_tokens", 1, MAX_NEW_TOKENS))
    if kind == "bye":
        return Bye(request_id, session)
    raise _malformed(f"unknown type {kind!r:.20}")


def _decide(header: dict[str, Any], request_id: int, session: str, past: Past, max_new_tokens: int) -> Decide:
    instruction = header.get("instruction")
    if not isinstance(instruction, str):
        raise _malformed("instruction must be text")
    try:
        checked_instruction(instruction)
    except ValueError as error:
        message, _, mend = str(error).partition("; ")
        raise WireError("instruction", message, mend) from error
    frames = integers(header, "frames", 1, MAX_WINDOW)
    deadline_ms = integer(header, "deadline_ms", 1, MAX_DEADLINE_MS)
    blocked = header.get("blocked", False)
    if not isinstance(blocked, bool):
        raise _malformed(f"blocked is {blocked!r:.40}; it must be true or false")
    return Decide(request_id, session, instruction, integer(header, "n"), frames, past, deadline_ms, blocked, max_new_tokens)


def _past_item(item: Any) -> tuple[int, int]:
    if not isinstance(item, list) or len(item) != 2 or not all(_is_integer(v, 0, _MAX_ID) for v in item) or item[1] >= len(ACTIONS):
        raise _malformed(f"past holds pairs of a frame id and an action index below {len(ACTIONS)}, not {item!r:.60}")
    return item[0], item[1]


# --- replies


def decision_fields(decision: Decision) -> dict[str, Any]:
    """A decision as msgpack fields."""
    return {
        "action": _packed_action(decision.action),
        "text": decision.text,
        "probability": float(decision.probability),
        "candidates": [float(p) for p in decision.candidates],
        "timing_ms": {name: float(ms) for name, ms in decision.timing_ms.items()},
    }


def parse_decision(header: dict[str, Any]) -> Decision:
    """The decision of a reply. Raises WireError when a field is missing or of another type."""
    try:
        candidates = tuple(float(p) for p in header["candidates"])
        timing = {str(name): float(ms) for name, ms in header["timing_ms"].items()}
        return Decision(_unpacked_action(header["action"]), str(header["text"]), float(header["probability"]), candidates, timing)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _malformed(f"not a decision: {error!r:.80}") from error


def _packed_action(action: Action | None) -> list[Any] | None:
    match action:
        case None:
            return None
        case Forward(distance_cm=amount):
            return ["forward", _bounded(amount)]
        case Turn(angle_deg=amount):
            return ["turn", _bounded(amount)]
        case Stop():
            return ["stop", 0]


def _bounded(amount: float) -> int:
    return int(max(-MOST_AMOUNT, min(MOST_AMOUNT, amount)))


def _unpacked_action(packed: Any) -> Action | None:
    if packed is None:
        return None
    kind, amount = packed
    if not _is_integer(amount, -MOST_AMOUNT, MOST_AMOUNT) or kind not in ("forward", "turn", "stop"):
        raise ValueError(f"unknown action {packed!r:.60}")
    return {"forward": Forward, "turn": Turn}[kind](amount) if kind != "stop" else Stop()


# --- checked fields


def _malformed(message: str) -> WireError:
    return WireError("malformed", message, _MEND_CLIENT)


def _is_integer(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def integer(header: dict[str, Any], name: str, low: int = 0, high: int = _MAX_ID) -> int:
    """The integer field `name` within [low, high]. Raises WireError."""
    value = header.get(name)
    if not _is_integer(value, low, high):
        raise _malformed(f"{name} is {value!r:.40}; it must be an integer from {low} to {high}")
    assert isinstance(value, int)
    return value


def stamp(header: dict[str, Any], name: str) -> float | None:
    """The field `name`, seconds on some clock, or None where it is missing. Raises WireError for what is no finite number."""
    value = header.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MAX_ID:  # false for NaN
        raise _malformed(f"{name} is {value!r:.40}; it must be a number of seconds")
    return float(value)


def text(header: dict[str, Any], name: str, shortest: int, longest: int) -> str:
    """The text field `name` of that many characters. Raises WireError."""
    value = header.get(name)
    if not isinstance(value, str) or not shortest <= len(value) <= longest:
        raise _malformed(f"{name} is {value!r:.40}; it must be text of {shortest} to {longest} characters")
    return value


def sequence(header: dict[str, Any], name: str, shortest: int, longest: int) -> list[Any]:
    """The list field `name` of that many items. Raises WireError."""
    value = header.get(name)
    if not isinstance(value, list) or not shortest <= len(value) <= longest:
        raise _malformed(f"{name} must be a list of {shortest} to {longest} items")
    return value


def integers(header: dict[str, Any], name: str, shortest: int, longest: int) -> tuple[int, ...]:
    """The field `name`, a list of non-negative integers. Raises WireError."""
    value = sequence(header, name, shortest, longest)
    if not all(_is_integer(item, 0, _MAX_ID) for item in value):
        raise _malformed(f"{name} must hold integers from 0 to {_MAX_ID}")
    return tuple(value)
