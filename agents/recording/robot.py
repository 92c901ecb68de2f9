"""A robot whose velocities and odometry are recorded."""

from __future__ import annotations

import math
from typing import Any, Protocol

from agents.recorder import Recorder


class _Pose(Protocol):
    x_m: float
    y_m: float
    yaw_rad: float
    stamp_s: float


class _TakesVelocities(Protocol):
    def command(self, linear_mps: float, angular_rps: float) -> None: ...

    def odometry(self) -> Any: ...

    def halt(self) -> None: ...


class Recorded:
    """A robot that takes velocities, with the same interface: what it is commanded, and every new pose that it tells, is recorded."""

    def __init__(self, robot: _TakesVelocities, recorder: Recorder) -> None:
        self._robot, self._recorder, self._stamp_s = robot, recorder, -math.inf

    def command(self, linear_mps: float, angular_rps: float) -> None:
        """First the robot, then the record of it."""
        self._robot.command(linear_mps, angular_rps)
        self._recorder.velocity(linear_mps, angular_rps)

    def odometry(self) -> Any:
        """The robot's newest pose; raises what the robot raises."""
        pose: _Pose = self._robot.odometry()
        if pose.stamp_s > self._stamp_s:
            self._stamp_s = pose.stamp_s
            self._recorder.odometry(pose.x_m, pose.y_m, pose.yaw_rad, pose.stamp_s)
        return pose

    def halt(self) -> None:
        """First the robot, then the record of it."""
        self._robot.halt()
        self._recorder.velocity(0.0, 0.0)
