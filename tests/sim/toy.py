"""A house of boxes: two rooms with a doorway, for tests that need no generator."""

from __future__ import annotations

import numpy as np

from sim.houses.house import Door, House, Mesh, Room, Thing

_FACES = (  # axis, sign
    (0, 1), (0, -1), (1, 1), (1, -1), (2, 1), (2, -1),
)  # fmt: skip


def box(centre: tuple[float, float, float], size: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Closed box: corners [24, 3] and normals [24, 3], six quads counter-clockwise seen from outside."""
    corners, normals = [], []
    for axis, sign in _FACES:
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for du, dv in ((-1, -1), (1, -1), (1, 1), (-1, 1)) if sign > 0 else ((-1, -1), (-1, 1), (1, 1), (1, -1)):
            corner = np.array(centre, dtype=np.float64)
            corner[axis] += sign * size[axis] / 2
            corner[u] += du * size[u] / 2
            corner[v] += dv * size[v] / 2
            normal = np.zeros(3)
            normal[axis] = sign
            corners.append(corner)
            normals.append(normal)
    return np.array(corners, dtype=np.float32), np.array(normals, dtype=np.float32)


def boxes_house(name: str, parts: list[tuple[str, tuple, tuple, tuple]], rooms: tuple[Room, ...], doors: tuple[Door, ...]) -> House:
    """A house of (category, centre, size, colour) boxes; thing ids are 1 + the index."""
    position, normal, colour, thing, triangles = [], [], [], [], []
    things = [Thing(0, "void", "", -1, (0, 0, 0), (0, 0, 0), 0.0)]
    for index, (category, centre, size, rgb) in enumerate(parts):
        corners, normals = box(centre, size)
        first = 24 * index
        position.append(corners)
        normal.append(normals)
        colour.append(np.tile(np.array(rgb, dtype=np.float32), (24, 1)))
        thing.append(np.full(24, index + 1, dtype=np.int32))
        quads = first + 4 * np.arange(6)[:, None]
        triangles.append(np.concatenate([quads + [0, 1, 2], quads + [0, 2, 3]]))
        things.append(Thing(index + 1, category, "", 0, centre, size, 0.0))
    count = 24 * len(parts)
    mesh = Mesh(
        np.concatenate(position), np.concatenate(normal), np.tile(np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32), (count // 4, 1)),
        np.concatenate(colour), np.zeros(count, np.int32), np.concatenate(thing), np.concatenate(triangles).astype(np.int32),
    )  # fmt: skip
    return House(name, rooms, doors, tuple(things), mesh, np.full((1, 128, 128, 3), 255, np.uint8))


def two_rooms() -> House:
    """Rooms x -4..0 and 0..4, z -2..2, doorway 1 m wide at z 0 in the wall x = 0; a red box in the east, a blue one in the west."""
    wall = (0.9, 0.9, 0.8)
    parts = [
        ("floor", (0, -0.05, 0), (8.2, 0.1, 4.2), (0.6, 0.5, 0.4)),
        ("ceiling", (0, 2.65, 0), (8.2, 0.1, 4.2), (0.9, 0.9, 0.9)),
        ("wall", (-4, 1.3, 0), (0.2, 2.6, 4.2), wall),
        ("wall", (4, 1.3, 0), (0.2, 2.6, 4.2), wall),
        ("wall", (0, 1.3, -2), (8.2, 2.6, 0.2), wall),
        ("wall", (0, 1.3, 2), (8.2, 2.6, 0.2), wall),
        ("wall", (0, 1.3, -1.25), (0.2, 2.6, 1.5), wall),
        ("wall", (0, 1.3, 1.25), (0.2, 2.6, 1.5), wall),
        ("sofa", (3.0, 0.5, 0.0), (0.6, 1.0, 0.6), (0.8, 0.1, 0.1)),
        ("bed", (-3.0, 0.5, 1.0), (0.6, 1.0, 0.6), (0.1, 0.1, 0.8)),
    ]
    rooms = (Room(0, "living room", (-4, -2, 0, 2)), Room(1, "kitchen", (0, -2, 4, 2)))
    return boxes_house("toy", parts, rooms, (Door(0, (0, 1), (0.0, 0.0), "z", 1.0),))
