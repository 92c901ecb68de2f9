"""Exact shortest paths in a region of cells: Dijkstra over the corners where paths can bend."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from sim._region import EPS, Region

_FIRST = 8  # candidates looked at before all are sorted
_CORNERS_AT_ONCE = 512


def _tangent(direction: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Whether a path that comes along `direction` [N, 2] can bend around a corner whose blocked cell lies towards `signs` [N, 2]."""
    local = direction * signs
    return (local[:, 0] * local[:, 1] <= 0) | (np.abs(local).min(axis=1) < EPS)


def by_length(total: np.ndarray) -> Iterator[int]:
    """Corners in the order of their lengths `total` [N]. The few that nearly always suffice come before all are sorted (and then again)."""
    if len(total) > _FIRST:
        few = np.argpartition(total, _FIRST)[:_FIRST]
        yield from few[np.argsort(total[few], kind="stable")].tolist()
    yield from np.argsort(total, kind="stable").tolist()


class CornerGraph:
    """Which corners see each other. `points` float [N, 2] in cells; `metres` float [N, 3] in the world."""

    def __init__(self, region: Region, heights_m: np.ndarray, cell_m: float) -> None:
        self.region, self.cell_m = region, cell_m
        corners, self.signs = region.corners
        self.points = corners.astype(np.float64)
        opposite = np.where(self.signs > 0, corners - 1, corners)  # the cell diagonally across from the blocked one is free
        self.heights_m = heights_m[opposite[:, 0], opposite[:, 1]]

    @cached_property
    def links(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs of corners that a taut path can join: first, second, length in metres, in both directions."""
        first, second = [], []
        for low in range(0, len(self.points), _CORNERS_AT_ONCE):
            i, j = np.nonzero(np.arange(low, min(low + _CORNERS_AT_ONCE, len(self.points)))[:, None] < np.arange(len(self.points)))
            i += low
            direction = self.points[j] - self.points[i]
            keep = _tangent(direction, self.signs[i]) & _tangent(direction, self.signs[j])
            i, j = i[keep], j[keep]
            seen = self.region.visible_many(self.points[i], self.points[j])
            first.append(i[seen])
            second.append(j[seen])
        i, j = (np.concatenate(part) if part else np.zeros(0, dtype=np.int64) for part in (first, second))
        flat = np.linalg.norm(self.points[i] - self.points[j], axis=1) * self.cell_m
        length = np.hypot(flat, self.heights_m[i] - self.heights_m[j])
        return np.concatenate([i, j]), np.concatenate([j, i]), np.concatenate([length, length])


class Field:
    """Distances from one goal (u, v in cells, height in metres) to everywhere in its region."""

    def __init__(self, graph: CornerGraph, goal: tuple[float, float], height_m: float) -> None:
        self.graph, self.goal, self.height_m = graph, goal, height_m
        count = len(graph.points)
        direction = graph.points - np.array(goal)
        candidates = np.flatnonzero(_tangent(direction, graph.signs))
        seen = candidates[graph.region.visible_many(np.tile(np.array(goal), (len(candidates), 1)), graph.points[candidates])]
        first, second, length = graph.links
        flat = np.linalg.norm(direction[seen], axis=1) * graph.cell_m
        own = np.maximum(np.hypot(flat, graph.heights_m[seen] - height_m), 1e-12)  # csgraph takes a zero for no edge
        rows, columns = np.concatenate([first, np.full(len(seen), count)]), np.concatenate([second, seen])
        matrix = csr_matrix((np.concatenate([length, own]), (rows, columns)), shape=(count + 1, count + 1))
        distance, self.previous = dijkstra(matrix, indices=count, return_predecessors=True)
        self.distance_m = distance[:count]

    def _first_corner(self, u: float, v: float, height_m: float) -> tuple[float, int]:
        """Distance to the goal in metres, and the corner that the path goes to first (-1: straight to the goal)."""
        goal_u, goal_v = self.goal
        graph = self.graph
        if graph.region.visible(u, v, goal_u, goal_v):
            return math.hypot(math.hypot(u - goal_u, v - goal_v) * graph.cell_m, height_m - self.height_m), -1
        if not len(graph.points):
            return math.inf, -1
        offset = graph.points - (u, v)
        flat = np.sqrt(offset[:, 0] ** 2 + offset[:, 1] ** 2) * graph.cell_m
        total = np.hypot(flat, graph.heights_m - height_m) + self.distance_m
        # in order of the whole length: the first corner in sight is the shortest way
        for corner in by_length(total):
            if math.isinf(total[corner]):
                break
            if graph.region.visible(u, v, graph.points[corner, 0], graph.points[corner, 1]):
                return float(total[corner]), corner
        return math.inf, -1

    def distance(self, u: float, v: float, height_m: float) -> float:
        """Length in metres of the shortest path from a point of the region to the goal."""
        return self._first_corner(u, v, height_m)[0]

    def corners_from(self, u: float, v: float, height_m: float) -> tuple[float, list[int]]:
        """Length in metres of the shortest path and the corners that it bends at, in order."""
        length, corner = self._first_corner(u, v, height_m)
        corners = []
        while 0 <= corner < len(self.graph.points):
            corners.append(corner)
            corner = int(self.previous[corner])
        return length, corners
