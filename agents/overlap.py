"""The loop with thinking overlapped with moving: the next decision is asked while the last primitive of the action before it ends.

LiveVLN's idea (arXiv 2604.19536: 30 % of an episode is waiting). The next frame is captured as much before the expected end of an action as a
decision has lately taken, and not before odometry says that it is nearly there, that is, while the robot brakes and settles; the answer is handed
over when it stands. If by then it has gone further from where that frame was seen than `OverlapConfig` allows, or met something, the answer is
dropped and asked anew from where it stands. What the policy is told stays in order: the action, its primitives, the frame. Threads: this one
captures and tells, one moves, one thinks, each with at most one thing to do.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from agents.events import Event
from agents.guard import GuardLimits
from agents.loop import Loop, LoopConfig
from agents.policy import Policy
from agents.protocols import Camera, Motion, Odometry, Robot, RobotError
from nvila_edge.navigation.actions import FORWARD_STEP_CM, Action, Primitive
from nvila_edge.navigation.decision import Decision
from nvila_edge.navigation.steady import is_blocked
from nvila_edge.serving.link import Link

_THOUGHT_S = 15.0  # longer than a decision's deadline
_MOTION_S = 30.0  # longer than any primitive's allowance, 2 x nominal + 2 s and waits of a second each (agents/executor.py)
_LOOK_S = 0.03  # between looks at the odometry


class RevisablePolicy(Policy, Protocol):
    """A policy that can be told of a primitive before it has ended."""

    def revised(self, primitive: Primitive, motion: Motion) -> None:
        """The primitive that `executed` was told of ahead of its end turned out like this, and the decision made since then was dropped."""
        ...


@dataclass(frozen=True)
class OverlapConfig:
    """How stale the view of a decision may be at hand-over: metres, degrees, seconds. `lead_s`: first guess of what a decision takes.

    The amounts are under half a primitive: the frame is nearer to what will be seen there than to what was seen a step before.
    """

    max_ahead_m: float = 0.10
    max_ahead_deg: float = 6.0
    max_ahead_s: float = 1.0
    lead_s: float = 0.2


@dataclass
class Account:
    """Decisions that were ready in time or not: `handed_over` from a view before the end, `revised`, asked anew, and `waited` for without overlap."""

    handed_over: int = 0
    revised: int = 0
    waited: int = 0


class Overlapped(Loop):
    """A Loop whose robot waits less. pose: the robot's odometry; without it, how far a robot still went is taken from the time."""

    def __init__(
        self,
        policy: RevisablePolicy,
        camera: Camera,
        robot: Robot,
        link: Link | None = None,
        config: LoopConfig | None = None,
        forced: Callable[[], str] | None = None,
        *,
        pose: Callable[[], Odometry] | None = None,
        overlap: OverlapConfig | None = None,
    ) -> None:
        super().__init__(policy, camera, robot, link, config or LoopConfig(limits=GuardLimits()), forced, pose=pose)
        self._revisable, self._overlap = policy, overlap or OverlapConfig()
        self._lead_s = self._overlap.lead_s
        self._shortest_s: dict[Primitive, float] = {}  # how long primitives take, rather less
        self._thought: Future[Decision] | None = None  # to be handed over
        self._asked: Future[Decision] | None = None  # the last one, wanted or not
        self._moving: Future[Motion] | None = None
        self._mover = self._thinker = ThreadPoolExecutor(1)
        self.account = Account()

    def run(self, instruction: str, episode_id: str) -> Generator[Event, None, None]:
        """As Loop.run; the threads end with it. Raises RobotError when the answer to a question of the last episode is still under way."""
        if self._asked is not None:
            self._answered(self._asked)
        self._mover, self._thinker = ThreadPoolExecutor(1, "mover"), ThreadPoolExecutor(1, "thinker")
        self._thought = self._moving = None
        try:
            yield from super().run(instruction, episode_id)
        finally:
            self._come_to_rest()
            self._mover.shutdown(wait=False, cancel_futures=True)
            self._thinker.shutdown(wait=False, cancel_futures=True)

    def _come_to_rest(self) -> None:
        """Halt until the mover is idle: a primitive may have begun just after the halt before."""
        expires_s = time.monotonic() + 1.0
        while self._moving is not None and not self._moving.done() and time.monotonic() < expires_s:
            self._robot.halt()
            wait([self._moving], 0.02)

    def _decide(self) -> Decision:
        """The decision that was asked ahead, or one from the newest frame."""
        thought, self._thought = self._thought, None
        if thought is None:
            self.account.waited += 1
            return self._timed_decision()
        self.account.handed_over += 1
        self._answered(thought)
        return thought.result()

    def _answered(self, thought: Future[Decision]) -> None:
        """Wait for an answer. Raises RobotError, which halts and ends the episode, when it does not come."""
        if wait([thought], _THOUGHT_S).not_done:
            raise RobotError(f"the policy has not answered for {_THOUGHT_S:g} s; start the agent anew")

    def _timed_decision(self) -> Decision:
        began_s = time.monotonic()
        decision = self._policy.decide()
        self._lead_s += 0.3 * (1.1 * (time.monotonic() - began_s) + 0.02 - self._lead_s)
        return decision

    def _execute(self, action: Action, primitive: Primitive, last: bool) -> Generator[Event, None, Motion]:
        """Move on the mover's thread; before the last primitive ends, look and ask."""
        began_s, start = time.monotonic(), self._odometry()
        self._moving = self._mover.submit(self._robot.execute, primitive)
        if last and primitive != Primitive.STOP and self._time_to_ask(primitive, began_s, start):
            yield from self._ask_ahead(action, primitive)
        if wait([self._moving], max(0.0, began_s + _MOTION_S - time.monotonic())).not_done:
            raise RobotError(f"the robot has not ended {primitive.name} within {_MOTION_S:g} s; is its program still running?")
        motion = self._moving.result()
        lasted_s = time.monotonic() - began_s
        known_s = self._shortest_s.get(primitive, lasted_s)
        self._shortest_s[primitive] = min(lasted_s, known_s + 0.3 * (lasted_s - known_s))
        return motion

    def _time_to_ask(self, primitive: Primitive, began_s: float, start: Odometry | None) -> bool:
        """Wait until the end is as near as a decision is long (True), or there (False)."""
        if start is None and primitive not in self._shortest_s:
            return False  # nothing tells when it will end
        earliest_s = began_s + self._shortest_s.get(primitive, 0.0) - self._lead_s
        assert self._moving is not None
        while (
            time.monotonic() < began_s + _MOTION_S
            and not wait([self._moving], min(_LOOK_S, max(0.001, earliest_s - time.monotonic()))).done
        ):
            if time.monotonic() >= earliest_s and self._is_near(primitive, start) and self._link.alive:
                return True  # without a server the guard may not have let it begin
        return False

    def _is_near(self, primitive: Primitive, start: Odometry | None) -> bool:
        """Whether what is left of the primitive is well within what a view may be stale by."""
        now = self._odometry()
        if start is None or now is None:
            return True
        (gone_m, turned_deg), (moved_m, angle_deg) = _between(start, now), self._nominal(primitive)
        return gone_m >= moved_m - 0.8 * self._overlap.max_ahead_m and turned_deg >= angle_deg - 0.8 * self._overlap.max_ahead_deg

    def _ask_ahead(self, action: Action, primitive: Primitive) -> Iterator[Event]:
        self._seen_at = self._odometry()
        moved_m, turned_deg = self._nominal(primitive)
        side = -1 if primitive == Primitive.RIGHT else 1
        self._policy.executed(action, primitive, Motion(moved_m, side * turned_deg, False))
        captured = self._capture()
        self._thought = self._asked = self._thinker.submit(self._timed_decision)
        yield captured

    def _odometry(self) -> Odometry | None:
        try:
            return None if self._pose is None else self._pose()
        except RobotError:  # the mover meets it too, and tells
            return None

    def _executed(self, action: Action, primitive: Primitive, motion: Motion) -> None:
        if self._thought is None:
            super()._executed(action, primitive, motion)

    def _look(self, primitive: Primitive, motion: Motion) -> Iterator[Event]:
        """Nothing when the answer asked ahead may be handed over; otherwise it is dropped, and what there is now is seen."""
        if self._thought is not None and not is_blocked(primitive, motion.moved_m) and not motion.collided and not self._too_far(primitive):
            return
        self._drop_thought(primitive, motion)
        yield self._capture()

    def _drop_thought(self, primitive: Primitive, motion: Motion) -> None:
        """An answer that was asked ahead of a primitive that turned out like this, if there is one, is dropped, and the policy told so."""
        if self._thought is not None:
            self._answered(self._thought)  # the policy does one thing at a time
            self._thought = None
            self.account.revised += 1
            self._revisable.revised(primitive, motion)

    def _broken_off(self, primitive: Primitive) -> None:
        super()._broken_off(primitive)
        self._come_to_rest()
        self._drop_thought(primitive, Motion(0.0, 0.0, False))

    def _too_far(self, primitive: Primitive) -> bool:
        """Whether the robot went on for too long after the frame."""
        since_s, now, then = time.monotonic() - self._frame.captured_s, self._odometry(), self._seen_at
        if since_s > self._overlap.max_ahead_s:
            return True
        if now is not None and then is not None:
            gone_m, turned_deg = _between(then, now)
            return not (gone_m <= self._overlap.max_ahead_m and turned_deg <= self._overlap.max_ahead_deg)
        rest = min(1.0, since_s / max(self._shortest_s[primitive], 1e-3))
        moved_m, turned_deg = self._nominal(primitive)
        return rest * moved_m > self._overlap.max_ahead_m or rest * turned_deg > self._overlap.max_ahead_deg

    def _nominal(self, primitive: Primitive) -> tuple[float, float]:
        return (FORWARD_STEP_CM / 100, 0.0) if primitive == Primitive.FORWARD else (0.0, float(self._config.steps.turn_deg))


def _between(then: Odometry, now: Odometry) -> tuple[float, float]:
    """Metres and degrees, both positive, between two poses."""
    turned_rad = math.remainder(now.yaw_rad - then.yaw_rad, 2 * math.pi)
    return math.hypot(now.x_m - then.x_m, now.y_m - then.y_m), abs(math.degrees(turned_rad))
