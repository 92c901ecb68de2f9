"""Where an agent can stand and walk: Recast's polygons, exact shortest paths on them, and Habitat's sliding steps.

Heights are those of Habitat: the scene's lowest vertex plus whole steps of 0.2 m, rounded up (habitat-sim 0.3.3, recorded). Lengths are 3-D metres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache, partial
from pathlib import Path

import numpy as np

from sim._detour import search
from sim._index import Index, Place
from sim._paths import Field
from sim._pieces import Island, Piece, pieces_of_polygons, pieces_of_surfaces
from sim._region import EPS_M
from sim._voxels import walkable_surfaces

MAX_Y_DELTA_M = 0.5  # Habitat's default of is_navigable
_REMEMBERED = 16  # ways: an expert asks several times from where it stands
OVER_M = 0.01  # and how far sideways it forgives


class DistanceTo:
    """Shortest paths to one goal; made by `NavMesh.distances_to`. Both ends are snapped; sideways snapping doesn't count."""

    def __init__(self, mesh: NavMesh, goal: np.ndarray) -> None:
        place = mesh._place(goal)
        field = None if place is None else Field(place.piece.graph, place.path_end, place.inside)
        # not a method of this object: the two would keep each other alive, with the field's arrays
        self._way = lru_cache(maxsize=_REMEMBERED)(partial(_way, mesh, place, field))

    def distance(self, point: np.ndarray) -> float:
        """Metres of the shortest path from `point` [3] to the goal; inf when there is none."""
        return self._way(_key(point))[0]

    def path(self, point: np.ndarray) -> np.ndarray:
        """The shortest path from `point` to the goal: float [n, 3], snapped start first; [0, 3] when there is none."""
        return self._way(_key(point))[1].copy()


def _way(mesh: NavMesh, goal: Place | None, field: Field | None, point: tuple[float, float, float]) -> tuple[float, np.ndarray]:
    """Length in metres and points [n, 3] of the shortest path; inf and [0, 3] when there is none."""
    start, none = mesh._place(np.array(point)), (math.inf, np.zeros((0, 3)))
    if start is None or field is None or goal is None or start.piece is not goal.piece:
        return none
    length, corners = field.corners_from(start.path_end, start.inside)
    return none if math.isinf(length) else (length, np.stack([start.path_end, *field.graph.points[corners], goal.path_end]))


def _key(point: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in point)
    return x, y, z


class NavMesh:
    """The walkable space of a scene. Make one with `from_triangles`, `from_glb` or `from_polygons`; points are [3] in metres, +Y up."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self._index = Index(pieces)

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
        return cls(pieces_of_surfaces(walkable_surfaces(triangles, radius_m, height_m)))

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

    @classmethod
    def from_polygons(cls, polygons: Sequence[np.ndarray]) -> NavMesh:
        """From a finished mesh, as Habitat exports one: convex polygons float [n, 3] (float [T, 3, 3] for triangles).

        Neighbours share corners (to 0.1 mm), either side up. Raises ValueError when there are none, one isn't convex or a number isn't finite.
        """
        return cls(pieces_of_polygons(polygons))

    def islands(self) -> tuple[Island, ...]:
        """All walkable pieces of at least 1 m2, furniture tops included."""
        return tuple(piece.island for piece in self._pieces)

    def polygons(self) -> list[np.ndarray]:
        """The convex polygons of all islands, float [n, 3] in metres each; `from_polygons` makes the same mesh of them."""
        return [piece.region.points[list(corners)] for piece in self._pieces for corners in piece.region.polygons]

    @cached_property
    def _main(self) -> Piece:
        if not self._pieces:
            raise ValueError("the mesh has nothing to stand on: check the scene's up axis (+Y) and that floors face upwards")
        indoors = [piece for piece in self._pieces if piece.island.covered > 0.5]
        return max(indoors or self._pieces, key=lambda piece: piece.island.area_m2)

    @property
    def main_island(self) -> Island:
        """The largest island under a ceiling (a roof isn't one), or the largest (`from_polygons` too). Raises ValueError when there is none."""
        return self._main.island

    def random_point(self, rng: np.random.Generator) -> np.ndarray:
        """A point [3] anywhere on the main island, uniform by area."""
        while True:
            place = self._place(np.array(self._main.sample(rng)))
            if place is not None and place.piece is self._main:  # cells that straightened walls cut off may be nearer to another island
                return place.point

    def _place(self, point: np.ndarray) -> Place | None:
        x, y, z = (float(value) for value in point)
        return self._index.place(x, y, z)

    def is_navigable(self, point: np.ndarray, max_y_delta_m: float = MAX_Y_DELTA_M) -> bool:
        """Whether the nearest walkable surface lies over or under `point` by at most `max_y_delta_m` (and 1 cm sideways, as in Habitat)."""
        place = self._place(point)
        if place is None or abs(float(point[1]) - place.point[1]) > max_y_delta_m + EPS_M:
            return False
        return math.hypot(place.point[0] - float(point[0]), place.point[2] - float(point[2])) <= OVER_M

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

    def habitat_path(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """The path float [n, 3] that Habitat's own search finds: up to decimetres longer than `path`, and not the same both ways (sim/_detour.py)."""
        here, there = self._place(start), self._place(end)
        if here is None or there is None or here.piece is not there.piece:
            return np.zeros((0, 3))
        return search(here.piece.region, here.path_end, here.inside[0], there.path_end, there.inside[0])

    def habitat_geodesic(self, start: np.ndarray, end: np.ndarray) -> float:
        """Length in metres of `habitat_path`: Habitat's own value, where `geodesic` is the shortest; inf when there is none."""
        path = self.habitat_path(start, end)
        return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum()) if len(path) else math.inf

    def try_step(self, start: np.ndarray, end: np.ndarray, sliding: bool = True) -> np.ndarray:
        """Where a step from `start` towards `end` ends [3]: at `end`, else slid along the border, else (no sliding) at the border.

        A start off the mesh is snapped first. With nothing near it, or numbers that aren't finite, the step doesn't move.
        """
        place = self._place(start)
        if place is None or not np.isfinite(end).all():
            return np.array(start, dtype=np.float64)
        piece, region = place.piece, place.piece.region
        x0, _, z0 = (float(value) for value in place.point)
        x1, y1, z1 = (float(value) for value in end)
        if sliding:
            x, z, polygon = region.step(place.inside[0], x0, z0, x1, z1, math.dist((x0, float(start[1]), z0), (x1, y1, z1)))
            # Habitat refuses a step that aims at another island (seen in its recordings: into hollow boxes, across beds)
            if (x, z) != (x1, z1) and self._index.other_is_nearer(piece, x1, y1, z1, math.hypot(x - x1, z - z1)):
                return place.point
        else:
            share, polygon = region.sight(place.inside, x0, z0, x1, z1)
            x, z = x0 + share * (x1 - x0), z0 + share * (z1 - z0)
        return np.array([x, piece.height(polygon, x, z), z])
