"""The house generator: counts, walkability, clear doorways, closed surfaces, determinism, GLB."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sim.houses.categories import CATEGORIES, COLOURS, FURNITURE, ROOM_KINDS
from sim.houses.generator import generate_house
from sim.houses.glb import write_glb
from sim.houses.grid import clearance, islands
from sim.houses.house import House, Thing
from sim.houses.layouts import LAYOUTS
from sim.houses.recipes import ESSENTIALS, EXTRAS, Step, parse_steps
from sim.houses.textures import FLOOR_TEXTURES, WALL_TEXTURES
from sim.navmesh import NavMesh

NAMES = [f"{split}_{number:04d}" for split in ("train", "val_unseen") for number in (0, 2, 17)]
DIGEST = """
import hashlib, sys
from sim.houses.generator import generate_house
h = generate_house(sys.argv[1])
m = h.mesh
parts = [m.position, m.normal, m.uv, m.colour, m.texture, m.thing, m.triangles, h.textures]
print(hashlib.sha256(b"".join(p.tobytes() for p in parts) + repr((h.rooms, h.doors, h.things)).encode()).hexdigest())
"""


@cache
def house_of(name: str) -> House:
    return generate_house(name)


@cache
def navmesh_of(name: str) -> NavMesh:
    return NavMesh.from_triangles(house_of(name).triangle_soup)


@pytest.fixture(params=NAMES)
def house(request: pytest.FixtureRequest) -> House:
    return house_of(request.param)


def footprint(thing: Thing) -> tuple[float, float, float, float]:
    w, _, d = thing.size
    if abs(np.sin(thing.yaw_rad)) > 0.5:
        w, d = d, w
    return thing.centre[0] - w / 2, thing.centre[2] - d / 2, thing.centre[0] + w / 2, thing.centre[2] + d / 2


def furniture(house: House) -> list[Thing]:
    return [thing for thing in house.things if thing.category in FURNITURE]


def test_counts_and_names_stay_within_bounds(house: House) -> None:
    area = sum((r.rect[2] - r.rect[0]) * (r.rect[3] - r.rect[1]) for r in house.rooms)
    assert 4 <= len(house.rooms) <= 9
    assert 70 <= area <= 160
    assert 35 <= len(furniture(house)) <= 60
    assert 45 <= len(house.things) <= 80
    assert len(house.mesh.triangles) <= 25_000
    assert [room.room_id for room in house.rooms] == list(range(len(house.rooms)))
    assert {room.kind for room in house.rooms} <= set(ROOM_KINDS)
    assert {"living room", "kitchen", "bedroom", "bathroom"} <= {room.kind for room in house.rooms}
    assert all(min(r.rect[2] - r.rect[0], r.rect[3] - r.rect[1]) >= (1.6 if r.kind == "hallway" else 2.4) for r in house.rooms)
    assert all(0.9 <= door.width_m <= 1.1 for door in house.doors)


def test_things_are_numbered_named_and_as_large_as_their_triangles(house: House) -> None:
    assert house.things[0].category == "void"
    assert [thing.thing_id for thing in house.things] == list(range(len(house.things)))
    assert not np.any(house.mesh.thing == 0)
    for thing in house.things:
        assert thing.category in CATEGORIES
        assert thing.colour in COLOURS if thing.category in FURNITURE else thing.colour in ("", *COLOURS)
        if thing.category in FURNITURE:
            points = house.mesh.position[house.mesh.thing == thing.thing_id]
            x0, z0, x1, z1 = footprint(thing)
            low, high = (x0, thing.centre[1] - thing.size[1] / 2, z0), (x1, thing.centre[1] + thing.size[1] / 2, z1)
            np.testing.assert_allclose(points.min(axis=0), low, atol=2e-3)
            np.testing.assert_allclose(points.max(axis=0), high, atol=2e-3)
            assert house.rooms[thing.room_id].contains(thing.centre[0], thing.centre[2])


def test_every_room_has_a_floor_and_a_ceiling_and_every_door_a_frame(house: House) -> None:
    rooms = list(range(len(house.rooms)))
    assert sorted(t.room_id for t in house.things if t.category == "floor") == rooms
    assert sorted(t.room_id for t in house.things if t.category == "ceiling") == rooms
    doors = [t for t in house.things if t.category == "door"]
    assert [(t.centre[0], t.centre[2]) for t in doors] == [door.centre for door in house.doors]
    floor = np.isin(house.mesh.thing[house.mesh.triangles[:, 0]], [t.thing_id for t in house.things if t.category == "floor"])
    corners = house.triangle_soup[floor]
    area = 0.5 * np.abs(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 1]).sum()
    thickness = house.things[doors[0].thing_id].size[2]
    wanted = sum((r.rect[2] - r.rect[0] - thickness) * (r.rect[3] - r.rect[1] - thickness) for r in house.rooms)
    assert area == pytest.approx(wanted + sum(d.width_m for d in house.doors) * thickness, rel=1e-4)


def test_rooms_are_recognisable_by_their_furniture(house: House) -> None:
    wanted = {
        "bedroom": {"bed", "nightstand", "wardrobe"},
        "living room": {"sofa", "television", "coffee table"},
        "kitchen": {"fridge", "stove", "kitchen counter"},
        "bathroom": {"toilet", "washbasin"},
        "dining room": {"dining table", "chair"},
        "office": {"desk", "office chair", "bookshelf"},
        "laundry room": {"washing machine"},
        "nursery": {"crib", "toy chest"},
        "gym": {"treadmill", "exercise bike"},
        "library": {"bookshelf", "armchair"},
        "game room": {"pool table"},
    }
    for room in house.rooms:
        assert wanted.get(room.kind, set()) <= {t.category for t in furniture(house) if t.room_id == room.room_id}, room


def test_many_things_can_be_told_apart_by_colour_and_category(house: House) -> None:
    pairs = [(t.colour, t.category) for t in furniture(house)]
    assert sum(pairs.count(pair) == 1 for pair in pairs) >= 0.5 * len(pairs)


def test_nothing_is_within_60_cm_of_a_doorway(house: House) -> None:
    for door in house.doors:
        w, t = (door.width_m / 2, 0.06) if door.axis == "x" else (0.06, door.width_m / 2)
        (x, z), reach = door.centre, 0.6
        for thing in (t for t in furniture(house) if t.room_id in door.rooms):
            x0, z0, x1, z1 = footprint(thing)
            assert x0 >= x + w + reach or x1 <= x - w - reach or z0 >= z + t + reach or z1 <= z - t - reach, (house.name, thing, door)


def test_doorways_are_open_from_floor_to_lintel(house: House) -> None:
    for door in house.doors:
        along, across = (0, 2) if door.axis == "x" else (2, 0)
        at = {0: door.centre[0], 2: door.centre[1]}
        p = house.mesh.position
        inside = (np.abs(p[:, along] - at[along]) < door.width_m / 2 - 1e-3) & (np.abs(p[:, across] - at[across]) < 0.5)
        inside &= (p[:, 1] > 0.02) & (p[:, 1] < 2.049)
        assert not inside.any()


def test_a_house_is_one_island_for_the_agent(house: House) -> None:
    cell, radius = 0.05, 0.10
    low = np.array([min(r.rect[0] for r in house.rooms), min(r.rect[1] for r in house.rooms)]) - 0.2
    high = np.array([max(r.rect[2] for r in house.rooms), max(r.rect[3] for r in house.rooms)]) + 0.2
    xs, zs = (np.arange(low[k] + cell / 2, high[k], cell) for k in (0, 1))
    x, z = np.meshgrid(xs, zs)
    half = next(t for t in house.things if t.category == "door").size[2] / 2
    free = np.zeros(x.shape, dtype=bool)
    for x0, z0, x1, z1 in (room.rect for room in house.rooms):
        free |= (x > x0 + half) & (x < x1 - half) & (z > z0 + half) & (z < z1 - half)
    for door in house.doors:
        w, t = (door.width_m / 2, half + cell) if door.axis == "x" else (half + cell, door.width_m / 2)
        free |= (np.abs(x - door.centre[0]) < w) & (np.abs(z - door.centre[1]) < t)
    for thing in furniture(house):
        if thing.size[1] > 0.05 and thing.centre[1] - thing.size[1] / 2 < 1.5:
            x0, z0, x1, z1 = footprint(thing)
            free &= ~((x > x0) & (x < x1) & (z > z0) & (z < z1))
    walkable = clearance(free, cell) > radius
    assert islands(walkable)[1] == 1
    for x0, z0, x1, z1 in (room.rect for room in house.rooms):
        assert walkable[(x > x0) & (x < x1) & (z > z0) & (z < z1)].any()


def test_rugs_are_flat_and_pictures_hang(house: House) -> None:
    for thing in furniture(house):
        if thing.category == "rug":
            assert thing.centre[1] + thing.size[1] / 2 <= 0.0101
        if thing.category in ("painting", "mirror", "clock"):
            assert thing.centre[1] > 1.2


def test_mesh_arrays_are_sound(house: House) -> None:
    mesh = house.mesh
    count = len(mesh.position)
    assert mesh.triangles.min() == 0 and mesh.triangles.max() == count - 1
    assert all(len(a) == count for a in (mesh.normal, mesh.uv, mesh.colour, mesh.texture, mesh.thing))
    assert mesh.position.dtype == mesh.colour.dtype == np.float32 and mesh.texture.dtype == mesh.thing.dtype == np.int32
    assert np.isfinite(mesh.position).all() and np.isfinite(mesh.uv).all()
    np.testing.assert_allclose(np.linalg.norm(mesh.normal, axis=1), 1.0, atol=1e-3)
    assert mesh.colour.min() >= 0 and mesh.colour.max() <= 1
    assert house.textures.dtype == np.uint8 and house.textures.shape[1:] == (128, 128, 3)
    assert mesh.texture.max() == len(house.textures) - 1 and (house.textures[0] == 255).all()
    assert (np.ptp(mesh.thing[mesh.triangles], axis=1) == 0).all() and (np.ptp(mesh.texture[mesh.triangles], axis=1) == 0).all()


def test_walls_floors_and_ceilings_face_into_the_rooms(house: House) -> None:
    soup, owner = house.triangle_soup, house.mesh.thing[house.mesh.triangles[:, 0]]
    normal = np.cross(soup[:, 1] - soup[:, 0], soup[:, 2] - soup[:, 0])
    for thing in house.things:
        if thing.category in ("floor", "ceiling"):
            assert (np.sign(normal[owner == thing.thing_id, 1]) == (1 if thing.category == "floor" else -1)).all()
    wall = next(t.thing_id for t in house.things if t.category == "wall")
    middle = soup.mean(axis=1)
    upright = (owner == wall) & (np.abs(normal[:, 1]) < 1e-9)
    unit = normal[upright] / np.linalg.norm(normal[upright], axis=1, keepdims=True)
    ahead = middle[upright] + 0.2 * unit
    rooms = [house.room_at(float(p[0]), float(p[2])) for p in ahead]
    behind = [house.room_at(float(p[0]), float(p[2])) for p in middle[upright] - 0.3 * unit]
    assert all(a is not None or b is not None for a, b in zip(rooms, behind, strict=True))
    assert sum(room is not None for room in rooms) > 0.8 * len(rooms)  # the rest are the outsides of outer walls


@pytest.mark.parametrize("name", ["train_0003", "val_unseen_0003"])
def test_the_same_name_gives_the_same_house_in_other_processes(name: str) -> None:
    digests = set()
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run([sys.executable, "-c", DIGEST, name], capture_output=True, text=True, check=True, env=environment)
        digests.add(done.stdout)
    house = generate_house(name)
    mesh = house.mesh
    parts = [mesh.position, mesh.normal, mesh.uv, mesh.colour, mesh.texture, mesh.thing, mesh.triangles, house.textures]
    data = b"".join(part.tobytes() for part in parts) + repr((house.rooms, house.doors, house.things)).encode()
    assert digests == {hashlib.sha256(data).hexdigest() + "\n"}


def test_different_names_give_different_houses() -> None:
    assert len({house_of(name).mesh.position.tobytes() for name in NAMES}) == len(NAMES)


def test_unseen_houses_share_no_layout_and_no_surface_texture_with_training() -> None:
    assert not set(LAYOUTS["train"]) & set(LAYOUTS["unseen"])
    for tables in (FLOOR_TEXTURES, WALL_TEXTURES):
        train, unseen = ({name for names in tables[family].values() for name in names} for family in ("train", "unseen"))
        assert not train & unseen


@pytest.mark.parametrize("name", ["val_seen_0001", "train_1", "train-0001", "", "test_0001", "train_0001 "])
def test_other_names_are_refused_with_the_mend(name: str) -> None:
    with pytest.raises(ValueError, match="train_0012"):
        generate_house(name)


def test_glb_holds_the_same_house(tmp_path: Path) -> None:
    house = house_of("val_unseen_0001")
    write_glb(house, tmp_path / "a.glb")
    write_glb(house, tmp_path / "b.glb")
    assert (tmp_path / "a.glb").read_bytes() == (tmp_path / "b.glb").read_bytes()
    scene = trimesh.load(tmp_path / "a.glb", process=False)
    assert isinstance(scene, trimesh.Scene)
    assert sum(len(g.faces) for g in scene.geometry.values()) == len(house.mesh.triangles)
    np.testing.assert_allclose(scene.bounds, [house.mesh.position.min(axis=0), house.mesh.position.max(axis=0)], atol=1e-5)
    written = trimesh.load(tmp_path / "a.glb", process=False, merge_primitives=True)
    assert isinstance(written, trimesh.Scene)
    assert len(written.graph.nodes_geometry) >= len(house.things) - 1  # the void has no triangles


@pytest.mark.parametrize("name", ["train_0002", "val_unseen_0017"])
def test_the_navmesh_has_one_island_on_the_floor(name: str) -> None:
    house = house_of(name)
    mesh = navmesh_of(name)
    assert sum(island.y_min_m < 0.25 for island in mesh.islands()) == 1  # voxels of 0.2 m; beds and tables are islands higher up
    middles = [np.array([door.centre[0], 0.0, door.centre[1]]) for door in house.doors]
    assert all(mesh.is_navigable(point) for point in middles)
    assert all(np.isfinite(mesh.geodesic(middles[0], point)) for point in middles)


def test_houses_are_deep_enough_for_long_ways_through_several_doorways() -> None:
    for name in ("train_0002", "val_unseen_0017"):
        mesh = navmesh_of(name)
        points = [np.array([door.centre[0], 0.0, door.centre[1]]) for door in house_of(name).doors]
        assert max(mesh.geodesic(a, b) for a in points for b in points) > 6.0


def test_furniture_stands_on_the_floor_or_on_something(house: House) -> None:
    for thing in furniture(house):
        bottom = thing.centre[1] - thing.size[1] / 2
        if thing.category not in ("painting", "mirror", "clock") and bottom > 1e-3:
            assert thing.category == "vase"
            x0, z0, x1, z1 = footprint(thing)
            x, z = (x0 + x1) / 2, (z0 + z1) / 2
            under = [
                t
                for t in furniture(house)
                if t is not thing and footprint(t)[0] < x < footprint(t)[2] and footprint(t)[1] < z < footprint(t)[3]
            ]
            assert max(t.centre[1] + t.size[1] / 2 for t in under) >= bottom - 1e-3


def test_recipe_text_becomes_steps() -> None:
    assert parse_steps("bed!; nightstand! beside bed; washing machine beside washing machine 50%; rug centre 60%; plant") == (
        Step("bed", needed=True),
        Step("nightstand", "beside", "bed", needed=True),
        Step("washing machine", "beside", "washing machine", chance=0.5),
        Step("rug", "centre", chance=0.6),
        Step("plant"),
    )
    for table in (ESSENTIALS, EXTRAS):
        assert set(table) == set(ROOM_KINDS)
        assert {step.category for steps in table.values() for step in steps} <= set(FURNITURE)
        assert {step.of for steps in table.values() for step in steps} <= {"", *FURNITURE}
