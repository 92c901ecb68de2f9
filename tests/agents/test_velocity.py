"""Primitives on velocities, closed on odometry, with a robot that coasts."""

from __future__ import annotations

import importlib.util
import math
import threading
import time

import pytest

from agents.protocols import Odometry, RobotError
from agents.robots.go2 import Go2
from agents.robots.velocity import DriveLimits, OdometryRobot
from nvila_edge.navigation.actions import Primitive


class Coasting:
    """A point that follows velocities with a lag of 0.1 s and goes on after a zero command; `deaf` moves nothing."""

    def __init__(self, deaf: bool = False, wall_m: float = math.inf) -> None:
        self.x_m = self.y_m = self.yaw_rad = self._v = self._w = 0.0
        self._wanted, self._at_s, self._deaf, self._wall_m = (0.0, 0.0), time.monotonic(), deaf, wall_m
        self._lock = threading.Lock()
        self.commands: list[tuple[float, float]] = []

    def command(self, linear_mps: float, angular_rps: float) -> None:
        self._advance()
        self.commands.append((linear_mps, angular_rps))
        self._wanted = (0.0, 0.0) if self._deaf else (linear_mps, angular_rps)

    def halt(self) -> None:
        self.command(0.0, 0.0)

    def odometry(self) -> Odometry:
        self._advance()
        return Odometry(self.x_m, self.y_m, self.yaw_rad, self._at_s)

    def _advance(self) -> None:
        with self._lock:
            while self._at_s < time.monotonic() - 0.005:
                self._at_s += 0.005
                self._v += 0.05 * (self._wanted[0] - self._v)
                self._w += 0.05 * (self._wanted[1] - self._w)
                self.yaw_rad += 0.005 * self._w
                self.x_m = min(self._wall_m, self.x_m + 0.005 * self._v * math.cos(self.yaw_rad))
                self.y_m += 0.005 * self._v * math.sin(self.yaw_rad)


def test_primitives_end_near_their_amounts_standing() -> None:
    base = Coasting()
    robot = OdometryRobot(base)
    ahead, left = robot.execute(Primitive.FORWARD), robot.execute(Primitive.LEFT)
    assert abs(ahead.moved_m - 0.25) <= 0.06 and abs(ahead.turned_deg) < 2 and not ahead.collided
    assert abs(left.turned_deg - 15) <= 6 and left.moved_m < 0.02
    assert base.commands[-1] == (0.0, 0.0) and math.hypot(base._v, base._w) < 0.05
    assert abs(base.x_m - ahead.moved_m) < 0.02  # what is reported is what was


def test_a_wall_is_a_collision_and_a_deaf_robot_an_error() -> None:
    limits = DriveLimits(stuck_s=0.5)
    motion = OdometryRobot(Coasting(wall_m=0.1), limits).execute(Primitive.FORWARD)
    assert motion.collided and abs(motion.moved_m - 0.1) < 0.01
    deaf = Coasting(deaf=True)
    with pytest.raises(RobotError, match="nothing moved: is the robot standing"):
        OdometryRobot(deaf, limits).execute(Primitive.RIGHT)
    assert deaf.commands[-1] == (0.0, 0.0)


@pytest.mark.skipif(importlib.util.find_spec("unitree_sdk2py") is not None, reason="the SDK is installed")
def test_a_missing_sdk_is_named_with_its_extra() -> None:
    with pytest.raises(RobotError, match=r"pip install 'nvila-edge\[go2\]'"):
        Go2("eth0")
