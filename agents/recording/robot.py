"""A robot whose velocities and odometry are recorded."""

from __future__ import annotations

import math
from typing import Protocol

from agents.protocols import Odometry, VelocityRobot


class Listener(Protocol):
    """A Recorder, or what hands on to one."""

    def velocity(self, linear_mps: float, angular_rps: float) -> None:
        """A velocity that the robot is commanded, now."""
        ...

    def odometry(self, x_m: float, y_m: float, yaw_rad: float, stamp_s: float) -> None:
        """A pose that the robot tells, of `stamp_s` on the monotonic clock."""
        ...

    def dump(self, reason: str) -> None:
        """Write the ring now."""
        ...


class Relay:
    """Hands on to the recorder of the episode under way; without one, to nobody."""

    def __init__(self) -> None:
        self.recorder: Listener | None = None

    def velocity(self, linear_mps: float, angular_rps: float) -> None:
        """To the recorder."""
        if (recorder := self.recorder) is not None:
            recorder.velocity(linear_mps, angular_rps)

    def odometry(self, x_m: float, y_m: float, yaw_rad: float, stamp_s: float) -> None:
        """To the recorder."""
        if (recorder := self.recorder) is not None:
            recorder.odometry(x_m, y_m, yaw_rad, stamp_s)

    def dump(self, reason: str) -> None:
        """To the recorder."""
        if (recorder := self.recorder) is not None:
            recorder.dump(reason)


class Recorded:
    """A robot that takes velocities, with the same interface: what it is commanded, and every new pose that it tells, is recorded.

    When its e-stop is seen to latch (`estopped`, of a Watchdog or a Remote), the ring is dumped, once.
    """

    def __init__(self, robot: VelocityRobot, recorder: Listener) -> None:
        self._robot, self._recorder, self._stamp_s, self._estopped = robot, recorder, -math.inf, False

    def command(self, linear_mps: float, angular_rps: float) -> None:
        """First the robot, then the record of it; raises what the robot raises."""
        try:
            self._robot.command(linear_mps, angular_rps)
        finally:
            self._look_at_the_e_stop()
        self._recorder.velocity(linear_mps, angular_rps)

    def odometry(self) -> Odometry:
        """The robot's newest pose; raises what the robot raises."""
        pose = self._robot.odometry()
        self._look_at_the_e_stop()
        if pose.stamp_s > self._stamp_s:
            self._stamp_s = pose.stamp_s
            self._recorder.odometry(pose.x_m, pose.y_m, pose.yaw_rad, pose.stamp_s)
        return pose

    def halt(self) -> None:
        """First the robot, then the record of it."""
        self._robot.halt()
        self._recorder.velocity(0.0, 0.0)

    def _look_at_the_e_stop(self) -> None:
        before, self._estopped = self._estopped, bool(getattr(self._robot, "estopped", ""))
        if self._estopped and not before:
            self._recorder.dump("e-stop")
