"""Writes an instruction for a path: what to say is drawn from what is true along it; the oracle then has the last word."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from sim.geometry import Pose
from sim.instructions.landmarks import name_of, visible
from sim.instructions.layout import Layout, other_room
from sim.instructions.meaning import AHEAD, AROUND, LEFT, RIGHT, Arrive, Clause, Cross, Inside, Landmark, Pass, Straight, Turn
from sim.instructions.names import FRONTED
from sim.instructions.oracle import sufficient
from sim.instructions.phrases import phrase
from sim.instructions.route import Visit, door_side, trace, turn_needed, turned
from sim.instructions.wording import Wording, words_in
from sim.navmesh import NavMesh

MOST_WORDS = 60
ATTEMPTS = 8
_PLAIN_ATTEMPTS = 5  # after these, every door gets all that can be said of it
_PASS_M = 1.8
_NEAR_GOAL_M = 1.6

Passed = tuple[int, Landmark, str]  # index in Layout.things, its name, the side it is passed on


@dataclass(frozen=True)
class Instruction:
    """A text, what it was meant to say, and the thing (thing_id) that it ends at."""

    text: str
    clauses: tuple[Clause, ...]
    goal_thing: int


@dataclass(frozen=True, eq=False)
class Sights:
    """What can be named along a route: per visit the things passed (with their side), and those to stop at (with `front`)."""

    passed: tuple[tuple[Passed, ...], ...]
    goals: tuple[tuple[int, Landmark, bool], ...]


def describe(
    layout: Layout, mesh: NavMesh, path: np.ndarray, start: Pose, rng: np.random.Generator, wording: Wording, least_words: int
) -> Instruction | None:
    """An instruction for a path [n, 3] (metres) from a start pose, or None when there is none that is true and sufficient.

    It has 1-3 sentences of `least_words` to MOST_WORDS words; following its meaning leads to the path's end in every reading (`oracle.sufficient`).
    """
    visits = trace(layout, path, start)
    if visits is None:
        return None
    sights = look_around(layout, visits, rng)
    if not sights.goals:
        return None
    for attempt in range(ATTEMPTS):
        thing, landmark, front = sights.goals[int(rng.integers(len(sights.goals)))]
        passed = tuple(tuple(item for item in group if item[0] != thing) for group in sights.passed)
        clauses = _clauses(layout, visits, passed, rng, attempt >= _PLAIN_ATTEMPTS)
        if Cross() in clauses:
            continue
        clauses += (Arrive(landmark, front and rng.random() < 0.6, visits[-1].kind if rng.random() < 0.2 else ""),)
        text = phrase(clauses, rng, wording)
        if least_words <= len(words_in(text)) <= MOST_WORDS and sufficient(layout, mesh, start, path[-1], text):
            return Instruction(text, clauses, layout.things[thing].thing_id)
    return None


def look_around(layout: Layout, visits: tuple[Visit, ...], rng: np.random.Generator) -> Sights:
    """What is seen, passed and reached along the visits, by unambiguous names."""
    passed = tuple(_passed(layout, visit, rng) for visit in visits)
    last = visits[-1]
    goal = last.samples[-1]
    near = [i for i in layout.things_in(last.room_id) if layout.distance_to_thing(goal, i)[0] <= _NEAR_GOAL_M]
    on_the_way = np.any(visible(layout, last.samples, last.yaws, near), axis=0).tolist()
    at_the_end = visible(layout, last.samples[-1:], None, near)[0].tolist()
    goals = []
    for index, way, end in zip(near, on_the_way, at_the_end, strict=True):
        name = name_of(layout, index, last.samples[-1:], rng.random() < 0.4) if way and end else None
        if name is not None:
            goals.append((index, name, name.category in FRONTED and layout.in_front(goal, index)))
    return Sights(passed, tuple(goals))


def _passed(layout: Layout, visit: Visit, rng: np.random.Generator) -> tuple[Passed, ...]:
    """Things that the path leads by in this room: within _PASS_M, clearly to one side, seen ahead before, left behind after."""
    found = []
    for index in layout.things_in(visit.room_id):
        distance = layout.distance_to_thing(visit.samples, index)
        nearest = int(np.argmin(distance))
        if distance[nearest] > _PASS_M or not 2 <= nearest < len(visit.samples) - 2:
            continue
        offset = layout.boxes[0][index][[0, 2]] - visit.samples[nearest]
        angle = math.degrees(math.atan2(-offset[0], -offset[1]) - visit.yaws[nearest]) % 360
        side = LEFT if 45 <= angle <= 135 else RIGHT if 225 <= angle <= 315 else ""
        if not side or visible(layout, visit.samples[:nearest], visit.yaws[:nearest], [index]).sum() < 2:
            continue
        name = name_of(layout, index, visit.samples[:nearest], rng.random() < 0.4)
        if name is not None:
            found.append((index, name, side))
    return tuple(found)


def _clauses(
    layout: Layout, visits: tuple[Visit, ...], passed: tuple[tuple[Passed, ...], ...], rng: np.random.Generator, full: bool
) -> tuple[Clause, ...]:
    """Everything before the stop, drawn anew with each call; `full` says of each door all that is known."""
    clauses: list[Clause] = []
    passes = 0
    for number, (visit, around) in enumerate(zip(visits, passed, strict=True)):
        said = clauses[-1] if clauses else None
        unnamed = isinstance(said, Cross) and not said.entering
        alike = number and visits[number - 1].kind == visit.kind  # from one hallway into another: the name tells nothing
        if number and not alike and rng.random() < (0.35 if unnamed else 0.05):
            clauses.append(Inside(visit.kind))
        turn = _turn(visit, number == 0, rng)
        clauses += turn
        if around and passes < 2 and rng.random() < 0.4:
            _, landmark, side = around[int(rng.integers(len(around)))]
            clauses.append(Pass(landmark, side))
            passes += 1
        if visit.exit is not None:
            unnamed_here = number and not (isinstance(said, Cross) and said.entering)
            clauses.append(_cross(layout, visit, turn, 0.5 if number == 0 else 0.3 if unnamed_here else 0.08, rng, full))
    return tuple(clauses)


def _turn(visit: Visit, first: bool, rng: np.random.Generator) -> list[Clause]:
    need = turn_needed(visit)
    if need == AROUND:
        return [Turn(AROUND)] if first or rng.random() < 0.5 else []
    if need in (LEFT, RIGHT):
        far = math.dist(visit.entry, visit.end) > 2.0
        return [Turn(need)] if rng.random() < (0.6 if first else 0.35 if far else 0.0) else []
    if need == AHEAD:
        return [Straight()] if rng.random() < (0.4 if first else 0.1) else []
    return []


def _cross(layout: Layout, visit: Visit, turn: list[Clause], leaving_share: float, rng: np.random.Generator, full: bool) -> Cross:
    door = visit.exit
    assert door is not None
    heading = turned(visit.yaw_rad, turn[0].side if turn and isinstance(turn[0], Turn) else "")
    side = door_side(layout, visit.entry, heading, door, visit.room_id)
    entering = layout.rooms[other_room(door, visit.room_id)].kind
    if entering == visit.kind:
        entering = ""
    colour = layout.door_colours[door.door_id]
    if any(layout.door_colours[other.door_id] == colour for other in layout.doors_of(visit.room_id) if other is not door):
        colour = ""
    say_side = full or rng.random() < (0.25 if turn else 0.7)
    clause = Cross(
        leaving=visit.kind if entering and rng.random() < leaving_share else "",
        side=side if say_side else "",
        entering=entering if full or rng.random() < 0.55 else "",
        colour=colour if full or rng.random() < 0.3 else "",
    )
    if not clause.side and not clause.colour and rng.random() < 0.4:
        clause = replace(clause, leaving="", beside=_beside(layout, visit, rng))
    return clause if clause != Cross() else Cross(leaving=visit.kind if entering else "", entering=entering, side=side, colour=colour)


def _beside(layout: Layout, visit: Visit, rng: np.random.Generator) -> Landmark | None:
    """Something at the exit door that stands at no other door of the room, and is seen on the way."""
    assert visit.exit is not None

    def gap(index: int, centre: tuple[float, float], width: float) -> float:
        return float(layout.distance_to_thing(np.array(centre), index)[0]) - width / 2

    others = [door for door in layout.doors_of(visit.room_id) if door is not visit.exit]
    for index in layout.things_in(visit.room_id):
        if gap(index, visit.exit.centre, visit.exit.width_m) > 0.7 or any(gap(index, d.centre, d.width_m) < 1.5 for d in others):
            continue
        if visible(layout, visit.samples, visit.yaws, [index]).sum() >= 2:
            return name_of(layout, index, visit.samples, rng.random() < 0.4)
    return None
