"""A quick check on a 5 cm grid that a house is one navigable island."""

from __future__ import annotations

import numpy as np

from sim.houses.grid import clearance, islands
from sim.houses.layouts import Rect, grown
from sim.houses.plan import Plan

CELL_M = 0.05
RADIUS_M = 0.14  # the navmesh erodes by the agent's 0.10; its own rounding needs a margin


def free_grid(plan: Plan, solids: list[Rect]) -> tuple[np.ndarray, tuple[float, float]]:
    """bool [z, x]: cells where the agent's middle may be, and the (x, z) of the corner of cell 0, 0 in metres."""
    x0, z0 = min(r.rect[0] for r in plan.rooms) - 0.2, min(r.rect[1] for r in plan.rooms) - 0.2
    x1, z1 = max(r.rect[2] for r in plan.rooms) + 0.2, max(r.rect[3] for r in plan.rooms) + 0.2
    xs, zs = np.arange(x0 + CELL_M / 2, x1, CELL_M), np.arange(z0 + CELL_M / 2, z1, CELL_M)
    free = np.zeros((len(zs), len(xs)), dtype=bool)

    def paint(rect: Rect, value: bool) -> None:
        a, b = np.searchsorted(xs, (rect[0], rect[2]))
        c, d = np.searchsorted(zs, (rect[1], rect[3]))
        free[c:d, a:b] = value

    for room in plan.rooms:
        paint(grown(room.rect, -plan.wall_m / 2), True)
    for door in plan.doors:
        w, t = (door.width_m / 2, plan.wall_m / 2 + CELL_M) if door.axis == "x" else (plan.wall_m / 2 + CELL_M, door.width_m / 2)
        x, z = door.centre
        paint((x - w, z - t, x + w, z + t), True)
    for solid in solids:
        paint(solid, False)
    return clearance(free, CELL_M) > RADIUS_M, (x0, z0)


def is_one_island(plan: Plan, solids: list[Rect]) -> bool:
    """Whether every free place can be reached from every other, and no room is without one."""
    free, (x0, z0) = free_grid(plan, solids)
    if islands(free)[1] != 1:
        return False
    for room in plan.rooms:
        a, c, b, d = (int((v - o) / CELL_M) for v, o in zip(room.rect, (x0, z0, x0, z0), strict=True))
        if not free[c:d, a:b].any():
            return False
    return True
