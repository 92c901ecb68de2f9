"""The last word before the robot: nothing moves without a live server, a fresh frame and a sane amount."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from agents.protocols import Frame, Motion, Robot
from nvila_edge.navigation.actions import FORWARD_STEP_CM, STEPS, Action, Forward, Primitive, Steps, Turn, primitives
from nvila_edge.serving.link import Link


class Refused(RuntimeError):
    """A primitive was not begun. `code`: "server" (it is gone) or "stale" (the newest frame is too old)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class GuardLimits:
    """Frame age in seconds beyond which nothing begins; amounts that a single action may reach, cm and degrees."""

    max_frame_age_s: float = 2.0
    max_forward_cm: int = 100
    max_turn_deg: int = 90


# Time stands still between primitives, and what a published agent does without a limit (an amount of 1,000 cm) only the step limit ends
SIMULATION = GuardLimits(max_frame_age_s=math.inf, max_forward_cm=10**6, max_turn_deg=10**6)


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

    def saw(self, frame: Frame) -> None:
        """The newest frame; its age is what counts as freshness."""
        self._newest = frame

    def execute(self, primitive: Primitive) -> Motion:
        """Carry out one primitive. Raises Refused, before anything moved, or RobotError.

        While the server is silent nothing begins; the robot is halted until it speaks again or is certainly gone.
        """
        if not self._link.alive:
            self.halt()
            if not self._link.settle():
                raise Refused("server", "the server is gone")
        age_s = math.inf if self._newest is None else time.monotonic() - self._newest.captured_s
        if age_s > self.limits.max_frame_age_s:
            self.halt()
            raise Refused("stale", f"the newest frame is {age_s:.2f} s old; at most {self.limits.max_frame_age_s:g} s are allowed")
        return self._robot.execute(primitive)

    def halt(self) -> None:
        """Zero velocity, now."""
        self._robot.halt()
