"""Floor plans: cells become rooms of a kind, and doorways join them into one dwelling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sim.houses.house import Door, Room
from sim.houses.layouts import Cell, Rect, area_of, draw_cells

DOOR_HEIGHT_M = 2.05
CEILING_M = 2.6
DOOR_CORNER_M = 0.22  # from a wall's centre line to the door opening: half a wall and the frame
_KINDS: dict[str, tuple[float, float, float]] = {  # least area, wished area (m2), how often as an extra room
    "living room": (14.0, 22.0, 0.0),
    "kitchen": (9.0, 14.0, 0.0),
    "bedroom": (9.0, 14.0, 0.5),
    "bathroom": (6.0, 8.5, 0.4),
    "dining room": (11.0, 15.0, 1.5),
    "office": (8.0, 11.0, 1.0),
    "laundry room": (6.0, 8.5, 1.0),
    "nursery": (8.5, 11.0, 0.8),
    "gym": (10.0, 14.0, 1.0),
    "library": (9.0, 13.0, 1.2),
    "game room": (13.0, 18.0, 1.3),
}
_PUBLIC = {"living room", "kitchen", "dining room", "library", "game room", "office", "gym"}
_PAIRS = {  # how dear a doorway between two kinds is; pairs not named: see _door_cost
    frozenset(("kitchen", "dining room")): 0.5,
    frozenset(("living room", "dining room")): 0.6,
    frozenset(("living room", "kitchen")): 0.7,
    frozenset(("kitchen", "laundry room")): 0.6,
    frozenset(("bedroom", "bathroom")): 0.9,
    frozenset(("bedroom", "nursery")): 0.9,
    frozenset(("library", "office")): 0.8,
    frozenset(("gym", "bathroom")): 1.2,
    frozenset(("laundry room", "bathroom")): 1.2,
}


@dataclass(frozen=True)
class Plan:
    """Rooms (to the wall centre lines), doorways and the thickness of all walls in metres."""

    rooms: tuple[Room, ...]
    doors: tuple[Door, ...]
    wall_m: float


@dataclass(frozen=True)
class Border:
    """A stretch of wall that two rooms share: `axis` it runs along, its coordinate on the other axis, from `low` to `high` (metres)."""

    rooms: tuple[int, int]
    axis: str
    at: float
    low: float
    high: float


def border_of(a: int, b: int, first: Rect, second: Rect) -> Border | None:
    """The wall shared by two rectangles, or None."""
    for at, other in ((first[2], second[0]), (first[0], second[2])):
        low, high = max(first[1], second[1]), min(first[3], second[3])
        if abs(at - other) < 1e-6 and high - low > 1e-6:
            return Border((a, b), "z", at, low, high)
    for at, other in ((first[3], second[1]), (first[1], second[3])):
        low, high = max(first[0], second[0]), min(first[2], second[2])
        if abs(at - other) < 1e-6 and high - low > 1e-6:
            return Border((a, b), "x", at, low, high)
    return None


def _draw_kinds(rng: np.random.Generator, count: int) -> list[str]:
    """The rooms besides hallways: always the four of a dwelling, then distinct extras before second bedrooms and bathrooms."""
    kinds = ["living room", "kitchen", "bedroom", "bathroom"][:count]
    names = list(_KINDS)
    while len(kinds) < count:
        most = {"bedroom": 2, "bathroom": 2 if count >= 6 else 1}
        weights = np.array([_KINDS[k][2] if kinds.count(k) < most.get(k, 1) else 0.0 for k in names])
        kinds.append(names[int(rng.choice(len(names), p=weights / weights.sum()))])
    return kinds


def _fit(kind: str, area_m2: float) -> float:
    least, wished, _ = _KINDS[kind]
    return math.log(area_m2 / wished) ** 2 + (10.0 * (least - area_m2) if area_m2 < least else 0.0)


def _assign(rng: np.random.Generator, cells: list[Cell], borders: list[Border]) -> list[str] | None:
    """A kind per cell that suits the areas and puts kitchens beside dining and living rooms; None when nothing fits."""
    places = [i for i, cell in enumerate(cells) if not cell.hall]
    areas = [area_of(cells[i].rect) for i in places]
    wanted = _draw_kinds(rng, len(places))
    best, best_cost = None, 4.0
    for _ in range(150):
        order = rng.permutation(len(wanted))
        kinds = ["hallway"] * len(cells)
        cost = 0.0
        for place, area, k in zip(places, areas, order, strict=True):
            kinds[place] = wanted[k]
            cost += _fit(wanted[k], area)
        if cost >= best_cost:
            continue
        near = {frozenset((kinds[b.rooms[0]], kinds[b.rooms[1]])) for b in borders}
        cost -= 0.25 * sum(pair in near for pair in _PAIRS)
        if cost < best_cost:
            best, best_cost = kinds, cost
    return best


def _door_cost(first: str, second: str) -> float:
    pair = frozenset((first, second))
    if pair in _PAIRS:
        return _PAIRS[pair]
    if "hallway" in pair:
        return 0.4 if len(pair) == 1 else 0.8
    if first in _PUBLIC and second in _PUBLIC:
        return 1.0
    return 1.7 if first in _PUBLIC or second in _PUBLIC else 2.4


def _root(parents: list[int], node: int) -> int:
    while parents[node] != node:
        node = parents[node]
    return node


def _choose_borders(rng: np.random.Generator, kinds: list[str], borders: list[Border]) -> list[Border] | None:
    """Borders that get a doorway: a cheapest spanning tree with bathrooms as leaves, then up to two loops. None when a room stays apart."""
    priced = sorted(((_door_cost(kinds[b.rooms[0]], kinds[b.rooms[1]]) + rng.uniform(0.0, 0.7), i) for i, b in enumerate(borders)))
    parents, degree = list(range(len(kinds))), [0] * len(kinds)
    chosen: list[Border] = []
    rest: list[tuple[float, Border]] = []
    for cost, index in priced:
        a, b = borders[index].rooms
        leaf_taken = any(kinds[r] in ("bathroom", "laundry room") and degree[r] > 0 for r in (a, b))
        if leaf_taken or _root(parents, a) == _root(parents, b):
            rest += [] if leaf_taken else [(cost, borders[index])]
            continue
        parents[_root(parents, a)] = _root(parents, b)
        degree[a], degree[b] = degree[a] + 1, degree[b] + 1
        chosen.append(borders[index])
    if len({_root(parents, r) for r in range(len(kinds))}) > 1:
        return None
    loops = [border for cost, border in rest if cost < 1.6 and not {"bathroom", "laundry room"} & {kinds[r] for r in border.rooms}]
    return chosen + [border for border in loops if rng.random() < 0.3][:2]


def _door(rng: np.random.Generator, door_id: int, border: Border) -> Door:
    """A doorway on the border: mostly near one end, where it leaves a long wall to furniture."""
    width = 0.9 + 0.05 * int(rng.integers(5))
    low, high = border.low + DOOR_CORNER_M + width / 2, border.high - DOOR_CORNER_M - width / 2
    part = (rng.uniform(0.0, 0.2), rng.uniform(0.8, 1.0), rng.uniform(0.35, 0.65))[int(rng.choice(3, p=[0.4, 0.4, 0.2]))]
    along = round(float(low + part * (high - low)), 3)
    centre = (along, border.at) if border.axis == "x" else (border.at, along)
    return Door(door_id, border.rooms, centre, border.axis, round(width, 2))


def draw_plan(rng: np.random.Generator, family: str) -> Plan:
    """A plan of 4-9 rooms, all joined by doorways, in the style of a family ("train" or "unseen")."""
    for _ in range(100):
        cells = draw_cells(rng, family)
        pairs = [(a, b) for a in range(len(cells)) for b in range(a + 1, len(cells))]
        found = [border_of(a, b, cells[a].rect, cells[b].rect) for a, b in pairs]
        borders = [b for b in found if b is not None and b.high - b.low >= 1.1 + 2 * DOOR_CORNER_M + 0.1]
        kinds = _assign(rng, cells, borders)
        chosen = None if kinds is None else _choose_borders(rng, kinds, borders)
        if kinds is None or chosen is None:
            continue
        rooms = tuple(Room(i, kind, cell.rect) for i, (kind, cell) in enumerate(zip(kinds, cells, strict=True)))
        doors = tuple(_door(rng, i, border) for i, border in enumerate(chosen))
        return Plan(rooms, doors, float(rng.choice([0.12, 0.14, 0.16])))
    raise AssertionError(f"no plan in 100 draws of family {family}")
