"""Furnishes rooms: essentials first, then landmarks, then extras until the house is full enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sim.houses.furniture import COLOURS_OF, build_furniture
from sim.houses.furniture.model import Model
from sim.houses.layouts import grown, overlap
from sim.houses.recipes import ESSENTIALS, EXTRAS, FLAT, FRONT_CLEAR_M, HUNG, LANDMARKS, UNIQUE_PER_ROOM, Step
from sim.houses.space import RoomSpace, Spot, spot_at, turned
from sim.houses.support import free_top

HANG_CENTRE_M = {"painting": 1.5, "mirror": 1.45, "clock": 1.85}
CHAIR_TUCK_M = 0.12
TIGHT = ("bedroom", "kitchen")  # what they need fails most often: find out before the rest is built
RUG_TOP_M = 0.01  # thicker rugs sink into the floor
PAIRED = ("chair", "nightstand", "bookshelf", "kitchen counter", "washing machine")  # look alike within a room


@dataclass(frozen=True)
class Item:
    """A placed piece of furniture: `base_m` is the height of its lowest point."""

    category: str
    colour: str
    model: Model
    room_id: int
    spot: Spot
    base_m: float = 0.0

    @property
    def solid(self) -> bool:
        """Whether it keeps an agent away: rugs do not."""
        return self.category not in FLAT


class Furnisher:
    """Places furniture of one family ("train" or "unseen") in the rooms of a house."""

    def __init__(self, rng: np.random.Generator, family: str, spaces: list[RoomSpace]) -> None:
        self.rng, self.family, self.spaces = rng, family, spaces
        self.items: list[Item] = []
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._models: dict[tuple[int, str], tuple[str, Model]] = {}
        self._ways: dict[str, Callable[[RoomSpace, Step, Model], list[Spot]]] = {
            "wall": self._wall, "corner": self._corner, "beside": self._beside, "opposite": self._opposite,
            "front": self._front, "centre": self._centre, "around": self._around, "under": self._under,
        }  # fmt: skip

    def furnish(self, target: int) -> bool:
        """Fill the house with about `target` pieces; False when a room lacks what makes it recognisable."""
        tight_first = sorted(self.spaces, key=lambda space: space.room.kind not in TIGHT)
        for space in tight_first:
            for step in ESSENTIALS[space.room.kind]:
                if self.rng.random() < step.chance and not self.place(space, step) and step.needed:
                    return False
        extras = [(space, list(EXTRAS[space.room.kind])) for space in self.spaces]
        self._landmarks(target)
        self._extras(target, extras, rounds=2)
        self._landmarks(target)
        self._extras(target, extras, rounds=99)
        return True

    def _extras(self, target: int, extras: list[tuple[RoomSpace, list[Step]]], rounds: int) -> None:
        """Room by room the next of its extras, that many times round."""
        for _ in range(rounds):
            for space, steps in extras:
                if steps and len(self.items) < target:
                    self.place(space, steps.pop(0))

    def _landmarks(self, target: int) -> None:
        """A distinctive thing per room, new to the house where possible."""
        for index in self.rng.permutation(len(self.spaces)):
            space = self.spaces[int(index)]
            there = {item.category for item in self.items}
            names = [name for name, kinds in LANDMARKS.items() if space.room.kind in kinds]
            order = [names[int(i)] for i in self.rng.permutation(len(names))]
            for name in sorted(order, key=lambda n: n in there)[:4]:
                if len(self.items) < target and self.place(space, Step(name, "hung" if name in HUNG else "wall")):
                    break

    def place(self, space: RoomSpace, step: Step) -> bool:
        """Try to add what the step asks for; whether anything was placed."""
        anchors = self._in_room(space, step.of)
        if (step.of and not anchors) or (step.category in UNIQUE_PER_ROOM and self._in_room(space, step.category)):
            return False
        tries = 3 if step.needed else 1  # another model of what a room must have may be smaller
        return any(self._place_model(space, step, anchors) for _ in range(tries))

    def _place_model(self, space: RoomSpace, step: Step, anchors: list[Item]) -> bool:
        colour, model = self._model(space, step.category)
        if step.category in HUNG:
            return self._hang(space, step, colour, model)
        if step.how == "top":
            return self._stand_on(space, anchors[0], step.category, colour, model)
        spots = self._ways[step.how](space, step, model)
        for spot in spots:
            sunk = min(0.0, RUG_TOP_M - model.size[1]) if step.category in FLAT else 0.0
            item = Item(step.category, colour, model, space.room.room_id, spot, sunk)
            if item.solid:
                space.put(spot, model.size[1], FRONT_CLEAR_M.get(step.category, 0.0) if step.how != "centre" else 0.0)
            self._add(item)
        return bool(spots)

    def _stand_on(self, space: RoomSpace, anchor: Item, category: str, colour: str, model: Model) -> bool:
        """Put something small on top of a piece of furniture."""
        place = free_top(anchor.model, model.size[0], model.size[2]) if model.size[1] < 0.6 else None
        if place is None:
            return False
        x, z = turned(place[0], place[2], anchor.spot.quarter)
        spot = spot_at(anchor.spot.x + x, anchor.spot.z + z, anchor.spot.quarter, model.size[0], model.size[2])
        self._add(Item(category, colour, model, space.room.room_id, spot, place[1]))
        return True

    def _add(self, item: Item) -> None:
        self.items.append(item)
        self._pairs[item.category, item.colour] += 1
        if item.category in PAIRED:
            self._models[item.room_id, item.category] = (item.colour, item.model)

    def _in_room(self, space: RoomSpace, category: str) -> list[Item]:
        return [item for item in self.items if item.room_id == space.room.room_id and item.category == category]

    def _model(self, space: RoomSpace, category: str) -> tuple[str, Model]:
        """A model in a colour that this category has least often in the house; pairs look alike."""
        known = self._models.get((space.room.room_id, category))
        if known is not None:
            return known
        colours = COLOURS_OF[category]
        order = self.rng.permutation(len(colours))
        colour = min((colours[int(i)] for i in order), key=lambda c: self._pairs[category, c])
        return colour, build_furniture(category, self.rng, self.family, colour)

    def _first(self, space: RoomSpace, step: Step, model: Model, candidates: list[Spot], ignore: Item | None = None) -> list[Spot]:
        """The first candidate that fits, as a list of at most one."""
        flat, height = step.category in FLAT, model.size[1]
        front = FRONT_CLEAR_M.get(step.category, 0.0)
        for spot in candidates:
            if flat:
                x0, z0, x1, z1 = grown(space.inner, -0.05)
                inside = spot.rect[0] >= x0 and spot.rect[1] >= z0 and spot.rect[2] <= x1 and spot.rect[3] <= z1
                others = [i.spot.rect for i in self.items if i.room_id == space.room.room_id and i.category in FLAT]
                if inside and not any(overlap(spot.rect, r) for r in [*space.door_zones, *others]):
                    return [spot]
                continue
            if step.how in ("wall", "corner", "beside", "opposite") and self._covers_window(space, spot, height):
                continue
            if front > 0 and step.how != "front" and not space.front_free(spot, front):
                continue
            if space.fits(spot.rect, ignore.spot.rect if ignore else None, on_fronts=step.how in ("front", "around")):
                return [spot]
        return []

    @staticmethod
    def _covers_window(space: RoomSpace, spot: Spot, height_m: float) -> bool:
        x0, z0, x1, z1 = spot.rect
        return any(
            space.wall_distance(spot.rect, q) < 0.35 and space.before_window(q, *((x0, x1) if q % 2 == 0 else (z0, z1)), height_m)
            for q in range(4)
        )

    def _walls(self) -> list[int]:
        return [int(q) for q in self.rng.permutation(4)]

    def _wall(self, space: RoomSpace, step: Step, model: Model, quarters: tuple[int, ...] = (0, 1, 2, 3)) -> list[Spot]:
        """With the back to one of these walls, anywhere along it."""
        w, _, d = model.size
        walls = [q % 4 for q in quarters]
        spots = []
        for part in (None, None, 0.0, 1.0, 0.5, None, None, None):
            for quarter in (q for q in self._walls() if q in walls):
                low, high = space.span(quarter)
                low, high = low + w / 2 + 0.04, high - w / 2 - 0.04
                if low < high:
                    share = self.rng.random() if part is None else part
                    spots.append(space.at_wall(quarter, low + share * (high - low), w, d))
        for quarter in walls if step.needed else []:  # what a room must have gets every chance
            low, high = space.span(quarter)
            spots += [space.at_wall(quarter, float(along), w, d) for along in np.arange(low + w / 2 + 0.04, high - w / 2 - 0.03, 0.15)]
        return self._first(space, step, model, spots)

    def _corner(self, space: RoomSpace, step: Step, model: Model) -> list[Spot]:
        w, _, d = model.size
        spots = []
        for quarter in self._walls():
            low, high = space.span(quarter)
            ends = [low + w / 2 + 0.06, high - w / 2 - 0.06]
            spots += [space.at_wall(quarter, ends[int(e)], w, d, 0.04) for e in self.rng.permutation(2)]
        return self._first(space, step, model, spots) or self._wall(space, step, model)

    @staticmethod
    def _along(spot: Spot) -> float:
        return spot.x if spot.quarter % 2 == 0 else spot.z

    def _beside(self, space: RoomSpace, step: Step, model: Model) -> list[Spot]:
        w, _, d = model.size
        gap = 0.2 if step.category in ("armchair", "floor lamp") else 0.03
        spots = []
        for anchor in self._in_room(space, step.of)[::-1]:
            if space.wall_distance(anchor.spot.rect, anchor.spot.quarter) < 0.2:
                for side in self.rng.permutation([-1.0, 1.0]):
                    along = self._along(anchor.spot) + float(side) * (anchor.model.size[0] / 2 + w / 2 + gap)
                    spots.append(space.at_wall(anchor.spot.quarter, along, w, d))
        return self._first(space, step, model, spots) or ([] if step.category == "nightstand" else self._wall(space, step, model))

    def _opposite(self, space: RoomSpace, step: Step, model: Model) -> list[Spot]:
        anchor = self._in_room(space, step.of)[0].spot
        w, _, d = model.size
        shifts = (0.0, 0.3, -0.3, 0.6, -0.6, 1.0, -1.0, 1.5, -1.5)
        spots = [space.at_wall((anchor.quarter + 2) % 4, self._along(anchor) + shift, w, d) for shift in shifts]
        return self._first(space, step, model, spots) or self._wall(space, step, model, (anchor.quarter + 1, anchor.quarter + 3))

    def _front(self, space: RoomSpace, step: Step, model: Model) -> list[Spot]:
        anchor = self._in_room(space, step.of)[0]
        w, _, d = model.size
        chair = step.category == "office chair"
        gap = -0.1 if chair else 0.45
        reach = anchor.model.size[2] / 2 + gap + d / 2
        away = [(0, -1), (-1, 0), (0, 1), (1, 0)][anchor.spot.quarter]
        spots = []
        for shift in (0.0, 0.15, -0.15):
            x, z = anchor.spot.x + away[0] * (reach + shift), anchor.spot.z + away[1] * (reach + shift)
            spots.append(spot_at(x, z, anchor.spot.quarter + (2 if chair else 0), w, d))
        return self._first(space, step, model, spots[:1] if chair else spots, anchor if chair else None)

    def _centre(self, space: RoomSpace, step: Step, model: Model) -> list[Spot]:
        w, _, d = model.size
        x0, z0, x1, z1 = space.inner
        ring = 0.5 if step.category == "dining table" else 0.0
        spots = []
        for spread in (0.08, 0.08, 0.16, 0.16, 0.24, 0.24, 0.3, 0.3):
            x = (x0 + x1) / 2 + self.rng.uniform(-spread, spread) * (x1 - x0)
            z = (z0 + z1) / 2 + self.rng.uniform(-spread, spread) * (z1 - z0)
            turns = (0, 1) if (x1 - x0 > z1 - z0) == (w > d) else (1, 0)
            spots += [spot_at(x, z, q, w, d) for q in turns]
        if not ring:
            return self._first(space, step, model, spots)
        spots = [spot for spot in spots if space.fits(grown(spot.rect, ring))] or [
            spot for spot in spots if space.fits(grown(spot.rect, ring / 2))
        ]
        return spots[:1]

    def _around(self, space: RoomSpace, step: Step, model: Model) -> list[Spot]:
        table = self._in_room(space, step.of)[0]
        w, _, d = model.size
        tw, _, td = table.model.size
        columns = (-tw / 4, tw / 4) if tw > 2 * w + 0.1 else (0.0,)
        off_z, off_x = td / 2 + d / 2 - CHAIR_TUCK_M, tw / 2 + d / 2 - CHAIR_TUCK_M
        local = [(x, off_z, 0) for x in columns] + [(x, -off_z, 2) for x in columns]  # a chair behind the table (+Z) looks along -Z at it
        if self.rng.random() < 0.5:
            local += [(off_x, 0.0, 1), (-off_x, 0.0, 3)]
        placed: list[Spot] = []
        for lx, lz, turn in local:
            x, z = turned(lx, lz, table.spot.quarter)
            spot = spot_at(table.spot.x + x, table.spot.z + z, table.spot.quarter + turn, w, d)
            if not any(overlap(spot.rect, other.rect) for other in placed):
                placed += self._first(space, step, model, [spot], table)
        return placed

    def _under(self, space: RoomSpace, step: Step, model: Model) -> list[Spot]:
        anchor = self._in_room(space, step.of)[0].spot
        w, _, d = model.size
        return self._first(space, step, model, [spot_at(anchor.x, anchor.z, anchor.quarter + turn, w, d) for turn in (0, 1)])

    def _hang(self, space: RoomSpace, step: Step, colour: str, model: Model) -> bool:
        """Hang on a wall: above its anchor or wherever it is free."""
        w, h, d = model.size
        base = HANG_CENTRE_M[step.category] - h / 2
        places: list[tuple[int, float]] = []
        for anchor in self._in_room(space, step.of) if step.of else []:
            if space.wall_distance(anchor.spot.rect, anchor.spot.quarter) < 0.2:
                base = max(base, anchor.model.size[1] + 0.12)
                places.append((anchor.spot.quarter, self._along(anchor.spot)))
        for quarter in [q for _ in range(4) for q in self._walls()]:
            low, high = space.span(quarter)
            places.append((quarter, float(self.rng.uniform(low, high))))
        if base + h > 2.45:
            return False
        for quarter, along in places:
            if space.can_hang(quarter, along, w, base, base + h):
                space.hang(quarter, along, w)
                self._add(Item(step.category, colour, model, space.room.room_id, space.at_wall(quarter, along, w, d, 0.005), base))
                return True
        return False
