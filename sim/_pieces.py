"""Connected walkable pieces: from voxels by way of Recast's polygons, or from polygons that someone else has made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import distance_transform_edt

from sim._contours import Point, contours
from sim._paths import CornerGraph
from sim._polygons import polygons
from sim._region import Region
from sim._voxels import CELL_M, LEVEL_M, MIN_ISLAND_CELLS, OPEN_SKY, Surfaces
from sim._watershed import regions

CLIMB_M = 0.2  # standing over a surface, Detour forgives this much height
WELD_M = 1e-4  # corners of given polygons nearer than this are one: float32 keeps 1e-6 m at 10 m
_DETAIL_M = LEVEL_M + 1e-6  # Recast's detail_sample_max_error: polygons follow the ground no closer than one level


@dataclass(frozen=True)
class Island:
    """A connected walkable piece: area in m2, heights in metres, and the share of its area that has something above it (NaN: unknown)."""

    index: int
    area_m2: float
    y_min_m: float
    y_max_m: float
    covered: float


class Cells:
    """The voxels that a piece was made from: `free` bool [U, V] and `heights_m` [U, V], first cell at (x0, z0) metres."""

    def __init__(self, free: np.ndarray, heights_m: np.ndarray, x0: float, z0: float) -> None:
        self.free, self.x0, self.z0 = free, x0, z0
        # straightened walls may leave the cells a little
        nearest = np.asarray(distance_transform_edt(~free, return_distances=False, return_indices=True))
        self._heights_m = heights_m[tuple(nearest)]

    @property
    def rise_m(self) -> float:
        """Metres between the lowest and the highest cell."""
        return float(np.ptp(self._heights_m))

    def centres(self, ring: np.ndarray) -> np.ndarray:
        """Centres float [n, 3] of the walkable cells in the box around corners [.., 3]."""
        low, high = ring.min(axis=0), ring.max(axis=0)
        x, z = self.x0 + (self.walkable[:, 0] + 0.5) * CELL_M, self.z0 + (self.walkable[:, 1] + 0.5) * CELL_M
        i, j = self.walkable[(x >= low[0]) & (x <= high[0]) & (z >= low[2]) & (z <= high[2])].T
        return np.stack([self.x0 + (i + 0.5) * CELL_M, self._heights_m[i, j], self.z0 + (j + 0.5) * CELL_M], axis=1)

    @cached_property
    def walkable(self) -> np.ndarray:
        """Indices int [n, 2] of the walkable cells."""
        return np.argwhere(self.free)

    def height(self, x: float, z: float) -> float:
        """Height in metres of the walkable cell at or nearest to (x, z)."""
        i, j = int((x - self.x0) / CELL_M), int((z - self.z0) / CELL_M)
        return float(self._heights_m[min(max(i, 0), self.free.shape[0] - 1), min(max(j, 0), self.free.shape[1] - 1)])

    def corner_heights(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Height in metres [n] of the highest cell around the smaller corners of the cells (i, j) [n]."""
        high = np.where(self.free, self._heights_m, -np.inf)
        return np.max([high[i, j], high[i - 1, j], high[i, j - 1], high[i - 1, j - 1]], axis=0)


class Piece:
    """One connected region with its island's figures."""

    def __init__(self, index: int, region: Region, covered: float, cells: Cells | None = None) -> None:
        self.region, self.cells = region, cells
        corners = region.points[sorted({corner for polygon in region.polygons for corner in polygon})]
        self._bounds = low, high = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        self.island = Island(index, float(self.areas_m2.sum()), low[1], high[1], covered)

    @cached_property
    def areas_m2(self) -> np.ndarray:
        """Area [P] of the polygons seen from above."""
        rings = [self.region.points[list(polygon)] for polygon in self.region.polygons]
        return np.array([(ring[:, 0] @ np.roll(ring[:, 2], -1) - np.roll(ring[:, 0], -1) @ ring[:, 2]) / 2 for ring in rings])

    @cached_property
    def graph(self) -> CornerGraph:
        return CornerGraph(self.region)

    @cached_property
    def _coarse(self) -> frozenset[int]:
        """Polygons that miss a cell's height by more than Recast's detail mesh would: the cells give the height there.

        Two levels apart at most, as nearly everywhere indoors, none can.
        """
        if self.cells is None or self.cells.rise_m < 2 * LEVEL_M - 1e-6:
            return frozenset()
        found = set()
        for polygon, ring in enumerate(self.region.polygons):
            points = self.cells.centres(self.region.points[list(ring)])
            held = [point for point in points.tolist() if self.region.holds(polygon, point[0], point[2])]
            if any(abs(self.region.height(polygon, x, z) - y) > _DETAIL_M for x, y, z in held):
                found.add(polygon)
        return frozenset(found)

    def height(self, polygon: int, x: float, z: float) -> float:
        """Height in metres of the walkable surface of a polygon at (x, z)."""
        if polygon in self._coarse and self.cells is not None:
            return self.cells.height(x, z)
        return self.region.height(polygon, x, z)

    def may_be_within(self, x: float, y: float, z: float, reach_m: float) -> bool:
        """Whether the piece's bounds are less than so far away, by the measure of `Index.place`."""
        (low_x, low_y, low_z), (high_x, high_y, high_z) = self._bounds
        dx, dz = max(low_x - x, 0.0, x - high_x), max(low_z - z, 0.0, z - high_z)
        dy = max(low_y - y, 0.0, y - high_y) - CLIMB_M
        return dx * dx + dz * dz + max(dy, 0.0) ** 2 <= reach_m * reach_m

    def sample(self, rng: np.random.Generator) -> tuple[float, float, float]:
        """A point (x, y, z) uniform by area, which may lie a cell off the polygons where these were straightened."""
        if self.cells is not None:
            i, j = (int(value) for value in self.cells.walkable[rng.integers(len(self.cells.walkable))])
            du, dv = rng.random(2)
            x, z = self.cells.x0 + (i + float(du)) * CELL_M, self.cells.z0 + (j + float(dv)) * CELL_M
            return x, self.cells.height(x, z), z
        polygon = int(rng.choice(len(self.areas_m2), p=self.areas_m2 / self.areas_m2.sum()))
        ring = self.region.points[list(self.region.polygons[polygon])]
        while True:
            x, _, z = (float(value) for value in rng.uniform(ring.min(axis=0), ring.max(axis=0)))
            if self.region.holds(polygon, x, z):
                return x, self.height(polygon, x, z), z


def pieces_of_surfaces(surfaces: Surfaces) -> list[Piece]:
    """Recast's polygons of every connected piece of at least 1 m2."""
    labels, counts = np.unique(surfaces.piece, return_counts=True)
    members = [_lowest(surfaces, np.flatnonzero(surfaces.piece == label)) for label in labels[counts >= MIN_ISLAND_CELLS]]
    boxes = [_Box.around(surfaces, own) for own in members]
    # one grid with the pieces one above the other: the watershed's levels are those of the whole scene
    grid = np.zeros((sum(box.rows for box in boxes), max((box.columns for box in boxes), default=0)), dtype=bool)
    tops = np.cumsum([0] + [box.rows for box in boxes])
    for own, box, top in zip(members, boxes, tops, strict=False):
        grid[surfaces.z[own] - box.z + top, surfaces.x[own] - box.x] = True
    label = regions(grid) if boxes else grid
    pieces = []
    for own, box, top in zip(members, boxes, tops, strict=False):
        outlines = contours(label[top : top + box.rows], (box.x, box.z))
        covered = float((surfaces.ceiling[own] < OPEN_SKY).mean())
        if rings := polygons(outlines):
            pieces.append(_piece(len(pieces), surfaces, own, box, rings, covered))
    return pieces


@dataclass(frozen=True)
class _Box:
    """Scene column and row of a piece's first cell, with a blocked rim, and its size in cells."""

    x: int
    z: int
    columns: int
    rows: int

    @staticmethod
    def around(surfaces: Surfaces, members: np.ndarray) -> _Box:
        x, z = surfaces.x[members], surfaces.z[members]
        return _Box(int(x.min()) - 1, int(z.min()) - 1, int(np.ptp(x)) + 3, int(np.ptp(z)) + 3)


def _lowest(surfaces: Surfaces, members: np.ndarray) -> np.ndarray:
    """Where a piece lies above itself, the lower storey counts."""
    order = members[np.argsort(surfaces.level[members], kind="stable")]
    _, first = np.unique(surfaces.x[order] * surfaces.shape[1] + surfaces.z[order], return_index=True)
    return order[first]


def _piece(index: int, surfaces: Surfaces, members: np.ndarray, box: _Box, rings: list[tuple[Point, ...]], covered: float) -> Piece:
    origin = surfaces.origin.tolist()
    free = np.zeros((box.columns, box.rows), dtype=bool)
    heights_m = np.zeros(free.shape)
    at = surfaces.x[members] - box.x, surfaces.z[members] - box.z
    free[at], heights_m[at] = True, origin[1] + surfaces.level[members] * float(np.float32(LEVEL_M))
    cells = Cells(free, heights_m, origin[0] + box.x * CELL_M, origin[2] + box.z * CELL_M)
    number = {point: place for place, point in enumerate(dict.fromkeys(point for ring in rings for point in ring))}
    x, z = np.array(list(number)).T
    level = np.rint((cells.corner_heights(x - box.x, z - box.z) - origin[1]) / LEVEL_M)
    steps = np.stack([x, level, z], axis=1).astype(np.float32)
    points = surfaces.origin.astype(np.float32) + steps * np.array([CELL_M, LEVEL_M, CELL_M], dtype=np.float32)  # rounded as Recast does
    region = Region(points.astype(np.float64), [[number[point] for point in ring] for ring in rings])
    return Piece(index, region, covered, cells)


def pieces_of_polygons(rings: Sequence[np.ndarray]) -> list[Piece]:
    """The connected pieces of convex polygons float [n, 3] (metres, +Y up; neighbours share corners to 0.1 mm).

    Raises ValueError for a polygon that isn't convex, has another shape or numbers that aren't finite.
    """
    corners = [_checked(number, np.asarray(ring, dtype=np.float64)) for number, ring in enumerate(rings)]
    if not corners:
        raise ValueError("no polygons: a mesh needs at least one")
    every = np.concatenate(corners)
    _, first, number = np.unique(np.round(every / WELD_M).astype(np.int64), axis=0, return_index=True, return_inverse=True)
    split = np.cumsum([len(ring) for ring in corners])[:-1]
    numbers = [list(dict.fromkeys(ring.tolist())) for ring in np.split(number.ravel(), split)]
    whole = Region(every[first], [ring for ring in numbers if len(ring) >= 3])
    parts = [Region(whole.points, [whole.polygons[polygon] for polygon in part]) for part in whole.parts()]
    return [Piece(index, region, float("nan")) for index, region in enumerate(parts)]


def _checked(number: int, ring: np.ndarray) -> np.ndarray:
    if ring.ndim != 2 or ring.shape[1] != 3 or len(ring) < 3 or not np.isfinite(ring).all():
        raise ValueError(f"polygon {number} must be finite numbers of shape [n, 3] with n >= 3, not {ring.shape}: {ring.tolist()[:4]}")
    side = np.roll(ring, -1, axis=0) - ring
    turn = side[:, 0] * np.roll(side[:, 2], -1) - side[:, 2] * np.roll(side[:, 0], -1)
    if turn.min() < -WELD_M * 10 and turn.max() > WELD_M * 10:
        raise ValueError(f"polygon {number} isn't convex seen from above: cut it into triangles first")
    return ring
