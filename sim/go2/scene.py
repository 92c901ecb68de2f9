"""A house as boxes that a robot can bump into: MuJoCo's XML."""

from __future__ import annotations

import math

import numpy as np

from sim.houses.house import House

CELL_M = 0.05
BAND_M = (0.06, 0.62)  # heights that a Go2 (0.4 m, and what sways) can meet; rugs and door sills stay below
_SAMPLE_M = 0.02  # denser than a cell, so that no surface slips through


def occupied_cells(triangles: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Where something stands within BAND_M: bool [rows along z, columns along x], and x, z of the corner in metres. triangles [T, 3, 3] metres."""
    low, high = triangles.min(axis=1), triangles.max(axis=1)
    kept = triangles[(high[:, 1] > BAND_M[0]) & (low[:, 1] < BAND_M[1])].astype(np.float64)
    corner = float(low[:, 0].min()), float(low[:, 2].min())
    shape = [math.ceil((float(high[:, axis].max()) - corner[i]) / CELL_M) + 1 for i, axis in enumerate((0, 2))]
    grid = np.zeros((shape[1], shape[0]), dtype=bool)
    edges = np.linalg.norm(kept - np.roll(kept, 1, axis=1), axis=-1).max(axis=1)
    for steps in np.unique(pieces := np.maximum(1, np.ceil(edges / _SAMPLE_M)).astype(int)):
        points = kept[pieces == steps].transpose(0, 2, 1) @ _weights(int(steps)).T  # [t, 3, samples]
        inside = (points[:, 1] > BAND_M[0]) & (points[:, 1] < BAND_M[1])
        column = ((points[:, 0][inside] - corner[0]) / CELL_M).astype(int)
        row = ((points[:, 2][inside] - corner[1]) / CELL_M).astype(int)
        grid[row, column] = True
    return grid, corner


def _weights(steps: int) -> np.ndarray:
    """Barycentric coordinates [S, 3] of a lattice with `steps` pieces a side."""
    first, second = np.meshgrid(np.arange(steps + 1), np.arange(steps + 1), indexing="ij")
    inside = first + second <= steps
    u, v = first[inside] / steps, second[inside] / steps
    return np.stack([u, v, 1 - u - v], axis=1)


def rectangles(grid: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Disjoint rectangles (row, column, row end, column end) that cover exactly the true cells, large ones first found."""
    left, found = grid.copy(), []
    for row, column in zip(*np.nonzero(grid)):
        if not left[row, column]:
            continue
        wide = column + (np.argmin(np.append(left[row, column:], False)))
        tall = row + 1
        while tall < len(left) and left[tall, column:wide].all():
            tall += 1
        left[row:tall, column:wide] = False
        found.append((int(row), int(column), int(tall), int(wide)))
    return found


def house_mjcf(house: House) -> str:
    """The house as MJCF: a floor, and boxes from the floor to the top of BAND_M."""
    grid, (x0_m, z0_m) = occupied_cells(house.triangle_soup)
    half_m = BAND_M[1] / 2
    boxes = []
    for row, column, row_end, column_end in rectangles(grid):
        x_m, z_m = x0_m + CELL_M * (column + column_end) / 2, z0_m + CELL_M * (row + row_end) / 2
        size = f"{CELL_M * (column_end - column) / 2:.4f} {CELL_M * (row_end - row) / 2:.4f} {half_m:.4f}"
        boxes.append(f'<geom type="box" pos="{x_m:.4f} {-z_m:.4f} {half_m:.4f}" size="{size}"/>')
    floor = '<geom name="floor" type="plane" size="0 0 0.05"/>'
    return f'<mujoco model="{house.name}"><worldbody>{floor}{"".join(boxes)}</worldbody></mujoco>'
