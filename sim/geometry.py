"""Poses in the world frame: metres, right-handed, +Y up; at yaw 0 the agent looks along -Z; left turns add to yaw."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pose:
    """Where an agent stands: feet position (x, y, z) in metres and yaw in radians about +Y, counter-clockwise from above."""

    position_m: tuple[float, float, float]
    yaw_rad: float

    @property
    def heading(self) -> np.ndarray:
        """Unit vector [3] that the agent looks along."""
        return np.array([-math.sin(self.yaw_rad), 0.0, -math.cos(self.yaw_rad)])

    @property
    def rotation_xyzw(self) -> tuple[float, float, float, float]:
        """Unit quaternion in the order x, y, z, w (VLN-CE's files)."""
        return (0.0, math.sin(self.yaw_rad / 2), 0.0, math.cos(self.yaw_rad / 2))


def yaw_of(rotation_xyzw: tuple[float, float, float, float] | list[float]) -> float:
    """Yaw in radians of a quaternion x, y, z, w: the heading of the rotated -Z axis.

    Raises ValueError when the quaternion is not finite or not of unit length.
    """
    x, y, z, w = (float(v) for v in rotation_xyzw)
    norm = math.sqrt(x * x + y * y + z * z + w * w)
    if not math.isfinite(norm) or abs(norm - 1.0) > 1e-2:
        raise ValueError(f"rotation {[x, y, z, w]} is not a unit quaternion (x, y, z, w)")
    forward_x = -2.0 * (x * z + w * y)
    forward_z = -(1.0 - 2.0 * (x * x + y * y))
    return math.atan2(-forward_x, -forward_z)


def wrap_angle(angle_rad: float) -> float:
    """The same angle within (-pi, pi]."""
    return -((-angle_rad + math.pi) % (2 * math.pi) - math.pi)


def bearing(position_m: np.ndarray, target_m: np.ndarray) -> float:
    """Yaw in radians that looks from position towards target (both [3], metres)."""
    dx, dz = float(target_m[0] - position_m[0]), float(target_m[2] - position_m[2])
    return math.atan2(-dx, -dz)
