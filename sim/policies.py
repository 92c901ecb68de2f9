"""Policies that need no model: the expert with a map (`oracle`), chance (`random`) and always ahead (`forward`). They never look.

`TimedPolicy` wraps any policy.
"""

from __future__ import annotations

import statistics
import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import numpy as np

from agents.policy import Policy
from agents.protocols import Frame, Motion
from nvila_edge.navigation.actions import ACTIONS, Action, Forward, Primitive, Stop, Turn, primitives, sentence
from nvila_edge.navigation.decision import Decision
from sim.episodes import GroundTruth
from sim.stopwatch import Stopwatch

MAX_MERGED = 3  # 75 cm and 45 degrees: the largest of the ten actions
_SINGLE: dict[Primitive, Callable[[int], Action]] = {
    Primitive.FORWARD: lambda n: Forward(25 * n),
    Primitive.LEFT: lambda n: Turn(15 * n),
    Primitive.RIGHT: lambda n: Turn(-15 * n),
}


def merged(steps: Iterable[int]) -> list[Action]:
    """Primitives as the fewest of the ten actions: runs of equal ones become 25/50/75 cm and 15/30/45 degrees."""
    actions: list[Action] = []
    for primitive, run in groupby(Primitive(step) for step in steps):
        left = len(list(run))
        if primitive == Primitive.STOP:
            actions.append(Stop())
            continue
        while left > 0:
            actions.append(_SINGLE[primitive](min(left, MAX_MERGED)))
            left -= MAX_MERGED
    return actions


def action_index(action: Action | None) -> int | None:
    """Position in ACTIONS; None for a rejection or an amount that is not among the ten."""
    return ACTIONS.index(action) if action in ACTIONS else None


def histogram(actions: Iterable[Action | None]) -> list[int]:
    """How often each of the ten actions occurs, in the order of ACTIONS; others are not counted."""
    counts = [0] * len(ACTIONS)
    for action in actions:
        if action in ACTIONS:
            counts[ACTIONS.index(action)] += 1
    return counts


def expert_histogram(truths: Iterable[GroundTruth]) -> list[int]:
    """The ten counts over all the expert's ways."""
    return [sum(counts) for counts in zip(*(histogram(merged(truth.actions)) for truth in truths), strict=True)] or [0] * len(ACTIONS)


def median_steps(truths: Iterable[GroundTruth]) -> int:
    """The expert's median number of steps, the final stop included. Raises ValueError without ground truth."""
    lengths = [len(truth.actions) for truth in truths]
    if not lengths:
        raise ValueError(
            "the split has no ground truth (…_gt.json.gz): the random and forward policies stop at the expert's median step count"
        )
    return int(statistics.median(lengths))


class _Blind:
    """What the policies here share: frames are not looked at, primitives are counted."""

    def __init__(self) -> None:
        self._steps = 0

    def reset(self, instruction: str, episode_id: str) -> None:
        """Begin an episode."""
        self._steps = 0

    def observe(self, frame: Frame) -> None:
        """Nothing: these policies do not look."""

    def executed(self, action: Action, primitive: Primitive, motion: Motion) -> None:
        """Count one step."""
        self._steps += 1

    @staticmethod
    def _certain(action: Action) -> Decision:
        return Decision(action, sentence(action), 1.0)


class OraclePolicy(_Blind):
    """Does what the expert, who has the map and the goal, says for the pose that the agent stands in."""

    def __init__(self, expert_action: Callable[[], Action]) -> None:
        super().__init__()
        self._expert_action = expert_action

    def decide(self) -> Decision:
        """The expert's action."""
        return self._certain(self._expert_action())


class RandomPolicy(_Blind):
    """Draws from the expert's action histogram (ten counts; stop apart) and stops after `stop_after` steps, the stop included."""

    def __init__(self, counts: Sequence[int], stop_after: int, seed: int) -> None:
        super().__init__()
        weights = np.array([0 if action == Stop() else count for action, count in zip(ACTIONS, counts, strict=True)], np.float64)
        if weights.sum() == 0:
            raise ValueError("the expert's action histogram is empty: the split has no ground truth to draw from")
        self._weights, self._stop_after, self._seed = weights / weights.sum(), stop_after, seed
        self._rng = np.random.default_rng(0)

    def reset(self, instruction: str, episode_id: str) -> None:
        """Begin an episode; its draws depend on the seed and its id only."""
        super().reset(instruction, episode_id)
        self._rng = np.random.default_rng(np.random.SeedSequence([self._seed, zlib.crc32(episode_id.encode())]))

    def decide(self) -> Decision:
        """A draw, cut so that the stop comes exactly when it should."""
        left = self._stop_after - 1 - self._steps
        if left <= 0:
            return self._certain(Stop())
        index = int(self._rng.choice(len(ACTIONS), p=self._weights))
        action = merged(primitives(ACTIONS[index])[:left])[0]
        return Decision(action, sentence(action), float(self._weights[index]), tuple(float(weight) for weight in self._weights))


class ForwardPolicy(_Blind):
    """Always ahead; stops after `stop_after` steps, the stop included."""

    def __init__(self, stop_after: int) -> None:
        super().__init__()
        self._stop_after = stop_after

    def decide(self) -> Decision:
        """Ahead by up to 75 cm, or stop."""
        left = self._stop_after - 1 - self._steps
        return self._certain(Stop() if left <= 0 else Forward(25 * min(left, MAX_MERGED)))


class TimedPolicy:
    """A policy whose deciding counts as "decide", and whose looking at frames (JPEG, sending) as "send"."""

    def __init__(self, policy: Policy, watch: Stopwatch) -> None:
        self._policy, self._watch = policy, watch
        self.reset, self.executed = policy.reset, policy.executed

    def observe(self, frame: Frame) -> None:
        """The policy's."""
        with self._watch.span("send"):
            self._policy.observe(frame)

    def decide(self) -> Decision:
        """The policy's."""
        with self._watch.span("decide"):
            return self._policy.decide()
