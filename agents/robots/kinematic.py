"""A robot that is only a point with velocities, for tests and dry runs: it lags, coasts, sways and obeys inexactly, as told."""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass

from agents.clock import Clock, RealClock
from agents.protocols import Odometry

_STEP_S = 0.005  # of integration


@dataclass(frozen=True)
class Body:
    """How it differs from a perfect robot.

    lag_s: from a command to its first effect. response_s: time constant towards the commanded velocity; coast_s: the same towards zero.
    gain: achieved over commanded velocity, (linear, angular). sway_deg: of the yaw that odometry tells, while moving, at 2 Hz.
    dead_man_s: without a command for so long it stops by itself. wall_m: it cannot pass this x.
    """

    lag_s: float = 0.05
    response_s: float = 0.10
    coast_s: float = 0.10
    gain: tuple[float, float] = (1.0, 1.0)
    sway_deg: float = 0.0
    dead_man_s: float = 0.5  # the simulated Go2's (sim/go2)
    wall_m: float = math.inf


class Kinematic:
    """A VelocityRobot. `pose` and `velocity` are true, odometry() sways. Moves whenever it is looked at, exactly as far as time went."""

    def __init__(self, body: Body | None = None, clock: Clock | None = None) -> None:
        self._body, self._clock = body or Body(), clock or RealClock()
        self._lock = threading.Lock()
        self._now_s = self._clock.now()
        self._pending: deque[tuple[float, float, float]] = deque(maxlen=64)  # (takes effect at, linear, angular)
        self._wanted = (0.0, 0.0)
        self._commanded_s = -math.inf
        self._velocity = [0.0, 0.0]
        self._pose = [0.0, 0.0, 0.0]

    def command(self, linear_mps: float, angular_rps: float) -> None:
        """Takes effect after the lag."""
        with self._lock:
            self._advance()
            self._commanded_s = self._now_s
            self._pending.append((self._now_s + self._body.lag_s, linear_mps, angular_rps))

    def halt(self) -> None:
        """A command of zero."""
        self.command(0.0, 0.0)

    def odometry(self) -> Odometry:
        """The pose now, with the yaw's sway."""
        with self._lock:
            self._advance()
            moving = min(1.0, math.hypot(*self._velocity) / 0.1)
            sway_rad = moving * math.radians(self._body.sway_deg) * math.sin(4 * math.pi * self._now_s)
            return Odometry(self._pose[0], self._pose[1], self._pose[2] + sway_rad, self._now_s)

    @property
    def pose(self) -> tuple[float, float, float]:
        """True x, y and yaw, metres and radians; yaw goes on counting."""
        with self._lock:
            self._advance()
            x_m, y_m, yaw_rad = self._pose
            return x_m, y_m, yaw_rad

    @property
    def velocity(self) -> tuple[float, float]:
        """True velocity, m/s and rad/s."""
        with self._lock:
            self._advance()
            return self._velocity[0], self._velocity[1]

    def _advance(self) -> None:
        until_s = self._clock.now()
        self._now_s = max(self._now_s, until_s - 10)  # asleep for longer: it has stood still since its dead-man
        while self._now_s < until_s:
            dt_s = min(_STEP_S, until_s - self._now_s)
            self._now_s += dt_s
            while self._pending and self._pending[0][0] <= self._now_s:
                self._wanted = self._pending.popleft()[1:]
            if self._now_s - self._commanded_s > self._body.dead_man_s:
                self._pending.clear()
                self._wanted = (0.0, 0.0)
            self._move(dt_s)

    def _move(self, dt_s: float) -> None:
        for axis, wanted in enumerate(self._wanted):
            wanted *= self._body.gain[axis]
            constant_s = self._body.response_s if wanted else self._body.coast_s
            self._velocity[axis] += (wanted - self._velocity[axis]) * (1 - math.exp(-dt_s / constant_s) if constant_s > 0 else 1.0)
        yaw_rad = self._pose[2] + self._velocity[1] * dt_s / 2
        x_m = self._pose[0] + self._velocity[0] * dt_s * math.cos(yaw_rad)
        self._pose[0] = min(x_m, max(self._body.wall_m, self._pose[0]))
        self._pose[1] += self._velocity[0] * dt_s * math.sin(yaw_rad)
        self._pose[2] += self._velocity[1] * dt_s
