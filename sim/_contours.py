"""Outlines of regions with few corners, as Recast draws them: traced along the cells, then straightened within 1.3 cells.

Corners are grid points (x, z), the smaller corner of the cell with that column and row. Rules: Recast's published description of
contour building; numbers: habitat-sim 0.3.3's NavMeshSettings in the recordings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim._voxels import CELL_M
from sim._watershed import directions, walk_border

MAX_ERROR_CELLS = np.float32(1.3)  # edge_max_error
MAX_EDGE_CELLS = int(np.float32(12.0) / np.float32(CELL_M))  # edge_max_len in metres
Point = tuple[int, int]
_CORNER = ((0, 1), (1, 1), (1, 0), (0, 0))  # where the edge towards -x, +z, +x, -z begins


@dataclass(frozen=True)
class Contour:
    """A closed outline of `region`: clockwise seen with x to the right and z up; holes run the other way."""

    region: int
    points: tuple[Point, ...]

    @property
    def is_hole(self) -> bool:
        following = (*self.points[1:], self.points[0])
        return sum(b[0] * a[1] - a[0] * b[1] for a, b in zip(self.points, following, strict=True)) < 0


@dataclass(frozen=True)
class _Ring:
    """A traced outline: corner coordinates float32 [n] and the region (0: wall) beyond the edge that starts at each."""

    x: np.ndarray
    z: np.ndarray
    beyond: list[int]

    def __len__(self) -> int:
        return len(self.beyond)

    def at(self, index: int) -> Point:
        return int(self.x[index]), int(self.z[index])


def _initial(ring: _Ring) -> list[int]:
    """Corners that stay: where the neighbour changes; with no neighbour, the smallest and the largest corner."""
    count = len(ring)
    if any(ring.beyond):
        changes = [i for i in range(count) if ring.beyond[i] != ring.beyond[(i + 1) % count]]
        if changes:
            return changes
    points = [ring.at(index) for index in range(count)]
    return [points.index(min(points)), points.index(max(points))]


def _deviation(ring: _Ring, inner: np.ndarray, a: Point, b: Point) -> np.ndarray:
    """Squared distances float32 of the corners `inner` to the segment a b, rounded as Recast does: equal ones decide which corner stays."""
    ax, az, bx, bz = (np.float32(value) for value in (*a, *b))
    dx, dz, x, z = bx - ax, bz - az, ring.x[inner], ring.z[inner]
    squared = dx * dx + dz * dz
    t = dx * (x - ax) + dz * (z - az)
    t = np.clip(t / squared if squared > 0 else t, np.float32(0), np.float32(1))
    off_x, off_z = (ax + t * dx) - x, (az + t * dz) - z
    return off_x * off_x + off_z * off_z


def _farthest(ring: _Ring, first: int, last: int) -> int | None:
    """The corner between two kept ones that lies farther from their line than is allowed, if the line runs along a wall."""
    count, a, b = len(ring), ring.at(first), ring.at(last)
    inner = (first + 1 + np.arange((last - first - 1) % count)) % count
    if b <= a:  # both sides of an edge are walked in the same direction
        a, b, inner = b, a, inner[::-1]
        edge = (last - 1) % count
    else:
        edge = (first + 1) % count
    if ring.beyond[edge] or not len(inner):
        return None
    off = _deviation(ring, inner, a, b)
    worst = int(np.argmax(off))
    return int(inner[worst]) if off[worst] > MAX_ERROR_CELLS * MAX_ERROR_CELLS else None


def _halved(ring: _Ring, first: int, last: int) -> int | None:
    """The middle corner between two kept ones when a wall between them is longer than allowed."""
    count, a, b = len(ring), ring.at(first), ring.at(last)
    between = (last - first) % count
    if ring.beyond[(first + 1) % count] or (b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2 <= MAX_EDGE_CELLS**2 or between <= 1:
        return None
    return (first + (between if b > a else between + 1) // 2) % count


def _simplified(ring: _Ring) -> list[Point]:
    kept = _initial(ring)
    for between in (_farthest, _halved):
        index = 0
        while index < len(kept):
            found = between(ring, kept[index], kept[(index + 1) % len(kept)])
            if found is None:
                index += 1
            else:
                kept.insert(index + 1, found)
    points = [ring.at(index) for index in kept]
    return [point for index, point in enumerate(points) if point != points[(index + 1) % len(points)]]


def contours(label: np.ndarray, origin: Point) -> list[Contour]:
    """Simplified outlines and holes of the regions int32 [R, C] (0: blocked; blocked rim), in Recast's order.

    origin: scene column and row of the grid's first cell, which rounding hangs on.
    """
    flat = np.ascontiguousarray(label).ravel()
    width, labels, steps = label.shape[1], flat.data, directions(label.shape[1])
    open_edges = sum(((np.roll(flat, -step) != flat) & (flat > 0)).astype(np.uint8) << turn for turn, step in enumerate(steps))
    left = np.ascontiguousarray(open_edges, dtype=np.uint8).data
    found = []
    for cell in np.flatnonzero(open_edges).tolist():
        if left[cell] in (0, 0xF):  # Recast skips single cells
            continue
        turn = next(turn for turn in range(4) if left[cell] >> turn & 1)
        edges = list(walk_border(labels, steps, cell, turn))
        for at, side in edges:
            left[at] &= ~(1 << side)
        x = np.array([origin[0] + at % width + _CORNER[side][0] for at, side in edges], dtype=np.float32)
        z = np.array([origin[1] + at // width + _CORNER[side][1] for at, side in edges], dtype=np.float32)
        points = _simplified(_Ring(x, z, [labels[at + steps[side]] for at, side in edges]))
        if len(points) >= 3:
            found.append(Contour(labels[cell], tuple(points)))
    return found
