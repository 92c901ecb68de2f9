"""The last word before the robot: nothing moves without a live server, a fresh frame, a sure answer and a sane amount."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from agents.protocols import Frame, HandsOff, Motion, Robot, RobotError
from nvila_edge.navigation.actions import FORWARD_STEP_CM, STEPS, Action, Forward, Primitive, Steps, Turn, primitives
from nvila_edge.navigation.decision import Decision
from nvila_edge.serving.link import Link


class Refused(RuntimeError):
    """A primitive was not begun. `code`: "server" (it is gone) or "stale" (the newest frame is too old)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class GuardLimits:
    """Frame age in seconds beyond which nothing begins; amounts that a single action may reach, cm and degrees.

    min_probability: a decision that is less sure is held: the robot stands and asks anew. max_still: so many primitives in a row may achieve
    nothing, without having met anything, until the robot counts as one that does not obey.
    """

    max_frame_age_s: float = 2.0
    max_forward_cm: int = 100
    max_turn_deg: int = 90
    min_probability: float = 0.0
    max_still: int = 5


# Time stands still between primitives, and what a published agent does without a limit (an amount of 1,000 cm) only the step limit ends
SIMULATION = GuardLimits(max_frame_age_s=math.inf, max_forward_cm=10**6, max_turn_deg=10**6, max_still=10**6)
# Ten answers that are all alike are 0.1 each; below a sixth the model prefers nothing clearly
ON_ROBOT = GuardLimits(min_probability=1 / 6)
_FUTURE_S = 0.05  # a frame from further ahead than this: a clock jumped
_STILL_M, _STILL_DEG = 0.02, 1.5  # under a tenth of a primitive's nominal motion
_LEAP_M, _LEAP_DEG = 2.0, 270.0  # what no primitive achieves


def allowed_primitives(action: Action, limits: GuardLimits, steps: Steps = STEPS) -> tuple[Primitive, ...]:
    """The primitives of an action in an agent's steps, cut off at the limits."""
    wanted = primitives(action, steps)
    match action:
        case Forward():
            return wanted[: max(1, limits.max_forward_cm // FORWARD_STEP_CM)]
        case Turn():
            return wanted[: max(1, limits.max_turn_deg // steps.turn_deg)]
        case _:
            return wanted


class Guarded:
    """A robot behind the guard; the same interface. Halting always passes."""

    def __init__(self, robot: Robot, link: Link, limits: GuardLimits) -> None:
        self._robot, self._link, self.limits = robot, link, limits
        self._newest: Frame | None = None
        self._still = 0

    def reset(self) -> None:
        """A new episode: its frames may be numbered anew."""
        self._newest, self._still = None, 0

    def saw(self, frame: Frame) -> None:
        """The newest frame; its age is what counts as freshness. One that is shown again, or out of order, makes nothing fresher."""
        if self._newest is None or frame.frame_id > self._newest.frame_id:
            self._newest = frame

    def doubt(self, decision: Decision) -> str:
        """Why a decision is not to be carried out; "" when it may."""
        if decision.probability >= self.limits.min_probability:  # never so when it is NaN
            return ""
        return f"{decision.text!r:.80} is not sure enough: {decision.probability:.2f}, at least {self.limits.min_probability:.2f} is needed"

    def execute(self, primitive: Primitive) -> Motion:
        """Carry out one primitive. Raises Refused, before anything moved, or RobotError, with the robot halted.

        While the server is silent nothing begins; the robot is halted until it speaks again or is certainly gone.
        """
        if not self._link.alive:
            self.halt()
            if not self._link.settle():
                raise Refused("server", "the server is gone")
        age_s = math.inf if self._newest is None else time.monotonic() - self._newest.captured_s
        if not -_FUTURE_S <= age_s <= self.limits.max_frame_age_s:
            self.halt()
            raise Refused("stale", f"the newest frame is {age_s:.2f} s old; at most {self.limits.max_frame_age_s:g} s are allowed")
        motion = self._robot.execute(primitive)
        try:
            self._check(primitive, motion)
        except RobotError:
            self.halt()
            raise
        return motion

    def _check(self, primitive: Primitive, motion: Motion) -> None:
        """Whether the robot did what robots can do. Raises HandsOff."""
        moved_m, turned_deg = abs(motion.moved_m), abs(motion.turned_deg)
        if not (moved_m <= _LEAP_M and turned_deg <= _LEAP_DEG):
            raise HandsOff(
                f"the robot says it moved {motion.moved_m} m and turned {motion.turned_deg} degrees in one primitive; check its odometry"
            )
        still = primitive != Primitive.STOP and not motion.collided and moved_m < _STILL_M and turned_deg < _STILL_DEG
        self._still = self._still + 1 if still else 0
        if self._still >= self.limits.max_still:
            raise HandsOff(f"the robot does not obey: {self._still} primitives in a row moved nothing")

    def halt(self) -> None:
        """Zero velocity, now."""
        self._robot.halt()
