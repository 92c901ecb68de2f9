"""Which things can be named: seen from the path, and not to be taken for another."""

from __future__ import annotations

import math

import numpy as np

from sim.instructions.layout import Layout
from sim.instructions.meaning import Landmark
from sim.instructions.names import UNNAMED, look_alikes
from sim.renderer import CAMERA_HEIGHT_M, CAMERA_PX

HALF_FOV_RAD = math.radians(43)  # of the camera's 45: what touches the image's edge isn't seen well
MAX_SIGHT_M = 6.0
FOCAL_PX = CAMERA_PX / 2  # at 90 degrees
MIN_AREA_PX = 90.0  # seen size in the 224x224 image
_CORNERS = np.array([[0, 0, 0], [-0.8, 0.6, 0], [0.8, 0.6, 0], [0, 0.9, 0], [0, 0, 0.8], [0, 0, -0.8]])


def visible(layout: Layout, points: np.ndarray, yaws: np.ndarray | None, things: list[int], parts: int = 2) -> np.ndarray:
    """Whether things are seen, bool [n, len(things)], from plan points [n, 2] looking along yaws [n] (radians; None: looking all around).

    Seen means: within MAX_SIGHT_M and the view, big enough in the image, and at least `parts` of six points of it are hidden neither by a
    wall nor by another thing's box. Against the renderer's id image: all of 304 things that this called seen covered 60 pixels or more.
    """
    centre, half, yaw = layout.boxes
    seen = np.zeros((len(points), len(things)), dtype=bool)
    for column, index in enumerate(things):
        offset = centre[index][[0, 2]] - points
        distance = np.maximum(np.linalg.norm(offset, axis=1), 0.3)
        wide = 2 * math.hypot(half[index][0], half[index][2])
        candidates = (distance < MAX_SIGHT_M) & (0.6 * wide * 2 * half[index][1] * (FOCAL_PX / distance) ** 2 > MIN_AREA_PX)
        if yaws is not None:
            angle = np.arctan2(-offset[:, 0], -offset[:, 1]) - yaws
            candidates &= np.abs((angle + np.pi) % (2 * np.pi) - np.pi) < HALF_FOV_RAD
        rows = np.flatnonzero(candidates)
        if len(rows):
            targets = centre[index] + _rotate(_CORNERS * half[index], yaw[index])
            seen[rows, column] = _unhidden(layout, points[rows], targets, index).sum(axis=1) >= parts
    return seen


def name_of(layout: Layout, index: int, points: np.ndarray, coloured: bool) -> Landmark | None:
    """How to call a thing so that nothing else in its room, or seen from the plan points [n, 2], can be meant; None when it can't be named.

    The colour is added when it is needed, or when `coloured` asks for it.
    """
    thing = layout.things[index]
    if thing.category in UNNAMED:
        return None
    alike = look_alikes(thing.category)
    others = [i for i, other in enumerate(layout.things) if i != index and other.category in alike]
    near = [i for i in others if layout.things[i].room_id != thing.room_id]
    seen = np.any(visible(layout, points, None, near, parts=1), axis=0).tolist()
    rivals = [i for i in others if layout.things[i].room_id == thing.room_id] + [i for i, s in zip(near, seen, strict=True) if s]
    if not rivals:
        return Landmark(thing.category, thing.colour if coloured else "")
    if not thing.colour or any(layout.things[i].colour == thing.colour for i in rivals):
        return None
    return Landmark(thing.category, thing.colour)


def _rotate(points: np.ndarray, yaw_rad: float) -> np.ndarray:
    """Local points [n, 3] turned by yaw about +Y."""
    cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.stack([points[:, 0] * cos + points[:, 2] * sin, points[:, 1], -points[:, 0] * sin + points[:, 2] * cos], axis=1)


def _unhidden(layout: Layout, points: np.ndarray, targets: np.ndarray, index: int) -> np.ndarray:
    """bool [n, k]: the line from a camera above point n to target k meets no wall and no box but the thing's own."""
    start = np.broadcast_to(points[:, None, :], (len(points), len(targets), 2)).reshape(-1, 2)
    end = np.broadcast_to(targets[None, :, [0, 2]], (len(points), len(targets), 2)).reshape(-1, 2)
    free = ~_crosses_wall(start, end, layout.walls)
    camera = np.insert(start, 1, CAMERA_HEIGHT_M, axis=1)
    target = np.broadcast_to(targets[None], (len(points), len(targets), 3)).reshape(-1, 3)
    rows = np.flatnonzero(free)
    if len(rows):
        free[rows] = ~_crosses_box(camera[rows], target[rows], layout, index)
    return free.reshape(len(points), len(targets))


def _crosses_wall(start: np.ndarray, end: np.ndarray, walls: np.ndarray) -> np.ndarray:
    """bool [n]: whether segments [n, 2] -> [n, 2] meet any wall piece. A target in or on a wall (a painting) isn't hidden by it."""
    end = start + (end - start) * (1 - 0.12 / np.maximum(np.linalg.norm(end - start, axis=1, keepdims=True), 0.12))
    a, b = walls[None, :, 0], walls[None, :, 1]
    p, q = start[:, None], end[:, None]
    apart = _cross(b - a, p - a) * _cross(b - a, q - a) < 0, _cross(q - p, a - p) * _cross(q - p, b - p) < 0
    return np.any(apart[0] & apart[1], axis=1)


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]


def _crosses_box(camera: np.ndarray, target: np.ndarray, layout: Layout, index: int) -> np.ndarray:
    """bool [n]: whether segments meet the box of a thing other than `index` (slab test in each box's own frame)."""
    centre, half, yaw = layout.boxes
    keep = np.arange(len(centre)) != index
    centre, half, cos, sin = centre[keep], 0.9 * half[keep], np.cos(yaw[keep]), np.sin(yaw[keep])

    def local(points: np.ndarray) -> np.ndarray:
        offset = points[:, None] - centre
        return np.stack([offset[..., 0] * cos - offset[..., 2] * sin, offset[..., 1], offset[..., 0] * sin + offset[..., 2] * cos], axis=-1)

    origin = local(camera)
    step = local(target) - origin
    step = np.where(np.abs(step) < 1e-9, 1e-9, step)
    one, two = (-half - origin) / step, (half - origin) / step
    enter, leave = np.minimum(one, two).max(axis=-1), np.maximum(one, two).min(axis=-1)
    return np.any((enter < leave) & (leave > 0.0) & (enter < 1.0), axis=1)
