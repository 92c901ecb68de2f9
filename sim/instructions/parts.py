"""Which part of an instruction is being followed: the one of the room where the walker is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sim.geometry import Pose
from sim.instructions.layout import Layout
from sim.instructions.meaning import Cross
from sim.instructions.reading import Said, read_in_place
from sim.instructions.route import trace
from sim.navmesh import DistanceTo

Span = tuple[int, int]  # characters [start, end) of a text
UNKNOWN_PART = -1


def spans_by_room(text: str, doors: int) -> tuple[Span, ...] | None:
    """For each of the `doors` + 1 rooms of a way the part of the text that is followed there: from its first clause to the door that leads out of it
    (or the stop). None for a text that isn't understood, or of which it can't be told which door is meant where."""
    try:
        said = _doors_apart(list(read_in_place(text)), doors)
    except ValueError:
        return None
    if said is None or isinstance(said[-1].clause, Cross):
        return None
    spans: list[Span] = []
    first = 0
    for number, part in enumerate(said):
        if isinstance(part.clause, Cross) or number == len(said) - 1:
            spans.append((said[first].start, part.end))
            first = number + 1
    return tuple(spans)


def _doors_apart(said: list[Said], doors: int) -> list[Said] | None:
    """One crossing per door: "go through the doorway and enter the bathroom" says one door twice. None when it can't be told which ones."""
    crossings = sum(isinstance(part.clause, Cross) for part in said)
    twice = [number for number in range(len(said) - 1) if _is_one_door(said[number], said[number + 1])]
    if crossings == doors:
        return said
    if crossings - len(twice) != doors:
        return None
    for number in reversed(twice):
        said[number : number + 2] = [replace(said[number + 1], start=said[number].start)]
    return said


def _is_one_door(first: Said, second: Said) -> bool:
    """Whether the second clause may only say more of the first one's door: where it leads."""
    one, two = first.clause, second.clause
    return isinstance(one, Cross) and isinstance(two, Cross) and not one.entering and two == Cross(entering=two.entering)


class Parts:
    """Follows one walk to `goal` (given by its distances): which of the text's `spans` says what to do, from wherever the walker stands."""

    def __init__(self, layout: Layout, distances: DistanceTo, start: Pose, text: str) -> None:
        self._layout, self._distances = layout, distances
        self._rooms = self._ahead(start)
        self.spans = self.spans_of(text)

    def spans_of(self, text: str) -> tuple[Span, ...]:
        """The parts of another text for the same walk; none where they can't be told."""
        return (spans_by_room(text, len(self._rooms) - 1) if self._rooms else None) or ()

    def at(self, pose: Pose) -> int:
        """Index in `spans`, or UNKNOWN_PART: off the way that the text describes, or where nothing is known of it."""
        rooms = self._ahead(pose) if self.spans else ()
        passed = len(self._rooms) - len(rooms)
        return passed if rooms and passed >= 0 and self._rooms[passed:] == rooms else UNKNOWN_PART

    def _ahead(self, pose: Pose) -> tuple[int, ...]:
        """Ids of the rooms from here to the goal; () where the way doesn't lead cleanly through doors."""
        path = self._distances.path(np.array(pose.position_m))
        visits = trace(self._layout, path, pose) if len(path) > 1 else None
        return tuple(visit.room_id for visit in visits or ())
