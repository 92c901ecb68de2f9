"""A house's plan as arrays: which door leads where, how far a point is from a thing, and whether a line of sight is free.

Plan vectors are (x, z) in metres. A heading of yaw y is the plan vector (-sin y, -cos y).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sim.geometry import wrap_angle
from sim.houses.categories import FURNITURE
from sim.houses.house import Door, House, Room, Thing


@dataclass(frozen=True, eq=False)
class Layout:
    """What instructions need of a house. `things` are its furniture, in the order of the arrays."""

    house: House

    @cached_property
    def things(self) -> tuple[Thing, ...]:
        """Everything that may be a landmark or may hide one."""
        return tuple(thing for thing in self.house.things if thing.category in FURNITURE)

    @cached_property
    def rooms(self) -> dict[int, Room]:
        """Rooms by id."""
        return {room.room_id: room for room in self.house.rooms}

    @cached_property
    def boxes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the things: centres float64 [N, 3], half sizes [N, 3] and yaw [N] (metres, radians)."""
        centre = np.array([thing.centre for thing in self.things], dtype=np.float64).reshape(-1, 3)
        half = np.array([thing.size for thing in self.things], dtype=np.float64).reshape(-1, 3) / 2
        return centre, half, np.array([thing.yaw_rad for thing in self.things], dtype=np.float64)

    @cached_property
    def walls(self) -> np.ndarray:
        """Wall pieces between doors, float64 [W, 2, 2]: both ends (x, z)."""
        pieces = [piece for room in self.house.rooms for side in _sides(room) for piece in _without_doors(side, self.house.doors)]
        return np.array(pieces, dtype=np.float64).reshape(-1, 2, 2)

    @cached_property
    def door_colours(self) -> dict[int, str]:
        """Colour of each door's frame by door id; "" where there is none."""
        frames = [thing for thing in self.house.things if thing.category == "door"]
        nearest = {
            door.door_id: [t for t in frames if math.dist((t.centre[0], t.centre[2]), door.centre) < 0.3] for door in self.house.doors
        }
        return {door_id: found[0].colour if found else "" for door_id, found in nearest.items()}

    def doors_of(self, room_id: int) -> list[Door]:
        """The doors of a room, in the house's order."""
        return [door for door in self.house.doors if room_id in door.rooms]

    def things_in(self, room_id: int) -> list[int]:
        """Indices (into `things`) of what stands in a room."""
        return [index for index, thing in enumerate(self.things) if thing.room_id == room_id]

    def to_local(self, points: np.ndarray, index: int) -> np.ndarray:
        """Points [n, 2] (x, z) in the frame of a thing: local x along its width, local z to its back (it faces -z)."""
        centre, _, yaw = self.boxes
        offset = np.atleast_2d(points) - centre[index][[0, 2]]
        cos, sin = math.cos(yaw[index]), math.sin(yaw[index])
        return np.stack([offset[:, 0] * cos - offset[:, 1] * sin, offset[:, 0] * sin + offset[:, 1] * cos], axis=1)

    def from_local(self, points: np.ndarray, index: int) -> np.ndarray:
        """The inverse of `to_local`."""
        centre, _, yaw = self.boxes
        cos, sin = math.cos(yaw[index]), math.sin(yaw[index])
        local = np.atleast_2d(points)
        return np.stack([local[:, 0] * cos + local[:, 1] * sin, -local[:, 0] * sin + local[:, 1] * cos], axis=1) + centre[index][[0, 2]]

    def distance_to_thing(self, points: np.ndarray, index: int) -> np.ndarray:
        """Distance [n] in the plane from points [n, 2] to a thing's footprint, metres; 0 inside."""
        half = self.boxes[1][index][[0, 2]]
        return np.linalg.norm(np.maximum(np.abs(self.to_local(points, index)) - half, 0.0), axis=1)

    def depth_in_thing(self, points: np.ndarray, index: int) -> np.ndarray:
        """How far [n] points [n, 2] are inside a thing's footprint, metres; negative outside."""
        return (self.boxes[1][index][[0, 2]] - np.abs(self.to_local(points, index))).min(axis=1)

    def in_front(self, point: np.ndarray, index: int) -> bool:
        """Whether a point [2] lies before the thing's face: nearer to its front than to its sides."""
        half = self.boxes[1][index][[0, 2]]
        x, z = self.to_local(point, index)[0]
        return -z > half[1] and abs(x) <= half[0] + 0.5 * (-z - half[1])


def other_room(door: Door, room_id: int) -> int:
    """The room on the other side of a door."""
    return door.rooms[1] if door.rooms[0] == room_id else door.rooms[0]


def crossing_yaw(layout: Layout, door: Door, room_id: int) -> float:
    """Yaw in radians that one has when leaving a room through a door, straight through the wall."""
    x0, z0, x1, z1 = layout.rooms[room_id].rect
    inside = np.array([(x0 + x1) / 2 - door.centre[0], (z0 + z1) / 2 - door.centre[1]])
    if door.axis == "x":
        return math.pi if inside[1] < 0 else 0.0  # a wall along x: leave towards +z (yaw pi) or -z (yaw 0)
    return -math.pi / 2 if inside[0] < 0 else math.pi / 2  # towards +x (yaw -90) or -x (yaw 90)


def plan_bearing(origin: tuple[float, float] | np.ndarray, target: tuple[float, float] | np.ndarray, yaw_rad: float) -> float:
    """Angle in radians from the heading to the target (both (x, z)), left positive, within (-pi, pi]."""
    return wrap_angle(math.atan2(-(float(target[0]) - float(origin[0])), -(float(target[1]) - float(origin[1]))) - yaw_rad)


def walk_through(door: Door, yaw_rad: float, beyond_m: float = 0.4) -> tuple[float, float]:
    """The plan point just beyond a door that was crossed at this yaw."""
    return (door.centre[0] - beyond_m * math.sin(yaw_rad), door.centre[1] - beyond_m * math.cos(yaw_rad))


def _sides(room: Room) -> list[tuple[str, float, float, float]]:
    """The four walls: the axis they run along, where they stand on the other axis, and from where to where."""
    x0, z0, x1, z1 = room.rect
    return [("x", z0, x0, x1), ("x", z1, x0, x1), ("z", x0, z0, z1), ("z", x1, z0, z1)]


def _without_doors(side: tuple[str, float, float, float], doors: tuple[Door, ...]) -> list[list[tuple[float, float]]]:
    axis, at, start, end = side
    along, across = (0, 1) if axis == "x" else (1, 0)
    gaps = sorted(
        (door.centre[along] - door.width_m / 2, door.centre[along] + door.width_m / 2)
        for door in doors
        if door.axis == axis and abs(door.centre[across] - at) < 0.2 and start < door.centre[along] < end
    )
    edges = [start, *(edge for gap in gaps for edge in gap), end]
    pairs = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1e-3]
    return [[(a, at), (b, at)] if axis == "x" else [(at, a), (at, b)] for a, b in pairs]
