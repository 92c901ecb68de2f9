"""What a house is: rooms, doors, things and one triangle mesh. World frame: metres, +Y up, floor top at y = 0."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

SPLITS = ("train", "val_seen", "val_unseen")


@dataclass(frozen=True)
class Room:
    """A room: `rect` is (x_min, z_min, x_max, z_max) in metres, to the wall centre lines."""

    room_id: int
    kind: str
    rect: tuple[float, float, float, float]

    def contains(self, x: float, z: float) -> bool:
        """Whether the point lies in the room's rectangle (x, z in metres)."""
        x0, z0, x1, z1 = self.rect
        return x0 <= x <= x1 and z0 <= z <= z1


@dataclass(frozen=True)
class Door:
    """An open doorway between two rooms. `axis` is the direction that the wall runs along, "x" or "z"."""

    door_id: int
    rooms: tuple[int, int]
    centre: tuple[float, float]
    axis: str
    width_m: float


@dataclass(frozen=True)
class Thing:
    """Something with a name in the id image. `thing_id` is the value in the id image and the index in `House.things`.

    `centre` (x, y, z) and `size` (width along local x, height, depth along local z) in metres; `yaw_rad` about +Y; a thing at
    yaw 0 faces -Z. `colour` is one of COLOURS or "" for surfaces. Surfaces have one thing per room (floor, ceiling) or per
    house (wall); `room_id` is -1 for what belongs to no single room.
    """

    thing_id: int
    category: str
    colour: str
    room_id: int
    centre: tuple[float, float, float]
    size: tuple[float, float, float]
    yaw_rad: float


@dataclass(frozen=True)
class Mesh:
    """Triangles to draw, all faces visible from the side of their counter-clockwise order (things that are seen from both sides are doubled).

    position, normal float32 [V, 3]; uv float32 [V, 2]; colour float32 [V, 3] multiplies the texture (0..1); texture int32 [V] layer of
    `House.textures`; thing int32 [V] thing id; triangles int32 [T, 3].
    """

    position: np.ndarray
    normal: np.ndarray
    uv: np.ndarray
    colour: np.ndarray
    texture: np.ndarray
    thing: np.ndarray
    triangles: np.ndarray


@dataclass(frozen=True)
class House:
    """A generated dwelling; the same name gives the same house to the bit.

    textures uint8 [L, 128, 128, 3], sRGB, tileable; layer 0 is white. things[0] is the void (category "void").
    """

    name: str  # e.g. "val_unseen_0007": split and number, the seed of everything
    rooms: tuple[Room, ...]
    doors: tuple[Door, ...]
    things: tuple[Thing, ...]
    mesh: Mesh
    textures: np.ndarray

    def room_at(self, x: float, z: float) -> Room | None:
        """The room that holds the point (metres), or None outside."""
        return next((room for room in self.rooms if room.contains(x, z)), None)

    @cached_property
    def triangle_soup(self) -> np.ndarray:
        """float32 [T, 3, 3] metres: what a navmesh is built from."""
        return self.mesh.position[self.mesh.triangles]
