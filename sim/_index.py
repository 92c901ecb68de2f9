"""Finds the polygon at or nearest to a point, by Detour's rules and with Habitat's search box."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sim._pieces import CLIMB_M, Piece
from sim._region import EPS_M

SNAP_HORIZONTAL_M, SNAP_VERTICAL_M = 2.0, 4.0  # Habitat's search box (habitat-sim, esp/nav/PathFinder.cpp: polyPickExt)
_BUCKET_M = 0.25


@dataclass(frozen=True)
class Place:
    """A point on the mesh: its piece, the polygons that hold it, and the point [3] in metres.

    `path_y_m`: height that a path starts or ends at. Habitat keeps the height asked for when the point lies over the mesh.
    """

    piece: Piece
    inside: tuple[int, ...]
    point: np.ndarray
    path_y_m: float

    @property
    def path_end(self) -> np.ndarray:
        return np.array([self.point[0], self.path_y_m, self.point[2]])


class Index:
    """All polygons of all pieces, in buckets seen from above."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self._buckets: dict[tuple[int, int], list[tuple[Piece, int]]] = defaultdict(list)
        for piece in pieces:
            for polygon, corners in enumerate(piece.region.polygons):
                ring = piece.region.points[list(corners)][:, [0, 2]]
                (low_x, low_z), (high_x, high_z) = (ring.min(axis=0) - EPS_M).tolist(), (ring.max(axis=0) + EPS_M).tolist()
                for i in range(math.floor(low_x / _BUCKET_M), math.floor(high_x / _BUCKET_M) + 1):
                    for j in range(math.floor(low_z / _BUCKET_M), math.floor(high_z / _BUCKET_M) + 1):
                        self._buckets[i, j].append((piece, polygon))

    def over(self, x: float, z: float) -> list[tuple[Piece, int, float]]:
        """Piece, polygon and height of every polygon that holds (x, z)."""
        if not math.isfinite(x + z):
            return []
        near = self._buckets.get((math.floor(x / _BUCKET_M), math.floor(z / _BUCKET_M)), ())
        return [(piece, polygon, piece.height(polygon, x, z)) for piece, polygon in near if piece.region.holds(polygon, x, z)]

    def place(self, x: float, y: float, z: float) -> Place | None:
        """The nearest place on the mesh in 3-D, or None when nothing is within 2 m sideways and 4 m up or down."""
        if not math.isfinite(x + y + z):
            return None
        over = [(abs(y - height), piece, polygon, height) for piece, polygon, height in self.over(x, z)]
        found = min((entry for entry in over if entry[0] <= SNAP_VERTICAL_M), key=lambda entry: entry[0], default=None)
        if found is None or found[0] > CLIMB_M:  # else nothing can be nearer
            beside = self._beside(x, y, z)
            if beside is not None and (found is None or beside[0] < (found[0] - CLIMB_M) ** 2):
                return self._at_edge(*beside[1:])
        if found is None:
            return None
        _, piece, _, height = found
        inside = tuple(polygon for _, other, polygon, level in over if other is piece and abs(level - height) < CLIMB_M)
        return Place(piece, inside, np.array([x, height, z]), y)

    def _at_edge(self, piece: Piece, polygon: int, point: np.ndarray) -> Place:
        x, y, z = point.tolist()
        inside = {other for held, other, level in self.over(x, z) if held is piece and abs(level - y) < CLIMB_M}
        return Place(piece, tuple(sorted(inside | {polygon})), point, y)

    def other_is_nearer(self, piece: Piece, x: float, y: float, z: float, reach_m: float) -> bool:
        """Whether a piece other than this one, known to be `reach_m` away, is the nearest to a point."""
        if not any(other is not piece and other.may_be_within(x, y, z, reach_m) for other in self._pieces):
            return False
        place = self.place(x, y, z)
        return place is not None and place.piece is not piece

    @cached_property
    def _sides(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[tuple[Piece, int]]]:
        """Of all sides of all polygons: first and last end [S, 3], box [S, 3] low and high of the polygon, and whose it is."""
        first, last, low, high, owner = [], [], [], [], []
        for piece in self._pieces:
            for polygon, corners in enumerate(piece.region.polygons):
                ring = piece.region.points[list(corners)]
                first.append(ring)
                last.append(np.roll(ring, -1, axis=0))
                low.append(np.broadcast_to(ring.min(axis=0), ring.shape))
                high.append(np.broadcast_to(ring.max(axis=0), ring.shape))
                owner += [(piece, polygon)] * len(ring)
        return np.concatenate(first), np.concatenate(last), np.concatenate(low), np.concatenate(high), owner

    def _beside(self, x: float, y: float, z: float) -> tuple[float, Piece, int, np.ndarray] | None:
        """Squared distance to the nearest side of a polygon in the search box, whose it is, and the point [3] there."""
        if not self._pieces:
            return None
        first, last, low, high, owner = self._sides
        point, box = np.array([x, y, z]), np.array([SNAP_HORIZONTAL_M, SNAP_VERTICAL_M, SNAP_HORIZONTAL_M])
        near = np.flatnonzero((low <= point + box).all(axis=1) & (high >= point - box).all(axis=1))
        if not len(near):
            return None
        start, along = first[near], last[near] - first[near]
        flat, offset = along[:, [0, 2]], (point - start)[:, [0, 2]]
        share = np.clip((flat * offset).sum(axis=1) / (flat * flat).sum(axis=1), 0.0, 1.0)
        reached = start + share[:, None] * along
        squared = ((reached - point) ** 2).sum(axis=1)
        best = int(np.argmin(squared))
        piece, polygon = owner[near[best]]
        nearest = reached[best]
        nearest[1] = piece.height(polygon, float(nearest[0]), float(nearest[2]))
        return float(squared[best]), piece, polygon, nearest
