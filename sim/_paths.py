"""Exact shortest paths in a region of polygons: Dijkstra over the corners where paths can bend."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from sim._region import Region

_FIRST = 8  # candidates looked at before all are sorted
_TOUCH = 1e-6  # sine of the angle by which a path may miss the wall that it bends along


def by_length(total: np.ndarray) -> Iterator[int]:
    """Corners in the order of their lengths `total` [N]. The few that nearly always suffice come before all are sorted (and then again)."""
    if len(total) > _FIRST:
        few = np.argpartition(total, _FIRST)[:_FIRST]
        yield from few[np.argsort(total[few], kind="stable")].tolist()
    yield from np.argsort(total, kind="stable").tolist()


class CornerGraph:
    """Which corners see each other. `points` float [N, 3] in metres."""

    def __init__(self, region: Region) -> None:
        self.region, self.corners = region, region.corners()
        self.points = region.points[[corner.vertex for corner in self.corners]].reshape(-1, 3)
        self._before, self._after = (
            np.array([getattr(corner, side) for corner in self.corners]).reshape(-1, 2) for side in ("before", "after")
        )

    def tangent(self, direction: np.ndarray) -> np.ndarray:
        """Whether paths along `direction` [.., N, 2] (metres) can bend at the N corners: both walls lie on one side of the line."""
        touch = _TOUCH * np.abs(direction).sum(axis=-1)
        side_a = direction[..., 0] * self._before[:, 1] - direction[..., 1] * self._before[:, 0]
        side_b = direction[..., 0] * self._after[:, 1] - direction[..., 1] * self._after[:, 0]
        return (np.maximum(side_a, side_b) <= touch) | (np.minimum(side_a, side_b) >= -touch)

    def sees(self, starts: tuple[int, ...], x: float, z: float, corner: int) -> bool:
        """Whether a straight line leads from (x, z) in the polygons `starts` to the corner."""
        to_x, _, to_z = self.points[corner].tolist()
        return self.region.sees(starts, x, z, to_x, to_z, self.corners[corner].fan)

    @cached_property
    def links(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs of corners that a taut path can join: first, second, length in metres, in both directions."""
        flat = self.points[:, [0, 2]]
        direction = flat[None] - flat[:, None]  # [i, j] from i to j
        taut = self.tangent(direction)  # at j
        taut &= taut.T
        i, j = np.nonzero(np.triu(taut, 1))
        xz = flat.tolist()
        seen = np.array(
            [self.sees(self.corners[a].fan, xz[a][0], xz[a][1], b) for a, b in zip(i.tolist(), j.tolist(), strict=True)], dtype=bool
        )
        i, j = i[seen], j[seen]
        length = np.maximum(np.linalg.norm(self.points[i] - self.points[j], axis=1), 1e-12)  # csgraph takes a zero for no edge
        return np.concatenate([i, j]), np.concatenate([j, i]), np.concatenate([length, length])


class Field:
    """Distances from one goal (point [3] in metres, in the polygons `inside`) to everywhere in its region."""

    def __init__(self, graph: CornerGraph, goal: np.ndarray, inside: tuple[int, ...]) -> None:
        self.graph, self.goal, self.inside = graph, goal.tolist(), inside
        count = len(graph.points)
        offset = graph.points - goal
        x, _, z = self.goal
        candidates = np.flatnonzero(graph.tangent(offset[:, [0, 2]]))
        seen = candidates[[graph.sees(inside, x, z, corner) for corner in candidates.tolist()]]
        first, second, length = graph.links
        own = np.maximum(np.linalg.norm(offset[seen], axis=1), 1e-12)
        rows, columns = np.concatenate([first, np.full(len(seen), count)]), np.concatenate([second, seen])
        matrix = csr_matrix((np.concatenate([length, own]), (rows, columns)), shape=(count + 1, count + 1))
        distance, self.previous = dijkstra(matrix, indices=count, return_predecessors=True)
        self.distance_m = distance[:count]

    def _first_corner(self, point: np.ndarray, inside: tuple[int, ...]) -> tuple[float, int]:
        """Distance to the goal in metres, and the corner that the path goes to first (-1: straight to the goal)."""
        graph = self.graph
        x, y, z = point.tolist()
        goal_x, goal_y, goal_z = self.goal
        if graph.region.sees(inside, x, z, goal_x, goal_z, self.inside):
            return math.dist((x, y, z), (goal_x, goal_y, goal_z)), -1
        if not len(graph.points):
            return math.inf, -1
        offset = graph.points - point
        total = np.sqrt((offset * offset).sum(axis=1)) + self.distance_m
        # in order of the whole length: the first corner in sight is the shortest way
        for corner in by_length(total):
            if math.isinf(total[corner]):
                break
            if graph.sees(inside, x, z, corner):
                return float(total[corner]), corner
        return math.inf, -1

    def corners_from(self, point: np.ndarray, inside: tuple[int, ...]) -> tuple[float, list[int]]:
        """Length in metres of the shortest path and the corners that it bends at, in order."""
        length, corner = self._first_corner(point, inside)
        corners = []
        while 0 <= corner < len(self.graph.points):
            corners.append(corner)
            corner = int(self.previous[corner])
        return length, corners
