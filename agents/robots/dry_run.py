"""A robot that only says what it would do: dead reckoning of nominal primitives."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass

from agents.protocols import Motion
from nvila_edge.navigation.actions import FORWARD_STEP_CM, TURN_STEP_DEG, Primitive


@dataclass(frozen=True)
class Begun:
    """A primitive that was begun, and when, on the monotonic clock."""

    primitive: Primitive
    at_s: float


class DryRun:
    """Takes `primitive_s` seconds per primitive and moves nothing. `begun` lists all primitives, `halts` the times of all halts.

    x_m, z_m and yaw_rad tell where a perfect robot would be (world frame: yaw 0 looks along -Z, left positive).
    """

    def __init__(self, primitive_s: float = 0.0, turn_deg: int = TURN_STEP_DEG) -> None:
        if not 0 <= primitive_s < 60:
            raise ValueError(f"primitive_s is {primitive_s}; it must be from 0 to 60 seconds")
        self._primitive_s, self._turned_deg = primitive_s, {Primitive.LEFT: float(turn_deg), Primitive.RIGHT: -float(turn_deg)}
        self._halted = threading.Event()
        self.begun: list[Begun] = []
        self.halts: list[float] = []
        self.x_m = self.z_m = self.yaw_rad = 0.0

    def execute(self, primitive: Primitive) -> Motion:
        """The nominal motion; cut short, as nothing moved, by a halt from another thread."""
        self._halted.clear()
        self.begun.append(Begun(primitive, time.monotonic()))
        if primitive == Primitive.STOP or (self._primitive_s and self._halted.wait(self._primitive_s)):
            return Motion(0.0, 0.0, False)
        moved_m = FORWARD_STEP_CM / 100 if primitive == Primitive.FORWARD else 0.0
        turned_deg = self._turned_deg.get(primitive, 0.0)
        self.yaw_rad += math.radians(turned_deg)
        self.x_m -= moved_m * math.sin(self.yaw_rad)
        self.z_m -= moved_m * math.cos(self.yaw_rad)
        return Motion(moved_m, turned_deg, False)

    def halt(self) -> None:
        """End the primitive under way."""
        self.halts.append(time.monotonic())
        self._halted.set()
