"""A path cut into visits: one room after another, each with how it is entered, left, and walked through."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sim.geometry import Pose, wrap_angle
from sim.houses.house import Door
from sim.instructions.layout import Layout, crossing_yaw, other_room, plan_bearing, walk_through
from sim.instructions.meaning import AHEAD, AROUND, LEFT, RIGHT

SPACING_M = 0.25  # one forward step


@dataclass(frozen=True, eq=False)
class Visit:
    """The stay in one room: from the plan point and heading at entry to the exit door (None in the last room).

    samples float [n, 2] are points (x, z) of the path every SPACING_M, yaws [n] the directions of walking there.
    """

    room_id: int
    kind: str
    entry: tuple[float, float]
    yaw_rad: float
    exit: Door | None
    samples: np.ndarray
    yaws: np.ndarray

    @property
    def end(self) -> tuple[float, float]:
        """Where this visit leads to: the exit door's centre or the path's end."""
        return self.exit.centre if self.exit else (float(self.samples[-1, 0]), float(self.samples[-1, 1]))


def trace(layout: Layout, path: np.ndarray, start: Pose) -> tuple[Visit, ...] | None:
    """The visits along a path [n, 3] (metres) from a start pose; None when the path doesn't lead cleanly through doors."""
    room = layout.house.room_at(path[0, 0], path[0, 2])
    if room is None or len(path) < 2:
        return None
    samples, yaws = resample(path[:, [0, 2]])
    visits, first, entry, yaw = [], 0, (float(path[0, 0]), float(path[0, 2])), start.yaw_rad
    for index, door in _crossings(samples, layout.house.doors):
        if room.room_id not in door.rooms:
            return None
        visits.append(Visit(room.room_id, room.kind, entry, yaw, door, samples[first : index + 1], yaws[first : index + 1]))
        yaw = crossing_yaw(layout, door, room.room_id)
        room, entry, first = layout.rooms[other_room(door, room.room_id)], walk_through(door, yaw), index + 1
    if first >= len(samples) or not room.contains(*samples[-1]):
        return None
    return (*visits, Visit(room.room_id, room.kind, entry, yaw, None, samples[first:], yaws[first:]))


def resample(plan: np.ndarray, spacing_m: float = SPACING_M) -> tuple[np.ndarray, np.ndarray]:
    """Points [n, 2] every `spacing_m` along a polyline [k, 2] (both ends included) and the direction of travel [n] as yaw."""
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(plan, axis=0), axis=1))])
    at = np.linspace(0.0, lengths[-1], max(2, math.ceil(lengths[-1] / spacing_m) + 1))
    points = np.stack([np.interp(at, lengths, plan[:, axis]) for axis in (0, 1)], axis=1)
    step = np.diff(points, axis=0)
    step = np.concatenate([step, step[-1:]])
    return points, np.arctan2(-step[:, 0], -step[:, 1])


def door_side(layout: Layout, point: tuple[float, float], yaw_rad: float, door: Door, room_id: int) -> str:
    """LEFT, RIGHT or AHEAD where everyone would say so: the door is seen there and its wall is that wall; else ""."""
    wall = math.degrees(wrap_angle(crossing_yaw(layout, door, room_id) - yaw_rad))
    seen = math.degrees(plan_bearing(point, door.centre, yaw_rad))
    if abs(wall) <= 40 and abs(seen) <= 40:
        return AHEAD
    if 50 <= abs(wall) <= 130 and 15 <= abs(seen) <= 150 and wall * seen > 0:
        return LEFT if wall > 0 else RIGHT
    return ""


def turn_needed(visit: Visit) -> str:
    """What one does on entering, to walk on: LEFT, RIGHT, AROUND or AHEAD; "" when no such word is clearly true."""
    chord = math.degrees(plan_bearing(visit.entry, visit.end, visit.yaw_rad))
    ahead = visit.samples[min(4, len(visit.samples) - 1)]
    first = math.degrees(plan_bearing(visit.entry, ahead, visit.yaw_rad)) if np.linalg.norm(ahead - np.array(visit.entry)) > 0.5 else chord
    if abs(chord) <= 25 and abs(first) <= 35:
        return AHEAD
    if abs(chord) >= 145 and abs(first) >= 120:
        return AROUND
    if 50 <= abs(chord) <= 130 and 30 <= abs(first) <= 150 and chord * first > 0:
        return LEFT if chord > 0 else RIGHT
    return ""


def turned(yaw_rad: float, turn: str) -> float:
    """The heading after a turn."""
    return yaw_rad + {LEFT: math.pi / 2, RIGHT: -math.pi / 2, AROUND: math.pi}.get(turn, 0.0)


def _crossings(samples: np.ndarray, doors: tuple[Door, ...]) -> list[tuple[int, Door]]:
    """Doors gone through, in order: (index of the last sample before, door). Touching a threshold and turning back is no crossing."""
    found: list[tuple[int, Door]] = []
    for door in doors:
        across, along = (1, 0) if door.axis == "x" else (0, 1)
        beyond = samples[:, across] >= door.centre[across]
        for index in np.flatnonzero(beyond[1:] != beyond[:-1]):
            a, b = samples[index], samples[index + 1]
            share = (door.centre[across] - a[across]) / (b[across] - a[across])
            where = a[along] + share * (b[along] - a[along])
            if abs(where - door.centre[along]) <= door.width_m / 2 + 0.05:
                found.append((int(index), door))
    found.sort(key=lambda item: item[0])
    kept: list[tuple[int, Door]] = []
    for item in found:
        if kept and kept[-1][1] is item[1] and item[0] - kept[-1][0] <= 2:
            kept.pop()
        else:
            kept.append(item)
    return kept
