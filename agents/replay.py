"""The frames of a recording through a server, with the past that was executed: how far do its decisions differ from the recorded ones?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.events import Decided, Executed
from agents.profiles import remote_policy
from agents.protocols import Frame
from agents.recording.reader import Recording, Seen, Step
from nvila_edge.navigation.actions import Action, Stop
from nvila_edge.navigation.agent_profiles import agent_profile, check_prompt
from nvila_edge.navigation.decision import Decision
from nvila_edge.serving.client import Client
from nvila_edge.serving.errors import LinkDown
from nvila_edge.serving.jpeg import decode_jpeg
from nvila_edge.serving.keys import client_keys

DECISION_S = 30.0


@dataclass(frozen=True)
class Pair:
    """A recorded decision, and what the policy answers now at the same spot after `latency_ms` (from the question to the answer)."""

    recorded: Decided
    now: Decision
    latency_ms: float

    @property
    def agrees(self) -> bool:
        """Whether both chose the same action, or both none."""
        return self.recorded.decision.action == self.now.action

    @property
    def shift(self) -> float | None:
        """How much probability lies on other candidates than before: 0 to 1 (total variation); None when either has no candidates."""
        before, after = self.recorded.decision.candidates, self.now.candidates
        return 0.5 * float(np.abs(np.subtract(before, after)).sum()) if len(before) == len(after) > 0 else None


@dataclass(frozen=True)
class Comparison:
    """A recording beside a replay of it; `whose` names what answered."""

    recording: Recording
    whose: str
    pairs: tuple[Pair, ...]

    def figures(self) -> dict[str, float]:
        """decisions, agreement (0 to 1), shift_mean, shift_max, latency p50 and p95 in ms, recorded and now."""
        shifts = [pair.shift for pair in self.pairs if pair.shift is not None] or [float("nan")]
        before, after = [pair.recorded.latency_ms for pair in self.pairs], [pair.latency_ms for pair in self.pairs]
        return {
            "decisions": len(self.pairs), "agreement": float(np.mean([pair.agrees for pair in self.pairs])),
            "shift_mean": float(np.mean(shifts)), "shift_max": float(np.max(shifts)),
            "recorded_p50_ms": float(np.percentile(before, 50)), "recorded_p95_ms": float(np.percentile(before, 95)),
            "now_p50_ms": float(np.percentile(after, 50)), "now_p95_ms": float(np.percentile(after, 95)),
        }  # fmt: skip


class _AsRecorded(Client):
    """A client that sends frames as the recorded JPEGs: encoding them a second time would change them a little."""

    def __init__(self, address: str, jpegs: dict[int, bytes], **options: Any) -> None:
        super().__init__(address, **options)
        self._jpegs = jpegs

    def send_frame(self, session: str, frame_id: int, jpeg: bytes, *more: Any) -> None:
        """The frame's recorded JPEG instead of `jpeg`."""
        super().send_frame(session, frame_id, self._jpegs[frame_id], *more)


def replay(
    recording: Recording,
    address: str,
    whose: str = "",
    *,
    keys: Path | None = None,
    connect_s: float = 10.0,
    progress: Callable[[int], None] = lambda _: None,
) -> Comparison:
    """Ask the server at `address` what it would decide at every recorded decision, each after the executed past (teacher forcing).

    Raises ValueError for a recording without decisions or a model of another prompt than the recorded agent's, LinkDown without a server.
    """
    if not recording.decisions:
        raise ValueError(f"{recording.path} holds no decisions; there is nothing to compare")
    agent = agent_profile(str(recording.about["agent"]))
    jpegs = {step.frame_id: step.jpeg for step in recording.steps if isinstance(step, Seen)}
    with _AsRecorded(address, jpegs, keys=client_keys(keys) if keys else None) as client:
        if not client.wait_alive(connect_s):
            raise LinkDown(
                f"no server answers at {address} within {connect_s:g} s", f"start one: nvila-edge serve --bundle DIR --bind {address}"
            )
        check_prompt(agent, client.hello(connect_s).profile)
        pairs = _ask_along(recording, remote_policy(agent, client, DECISION_S), progress)
    if not pairs:
        raise ValueError(f"{recording.path} has decisions, but not the frames that they were made on; record again, to a faster disk")
    return Comparison(recording, whose or address, tuple(pairs))


def _ask_along(recording: Recording, policy: Any, progress: Callable[[int], None]) -> list[Pair]:
    policy.reset(recording.instruction, str(recording.about["episode_id"]))
    pairs: list[Pair] = []
    executed: dict[int, Action] = {}
    seen = False
    for step in _as_asked(recording.steps):
        match step:
            case Seen():
                policy.observe(Frame(step.frame_id, decode_jpeg(step.jpeg), time.monotonic()))
                seen = True
            case Decided(n=n, decision=decision) if seen:
                started_s = time.monotonic()
                now = policy.decide()
                pairs.append(Pair(step, now, 1000 * (time.monotonic() - started_s)))
                executed[n] = decision.action or Stop()
                progress(len(pairs))
            case Executed(n=n, primitive=primitive, motion=motion) if seen:
                policy.executed(executed.get(n, Stop()), primitive, motion)
                seen = False  # a primitive follows a frame: of one whose frame was lost, nothing is known
    return pairs


def _as_asked(steps: Sequence[Step]) -> list[Step]:
    """Every decision right after the frame that it was made on: an agent that thinks while it moves is told the answer when newer frames are there."""
    frames = {step.frame_id for step in steps if isinstance(step, Seen)}
    answers: dict[int, list[Step]] = {}
    for step in steps:
        if isinstance(step, Decided):
            answers.setdefault(step.frame_id, []).append(step)
    ordered: list[Step] = []
    for step in steps:
        if not isinstance(step, Decided):
            ordered.append(step)
            ordered += answers.pop(step.frame_id, []) if isinstance(step, Seen) else []
        elif step.frame_id not in frames:
            ordered.append(step)  # its frame was lost: it is asked on the newest that there is
    return ordered
