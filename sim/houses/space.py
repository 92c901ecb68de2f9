"""The free space of one room: what stands where, which lanes must stay open, and where a thing could go."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sim.houses.grid import islands
from sim.houses.house import Door, Room
from sim.houses.layouts import Rect, grown, overlap

CELL_M = 0.1
DOOR_CLEAR_M = 0.62  # nothing stands nearer to a doorway: 0.6 m and a margin
LANE_RADIUS_M = 0.38  # lanes between doorways stay about 0.8 m wide
BODY_RADIUS_M = 0.16  # the agent's 0.10 and a margin: no corner may be cut off for it
GAP_M = 0.02  # furniture does not touch walls: coplanar faces flicker


@dataclass(frozen=True)
class Window:
    """A window on a room's wall: quarter turn of the wall (as for furniture with its back to it), from `low` to `high` along it, metres."""

    room_id: int
    quarter: int
    low: float
    high: float
    sill_m: float
    top_m: float


@dataclass(frozen=True)
class Spot:
    """A place for a thing: footprint centre, quarter turns of yaw, footprint rectangle (metres)."""

    x: float
    z: float
    quarter: int
    rect: Rect

    @property
    def yaw_rad(self) -> float:
        """Yaw about +Y."""
        return self.quarter * math.pi / 2


def spot_at(x: float, z: float, quarter: int, width: float, depth: float) -> Spot:
    """The spot of a thing of this size centred on (x, z)."""
    w, d = (width, depth) if quarter % 2 == 0 else (depth, width)
    return Spot(x, z, quarter % 4, (x - w / 2, z - d / 2, x + w / 2, z + d / 2))


def turned(x: float, z: float, quarter: int) -> tuple[float, float]:
    """(x, z) of a thing's own frame in world axes, after quarter turns of yaw."""
    c, s = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarter % 4]
    return x * c + z * s, -x * s + z * c


def front_of(spot: Spot, front_m: float) -> Rect:
    """The rectangle that reaches `front_m` metres out of the front of a spot."""
    x0, z0, x1, z1 = spot.rect
    return ((x0, z0 - front_m, x1, z0), (x0 - front_m, z0, x0, z1), (x0, z1, x1, z1 + front_m), (x1, z0, x1 + front_m, z1))[spot.quarter]


class RoomSpace:
    """Keeps the doorways, footprints and wall pictures of one room, in metres of the world frame."""

    def __init__(self, room: Room, doors: tuple[Door, ...], windows: tuple[Window, ...], wall_m: float) -> None:
        self.room, self.windows = room, tuple(w for w in windows if w.room_id == room.room_id)
        self.inner = grown(room.rect, -wall_m / 2)
        self.door_zones: list[Rect] = []
        self._door_points: list[tuple[float, float]] = []
        self.solids: list[Rect] = []
        self._fronts: list[Rect] = []
        self._hung: list[tuple[int, float, float]] = []  # wall, from, to
        self._low: list[tuple[int, float, float, float]] = []  # wall, from, to, height of what stands there
        x0, z0, x1, z1 = self.inner
        self._xs, self._zs = np.arange(x0 + CELL_M / 2, x1, CELL_M), np.arange(z0 + CELL_M / 2, z1, CELL_M)
        self._lane, self._body = self._clear(LANE_RADIUS_M - 0.1), self._clear(BODY_RADIUS_M - 0.06)
        for door in doors:
            if room.room_id in door.rooms:
                self._add_door(door, wall_m)

    def _add_door(self, door: Door, wall_m: float) -> None:
        w, t = (door.width_m / 2, wall_m / 2) if door.axis == "x" else (wall_m / 2, door.width_m / 2)
        x, z = door.centre
        self.door_zones.append(grown((x - w, z - t, x + w, z + t), DOOR_CLEAR_M))
        x0, z0, x1, z1 = grown(self.inner, -(LANE_RADIUS_M + 0.02))
        self._door_points.append((min(max(x, x0), x1), min(max(z, z0), z1)))

    def _clear(self, margin: float) -> np.ndarray:
        """bool [z, x]: cells whose middle is at least `margin` metres from the walls."""
        x0, z0, x1, z1 = grown(self.inner, -margin)
        return ((self._zs >= z0) & (self._zs <= z1))[:, None] & ((self._xs >= x0) & (self._xs <= x1))[None, :]

    def _cut(self, mask: np.ndarray, rect: Rect, radius: float) -> np.ndarray:
        x0, z0, x1, z1 = grown(rect, radius)
        inside = ((self._zs > z0) & (self._zs < z1))[:, None] & ((self._xs > x0) & (self._xs < x1))[None, :]
        return mask & ~inside

    def _index(self, x: float, z: float) -> tuple[int, int]:
        return int((z - self.inner[1]) / CELL_M), int((x - self.inner[0]) / CELL_M)

    def fits(self, rect: Rect, ignore: Rect | None = None, on_fronts: bool = False) -> bool:
        """Whether something solid may stand here: inside, off doorways and other things, lanes open, no corner cut off."""
        x0, z0, x1, z1 = self.inner
        if rect[0] < x0 or rect[1] < z0 or rect[2] > x1 or rect[3] > z1 or any(overlap(rect, zone) for zone in self.door_zones):
            return False
        if any(other is not ignore and overlap(rect, other, 0.01) for other in self.solids):
            return False
        if not on_fronts and any(overlap(rect, front) for front in self._fronts):
            return False
        return self._stays_open(rect)

    def _stays_open(self, rect: Rect) -> bool:
        lane, body = self._cut(self._lane, rect, LANE_RADIUS_M), self._cut(self._body, rect, BODY_RADIUS_M)
        labels, _ = islands(lane)
        doors = {int(labels[self._index(x, z)]) for x, z in self._door_points}
        return 0 not in doors and len(doors) <= 1 and islands(body)[1] == 1

    def front_free(self, spot: Spot, front_m: float) -> bool:
        """Whether `front_m` metres before a spot are inside the room and free of solid things."""
        front = front_of(spot, front_m)
        x0, z0, x1, z1 = grown(self.inner, 0.01)
        inside = front[0] >= x0 and front[1] >= z0 and front[2] <= x1 and front[3] <= z1
        return inside and not any(overlap(front, solid) for solid in self.solids)

    def put(self, spot: Spot, height_m: float, front_m: float = 0.0) -> None:
        """Something solid now stands here; `front_m` metres before it stay free."""
        self.solids.append(spot.rect)
        self._lane = self._cut(self._lane, spot.rect, LANE_RADIUS_M)
        self._body = self._cut(self._body, spot.rect, BODY_RADIUS_M)
        x0, z0, x1, z1 = spot.rect
        if front_m > 0:
            self._fronts.append(front_of(spot, front_m))
        for quarter in range(4):
            if self.wall_distance(spot.rect, quarter) < 0.35:
                low, high = (x0, x1) if quarter % 2 == 0 else (z0, z1)
                self._low.append((quarter, low, high, height_m))

    def wall_distance(self, rect: Rect, quarter: int) -> float:
        """Metres between a footprint and a wall of the room."""
        x0, z0, x1, z1 = self.inner
        return (z1 - rect[3], x1 - rect[2], rect[1] - z0, rect[0] - x0)[quarter % 4]

    def span(self, quarter: int) -> tuple[float, float]:
        """From where to where a wall runs, in metres along its axis."""
        x0, z0, x1, z1 = self.inner
        return (x0, x1) if quarter % 2 == 0 else (z0, z1)

    def at_wall(self, quarter: int, along: float, width: float, depth: float, gap: float = GAP_M) -> Spot:
        """The spot with its back to a wall, `along` metres on the wall's axis."""
        x0, z0, x1, z1 = self.inner
        off = depth / 2 + gap
        x, z = ((along, z1 - off), (x1 - off, along), (along, z0 + off), (x0 + off, along))[quarter % 4]
        return spot_at(x, z, quarter, width, depth)

    def before_window(self, quarter: int, low: float, high: float, top_m: float, bottom_m: float = 0.0) -> bool:
        """Whether something from bottom to top would cover a window of this wall."""
        return any(
            w.quarter == quarter and low < w.high + 0.08 and w.low < high + 0.08 and top_m > w.sill_m - 0.03 and bottom_m < w.top_m
            for w in self.windows
        )

    def can_hang(self, quarter: int, along: float, width: float, bottom_m: float, top_m: float) -> bool:
        """Whether a wall is free for a picture: no window, doorway, other picture or tall furniture there."""
        low, high = along - width / 2 - 0.08, along + width / 2 + 0.08
        lo, hi = self.span(quarter)
        if low < lo or high > hi or self.before_window(quarter, low, high, top_m, bottom_m):
            return False
        rect = self.at_wall(quarter, along, width, 0.05).rect
        if any(overlap(rect, zone) for zone in self.door_zones):
            return False
        if any(q == quarter and low < b and a < high for q, a, b in self._hung):
            return False
        return not any(q == quarter and low < b and a < high and height > bottom_m - 0.05 for q, a, b, height in self._low)

    def hang(self, quarter: int, along: float, width: float) -> None:
        """A picture now hangs here."""
        self._hung.append((quarter, along - width / 2, along + width / 2))
