"""A walkable region of convex polygons: lines of sight, and steps that slide, by Detour's rules.

Seen from above, coordinates (x, z) in metres. Lines are followed from polygon to polygon through shared edges, so storeys may lie above
each other and nothing of zero width can be walked. Scalar plain Python: single queries of a few polygons are faster so than with NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

EPS_M = 5e-6  # float32 positions on a polygon's border count as inside
WHOLE = 1 - 1e-9  # share of a line that ends on a border, after rounding
STEP_MARGIN_M = 0.001  # Detour's margin around a step's circle (habitat-sim 0.3.3, recorded)
LEAST_AREA_M2 = 1e-9


class Edge(NamedTuple):
    """A polygon's side from (ax, az) to (bx, bz); inside is nx * x + nz * z <= offset; `beyond` is the neighbour (-1: a wall)."""

    ax: float
    az: float
    bx: float
    bz: float
    nx: float
    nz: float
    offset: float
    beyond: int


class Corner(NamedTuple):
    """Where shortest paths can bend: its vertex, unit vectors along both walls, and the polygons around it."""

    vertex: int
    before: tuple[float, float]
    after: tuple[float, float]
    fan: tuple[int, ...]


def _directed(points: np.ndarray, polygon: Sequence[int]) -> tuple[int, ...]:
    """The polygon's corners ordered so that its area in (x, z) is positive; () when it has none."""
    x, z = points[list(polygon), 0], points[list(polygon), 2]
    area = float(x @ np.roll(z, -1) - np.roll(x, -1) @ z) / 2
    if abs(area) < LEAST_AREA_M2:
        return ()
    return tuple(polygon) if area > 0 else tuple(polygon)[::-1]


class Region:
    """`points` float [V, 3] in metres, `polygons` corner numbers of each. Polygons without area are left out.

    Two polygons are neighbours when they share two corners; one edge belongs to at most two.
    """

    def __init__(self, points: np.ndarray, polygons: Iterable[Sequence[int]]) -> None:
        self.points = points
        self.polygons = [kept for polygon in polygons if (kept := _directed(points, polygon))]
        owner = {(a, b): number for number, polygon in enumerate(self.polygons) for a, b in self._sides(polygon)}
        xz = points[:, [0, 2]].tolist()
        self.edges = [
            # where a third polygon claims an edge, the one before it has a wall there
            tuple(self._edge(xz[a], xz[b], owner.get((b, a), -1) if owner[a, b] == number else -1) for a, b in self._sides(polygon))
            for number, polygon in enumerate(self.polygons)
        ]
        self._levels = [float(points[polygon[0], 1]) if np.ptp(points[list(polygon), 1]) == 0 else None for polygon in self.polygons]

    @staticmethod
    def _sides(polygon: Sequence[int]) -> list[tuple[int, int]]:
        return [(polygon[i - 1], polygon[i]) for i in range(len(polygon))]

    @staticmethod
    def _edge(a: list[float], b: list[float], beyond: int) -> Edge:
        (ax, az), (bx, bz) = a, b
        length = math.hypot(bx - ax, bz - az)
        nx, nz = (bz - az) / length, (ax - bx) / length
        return Edge(ax, az, bx, bz, nx, nz, nx * ax + nz * az, beyond)

    def parts(self) -> list[list[int]]:
        """The polygons of each connected part, in order."""
        found, seen = [], set()
        for first in range(len(self.polygons)):
            if first in seen:
                continue
            part, stack = [], [first]
            seen.add(first)
            while stack:
                polygon = stack.pop()
                part.append(polygon)
                fresh = {edge.beyond for edge in self.edges[polygon]} - seen - {-1}
                seen |= fresh
                stack += fresh
            found.append(sorted(part))
        return found

    def corners(self) -> list[Corner]:
        """The corners of walls that stick out into the region, one for each wall where several meet at a vertex."""
        found = []
        for polygon, corners in enumerate(self.polygons):
            for side, edge in enumerate(self.edges[polygon]):
                if edge.beyond < 0:
                    vertex = corners[side]
                    fan, last = self._around(polygon, side, vertex)
                    before, after = (-edge.nz, edge.nx), (-last.nz, last.nx)  # along the walls, the region to the left
                    turn, ahead = before[0] * after[1] - before[1] * after[0], before[0] * after[0] + before[1] * after[1]
                    if turn < -1e-9 or (turn < 1e-9 and ahead < 0):  # or the wall is seen from both sides: right back
                        found.append(Corner(vertex, (-before[0], -before[1]), after, fan))
        return found

    def _around(self, polygon: int, side: int, vertex: int) -> tuple[tuple[int, ...], Edge]:
        """The polygons around the end of a wall, and the wall that goes on from there."""
        fan = [polygon]
        while True:
            # the side that starts at the vertex follows the one that ends there
            side = (self.polygons[polygon].index(vertex) + 1) % len(self.polygons[polygon])
            edge = self.edges[polygon][side]
            if edge.beyond < 0 or edge.beyond in fan:
                return tuple(fan), edge
            polygon = edge.beyond
            fan.append(polygon)

    def holds(self, polygon: int, x: float, z: float) -> bool:
        """Whether the point lies in the polygon or on its border."""
        for _, _, _, _, nx, nz, offset, _ in self.edges[polygon]:
            if nx * x + nz * z - offset > EPS_M:
                return False
        return True

    def height(self, polygon: int, x: float, z: float) -> float:
        """Height in metres of the polygon (a fan of triangles) at or next to a point."""
        level = self._levels[polygon]
        if level is not None:
            return level
        corners = self.points[list(self.polygons[polygon])]
        best, found = -math.inf, float(corners[0, 1])
        first = corners[0]
        for second, third in zip(corners[1:], corners[2:], strict=False):
            ab, ac, ap = second - first, third - first, (x - first[0], z - first[2])
            area = ab[0] * ac[2] - ab[2] * ac[0]
            if area < LEAST_AREA_M2:
                continue
            s, t = (ap[0] * ac[2] - ap[1] * ac[0]) / area, (ab[0] * ap[1] - ab[2] * ap[0]) / area
            inside = min(s, t, 1 - s - t)
            if inside > best:
                best, found = inside, float(first[1] + s * ab[1] + t * ac[1])
        return found

    def sees(self, starts: Sequence[int], x0: float, z0: float, x1: float, z1: float, ends: Sequence[int]) -> bool:
        """Whether the line from (x0, z0), in the polygons `starts`, is walkable to (x1, z1) in one of the polygons `ends`."""
        share, last = self.sight(starts, x0, z0, x1, z1, ends)
        return share >= WHOLE and last in ends

    def sight(
        self, starts: Sequence[int], x0: float, z0: float, x1: float, z1: float, ends: Sequence[int] | None = None
    ) -> tuple[float, int]:
        """How far the line from (x0, z0), in the polygons `starts`, is walkable: its share, and the polygon where that ends.

        With `ends`, other polygons that hold the line's end (other storeys, or the far side of a wall) don't end the search.
        """
        dx, dz = x1 - x0, z1 - z0
        share, last = 0.0, starts[0]
        stack, seen = [(start, 1.0) for start in starts], set()
        while stack:
            polygon, entered_by = stack.pop()
            if polygon in seen:
                continue
            enter, leave, ways = 0.0, 1.0, []
            for _, _, _, _, nx, nz, offset, beyond in self.edges[polygon]:
                left, along = offset + EPS_M - nx * x0 - nz * z0, nx * dx + nz * dz
                if along > 1e-12:
                    at = left / along
                    if at < leave:
                        leave = at
                    if beyond >= 0:
                        ways.append((at, EPS_M / along, beyond))
                elif along < -1e-12:
                    enter = max(enter, left / along)
                elif left < 0:
                    enter = math.inf
            if enter > min(leave, entered_by):
                continue
            seen.add(polygon)
            if leave >= share:
                share, last = leave, polygon
                if leave >= WHOLE and (ends is None or polygon in ends):
                    return 1.0, polygon
            stack += [(beyond, leave) for at, tolerance, beyond in ways if beyond not in seen and at <= leave + 2 * tolerance]
        return share, last

    def step(self, start: int, x0: float, z0: float, x1: float, z1: float, length: float) -> tuple[float, float, int]:
        """Where a step of this length (3-D) from (x0, z0) in polygon `start` towards (x1, z1) ends, and in which polygon.

        Detour's rule (moveAlongSurface): at the target when a polygon holds it, else at the nearest point of the walls of the polygons that
        can be reached through shared edges within half a step, and 1 mm, of the step's midpoint.
        """
        middle_x, middle_z, reach = (x0 + x1) / 2, (z0 + z1) / 2, (length / 2 + STEP_MARGIN_M) ** 2
        best, found = math.inf, (x0, z0, start)
        queue = [start]
        for polygon in queue:  # grows
            if self.holds(polygon, x1, z1):
                return x1, z1, polygon
            for edge in self.edges[polygon]:
                if edge.beyond < 0:
                    x, z = _nearest(edge, x1, z1)
                    distance = (x - x1) ** 2 + (z - z1) ** 2
                    if distance < best:
                        best, found = distance, (x, z, polygon)
                elif edge.beyond not in queue:
                    x, z = _nearest(edge, middle_x, middle_z)
                    if (x - middle_x) ** 2 + (z - middle_z) ** 2 <= reach:
                        queue.append(edge.beyond)
        return found


def _nearest(edge: Edge, x: float, z: float) -> tuple[float, float]:
    """The point of the edge nearest to (x, z)."""
    ax, az, bx, bz = edge[:4]
    dx, dz = bx - ax, bz - az
    t = (dx * (x - ax) + dz * (z - az)) / (dx * dx + dz * dz)
    return (ax, az) if t <= 0 else (bx, bz) if t >= 1 else (ax + t * dx, az + t * dz)
