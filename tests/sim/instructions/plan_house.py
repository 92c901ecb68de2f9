"""A small house whose every door and thing is known: a hallway, a bedroom and a kitchen south, a living room north, a bathroom west.

    living room (z -4..0)
--------- door 2 (x 5) ---------
bath | hallway (z 0..2) x 0..8
---- door 0 (x 2) ---- door 1 (x 6)
     bedroom x 0..4  |  kitchen x 4..8   (z 2..6)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sim.houses.house import Door, House, Room, Thing
from sim.instructions.layout import Layout
from sim.navmesh import NavMesh
from tests.sim.toy import boxes_house

ROOMS = (
    Room(0, "hallway", (0, 0, 8, 2)), Room(1, "bedroom", (0, 2, 4, 6)), Room(2, "kitchen", (4, 2, 8, 6)),
    Room(3, "living room", (0, -4, 8, 0)), Room(4, "bathroom", (-3, 0, 0, 2)),
)  # fmt: skip
DOORS = (
    Door(0, (0, 1), (2.0, 2.0), "x", 1.0), Door(1, (0, 2), (6.0, 2.0), "x", 1.0), Door(2, (0, 3), (5.0, 0.0), "x", 1.0),
    Door(3, (0, 4), (0.0, 1.0), "z", 1.0),
)  # fmt: skip
# category, colour, room, centre, size, yaw
THINGS = (
    ("bed", "blue", 1, (0.9, 0.3, 5.2), (1.4, 0.6, 1.2), 0.0),
    ("fridge", "white", 2, (7.5, 0.9, 5.5), (0.7, 1.8, 0.7), np.pi / 2),
    ("sofa", "red", 3, (1.5, 0.4, -3.4), (2.0, 0.8, 0.8), np.pi),
    ("armchair", "green", 3, (7.4, 0.45, -3.4), (0.8, 0.9, 0.8), np.pi),
    ("armchair", "red", 3, (7.4, 0.45, -1.5), (0.8, 0.9, 0.8), np.pi / 2),
    ("piano", "black", 0, (7.4, 0.6, 0.6), (0.6, 1.2, 0.6), np.pi / 2),
    ("bookshelf", "brown", 3, (3.2, 1.0, -0.3), (0.8, 2.0, 0.3), np.pi),
    ("toilet", "white", 4, (-2.6, 0.4, 1.0), (0.7, 0.8, 0.4), np.pi),
)
FRAMES = ("yellow", "grey", "purple", "pink")


def plan_house() -> House:
    """The house of this page's drawing."""
    rooms_only = House("train_0000", ROOMS, DOORS, (), _NO_MESH, np.zeros((1, 128, 128, 3), np.uint8))
    parts: list = [("floor", (2.5, -0.05, 1.0), (11.2, 0.1, 10.2), (0.5, 0.5, 0.5))]
    for (ax, az), (bx, bz) in Layout(rooms_only).walls:
        parts.append(("wall", ((ax + bx) / 2, 1.3, (az + bz) / 2), (bx - ax + 0.1, 2.6, bz - az + 0.1), (0.9, 0.9, 0.9)))
    # The navmesh boxes stand unrotated: sizes of things turned by a quarter are swapped for the mesh.
    for category, _, _, centre, (w, h, d), yaw in THINGS:
        quarter = abs(np.sin(yaw)) > 0.5
        parts.append((category, centre, (d, h, w) if quarter else (w, h, d), (0.5, 0.5, 0.5)))
    house = boxes_house("train_0000", parts, ROOMS, DOORS)
    first = len(parts) - len(THINGS) + 1
    things = list(house.things[:first]) + [
        Thing(first + i, category, colour, room, centre, size, yaw) for i, (category, colour, room, centre, size, yaw) in enumerate(THINGS)
    ]
    for door, colour in zip(DOORS, FRAMES):
        things.append(Thing(len(things), "door", colour, -1, (door.centre[0], 1.0, door.centre[1]), (1.2, 2.1, 0.1), 0.0))
    return replace(house, things=tuple(things))


def plan_navmesh(house: House) -> NavMesh:
    """Its navmesh."""
    return NavMesh.from_triangles(house.triangle_soup)


_NO_MESH = boxes_house("none", [("floor", (0, 0, 0), (1, 1, 1), (1, 1, 1))], (), ()).mesh
