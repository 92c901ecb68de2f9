"""Where an agent can stand and walk: Recast's walkable cells, exact shortest paths on them, and Habitat's sliding steps.

Heights are those of Habitat: the scene's lowest vertex plus whole steps of 0.2 m, rounded up (facts 2.7.2). Lengths are 3-D metres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from sim._paths import CornerGraph, Field
from sim._region import EPS, Region
from sim._voxels import CELL_M, LEVEL_M, OPEN_SKY, Surfaces, walkable_surfaces

MIN_ISLAND_CELLS = 400  # Recast's region_min_size 20, squared: pieces below 1 m2 vanish
SNAP_HORIZONTAL_M, SNAP_VERTICAL_M = 2.0, 4.0  # Habitat's search box (facts 2.7.5)
CLIMB_M = 0.2  # standing over a surface, Detour forgives this much height
MAX_Y_DELTA_M = 0.5  # Habitat's default of is_navigable


@dataclass(frozen=True)
class Island:
    """A connected walkable piece: area in m2, heights in metres, and the share of its area that has something above it."""

    index: int
    area_m2: float
    y_min_m: float
    y_max_m: float
    covered: float


class _Piece:
    """One island with its geometry. Cells (u, v) = ((x - x0) / cell, (z - z0) / cell)."""

    def __init__(self, index: int, surfaces: Surfaces, members: np.ndarray) -> None:
        order = members[np.argsort(surfaces.level[members], kind="stable")]
        _, first = np.unique(surfaces.x[order] * surfaces.shape[1] + surfaces.z[order], return_index=True)
        members = order[first]  # where a piece lies above itself, the lower storey counts
        x, z, level = surfaces.x[members], surfaces.z[members], surfaces.level[members]
        low_x, low_z = int(x.min()) - 1, int(z.min()) - 1
        free = np.zeros((int(x.max()) - low_x + 2, int(z.max()) - low_z + 2), dtype=bool)
        free[x - low_x, z - low_z] = True
        self.region = Region(free)
        self.heights_m = np.zeros(free.shape)
        self.heights_m[x - low_x, z - low_z] = surfaces.origin[1] + level * LEVEL_M
        self.x0 = float(surfaces.origin[0]) + low_x * CELL_M
        self.z0 = float(surfaces.origin[2]) + low_z * CELL_M
        heights = self.heights_m[self.region.free]
        covered = float((surfaces.ceiling[members] < OPEN_SKY).mean())
        self.island = Island(index, len(heights) * CELL_M**2, float(heights.min()), float(heights.max()), covered)

    @cached_property
    def graph(self) -> CornerGraph:
        return CornerGraph(self.region, self.heights_m, CELL_M)

    @cached_property
    def cells(self) -> np.ndarray:
        """Indices [n, 2] of the walkable cells."""
        return np.argwhere(self.region.free)

    def uv(self, x: float, z: float) -> tuple[float, float]:
        return (x - self.x0) / CELL_M, (z - self.z0) / CELL_M

    def world(self, u: float, v: float, cell: tuple[int, int]) -> np.ndarray:
        """The point [3] in metres at (u, v), which lies in `cell`."""
        return np.array([self.x0 + u * CELL_M, self.heights_m[cell], self.z0 + v * CELL_M])

    def nearest(self, x: float, y: float, z: float) -> tuple[float, float, float, tuple[int, int]] | None:
        """Squared distance (over a cell: less the climb) and the nearest point's (u, v, cell) within Habitat's box, or None."""
        u, v = self.uv(x, z)
        reach = SNAP_HORIZONTAL_M / CELL_M
        low_u, low_v = max(0, math.floor(u - reach)), max(0, math.floor(v - reach))
        window = self.region.free[low_u : max(0, math.floor(u + reach) + 1), low_v : max(0, math.floor(v + reach) + 1)]
        cells = np.argwhere(window) + (low_u, low_v)
        dy = y - self.heights_m[cells[:, 0], cells[:, 1]]
        cells, dy = cells[np.abs(dy) <= SNAP_VERTICAL_M], dy[np.abs(dy) <= SNAP_VERTICAL_M]
        if not len(cells):
            return None
        nearest = np.clip((u, v), cells, cells + 1)
        flat = ((nearest - (u, v)) ** 2).sum(axis=1) * CELL_M**2
        squared = np.where(flat == 0, np.maximum(np.abs(dy) - CLIMB_M, 0) ** 2, flat + dy**2)
        best = int(np.argmin(squared))
        cell = (int(cells[best, 0]), int(cells[best, 1]))
        return float(squared[best]), float(nearest[best, 0]), float(nearest[best, 1]), cell


@dataclass(frozen=True)
class _Place:
    """A point on the mesh: its piece, cell coordinates, the cell, and the point [3] in metres.

    `path_y_m`: height that a path starts or ends at. Habitat keeps the height asked for when the point lies over the mesh.
    """

    piece: _Piece
    u: float
    v: float
    cell: tuple[int, int]
    point: np.ndarray
    path_y_m: float

    @property
    def path_end(self) -> np.ndarray:
        return np.array([self.point[0], self.path_y_m, self.point[2]])


class DistanceTo:
    """Shortest paths to one goal; made by `NavMesh.distances_to`. Both ends are snapped; sideways snapping doesn't count."""

    def __init__(self, mesh: NavMesh, goal: np.ndarray) -> None:
        self._mesh = mesh
        self._goal = mesh._place(goal)
        self._field = None
        if self._goal is not None:
            self._field = Field(self._goal.piece.graph, (self._goal.u, self._goal.v), self._goal.path_y_m)

    def _start(self, point: np.ndarray) -> _Place | None:
        """The snapped start when it is on the goal's island."""
        start = self._mesh._place(point)
        return start if start is not None and self._goal is not None and start.piece is self._goal.piece else None

    def distance(self, point: np.ndarray) -> float:
        """Metres of the shortest path from `point` [3] to the goal; inf when there is none."""
        start = self._start(point)
        if start is None or self._field is None:
            return math.inf
        return self._field.distance(start.u, start.v, start.path_y_m)

    def path(self, point: np.ndarray) -> np.ndarray:
        """The shortest path from `point` to the goal: float [n, 3], snapped start first; [0, 3] when there is none."""
        start = self._start(point)
        if start is None or self._field is None or self._goal is None:
            return np.zeros((0, 3))
        length, corners = self._field.corners_from(start.u, start.v, start.path_y_m)
        if math.isinf(length):
            return np.zeros((0, 3))
        piece, graph = start.piece, self._field.graph
        bends = [
            np.array([piece.x0 + graph.points[c, 0] * CELL_M, graph.heights_m[c], piece.z0 + graph.points[c, 1] * CELL_M]) for c in corners
        ]
        return np.stack([start.path_end, *bends, self._goal.path_end])


class NavMesh:
    """The walkable space of a scene. Make one with `from_triangles` or `from_glb`; points are [3] in metres, +Y up."""

    def __init__(self, surfaces: Surfaces) -> None:
        labels, counts = np.unique(surfaces.piece, return_counts=True)
        large = labels[counts >= MIN_ISLAND_CELLS]
        self._pieces = [_Piece(index, surfaces, np.flatnonzero(surfaces.piece == label)) for index, label in enumerate(large)]

    @classmethod
    def from_triangles(cls, triangles: np.ndarray, radius_m: float = 0.1, height_m: float = 1.5) -> NavMesh:
        """From float [T, 3, 3], upward faces counter-clockwise seen from above.

        Raises ValueError when the shape is another, a number isn't finite, the agent's size isn't positive or the scene too large.
        """
        triangles = np.asarray(triangles, dtype=np.float32)
        if triangles.ndim != 3 or triangles.shape[1:] != (3, 3) or not len(triangles):
            raise ValueError(f"triangles have shape {triangles.shape}: expected [T, 3, 3] with T > 0")
        if not np.isfinite(triangles).all():
            raise ValueError("triangles hold numbers that aren't finite: repair the mesh first")
        if not (0 < radius_m < 10 and 0 < height_m < 10):
            raise ValueError(f"radius_m {radius_m}, height_m {height_m}: both must be between 0 and 10 metres")
        return cls(walkable_surfaces(triangles, radius_m, height_m))

    @classmethod
    def from_glb(cls, path: str | Path, radius_m: float = 0.1, height_m: float = 1.5) -> NavMesh:
        """From all meshes of a glTF 2.0 file (+Y up, metres). Raises FileNotFoundError, or ValueError when the file holds no triangles."""
        import trimesh

        if not Path(path).is_file():
            raise FileNotFoundError(f"no scene at {path}")
        try:
            scene = trimesh.load_scene(str(path), file_type="glb", process=False)
            triangles = scene.to_mesh().triangles
        except Exception as error:  # trimesh raises what its parsers raise
            raise ValueError(f"{path} is no readable binary glTF ({error}); export the scene as .glb again") from error
        return cls.from_triangles(np.asarray(triangles, dtype=np.float32), radius_m, height_m)

    def islands(self) -> tuple[Island, ...]:
        """All walkable pieces of at least 1 m2, furniture tops included."""
        return tuple(piece.island for piece in self._pieces)

    @cached_property
    def _main(self) -> _Piece:
        if not self._pieces:
            raise ValueError("the mesh has nothing to stand on: check the scene's up axis (+Y) and that floors face upwards")
        indoors = [piece for piece in self._pieces if piece.island.covered > 0.5]
        return max(indoors or self._pieces, key=lambda piece: piece.island.area_m2)

    @property
    def main_island(self) -> Island:
        """The largest island under a ceiling (a roof isn't one), or the largest. Raises ValueError when there is none."""
        return self._main.island

    def random_point(self, rng: np.random.Generator) -> np.ndarray:
        """A point [3] anywhere on the main island, uniform by area."""
        piece = self._main
        i, j = (int(value) for value in piece.cells[rng.integers(len(piece.cells))])
        du, dv = rng.random(2)
        return piece.world(i + float(du), j + float(dv), (i, j))

    def _on(self, point: np.ndarray, max_y_delta_m: float) -> _Place | None:
        """The place at `point` when it lies on a surface, the nearest in height first."""
        x, y, z = (float(value) for value in point)
        best, nearest = None, max_y_delta_m
        for piece in self._pieces:
            u, v = piece.uv(x, z)
            cell = piece.region.locate(u, v)
            if cell is not None:
                delta = abs(y - float(piece.heights_m[cell]))
                if delta <= nearest:
                    nearest, best = delta, _Place(piece, u, v, cell, piece.world(u, v, cell), y)
        return best

    def _place(self, point: np.ndarray) -> _Place | None:
        """The snapped place of `point`, or None when nothing is near."""
        on = self._on(point, CLIMB_M)
        if on is not None:
            return on
        x, y, z = (float(value) for value in point)
        if not math.isfinite(x + y + z):
            return None
        found = [(near, piece) for piece in self._pieces if (near := piece.nearest(x, y, z)) is not None]
        if not found:
            return None
        (_, u, v, cell), piece = min(found, key=lambda pair: pair[0][0])
        nearest = piece.world(u, v, cell)
        over = math.hypot(x - nearest[0], z - nearest[2]) < EPS * CELL_M
        return _Place(piece, u, v, cell, nearest, y if over else float(nearest[1]))

    def is_navigable(self, point: np.ndarray, max_y_delta_m: float = MAX_Y_DELTA_M) -> bool:
        """Whether `point` lies over or under a walkable surface by at most `max_y_delta_m`."""
        return self._on(point, max_y_delta_m) is not None

    def snap(self, point: np.ndarray) -> np.ndarray:
        """The nearest point [3] of the mesh within 2 m sideways and 4 m up or down (3-D distance); NaN when there is none."""
        place = self._place(point)
        return np.full(3, np.nan) if place is None else place.point

    def distances_to(self, goal: np.ndarray) -> DistanceTo:
        """Prepares shortest paths from everywhere to `goal`; milliseconds once, then far less than one per query."""
        return DistanceTo(self, goal)

    def geodesic(self, start: np.ndarray, end: np.ndarray) -> float:
        """Length in metres of the shortest path between the snapped points; inf when there is none."""
        return self.distances_to(end).distance(start)

    def path(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """The shortest path float [n, 3] between the snapped points; [0, 3] when there is none."""
        return self.distances_to(end).path(start)

    def try_step(self, start: np.ndarray, end: np.ndarray, sliding: bool = True) -> np.ndarray:
        """Where a step from `start` towards `end` ends [3]: at `end`, else slid along the border, else (no sliding) at the border.

        A start off the mesh is snapped first. With nothing near it the step doesn't move.
        """
        place = self._place(start)
        if place is None:
            return np.array(start, dtype=np.float64)
        piece, region = place.piece, place.piece.region
        u1, v1 = piece.uv(float(end[0]), float(end[2]))
        if sliding:
            u, v = region.step(place.cell, place.u, place.v, u1, v1)
        else:
            u, v = region.until_blocked(place.u, place.v, u1, v1)
        cell = region.locate(u, v)
        assert cell is not None, "steps end on the mesh"
        return piece.world(u, v, cell)
