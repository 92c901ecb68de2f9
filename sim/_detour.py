"""The path that Habitat's own search finds: A* from polygon to polygon, then a string pulled through them.

It is not always the shortest and not the same both ways, because a polygon is judged by the middle of the edge that it was first entered
by (habitat-sim 0.3.3, recorded). For comparing with lengths that Habitat has written. Rule: Detour's published findPath and findStraightPath.
"""

from __future__ import annotations

import heapq
import math

import numpy as np

from sim._region import EPS_M, Region

HEURISTIC_SCALE = 0.999  # Detour's H_SCALE
Point = tuple[float, float, float]
Portal = tuple[Point, Point]


def corridor(region: Region, start: Point, first: int, goal: Point, last: int) -> list[int]:
    """Polygons from `first`, which holds the start, to `last`, which holds the goal; () when they are not connected."""
    at, cost, parent = {first: start}, {first: 0.0}, {first: -1}
    total = {first: math.dist(start, goal) * HEURISTIC_SCALE}
    heap = [(total[first], first)]
    while heap:
        value, polygon = heapq.heappop(heap)
        if value > total[polygon]:
            continue  # a better way was found since
        if polygon == last:
            way = [polygon]
            while (polygon := parent[polygon]) >= 0:
                way.append(polygon)
            return way[::-1]
        for side, edge in enumerate(region.edges[polygon]):
            beyond = edge.beyond
            if beyond in (-1, parent[polygon]):
                continue
            middle = at.setdefault(beyond, _middle(region, polygon, side))
            new = cost[polygon] + math.dist(at[polygon], middle)
            rest = math.dist(middle, goal)
            new, heuristic = (new + rest, 0.0) if beyond == last else (new, rest * HEURISTIC_SCALE)
            if new + heuristic < total.get(beyond, math.inf):
                cost[beyond], parent[beyond], total[beyond] = new, polygon, new + heuristic
                heapq.heappush(heap, (total[beyond], beyond))
    return []


def _ends(region: Region, polygon: int, side: int) -> Portal:
    corners = region.polygons[polygon]
    return _triple(region.points[corners[side - 1]]), _triple(region.points[corners[side]])


def _middle(region: Region, polygon: int, side: int) -> Point:
    a, b = _ends(region, polygon, side)
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2


def _side(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[2] - a[2]) - (c[0] - a[0]) * (b[2] - a[2])


def pulled(start: Point, portals: list[Portal], goal: Point) -> list[Point]:
    """The shortest path from start to goal through portals of (right, left) ends in order."""
    gates = [*portals, (goal, goal)]
    path, apex = [start], start
    right, left = apex, apex
    right_at = left_at = at = -1
    while (at := at + 1) < len(gates):
        new_right, new_left = gates[at]
        if _side(apex, right, new_right) >= 0:
            if right == apex or _side(apex, left, new_right) < 0:
                right, right_at = new_right, at
            else:  # it crosses the left side: the path bends there
                apex, at = left, left_at
                path.append(apex)
                right, right_at, left = apex, at, apex
                continue
        if _side(apex, left, new_left) <= 0:
            if left == apex or _side(apex, right, new_left) > 0:
                left, left_at = new_left, at
            else:
                apex, at = right, right_at
                path.append(apex)
                left, left_at, right = apex, at, apex
    return [*path, goal]


def _triple(point: np.ndarray) -> Point:
    x, y, z = point.tolist()
    return x, y, z


def search(region: Region, start_m: np.ndarray, first: int, goal_m: np.ndarray, last: int) -> np.ndarray:
    """Habitat's path float [n, 3] between two points [3] in polygons `first` and `last`; [0, 3] when there is none."""
    start, goal = _triple(start_m), _triple(goal_m)
    way = corridor(region, start, first, goal, last)
    if not way:
        return np.zeros((0, 3))
    portals = []
    for polygon, beyond in zip(way, way[1:], strict=False):
        side = next(side for side, edge in enumerate(region.edges[polygon]) if edge.beyond == beyond)
        portals.append(_ends(region, polygon, side))
    path = pulled(start, portals, goal)
    kept = [point for point, after in zip(path, path[1:], strict=False) if math.dist(point, after) > EPS_M]
    return np.array([*kept, goal])
