"""Follows a text through a house by its meaning alone: knows the plan, not the goal.

A text can be read in several ways ("leave the bedroom", when it has two doors). The oracle keeps every reading; a choice that stays open
after the next clause makes the text ambiguous. An instruction is good when every reading that is left ends near the goal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sim.geometry import Pose, wrap_angle
from sim.houses.house import Door
from sim.instructions.layout import Layout, crossing_yaw, other_room, plan_bearing, walk_through
from sim.instructions.meaning import AHEAD, AROUND, LEFT, RIGHT, Approach, Arrive, Clause, Cross, Inside, Landmark, Pass, Straight, Turn
from sim.instructions.reading import read
from sim.instructions.route import resample
from sim.navmesh import NavMesh

SUFFICIENT_M = 2.5  # how near to the goal every reading must end: below the 3 m of success, since a robot is less exact
_PASSING_M = 2.5
_FACING_RAD = math.radians(80)  # "turn left and leave the room": the door is somewhere in view after the turn
_BESIDE_M = 1.2


@dataclass(frozen=True)
class Reading:
    """One way to understand the text so far: room, plan point (x, z), heading, and what the next movement must fulfil."""

    room_id: int
    point: tuple[float, float]
    yaw_rad: float
    faced: bool = False  # the heading was just stated, so the next door lies that way
    passing: tuple[tuple[int, str], ...] = ()  # things that the next movement passes, with their side
    target: int | None = None
    door_id: int = -1
    before: Reading | None = None  # where the last crossing began, while the next clause may still say more about it


class Misleading(ValueError):
    """The text can't be followed, or not in one way."""


def follow(layout: Layout, mesh: NavMesh, start: Pose, text: str) -> np.ndarray:
    """Where the readings of a text end, float [n, 3] metres, n >= 1. Raises Misleading with the reason."""
    x, _, z = start.position_m
    room = layout.house.room_at(x, z)
    if room is None:
        raise Misleading(f"the start ({x:.2f}, {z:.2f}) lies outside of the house")
    try:
        clauses = read(text)
    except ValueError as error:
        raise Misleading(str(error)) from None
    readings, ends = [Reading(room.room_id, (x, z), start.yaw_rad)], []
    for clause in clauses:
        undecided = len({reading.room_id for reading in readings}) > 1
        steps = [after for reading in readings for after in _step(layout, mesh, reading, clause, undecided)]
        if not steps:
            raise Misleading(f"nothing fits {clause}")
        readings = steps
        ends = [stop for reading in readings for stop in _stops(layout, mesh, reading, clause)] if isinstance(clause, Arrive) else []
        if undecided and not ends and len({reading.room_id for reading in readings}) > 1:
            raise Misleading(f"several doors fit before {clause}")
    if not ends:
        raise Misleading("the text doesn't end with a place to stop")
    return np.array(ends)


def sufficient(layout: Layout, mesh: NavMesh, start: Pose, goal: Sequence[float] | np.ndarray, text: str) -> bool:
    """Whether every reading of the text ends within SUFFICIENT_M of the goal (geodesic)."""
    try:
        ends = follow(layout, mesh, start, text)
    except Misleading:
        return False
    return all(mesh.geodesic(end, np.asarray(goal)) <= SUFFICIENT_M for end in ends)


def _step(layout: Layout, mesh: NavMesh, reading: Reading, clause: Clause, undecided: bool) -> list[Reading]:
    settled = replace(reading, before=None)
    match clause:
        case Turn(side=side):
            turn = {LEFT: math.pi / 2, RIGHT: -math.pi / 2, AROUND: math.pi}[side]
            return [replace(settled, yaw_rad=reading.yaw_rad + turn, faced=True)]
        case Straight():
            return [replace(settled, faced=True)]
        case Inside(room=kind):
            return [settled] if layout.rooms[reading.room_id].kind == kind else []
        case Pass(landmark=landmark, side=side):
            return [replace(settled, passing=(*reading.passing, (thing, side))) for thing in _matches(layout, reading.room_id, landmark)]
        case Approach(landmark=landmark):
            return [replace(settled, target=thing) for thing in _matches(layout, reading.room_id, landmark)]
        case Cross():
            refined = _cross(layout, mesh, reading.before, clause, reading.door_id) if reading.before else []
            return refined if undecided else refined + _cross(layout, mesh, reading, clause, None)
        case Arrive(landmark=landmark, room=kind):
            if kind and layout.rooms[reading.room_id].kind != kind:
                return []
            return [replace(settled, target=t) for t in _matches(layout, reading.room_id, landmark)] if landmark else [settled]


def _matches(layout: Layout, room_id: int, landmark: Landmark) -> list[int]:
    things = layout.things
    return [i for i in layout.things_in(room_id) if things[i].category == landmark.category and landmark.colour in ("", things[i].colour)]


def _cross(layout: Layout, mesh: NavMesh, reading: Reading, clause: Cross, only: int | None) -> list[Reading]:
    """Readings after going through each door that fits; `only` limits the choice to the door already taken."""
    if clause.leaving and layout.rooms[reading.room_id].kind != clause.leaving:
        return []
    doors = layout.doors_of(reading.room_id)
    onward = [door for door in doors if door.door_id != reading.door_id] or doors  # nobody turns back unless there is no other way
    fitting = [door for door in onward if only in (None, door.door_id) and _fits(layout, mesh, reading, door, clause)]
    after = []
    for door in fitting:
        yaw = crossing_yaw(layout, door, reading.room_id)
        before = reading if only is None else None
        after.append(Reading(other_room(door, reading.room_id), walk_through(door, yaw), yaw, door_id=door.door_id, before=before))
    return after


def _fits(layout: Layout, mesh: NavMesh, reading: Reading, door: Door, clause: Cross) -> bool:
    bearing = plan_bearing(reading.point, door.centre, reading.yaw_rad)
    if clause.entering and layout.rooms[other_room(door, reading.room_id)].kind != clause.entering:
        return False
    if reading.faced and not clause.side and abs(bearing) > _FACING_RAD:
        return False
    if clause.colour and layout.door_colours[door.door_id] != clause.colour:
        return False
    if clause.side and not _on_side(layout, reading, door, bearing, clause.side):
        return False
    if clause.beside and not any(
        layout.distance_to_thing(np.array(door.centre), thing)[0] - door.width_m / 2 < _BESIDE_M
        for thing in _matches(layout, reading.room_id, clause.beside)
    ):
        return False
    return all(_passes(layout, mesh, reading.point, door.centre, *thing) for thing in reading.passing)


def _on_side(layout: Layout, reading: Reading, door: Door, bearing: float, side: str) -> bool:
    """Whether anyone could call the door's place so: by where it is seen, or by the wall that it is in."""
    wall = wrap_angle(crossing_yaw(layout, door, reading.room_id) - reading.yaw_rad)
    if side == AHEAD:
        return abs(bearing) < math.radians(25) or (abs(wall) < math.radians(45) and abs(bearing) < math.radians(60))
    sign = 1 if side == LEFT else -1
    seen = math.radians(30) <= sign * bearing <= math.radians(150)
    return seen or (math.radians(45) <= sign * wall <= math.radians(135) and sign * bearing > 0)


def _passes(layout: Layout, mesh: NavMesh, start: tuple[float, float], end: tuple[float, float], thing: int, side: str) -> bool:
    """Whether the shortest way leads past a thing, with the thing on that side."""
    path = mesh.path(mesh.snap(np.array([start[0], 0.0, start[1]])), mesh.snap(np.array([end[0], 0.0, end[1]])))
    if len(path) < 2:
        return False
    samples, _ = resample(path[:, [0, 2]], 0.2)
    distance = layout.distance_to_thing(samples, thing)
    nearest = int(np.argmin(distance))
    if distance[nearest] > _PASSING_M:
        return False
    heading = samples[min(nearest + 2, len(samples) - 1)] - samples[max(nearest - 2, 0)]
    offset = layout.boxes[0][thing][[0, 2]] - samples[nearest]
    left = heading[1] * offset[0] - heading[0] * offset[1]  # +Y component of heading x offset: positive on the left
    return bool(left > 0) == (side == LEFT)


def _stops(layout: Layout, mesh: NavMesh, reading: Reading, clause: Arrive) -> list[np.ndarray]:
    """The place to stop at the reading's target, as a list of one navigable point [3], or none."""
    thing = reading.target
    if thing is None:
        return []
    half = layout.boxes[1][thing][[0, 2]]
    if clause.front:
        local = np.array([[0.0, -half[1] - gap] for gap in (0.7, 0.5, 0.9, 1.2)])
    else:
        angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        local = np.concatenate([np.clip(ring * 10, -half, half) + ring * gap for gap in (0.5, 0.8)])
    places = layout.from_local(local, thing)
    if not clause.front:
        places = places[np.argsort(np.linalg.norm(places - np.array(reading.point), axis=1), kind="stable")]
    room = layout.rooms[reading.room_id]
    for x, z in places:
        place = np.array([x, 0.0, z])
        if room.contains(x, z) and mesh.is_navigable(place) and all(
            _passes(layout, mesh, reading.point, (x, z), *passed) for passed in reading.passing
        ):  # fmt: skip
            return [place]
    return []
