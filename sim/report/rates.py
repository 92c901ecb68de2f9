"""Success rates of groups of episodes: by the way's length, by doorways, by what the instruction says."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from sim.instructions.names import COLOUR_NAMES, ROOM_NAMES, THING_NAMES
from sim.results import Record, number
from sim.summary import wilson

LENGTH_EDGES_M = (0, 6, 8, 10, 12, math.inf)
WORD_EDGES = (0, 15, 25, 40, math.inf)
# "right in front of the sofa", "right there": no turn
_NO_TURN = re.compile(
    r"\bright (?=in\b|next\b|by\b|before\b|after\b|at\b|past\b|there\b|here\b|behind\b|beside\b|away\b|on top\b|outside\b|inside\b)"
)
# What people name in Matterport's houses and our generator does not build
_MORE_THINGS = (
    "stairs", "staircase", "stairway", "table", "chair", "chairs", "counter", "lamp", "bar", "railing", "archway", "arch", "picture", "window", "cabinet",
    "shelf", "shelves", "pillar", "column", "tub", "sink", "pool", "statue", "steps", "ottoman", "island", "oven", "rope",
)  # fmt: skip
_MORE_ROOMS = ("hall", "entrance", "entryway", "closet", "foyer", "landing", "lobby", "patio", "porch", "garage", "pantry", "den")


@dataclass(frozen=True)
class Rate:
    """So many successes of `count` episodes."""

    wins: int
    count: int

    @property
    def value(self) -> float:
        """As a fraction; 0 for no episode."""
        return self.wins / max(1, self.count)

    @property
    def span(self) -> tuple[float, float]:
        """95 % Wilson interval, as fractions."""
        return wilson(self.wins, self.count)


@dataclass(frozen=True)
class Grouping:
    """A way to tell episodes apart: `label_of` gives one of `labels`."""

    title: str
    note: str
    labels: tuple[str, ...]
    label_of: Callable[[Record], str]

    def rates(self, results: Sequence[Record]) -> dict[str, Rate]:
        """The rate of every label, in the labels' order, those without an episode included."""
        found = [(self.label_of(result), int(result["success"])) for result in results]
        return {label: Rate(sum(win for at, win in found if at == label), sum(at == label for at, _ in found)) for label in self.labels}


def span_labels(edges: Sequence[float], unit: str) -> tuple[str, ...]:
    """Names of the ranges between edges: "6–8 m", and "over 12 m" for the last."""
    return tuple(f"{low:g}–{high:g}{unit}" if math.isfinite(high) else f"over {low:g}{unit}" for low, high in zip(edges, edges[1:]))


def span_index(value: float, edges: Sequence[float]) -> int:
    """Which range a value lies in; the last for NaN."""
    return next((index for index, edge in enumerate(edges[1:]) if value < edge), len(edges) - 2)


def _counted(highest: int, one: str, many: str) -> tuple[tuple[str, ...], Callable[[int], str]]:
    """Labels "no thing", "1 thing", .. "3 or more things", and which one a number has."""
    labels = (f"no {one}", *(f"{n} {one if n == 1 else many}" for n in range(1, highest)), f"{highest} or more {many}")
    return labels, lambda n: labels[min(n, highest)]


@cache
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted({name.lower() for name in names}, key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b")


THINGS = tuple(name for names in THING_NAMES.values() for name in names) + _MORE_THINGS
ROOMS = tuple(name for names in ROOM_NAMES.values() for name in names) + _MORE_ROOMS


def mentions(text: str, names: tuple[str, ...]) -> int:
    """How many different ones of the names a text has; the longer name counts where two fit ("coffee table", not "table")."""
    return len(set(_pattern(names).findall(text.lower())))


def sides(text: str) -> str:
    """ "neither", "left", "right" or "both": which sides a text names ("right in front of" names none)."""
    words = set(re.findall(r"\b(left|right)\b", _NO_TURN.sub("", text.lower())))
    return "both" if len(words) == 2 else next(iter(words), "neither")


def sentences(text: str) -> int:
    """How many sentences a text has, at least one."""
    return max(1, len([part for part in re.split(r"[.!?]+(?:\s|$)", text) if re.search(r"\w", part)]))


def _text(result: Record) -> str:
    return str(result["instruction"])


BY_LENGTH = Grouping(
    "Success by path length", "Shortest path from start to goal", span_labels(LENGTH_EDGES_M, " m"),
    lambda result: span_labels(LENGTH_EDGES_M, " m")[span_index(number(result["shortest_path_length"]), LENGTH_EDGES_M)],
)  # fmt: skip


def by_doorways(results: Sequence[Record]) -> Grouping:
    """By how often the reference path enters another room."""
    highest = max(1, min(7, max((int(result.get("rooms_entered") or 0) for result in results), default=1)))
    labels = tuple(f"{n}{' +' * (n == highest == 7)}" for n in range(highest + 1))
    note = "How often the reference path enters another room"
    return Grouping("Success by doorways", note, labels, lambda result: labels[min(highest, int(result.get("rooms_entered") or 0))])


def by_instruction() -> list[Grouping]:
    """By what the instruction says."""
    things, thing = _counted(3, "thing", "things")
    rooms, room = _counted(3, "room", "rooms")
    length = tuple(f"{label}" for label in span_labels(WORD_EDGES, " words"))
    several = ("1 sentence", "2 sentences", "3 sentences", "4 or more")
    names = {"neither": "neither left nor right", "left": "left only", "right": "right only", "both": "left and right"}
    return [
        Grouping("Sides named", "", tuple(names.values()), lambda result: names[sides(_text(result))]),
        Grouping("Landmarks named", "", things, lambda result: thing(mentions(_text(result), THINGS))),
        Grouping("Rooms named", "", rooms, lambda result: room(mentions(_text(result), ROOMS))),
        Grouping(
            "Colours named", "", ("no colour", "a colour"), lambda result: "a colour" if mentions(_text(result), COLOUR_NAMES) else "no colour"
        ),
        Grouping("Sentences", "", several, lambda result: several[min(4, sentences(_text(result))) - 1]),
        Grouping("Words", "", length, lambda result: length[span_index(len(_text(result).split()), WORD_EDGES)]),
    ]  # fmt: skip
