"""Per-session state on the server, bounded in number, memory and idle time, and how a decision is answered from it.

Whatever a client asks can be answered again after the state is lost: a request names its whole past, and what is missing is asked for.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from nvila_edge.engines.session import Session
from nvila_edge.navigation.actions import ACTIONS
from nvila_edge.navigation.decision import Decision
from nvila_edge.navigation.profiles import PromptProfile
from nvila_edge.serving.errors import DeadlinePassed, WireError
from nvila_edge.serving.wire import MAX_RESEND, Decide, decision_fields


class ServedEngine(Protocol):
    """What the server needs of an engine."""

    @property
    def profile(self) -> PromptProfile:
        """How the model wants to be asked."""
        ...

    @property
    def agent(self) -> str:
        """The agent that the model is meant for, by name (navigation/agent_profiles.py)."""
        ...

    @property
    def runs_on(self) -> str:
        """What runs the model, for people: a library, and what of the machine it works on."""
        ...

    def encode(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, 3] RGB -> float [N, tokens, hidden]."""
        ...

    def session(self, instruction: str) -> Session:
        """A fresh session."""
        ...


_STAMPS = 256  # of a session: four times the largest window


@dataclass(frozen=True)
class SessionLimits:
    """Bounds: sessions at a time, and of one connection; seconds without a message until one may be dropped, bytes of frame tokens per session."""

    sessions: int = 16
    per_client: int = 4  # ours have one at a time; a flood of names then takes no more places than these
    idle_s: float = 600.0
    evict_after_s: float = 5.0  # when all places are taken, the longest silent session makes room after this time (clients ping at 10 Hz)
    token_bytes: int = 64 * 1024 * 1024


class TokenCache:
    """Frame tokens by frame id, least recently used out first; `capacity_bytes` bounds the sum, one entry always fits."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity = capacity_bytes
        self._tokens: OrderedDict[int, np.ndarray] = OrderedDict()
        self.nbytes = 0

    def __contains__(self, frame_id: int) -> bool:
        return frame_id in self._tokens

    def get(self, frame_id: int) -> np.ndarray | None:
        """The tokens [tokens, hidden] of a frame, or None."""
        if frame_id in self._tokens:
            self._tokens.move_to_end(frame_id)
        return self._tokens.get(frame_id)

    def put(self, frame_id: int, tokens: np.ndarray) -> None:
        """Keep the tokens [tokens, hidden] of a frame."""
        old = self._tokens.pop(frame_id, None)
        self.nbytes += tokens.nbytes - (0 if old is None else old.nbytes)
        self._tokens[frame_id] = tokens
        while self.nbytes > self._capacity and len(self._tokens) > 1:
            self.nbytes -= self._tokens.popitem(last=False)[1].nbytes


@dataclass
class SessionState:
    """What the server knows of one session: `past` is what `engine_session` has seen, `answered` the last answer and its key, `captured_s` the client's
    stamps of the newest frames, `vision_s` what encoding took since the last decision."""

    name: str
    tokens: TokenCache
    used_s: float
    client: bytes = b""
    instruction: str = ""
    engine_session: Session | None = None
    past: list[tuple[int, int]] = field(default_factory=list)
    answered: tuple[tuple[Any, ...], dict[str, Any]] | None = None
    captured_s: OrderedDict[int, float] = field(default_factory=OrderedDict)
    vision_s: float = 0.0

    def stamp(self, frame_id: int, captured_s: float | None) -> None:
        """Note when a frame was captured, by the client's clock. For the I/O thread; others only look up."""
        if captured_s is None:
            return
        self.captured_s[frame_id] = captured_s
        while len(self.captured_s) > _STAMPS:
            self.captured_s.popitem(last=False)

    def restart(self, engine: ServedEngine, instruction: str) -> None:
        """Begin again with nothing seen; tokens stay. Raises WireError "instruction" for one that the engine refuses."""
        self.past, self.answered, self.engine_session = [], None, None
        self.instruction = instruction
        try:
            self.engine_session = engine.session(instruction)
        except ValueError as error:
            raise WireError("instruction", f"the model cannot take this instruction: {error}", "say it in other words") from error

    @contextmanager
    def losing_on_error(self) -> Iterator[None]:
        """Drop the engine session when the block fails: it may be half-committed, and can be rebuilt."""
        try:
            yield
        except Exception:
            self.engine_session = None
            raise


class Sessions:
    """All sessions of a server, by name. For the I/O thread alone. `dropped` is called with the name of every session that ends; `gone` tells whether
    a connection has ended."""

    def __init__(self, limits: SessionLimits, dropped: Callable[[str], None], gone: Callable[[bytes], bool] = lambda _: False) -> None:
        self._limits, self._dropped, self._gone = limits, dropped, gone
        self._states: dict[str, SessionState] = {}

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[SessionState]:
        return iter(list(self._states.values()))

    def touch(self, name: str, client: bytes = b"") -> None:
        """Note a sign of life, from the connection `client`."""
        if name in self._states:
            self._states[name].used_s, self._states[name].client = time.monotonic(), client

    def open(self, name: str, client: bytes = b"") -> SessionState:
        """The session of that name, made when new; it belongs to the connection `client`, whose longest silent one makes room when it has too many.
        Raises WireError "busy" when all places are taken by active sessions."""
        if name not in self._states:
            own = [state for state in self._states.values() if state.client == client]
            if len(own) >= self._limits.per_client:
                self.drop(min(own, key=lambda state: state.used_s).name)
            self._make_room(client)
            self._states[name] = SessionState(name, TokenCache(self._limits.token_bytes), time.monotonic(), client)
        self.touch(name, client)
        return self._states[name]

    def _make_room(self, client: bytes) -> None:
        if len(self._states) < self._limits.sessions:
            return
        orphans = [state.name for state in self._states.values() if state.client != client and self._gone(state.client)]
        for name in orphans:
            self.drop(name)
        if orphans:
            return
        oldest = min(self._states.values(), key=lambda state: state.used_s)
        if time.monotonic() - oldest.used_s < self._limits.evict_after_s:
            message = f"all {self._limits.sessions} places are taken by active sessions"
            raise WireError("busy", message, "start a second server on another port, or end a session")
        self.drop(oldest.name)

    def drop(self, name: str) -> None:
        """Forget a session."""
        self._states.pop(name, None)
        self._dropped(name)

    def expire(self) -> None:
        """Drop the sessions that were silent for too long."""
        deadline_s = time.monotonic() - self._limits.idle_s
        for name in [name for name, state in self._states.items() if state.used_s < deadline_s]:
            self.drop(name)


class Frames(Protocol):
    """The frames of one session that are here."""

    def __contains__(self, frame_id: int) -> bool: ...

    def __getitem__(self, frame_id: int) -> np.ndarray:
        """Tokens [tokens, hidden] of a frame that is here. Raises WireError when it cannot be decoded."""
        ...


def answer(engine: ServedEngine, state: SessionState, request: Decide, frames: Frames, expires_s: float) -> tuple[str, dict[str, Any]]:
    """Answer a decide request: ("decision", fields) or ("missing", {"frames": ids}).

    A repeated request gets the kept answer. `stream`: when the request's past is not what the session has seen, it is rebuilt by replaying
    the past, as far as the frames are here; progress is kept between requests. Raises WireError, DeadlinePassed, or what the engine raises.
    timing_ms: what this request waited for (`rebuild` of the past, `encode` of frames that were not encoded on arrival, `decide`), within `decide` the
    engine's own `prefill` and `decode`, and `vision`, all encoding since the last decision, also that which nobody waited for.
    """
    key = (request.instruction, request.n, request.frames, request.past, request.blocked, request.max_new_tokens)
    if state.answered is not None and state.answered[0] == key:
        return "decision", state.answered[1]
    _check_shape(engine.profile, request)
    started_s = time.perf_counter()
    lacking = _catch_up(engine, state, request, frames, expires_s)
    rebuilt_s = time.perf_counter()
    lacking += [frame_id for frame_id in request.frames if frame_id not in frames]
    if lacking:
        return "missing", {"frames": sorted(set(lacking))[:MAX_RESEND]}
    window = np.stack([frames[frame_id] for frame_id in request.frames])
    _check_time(expires_s, request)
    encoded_s = time.perf_counter()
    decision = _decide(state, request, window, keeps_past=engine.profile.keeps_past)
    fields = decision_fields(decision)
    spent = {"rebuild": rebuilt_s - started_s, "encode": encoded_s - rebuilt_s, "decide": time.perf_counter() - encoded_s}
    spent["vision"], state.vision_s = state.vision_s, 0.0
    fields["timing_ms"] = {"prefill": 0.0, "decode": 0.0} | fields["timing_ms"] | {name: 1000 * taken for name, taken in spent.items()}
    captured_s = state.captured_s.get(request.frames[-1])
    fields |= {} if captured_s is None else {"captured_s": captured_s}
    state.answered = (key, fields)
    return "decision", fields


def _check_shape(profile: PromptProfile, request: Decide) -> None:
    if profile.keeps_past and len(request.frames) != 1:
        message = f"decision {request.n} names {len(request.frames)} frames; the stream profile takes the newest one"
        raise WireError("malformed", message, "ask with the profile that hello answers")
    if profile.keeps_past and request.max_new_tokens:
        message = f"decision {request.n} wants free text; a model of the stream profile answers within the grammar only"
        raise WireError("free_text", message, "choose the agent 'ours', or serve a bundle of the navila profile")
    if not profile.keeps_past and (request.past or len(request.frames) > profile.frames):
        message = f"decision {request.n} names {len(request.frames)} frames and {len(request.past)} past decisions"
        raise WireError("malformed", message, f"the {profile.name} profile takes up to {profile.frames} frames and no past")


def _check_time(expires_s: float, request: Decide) -> None:
    if time.monotonic() > expires_s:
        raise DeadlinePassed(f"decision {request.n} was not ready within {request.deadline_ms} ms")


def _catch_up(engine: ServedEngine, state: SessionState, request: Decide, frames: Frames, expires_s: float) -> list[int]:
    """Make the engine session have seen exactly request.past; returns the ids of frames without which that cannot be done."""
    past = request.past
    if state.engine_session is None or state.instruction != request.instruction or tuple(state.past) != past[: len(state.past)]:
        state.restart(engine, request.instruction)
    assert state.engine_session is not None
    for at in range(len(state.past), len(past)):
        frame_id, action = past[at]
        if frame_id not in frames:
            return [ahead for ahead, _ in past[at : at + MAX_RESEND] if ahead not in frames]
        tokens = frames[frame_id]
        _check_time(expires_s, request)
        with state.losing_on_error():
            state.engine_session.replay(tokens[None], ACTIONS[action])
        state.past.append((frame_id, action))
    return []


def _decide(state: SessionState, request: Decide, tokens: np.ndarray, keeps_past: bool) -> Decision:
    """Decide on tokens [k, tokens, hidden] and keep account of what the engine session has seen."""
    assert state.engine_session is not None
    with state.losing_on_error():
        if request.max_new_tokens:
            return state.engine_session.say(tokens, request.max_new_tokens)
        decision = state.engine_session.decide(tokens, request.blocked)
    if decision.action not in ACTIONS:
        state.engine_session = None  # a rejected answer is no part of the past: rebuild next time
    elif keeps_past:
        state.past.append((request.frames[-1], ACTIONS.index(decision.action)))
    return decision
