"""Cuts walkable cells into regions as Recast does: a watershed of the distance to the nearest edge, then small regions merged.

Cells lie on one flat grid with a blocked rim: index = row * width + column, rows along z, columns along x. Where Recast's order of
visiting decides an outcome (which seed floods first, which neighbour wins a tie) the order here is the same. Rules: Recast's published
description of watershed partitioning; numbers: habitat-sim 0.3.3's NavMeshSettings in the recordings.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sim._voxels import MIN_ISLAND_CELLS

EXPAND_ITERATIONS = 8  # cells that a region may grow by before the water rises again
STACKS = 8  # levels that are sorted at once
MERGE_CELLS = 400  # Recast's region_merge_size 20, squared
_FAR = 1 << 20


def directions(width: int) -> tuple[int, int, int, int]:
    """Steps of the flat index in Recast's order: -x, +z, +x, -z."""
    return (-1, width, 1, -width)


def edge_distance(free: np.ndarray) -> np.ndarray:
    """Chamfer distance int [R, C] (2 straight, 3 diagonal) of free cells to the nearest cell that touches a blocked one; 0 elsewhere."""
    inner = free.copy()
    inner[1:-1, 1:-1] = free[1:-1, :-2] & free[1:-1, 2:] & free[:-2, 1:-1] & free[2:, 1:-1]
    inner &= free
    distance = np.where(inner, _FAR, 0)
    slope = 2 * np.arange(free.shape[1])
    for flip in (False, True):
        view = distance[::-1, ::-1] if flip else distance
        for row in range(1, len(view)):
            here, above = view[row], view[row - 1]
            np.minimum(here, above + 2, out=here)
            np.minimum(here[1:], above[:-1] + 3, out=here[1:])
            np.minimum(here[:-1], above[1:] + 3, out=here[:-1])
            here[:] = np.minimum.accumulate(here - slope) + slope
    return distance


def blurred(distance: np.ndarray) -> np.ndarray:
    """Recast's 3 x 3 box blur with rounding; distances up to 2 stay."""
    total = sum(np.roll(distance, (dz, dx), (0, 1)) for dz in (-1, 0, 1) for dx in (-1, 0, 1))
    return np.where(distance <= 2, distance, (total + 5) // 9)


class _Flood:
    """Labels [cells] under construction; 0 is none yet."""

    def __init__(self, free: np.ndarray, depth: np.ndarray) -> None:
        self.free, self.depth = free.ravel(), depth.ravel()
        self.label = np.zeros(free.size, dtype=np.int32)
        self.spread = np.zeros(free.size, dtype=np.int32)  # how far a cell lies from where its region was flooded
        self.steps = directions(free.shape[1])
        self._offsets = np.array(self.steps)
        self._depths, self._labels, self._frees = self.depth.data, self.label.data, self.free.data
        self.regions = 0

    def expand(self, cells: np.ndarray, limit: int | None) -> np.ndarray:
        """Regions grow into `cells`, a cell at a time, at most `limit` times. Returns the cells that stay unlabelled."""
        cells = cells[self.label[cells] == 0]
        while len(cells) and limit != 0:
            around = cells[:, None] + self._offsets
            label = self.label[around]
            reach = np.where(label > 0, self.spread[around] + 2, _FAR)
            best = reach.argmin(axis=1)
            rows = np.arange(len(cells))
            near = reach[rows, best]
            grown = near < _FAR
            if not grown.any():
                break
            taken = cells[grown]
            self.label[taken] = label[rows, best][grown]
            self.spread[taken] = near[grown]
            cells = cells[~grown]
            limit = None if limit is None else limit - 1
        return cells

    def seed(self, cells: np.ndarray, level: int) -> None:
        """New regions at the cells that no region has reached, each over what is at most two levels higher up the slope."""
        for cell in cells.tolist():
            if self._labels[cell] == 0 and self._fill(cell, max(level - 2, 0)):
                self.regions += 1

    def _touches_other(self, cell: int, label: int) -> bool:
        labels, frees, steps = self._labels, self._frees, self.steps
        for turn in range(4):
            beside = cell + steps[turn]
            if frees[beside]:
                other = labels[beside]
                if other not in (0, label):
                    return True
                onward = beside + steps[(turn + 1) & 3]
                if frees[onward] and labels[onward] not in (0, label):
                    return True
        return False

    def _fill(self, seed: int, lowest: int) -> bool:
        label, labels, frees, depths = self.regions + 1, self._labels, self._frees, self._depths
        labels[seed] = label
        self.spread[seed] = 0
        stack, count = [seed], 0
        while stack:
            cell = stack.pop()
            if self._touches_other(cell, label):
                labels[cell] = 0
                continue
            count += 1
            for step in self.steps:
                beside = cell + step
                if frees[beside] and labels[beside] == 0 and depths[beside] >= lowest:
                    labels[beside] = label
                    self.spread[beside] = 0
                    stack.append(beside)
        return count > 0


def watershed(free: np.ndarray) -> np.ndarray:
    """Region numbers int32 [R, C] from 1 on (0: blocked) of the free cells bool [R, C] with a blocked rim."""
    distance = edge_distance(free)
    flood = _Flood(free, blurred(distance))
    level = (int(distance.max(initial=0)) + 1) & ~1
    levels, stacks = -1, [np.zeros(0, dtype=np.int64)] * STACKS
    while level > 0:
        level = max(level - 2, 0)
        levels = (levels + 1) % STACKS
        if levels == 0:
            stacks = _sorted_by_level(flood, level)
        else:
            left = stacks[levels - 1]
            stacks[levels] = np.concatenate([stacks[levels], left[flood.label[left] == 0]])
        stacks[levels] = flood.expand(stacks[levels], EXPAND_ITERATIONS if level else None)
        flood.seed(stacks[levels], level)
    flood.expand(np.flatnonzero(flood.free & (flood.label == 0)), None)
    return flood.label.reshape(free.shape)


def _sorted_by_level(flood: _Flood, level: int) -> list[np.ndarray]:
    """Unlabelled cells of the coming levels, one array for each two units of depth."""
    cells = np.flatnonzero(flood.free & (flood.label == 0))
    place = np.maximum((level >> 1) - (flood.depth[cells] >> 1), 0)
    return [cells[place == index] for index in range(STACKS)]


def walk_border(labels: memoryview, steps: tuple[int, int, int, int], cell: int, turn: int) -> Iterator[tuple[int, int]]:
    """The border edges (cell, direction) of a region once around, clockwise, from one of them."""
    first, label = (cell, turn), labels[cell]
    while True:
        beside = cell + steps[turn]
        if labels[beside] == label:
            cell, turn = beside, (turn + 3) & 3
        else:
            yield cell, turn
            turn = (turn + 1) & 3
        if (cell, turn) == first:
            return


def _without_repeats(ring: list[int]) -> list[int]:
    """A ring without equal neighbours."""
    kept = [value for index, value in enumerate(ring) if value != ring[(index + 1) % len(ring)]]
    return kept or ring[:1]


class _Merger:
    """Regions as sizes, rings of neighbours (0 is a wall) and current numbers."""

    def __init__(self, label: np.ndarray) -> None:
        flat = np.ascontiguousarray(label).ravel()
        count = int(flat.max(initial=0)) + 1
        self.size = np.bincount(flat, minlength=count).tolist()
        self.name = list(range(count))
        self.ring: list[list[int]] = [[] for _ in range(count)]
        steps, labels = directions(label.shape[1]), flat.data
        edge = np.flatnonzero((flat > 0) & np.any([np.roll(flat, -step) != flat for step in steps], axis=0))
        for region, at in zip(*np.unique(flat[edge], return_index=True), strict=True):
            cell = int(edge[at])
            turn = next(turn for turn in range(4) if labels[cell + steps[turn]] != region)
            self.ring[region] = _without_repeats([labels[a + steps[t]] for a, t in walk_border(labels, steps, cell, turn)])

    def drop_small(self) -> None:
        """Connected pieces below Recast's least size lose their number."""
        seen: set[int] = {0}
        for start in range(1, len(self.name)):
            if start in seen:
                continue
            group, stack = [], [start]
            seen.add(start)
            while stack:
                region = stack.pop()
                group.append(region)
                stack += [other for other in dict.fromkeys(self.ring[region]) if other not in seen]
                seen.update(self.ring[region])
            if sum(self.size[region] for region in group) < MIN_ISLAND_CELLS:
                for region in group:
                    self.size[region], self.name[region] = 0, 0

    def merge(self) -> None:
        """Small or walled-in-by-others regions join their smallest neighbour until nothing changes."""
        changed = True
        while changed:
            changed = False
            for region in range(1, len(self.name)):
                if self.name[region] and self.size[region]:
                    changed |= self._join(region)

    def _join(self, region: int) -> bool:
        ring = self.ring[region]
        if self.size[region] > MERGE_CELLS and 0 in ring:
            return False
        smallest, target = _FAR, 0
        for other in ring:
            if other and self.name[other] and self.size[other] < smallest and self._fits(region, other):
                smallest, target = self.size[other], self.name[other]
        old = self.name[region]
        if target in (0, old) or not self._unite(target, region):
            return False
        for other in range(1, len(self.name)):
            if self.name[other] == old:
                self.name[other] = target
            if self.name[other] and old in self.ring[other]:
                self.ring[other] = _without_repeats([target if value == old else value for value in self.ring[other]])
        return True

    def _fits(self, a: int, b: int) -> bool:
        """They share one border only: joined, they have no hole."""
        return self.ring[a].count(self.name[b]) <= 1 and self.ring[b].count(self.name[a]) <= 1

    def _unite(self, a: int, b: int) -> bool:
        first, second, name_a, name_b = self.ring[a], self.ring[b], self.name[a], self.name[b]
        if name_b not in first or name_a not in second:
            return False
        i, j = first.index(name_b), second.index(name_a)
        self.ring[a] = _without_repeats(first[i + 1 :] + first[:i] + second[j + 1 :] + second[:j])
        self.size[a] += self.size[b]
        self.size[b], self.ring[b] = 0, []
        return True


def regions(free: np.ndarray) -> np.ndarray:
    """Recast's regions int32 [R, C] from 1 on (0: blocked, or a piece below 1 m2) of the free cells bool [R, C] with a blocked rim."""
    label = watershed(free)
    merger = _Merger(label)
    merger.drop_small()
    merger.merge()
    order = {0: 0}
    for name in merger.name:
        order.setdefault(name, len(order))
    return np.array([order[name] for name in merger.name], dtype=np.int32)[label]
