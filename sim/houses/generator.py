"""`generate_house("train_0012")`: a furnished dwelling from nothing but its name."""

from __future__ import annotations

import re
import zlib

import numpy as np

from sim.houses.builder import MeshBuilder
from sim.houses.furniture import RGB
from sim.houses.house import House, Thing
from sim.houses.placement import Furnisher, Item
from sim.houses.plan import CEILING_M, DOOR_HEIGHT_M, Plan, draw_plan
from sim.houses.space import RoomSpace, Window
from sim.houses.surfaces import FRAME_M, Style, SurfaceIds, build_surfaces, draw_windows, side_at
from sim.houses.textures import FLOOR_TEXTURES, WALL_TEXTURES, texture
from sim.houses.walkable import is_one_island

FURNITURE_COUNT = (35, 60)
THINGS_COUNT = (45, 80)
ATTEMPTS = 60
_NAME = re.compile(r"(train|val_unseen)_(\d{4,})")
_DOOR_COLOURS = ("white", "brown", "black", "blue", "green", "red", "yellow", "grey", "orange", "purple", "pink", "beige")
_FAMILY = {"train": "train", "val_unseen": "unseen"}


def generate_house(name: str) -> House:
    """The house of a name like "train_0012" or "val_unseen_0007": same name, same house, bit for bit.

    Raises ValueError for any other name (val_seen episodes take place in train houses).
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f'house {name!r}: names are "train_0012" or "val_unseen_0007"; val_seen episodes name train houses')
    family = _FAMILY[match[1]]
    for attempt in range(ATTEMPTS):
        seed = np.random.SeedSequence([zlib.crc32(match[1].encode()), int(match[2]), attempt])
        house = _attempt(name, family, np.random.default_rng(seed))
        if house is not None:
            return house
    raise AssertionError(f"{name}: no valid house in {ATTEMPTS} attempts")


def _attempt(name: str, family: str, rng: np.random.Generator) -> House | None:
    """A house, or None when the draw is not one island or a room stays unrecognisable."""
    plan = draw_plan(rng, family)
    windows = draw_windows(rng, plan)
    spaces = [RoomSpace(room, plan.doors, windows, plan.wall_m) for room in plan.rooms]
    furnisher = Furnisher(rng, family, spaces)
    surfaces = 2 + 2 * len(plan.rooms) + len(plan.doors) + len(windows)
    if not furnisher.furnish(min(int(rng.integers(38, 51)), THINGS_COUNT[1] - surfaces)):
        return None
    items = furnisher.items
    if not FURNITURE_COUNT[0] <= len(items) <= FURNITURE_COUNT[1] or not THINGS_COUNT[0] <= surfaces + len(items) <= THINGS_COUNT[1]:
        return None
    if not is_one_island(plan, [item.spot.rect for item in items if item.solid]):
        return None
    return _assemble(name, family, rng, plan, windows, items)


def _styles(rng: np.random.Generator, family: str, plan: Plan) -> tuple[Style, ...]:
    """Floor and wall looks per room; neighbouring draws differ."""
    styles: list[Style] = []
    for room in plan.rooms:
        names = []
        for table in (FLOOR_TEXTURES[family], WALL_TEXTURES[family]):
            choices = table.get(room.kind, table["any"])
            names.append(choices[int(rng.integers(len(choices)))])
        floor_tint = tuple(float(v) for v in np.clip(rng.uniform(0.86, 1.0) + rng.uniform(-0.03, 0.03, 3), 0, 1))
        wall_tint = tuple(float(v) for v in rng.uniform(0.80, 1.0, 3))
        styles.append(Style(names[0], names[1], floor_tint, wall_tint))
    return tuple(styles)


def _box_thing(index: int, category: str, room_id: int, rect: tuple[float, ...], low: float, high: float) -> Thing:
    x0, z0, x1, z1 = rect
    return Thing(index, category, "", room_id, ((x0 + x1) / 2, (low + high) / 2, (z0 + z1) / 2), (x1 - x0, high - low, z1 - z0), 0.0)


def _surface_things(plan: Plan, windows: tuple[Window, ...], door_names: list[str]) -> tuple[list[Thing], SurfaceIds]:
    """Void, wall, floors, ceilings, doors, windows: things and their ids."""
    rects = np.array([room.rect for room in plan.rooms])
    whole = (*(float(v) for v in rects[:, :2].min(axis=0)), *(float(v) for v in rects[:, 2:].max(axis=0)))
    things = [Thing(0, "void", "", -1, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.0), _box_thing(1, "wall", -1, whole, 0.0, CEILING_M)]
    floors = [_box_thing(2 + i, "floor", i, room.rect, 0.0, 0.0) for i, room in enumerate(plan.rooms)]
    things += floors
    ceilings = [_box_thing(len(things) + i, "ceiling", i, room.rect, CEILING_M, CEILING_M) for i, room in enumerate(plan.rooms)]
    things += ceilings
    doors = []
    for door, colour in zip(plan.doors, door_names, strict=True):
        top = DOOR_HEIGHT_M + FRAME_M
        size = (door.width_m + 2 * FRAME_M, top, plan.wall_m)
        centre = (door.centre[0], top / 2, door.centre[1])
        doors.append(Thing(len(things) + door.door_id, "door", colour, -1, centre, size, 0.0 if door.axis == "x" else float(np.pi / 2)))
    things += doors
    panes = []
    for window in windows:
        at, middle = side_at(plan.rooms[window.room_id], window.quarter), (window.low + window.high) / 2
        x, z = (middle, at) if window.quarter % 2 == 0 else (at, middle)
        size = (window.high - window.low, window.top_m - window.sill_m, plan.wall_m)
        centre = (x, (window.sill_m + window.top_m) / 2, z)
        panes.append(Thing(len(things) + len(panes), "window", "", window.room_id, centre, size, window.quarter * float(np.pi) / 2))
    things += panes
    ids = [tuple(t.thing_id for t in group) for group in (floors, ceilings, doors, panes)]
    return things, SurfaceIds(ids[0], ids[1], 1, ids[2], ids[3])


def _assemble(name: str, family: str, rng: np.random.Generator, plan: Plan, windows: tuple[Window, ...], items: list[Item]) -> House:
    builder = MeshBuilder(texture)
    order = rng.permutation(len(_DOOR_COLOURS))
    door_names = [_DOOR_COLOURS[int(order[i % len(order)])] for i in range(len(plan.doors))]
    things, ids = _surface_things(plan, windows, door_names)
    solids = [item.spot.rect for item in items if item.solid and item.base_m == 0.0]
    build_surfaces(builder, plan, windows, _styles(rng, family, plan), tuple(RGB[colour] for colour in door_names), ids, solids)
    for item in items:
        spot, (w, h, d) = item.spot, item.model.size
        thing = Thing(len(things), item.category, item.colour, item.room_id, (spot.x, item.base_m + h / 2, spot.z), (w, h, d), spot.yaw_rad)
        builder.model(item.model, (spot.x, item.base_m, spot.z), spot.yaw_rad, thing.thing_id)
        things.append(thing)
    mesh, textures = builder.finish()
    return House(name, plan.rooms, plan.doors, tuple(things), mesh, textures)
