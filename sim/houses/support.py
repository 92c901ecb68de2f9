"""Where a small thing can stand on top of a piece of furniture."""

from __future__ import annotations

import numpy as np

from sim.houses.furniture.model import Model

_LEAST_M, _MOST_M = 0.3, 1.2  # tops that a vase would stand on


def _heights(model: Model, points: np.ndarray) -> np.ndarray:
    """Height [N] of the highest upward face at each (x, z) of points [N, 2] in the model's frame; -inf where there is none."""
    corners = model.position[model.triangles].astype(np.float64)
    corners = corners[model.normal[model.triangles[:, 0], 1] > 0.5]
    a, b, c = (corners[:, k][:, [0, 2]] for k in range(3))
    det = (b[:, 1] - c[:, 1]) * (a[:, 0] - c[:, 0]) + (c[:, 0] - b[:, 0]) * (a[:, 1] - c[:, 1])
    use = np.abs(det) > 1e-9
    a, b, c, det, y = a[use], b[use], c[use], det[use], corners[use][:, :, 1]
    x, z = points[:, None, 0], points[:, None, 1]
    u = ((b[:, 1] - c[:, 1]) * (x - c[:, 0]) + (c[:, 0] - b[:, 0]) * (z - c[:, 1])) / det
    v = ((c[:, 1] - a[:, 1]) * (x - c[:, 0]) + (a[:, 0] - c[:, 0]) * (z - c[:, 1])) / det
    w = 1.0 - u - v
    height = u * y[:, 0] + v * y[:, 1] + w * y[:, 2]
    return np.where((u >= -1e-6) & (v >= -1e-6) & (w >= -1e-6), height, -np.inf).max(axis=1, initial=-np.inf)


def free_top(model: Model, width_m: float, depth_m: float) -> tuple[float, float, float] | None:
    """Where a thing of that footprint can stand on the model: (x, height, z) in its frame, level and empty; or None."""
    w, _, d = model.size
    grid = np.stack(np.meshgrid((-0.5, 0.0, 0.5), (-0.5, 0.0, 0.5)), axis=-1).reshape(-1, 2) * (width_m, depth_m)
    for part_x in (0.0, 0.25, -0.25, 0.35, -0.35):
        for part_z in (0.0, 0.2, -0.2):
            heights = _heights(model, grid + (part_x * w, part_z * d))
            if _LEAST_M < heights.min() and heights.max() < _MOST_M and np.ptp(heights) < 2e-3:
                return part_x * w, float(heights.max()), part_z * d
    return None
