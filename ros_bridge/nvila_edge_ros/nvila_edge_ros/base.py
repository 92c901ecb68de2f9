"""A base behind topics: velocities out, odometry in. The lowest layer of the bridge, so e-stop, limits and the watchdog live here."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

import numpy as np

from agents.obstacles import Clearance, Corridor, from_scan
from agents.protocols import HandsOff, Odometry, RobotError
from nvila_edge_ros.settings import Settings

_LOG = logging.getLogger(__name__)
_JUMP_MPS = 5.0  # odometry that is faster than any robot of this kind did not move: it jumped
_JUMP_M = 0.3


class TopicBase:
    """A VelocityRobot (agents/protocols.py). publish(linear_mps, angular_rps) sends one command and may be called from any thread.

    While blocked (cancelled, e-stop, a fault) only zeros pass. A thread of its own sends zero when commands are not renewed in time.
    """

    def __init__(self, publish: Callable[[float, float], None], settings: Settings) -> None:
        self._publish, self._settings = publish, settings
        # The way is free beyond `stop_distance_m`: so the executor brakes before it, and `command` below lets nothing pass within it
        self.corridor = Corridor(settings.corridor_width_m, margin_m=0.0, slowdown_m=0.0, max_age_s=settings.scan_timeout_s)
        self._way = Clearance(None, -math.inf)
        self._lock = threading.RLock()
        self._blocks: dict[str, str] = {}
        self.permitted: Callable[[], bool] = lambda: True  # asked before every command; while it says no, zeros are sent instead
        self._pose: Odometry | None = None
        self._sent_s, self._moving = 0.0, False
        self._closed = threading.Event()
        self._watchdog = threading.Thread(target=self._watch, name="cmd_vel watchdog", daemon=True)
        self._watchdog.start()

    # --- VelocityRobot

    def command(self, linear_mps: float, angular_rps: float) -> None:
        """Within the limits, and not towards an obstacle. Raises RobotError for what is not finite, HandsOff while it is blocked."""
        if not (math.isfinite(linear_mps) and math.isfinite(angular_rps)):
            self.halt()
            raise RobotError(f"velocity ({linear_mps}, {angular_rps}) is not finite")
        top, turn = self._settings.max_linear_mps, self._settings.max_angular_rps
        linear, angular = max(-top, min(top, linear_mps)), max(-turn, min(turn, angular_rps))
        if linear > 0 and self._settings.use_scan and not self._is_free():
            linear = 0.0
        if not self.permitted():
            linear = angular = 0.0
        with self._lock:
            if self._blocks:
                raise HandsOff("; ".join(self._blocks.values()))
            self._sent_s, self._moving = time.monotonic(), linear != 0.0 or angular != 0.0
            self._publish(linear, angular)

    def odometry(self) -> Odometry:
        """The newest pose. Raises RobotError when there is none or it is old."""
        pose = self._pose
        age_s = math.inf if pose is None else time.monotonic() - pose.stamp_s
        if pose is None or age_s > self._settings.odom_timeout_s:
            self.halt()
            age = "none came yet" if pose is None else f"the newest is {age_s:.2f} s old"
            raise RobotError(
                f"no odometry: {age}, {self._settings.odom_timeout_s:g} s are allowed; is the topic remapped rightly (ros2 topic hz)?"
            )
        return pose

    def halt(self) -> None:
        """Zero velocity, now."""
        with self._lock:
            self._publish(0.0, 0.0)
            self._moving = False  # not before: a zero that could not be sent is sent again

    # --- the outside

    def block(self, kind: str, reason: str) -> None:
        """Zero velocity, now and until unblock(kind)."""
        with self._lock:
            self._blocks[kind] = reason
            self.halt()

    def unblock(self, kind: str) -> None:
        """Take that block away."""
        with self._lock:
            self._blocks.pop(kind, None)

    @property
    def blocks(self) -> dict[str, str]:
        """Why nothing moves: kind ("estop", "cancel", "odometry", ..) to reason."""
        return dict(self._blocks)

    def saw_odometry(self, x_m: float, y_m: float, yaw_rad: float) -> None:
        """A pose came. One that jumped, or is not finite, blocks until reset."""
        now_s, last = time.monotonic(), self._pose
        if not all(map(math.isfinite, (x_m, y_m, yaw_rad))):
            return self.block("odometry", "odometry is not finite; call ~/reset when it is well again")
        if last is not None:
            jump_m = math.hypot(last.x_m - x_m, last.y_m - y_m)
            if jump_m > _JUMP_M and jump_m > _JUMP_MPS * (now_s - last.stamp_s):
                self.block("odometry", f"odometry jumped by {jump_m:.2f} m; call ~/reset when it is well again")
        self._pose = Odometry(x_m, y_m, yaw_rad, now_s)

    def saw_scan(self, ranges: list[float], angle_min_rad: float, angle_step_rad: float) -> None:
        """A laser scan came, from a scanner that looks ahead."""
        self._way = from_scan(
            np.asarray(ranges), angle_min_rad, angle_step_rad, time.monotonic(), self.corridor, self._settings.stop_distance_m
        )

    def clearance(self) -> Clearance:
        """By the newest scan: metres that are free beyond `stop_distance_m`."""
        return self._way

    @property
    def odometry_age_s(self) -> float:
        """Since the newest pose; inf before the first."""
        return math.inf if self._pose is None else time.monotonic() - self._pose.stamp_s

    def close(self) -> None:
        """Zero velocity, and no more watching."""
        self._closed.set()
        self._watchdog.join(1.0)
        self.halt()

    def _is_free(self) -> bool:
        way = self._way
        return bool(way.distance_m) and time.monotonic() - way.stamp_s <= self._settings.scan_timeout_s

    def _watch(self) -> None:
        while not self._closed.wait(0.05):
            try:
                with self._lock:
                    if self._moving and time.monotonic() - self._sent_s > self._settings.command_timeout_s:
                        self.halt()
            except Exception:  # of the middleware: this thread must outlive it, and try again
                _LOG.exception("zero velocity could not be published")
