"""A dog that lives in real time: a thread steps it, and stops it by itself when nobody commands it any more."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass

from agents.protocols import Odometry
from sim.geometry import Pose
from sim.go2.dog import TICK_S, Dog

DEAD_MAN_S = 0.5  # simulated; a real Go2 stops by itself after a second or two
_LATE_S = 0.25  # a computer that is this far behind does not catch up: time is lost instead, and counted


@dataclass(frozen=True)
class Snapshot:
    """One moment. base: trunk x, y, z in MuJoCo's frame, `yaw_rad` counted on beyond half turns; velocity: ahead, left m/s, turning rad/s."""

    stamp_s: float
    base_m: tuple[float, float, float]
    yaw_rad: float
    velocity: tuple[float, float, float]
    pose: Pose
    fallen: bool


class Walker:
    """A VelocityRobot in this process; also what the SDK's server drives. Its odometry begins at (0, 0, 0) where it started."""

    def __init__(self, dog: Dog, dead_man_s: float = DEAD_MAN_S) -> None:
        self._dog, self._dead_man_s = dog, dead_man_s
        self._wanted, self._commanded_s = (0.0, 0.0, 0.0), float("-inf")
        self.lost_s = 0.0  # real time that the physics did not keep up with
        self._yaw_rad = dog.base[1]
        self._newest = self._origin = self._look()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._live, name="physics", daemon=True)
        self._thread.start()

    def move(self, forward_mps: float, left_mps: float, turn_rps: float) -> None:
        """Walk so until the next command, or for `dead_man_s`. Raises ValueError for what is not finite."""
        wanted = forward_mps, left_mps, turn_rps
        if not all(map(math.isfinite, wanted)):
            raise ValueError(f"velocity {wanted} is not finite")
        self._wanted, self._commanded_s = wanted, time.monotonic()

    def command(self, linear_mps: float, angular_rps: float) -> None:
        """As `move`, without sideways."""
        self.move(linear_mps, 0.0, angular_rps)

    def halt(self) -> None:
        """Stand."""
        self._wanted = (0.0, 0.0, 0.0)

    def odometry(self) -> Odometry:
        """True pose relative to the start: x ahead, y left."""
        now, start = self._newest, self._origin
        dx, dy = now.base_m[0] - start.base_m[0], now.base_m[1] - start.base_m[1]
        c, s = math.cos(start.yaw_rad), math.sin(start.yaw_rad)
        return Odometry(c * dx + s * dy, c * dy - s * dx, now.yaw_rad - start.yaw_rad, now.stamp_s)

    @property
    def newest(self) -> Snapshot:
        """The newest moment."""
        return self._newest

    @property
    def wanted(self) -> tuple[float, float, float]:
        """The velocity that it follows now: zero when its dead-man has stopped it."""
        return self._wanted if time.monotonic() - self._commanded_s <= self._dead_man_s else (0.0, 0.0, 0.0)

    def close(self) -> None:
        """Time stands still."""
        self._closed.set()
        self._thread.join(2.0)

    def _look(self) -> Snapshot:
        position, heading = self._dog.base
        self._yaw_rad += math.remainder(heading - self._yaw_rad, 2 * math.pi)
        x_m, y_m, z_m = (float(value) for value in position)
        return Snapshot(time.monotonic(), (x_m, y_m, z_m), self._yaw_rad, self._dog.velocity, self._dog.pose, self._dog.fallen)

    def _live(self) -> None:
        due_s = time.monotonic()
        while not self._closed.wait(max(0.0, due_s - time.monotonic())):
            self._dog.tick(*self.wanted)
            self._newest = self._look()
            due_s += TICK_S
            behind_s = time.monotonic() - due_s
            if behind_s > _LATE_S:
                self.lost_s += behind_s
                due_s += behind_s
