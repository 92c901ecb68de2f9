"""A flat walkable region made of square cells: lines of sight, nearest points and steps that slide, all exact on the cells.

Coordinates (u, v) are in cells; cell (i, j) covers [i, i+1] x [j, j+1] with its border. Scalar functions are plain Python: single
queries of a few dozen cells are faster so than with NumPy.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from scipy.ndimage import distance_transform_cdt

EPS = 1e-4  # cells (5 micrometres): float32 positions on a cell's border count as inside
STEP_MARGIN = 0.02  # cells (1 mm): Detour's margin around a step's circle (facts 2.7.7)
_CHUNK = 2_000_000  # strips per batch in `visible_many`: about 100 MB of temporaries


def _without_pinches(free: np.ndarray) -> np.ndarray:
    """The region less cells that hang together by a corner only: nothing of zero width can be walked."""
    free = free.copy()
    while True:
        a, b, c, d = free[:-1, :-1], free[1:, :-1], free[:-1, 1:], free[1:, 1:]
        first, second = a & d & ~b & ~c, b & c & ~a & ~d
        if not (first.any() or second.any()):
            return free
        free[1:, 1:][first] = False
        free[:-1, 1:][second] = False


def _prefix(blocked: np.ndarray) -> np.ndarray:
    """int16 [N, M + 1]: blocked cells before each index along the second axis."""
    table = np.zeros((blocked.shape[0], blocked.shape[1] + 1), dtype=np.int16)
    np.cumsum(blocked, axis=1, out=table[:, 1:])
    return table


class _Strips:
    """Look-ups for lines that are walked through in strips along one axis."""

    def __init__(self, blocked: np.ndarray) -> None:
        self.inside = _prefix(blocked)
        both = np.zeros((blocked.shape[0] + 1, blocked.shape[1]), dtype=bool)
        both[1:-1] = blocked[1:] & blocked[:-1]  # on the line between two strips, one free side is enough
        both[0], both[-1] = blocked[0], blocked[-1]
        self.border = _prefix(both)
        self.width = self.inside.shape[1]
        self.inside_flat, self.border_flat = self.inside.reshape(-1).data, self.border.reshape(-1).data

    def clear(self, a0: float, b0: float, a1: float, b1: float) -> bool:
        """Whether the line from (a0, b0) to (a1, b1), a along the strips' axis, stays in the region."""
        if a0 > a1:
            a0, b0, a1, b1 = a1, b1, a0, b0
        width = self.width
        line = round(a0)
        if a1 - a0 < 2 * EPS and abs(a0 - line) < 2 * EPS:
            low, high = (b0, b1) if b0 < b1 else (b1, b0)
            first, last = math.floor(low + EPS), math.ceil(high - EPS)
            return first >= last or self.border_flat[line * width + last] == self.border_flat[line * width + first]
        slope = (b1 - b0) / (a1 - a0) if a1 > a0 else 0.0
        table = self.inside_flat
        for strip in range(math.floor(a0 + EPS), max(math.ceil(a1 - EPS), math.floor(a0 + EPS) + 1)):
            low = b0 if strip <= a0 else b0 + (strip - a0) * slope
            high = b1 if strip + 1 >= a1 else b0 + (strip + 1 - a0) * slope
            if low > high:
                low, high = high, low
            first, last = math.floor(low + EPS), math.ceil(high - EPS)
            if first < last and table[strip * width + last] != table[strip * width + first]:
                return False
        return True

    def clear_many(self, a0: np.ndarray, b0: np.ndarray, a1: np.ndarray, b1: np.ndarray) -> np.ndarray:
        """`clear` for arrays [N], by the same arithmetic."""
        swap = a0 > a1
        a0, a1, b0, b1 = np.where(swap, a1, a0), np.where(swap, a0, a1), np.where(swap, b1, b0), np.where(swap, b0, b1)
        line = np.rint(a0).astype(np.int64)
        on_line = (a1 - a0 < 2 * EPS) & (np.abs(a0 - line) < 2 * EPS)
        first_strip = np.floor(a0 + EPS).astype(np.int64)
        count = np.where(on_line, 1, np.maximum(np.ceil(a1 - EPS).astype(np.int64) - first_strip, 1))
        result = np.empty(len(a0), dtype=bool)
        for part in np.array_split(np.arange(len(a0)), max(1, int(count.sum()) // _CHUNK + 1)):
            counts = count[part]
            owner = np.repeat(part, counts)
            strip = first_strip[owner] + np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
            start, stop = a0[owner], a1[owner]
            slope = np.where(stop > start, (b1[owner] - b0[owner]) / np.maximum(stop - start, 1e-12), 0.0)
            low = np.where(strip <= start, b0[owner], b0[owner] + (strip - start) * slope)
            high = np.where(strip + 1 >= stop, b1[owner], b0[owner] + (strip + 1 - start) * slope)
            border = on_line[owner]
            low, high = np.where(border, b0[owner], low), np.where(border, b1[owner], high)
            low, high = np.minimum(low, high), np.maximum(low, high)
            first, last = np.floor(low + EPS).astype(np.int64), np.ceil(high - EPS).astype(np.int64)
            last = np.maximum(first, last)
            inside = (
                self.inside[np.minimum(strip, len(self.inside) - 1), last] - self.inside[np.minimum(strip, len(self.inside) - 1), first]
            )
            along = self.border[line[owner], last] - self.border[line[owner], first]
            hit = np.where(border, along, inside) != 0
            result[part] = np.bincount(owner - part[0], weights=hit, minlength=len(part)) == 0
        return result


class Region:
    """`free` bool [U, V] with a blocked rim of one cell; cells that hang together by a corner only are dropped."""

    def __init__(self, free: np.ndarray) -> None:
        assert not (free[0].any() or free[-1].any() or free[:, 0].any() or free[:, -1].any()), "the rim must be blocked"
        self.free = _without_pinches(free)
        self._cells = self.free.astype(np.uint8).tobytes()
        self._columns = free.shape[1]
        clearance = np.asarray(distance_transform_cdt(self.free, metric="chessboard"))  # 1 = touches a blocked cell
        self._clearance = np.minimum(clearance, 255).astype(np.uint8).tobytes()

    @cached_property
    def _along_u(self) -> _Strips:
        return _Strips(~self.free)

    @cached_property
    def _along_v(self) -> _Strips:
        return _Strips(np.ascontiguousarray(~self.free.T))

    @cached_property
    def corners(self) -> tuple[np.ndarray, np.ndarray]:
        """Where shortest paths can bend: points int [N, 2] and, for each, the signs int [N, 2] of the one blocked cell beside it."""
        blocked = ~self.free
        quads = {(-1, -1): blocked[:-1, :-1], (1, -1): blocked[1:, :-1], (-1, 1): blocked[:-1, 1:], (1, 1): blocked[1:, 1:]}
        single = sum(quad.astype(np.int8) for quad in quads.values()) == 1
        points, signs = [], []
        for sign, quad in quads.items():
            found = np.argwhere(single & quad) + 1
            points.append(found)
            signs.append(np.tile(sign, (len(found), 1)))
        return np.concatenate(points), np.concatenate(signs)

    def locate(self, u: float, v: float) -> tuple[int, int] | None:
        """A free cell that holds the point (its border counts), or None."""
        rows, columns = self.free.shape
        if not (0.0 <= u < rows and 0.0 <= v < columns):
            return None
        i, j = int(u), int(v)
        if self._cells[i * columns + j]:
            return i, j
        near_i = i - 1 if u - i < EPS else i + 1 if i + 1 - u < EPS else i
        near_j = j - 1 if v - j < EPS else j + 1 if j + 1 - v < EPS else j
        for a, b in ((near_i, j), (i, near_j), (near_i, near_j)):
            if 0 <= a < rows and 0 <= b < columns and self._cells[a * columns + b]:
                return a, b
        return None

    def visible(self, u0: float, v0: float, u1: float, v1: float) -> bool:
        """Whether the straight line between two points of the region stays in it (touching its border is allowed)."""
        rows, columns = self.free.shape
        if not (0.0 <= u1 <= rows and 0.0 <= v1 <= columns):
            return False
        if abs(u1 - u0) <= abs(v1 - v0):
            return self._along_u.clear(u0, v0, u1, v1)
        return self._along_v.clear(v0, u0, v1, u1)

    def visible_many(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """`visible` for float [N, 2] starts and ends: bool [N]."""
        delta = np.abs(ends - starts)
        along_u = delta[:, 0] <= delta[:, 1]
        result = np.empty(len(starts), dtype=bool)
        for mask, strips, axis in ((along_u, self._along_u, 0), (~along_u, self._along_v, 1)):
            if mask.any():
                a, b = starts[mask], ends[mask]
                result[mask] = strips.clear_many(a[:, axis], a[:, 1 - axis], b[:, axis], b[:, 1 - axis])
        return result

    def step(self, cell: tuple[int, int], u0: float, v0: float, u1: float, v1: float) -> tuple[float, float]:
        """Where a step from (u0, v0) in `cell` towards (u1, v1) ends, sliding along borders.

        Habitat's rule (facts 2.7.7): the point nearest the target among the cells that can be reached through shared edges within half
        a step, and 1 mm, of the step's midpoint.
        """
        length = math.hypot(u1 - u0, v1 - v0)
        if self._clearance[cell[0] * self._columns + cell[1]] > length + 1 or self.visible(u0, v0, u1, v1):
            return u1, v1
        mid_u, mid_v, reach = (u0 + u1) / 2, (v0 + v1) / 2, (length / 2 + STEP_MARGIN) ** 2
        cells, columns = self._cells, self._columns
        best, found = math.inf, (u0, v0)
        seen, queue = {cell}, [cell]
        while queue:
            i, j = queue.pop()
            u, v = min(max(u1, i), i + 1.0), min(max(v1, j), j + 1.0)
            distance = (u - u1) ** 2 + (v - v1) ** 2
            if distance < best:
                best, found = distance, (u, v)
            du, dv = max(i - mid_u, 0.0, mid_u - i - 1), max(j - mid_v, 0.0, mid_v - j - 1)
            for a, b, near in (
                (i - 1, j, (i - mid_u) ** 2 + dv * dv),
                (i + 1, j, (i + 1 - mid_u) ** 2 + dv * dv),
                (i, j - 1, (j - mid_v) ** 2 + du * du),
                (i, j + 1, (j + 1 - mid_v) ** 2 + du * du),
            ):
                if near <= reach and cells[a * columns + b] and (a, b) not in seen:
                    seen.add((a, b))
                    queue.append((a, b))
        return found

    def until_blocked(self, u0: float, v0: float, u1: float, v1: float) -> tuple[float, float]:
        """The last point of the line from (u0, v0) towards (u1, v1) that is reached inside the region, to 0.1 micrometres."""
        if self.visible(u0, v0, u1, v1):
            return u1, v1
        low, high = 0.0, 1.0
        while (high - low) * math.hypot(u1 - u0, v1 - v0) > 2e-6:
            middle = (low + high) / 2
            u, v = u0 + (u1 - u0) * middle, v0 + (v1 - v0) * middle
            if self.locate(u, v) is not None and self.visible(u0, v0, u, v):
                low = middle
            else:
                high = middle
        return u0 + (u1 - u0) * low, v0 + (v1 - v0) * low
