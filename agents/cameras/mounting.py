"""How a camera is mounted, seen from the floor in its depth: its height, and how far it looks down and leans to a side.

A model has learnt what the world looks like from one height and pitch. Camera height and tilt are what owners of such robots found to matter most
(InternRobotics/InternNav issue 324), and nothing else tells them that it is wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from agents.protocols import Lens
from nvila_edge.navigation.agent_profiles import CameraSetup

NEAR_M, FAR_M = 0.2, 6.0  # depths that are believed: D400 cameras begin at 0.2 m, and their noise grows with the square of the distance
_LEAST_POINTS, _LEAST_SHARE = 200, 0.3  # fewer points, or a smaller share of them on one plane, show no floor
_TILT_DEG = 50.0  # a plane that leans more is a wall
_THICK_M, _ROUNDS, _MOST_POINTS = 0.03, 200, 3000
HEIGHT_M, PITCH_DEG, ROLL_DEG, HFOV_DEG = 0.15, 5.0, 4.0, 12.0  # what may differ before it is said


@dataclass(frozen=True)
class Mounting:
    """A camera above a floor. pitch_deg: how far it looks down; roll_deg: how far its right side hangs down; share: of the points, on the floor."""

    height_m: float
    pitch_deg: float
    roll_deg: float
    share: float


def mounting(depth_m: np.ndarray, lens: Lens) -> Mounting | None:
    """From depth float32 [H, W] in metres, 0 unknown. None when no floor is in view. The same depth always gives the same answer."""
    points = _points(depth_m, lens)
    if len(points) < _LEAST_POINTS:
        return None
    normal, height_m, share = _plane(points)
    if share < _LEAST_SHARE or height_m <= 0:
        return None
    # Camera axes: x right, y down, z ahead. The floor's normal, pointing down, is (0, 1, 0) for a level camera
    pitch_deg = math.degrees(math.atan2(normal[2], normal[1]))
    roll_deg = math.degrees(math.asin(max(-1.0, min(1.0, float(normal[0])))))
    return Mounting(round(height_m, 3), round(pitch_deg, 1), round(roll_deg, 1), round(share, 3))


def mounting_warnings(found: Mounting | None, lens: Lens, width_px: int, wanted: CameraSetup) -> list[str]:
    """What differs from the camera that the agent's model has learnt with, in words with both figures."""
    hfov_deg = 2 * math.degrees(math.atan(width_px / (2 * lens.fx_px)))
    said = []
    if abs(hfov_deg - wanted.hfov_deg) > HFOV_DEG:
        said.append(f"the camera sees {hfov_deg:.0f} degrees across, the model has learnt with {wanted.hfov_deg:.0f}")
    if found is None:
        return [*said, "no floor is in view, so the camera's height and tilt could not be checked"]
    if abs(found.height_m - wanted.height_m) > HEIGHT_M:
        said.append(f"the camera is {found.height_m:.2f} m above the floor, the model has learnt with {wanted.height_m:.2f} m")
    if abs(found.pitch_deg) > PITCH_DEG:
        said.append(
            f"the camera looks {abs(found.pitch_deg):.0f} degrees {'down' if found.pitch_deg > 0 else 'up'}, the model has learnt with 0"
        )
    if abs(found.roll_deg) > ROLL_DEG:
        said.append(
            f"the camera leans {abs(found.roll_deg):.0f} degrees to its {'right' if found.roll_deg > 0 else 'left'}; it should be level"
        )
    return said


def _points(depth_m: np.ndarray, lens: Lens) -> np.ndarray:
    """[N, 3] in camera axes: those of the picture's lower half, at most _MOST_POINTS."""
    top = depth_m.shape[0] // 2
    rows, columns = np.nonzero((depth_m[top:] > NEAR_M) & (depth_m[top:] < FAR_M))
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(_MOST_POINTS, len(rows))).astype(int))
    rows, columns = rows[chosen] + top, columns[chosen]
    z = depth_m[rows, columns].astype(np.float64)
    return np.stack([(columns - lens.cx_px) / lens.fx_px * z, (rows - lens.cy_px) / lens.fy_px * z, z], axis=1)


def _plane(points: np.ndarray) -> tuple[np.ndarray, float, float]:
    """The plane with most points: unit normal [3] pointing down, its distance, its share of the points (RANSAC, then least squares)."""
    rng = np.random.default_rng(0)
    best = np.zeros(len(points), bool)
    for _ in range(_ROUNDS):
        a, b, c = points[rng.choice(len(points), 3, replace=False)]
        normal = np.cross(b - a, c - a)
        length = float(np.linalg.norm(normal))
        if length < 1e-9 or abs(normal[1]) / length < math.cos(math.radians(_TILT_DEG)):
            continue
        near = np.abs((points - a) @ normal) < _THICK_M * length
        best = near if near.sum() > best.sum() else best
    if best.sum() < 3:
        return np.array([0.0, 1.0, 0.0]), 0.0, 0.0
    middle = points[best].mean(axis=0)
    normal = np.linalg.svd(points[best] - middle, full_matrices=False)[2][2]
    normal = normal if normal[1] > 0 else -normal
    return normal, float(middle @ normal), float(best.mean())
