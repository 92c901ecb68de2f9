"""Questions on one view (stage 4): objects, colours, counts, relations, rooms, directions. Each talker answers None where no answer is certain."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sim.houses.categories import FURNITURE
from sim.instructions.names import UNNAMED, look_alikes
from sim.scenetalk.samples import IMAGE, Talk
from sim.scenetalk.views import InView, View

_APART = 0.15  # of the picture's width: from here on "left of" is certain
_NEARER_M = 0.7
_SHORT = " Answer with one word."

Talker = Callable[[View, np.random.Generator], Talk | None]


def _talk(kind: str, view: View, question: str, answer: str) -> Talk:
    return Talk(kind, ((f"{IMAGE}\n{question}", answer),), (view.rgb,), answer)


def _certain(view: View, category: str) -> bool:
    """Whether nothing in view could be taken for that category without being clearly one."""
    return not (look_alikes(category) & (view.doubtful | {thing.category for thing in view.things if thing.category != category}))


def _single(view: View, rng: np.random.Generator) -> InView | None:
    """A thing that is the only one of its kind in view."""
    alone = [thing for thing in view.things if len(view.of(thing.category)) == 1 and _certain(view, thing.category)]
    return alone[rng.integers(len(alone))] if alone else None


def presence(view: View, rng: np.random.Generator) -> Talk | None:
    """Is there a ...?"""
    if rng.random() < 0.5 and (thing := _single(view, rng)):
        return _talk("presence", view, f"Is there a {thing.category} in the picture?{_SHORT}", "Yes")
    absent = [name for name in FURNITURE if name not in UNNAMED and not view.of(name) and _certain(view, name)]
    return _talk("presence", view, f"Is there a {rng.choice(absent)} in the picture?{_SHORT}", "No") if absent else None


def colour(view: View, rng: np.random.Generator) -> Talk | None:
    """What colour is the ...?"""
    thing = _single(view, rng)
    return _talk("colour", view, f"What colour is the {thing.category}?{_SHORT}", thing.colour) if thing and thing.colour else None


def count(view: View, rng: np.random.Generator) -> Talk | None:
    """How many ... are there? Zero to four."""
    kinds = sorted({thing.category for thing in view.things if _certain(view, thing.category)})
    if not kinds:
        return None
    repeated = [kind for kind in kinds if len(view.of(kind)) > 1]
    kind = str(rng.choice(repeated or kinds))
    number = len(view.of(kind))
    return _talk("count", view, f"How many {kind}s do you see? Answer with a number.", str(number)) if number <= 4 else None


def side(view: View, rng: np.random.Generator) -> Talk | None:
    """Where is the ...?"""
    thing = _single(view, rng)
    if thing is None or min(abs(thing.column - edge) for edge in (1 / 3, 2 / 3)) < 0.04:
        return None
    return _talk("side", view, f"Where in the picture is the {thing.name}: left, middle or right?", thing.side)


def relation(view: View, rng: np.random.Generator) -> Talk | None:
    """Is one thing left of another?"""
    first, second = _single(view, rng), _single(view, rng)
    if first is None or second is None or first.thing_id == second.thing_id or abs(first.column - second.column) < _APART:
        return None
    word = ("left", "right")[rng.integers(2)]
    true = (first.column < second.column) == (word == "left")
    question = f"Is the {first.name} to the {word} of the {second.name} in the picture?{_SHORT}"
    return _talk("relation", view, question, "Yes" if true else "No")


def nearer(view: View, rng: np.random.Generator) -> Talk | None:
    """Which of two things is nearer?"""
    first, second = _single(view, rng), _single(view, rng)
    if first is None or second is None or first.thing_id == second.thing_id or abs(first.depth_m - second.depth_m) < _NEARER_M:
        return None
    answer = first if first.depth_m < second.depth_m else second
    talk = _talk("nearer", view, f"Which is nearer to you, the {first.category} or the {second.category}?", answer.category)
    return Talk(talk.kind, talk.turns, talk.pictures, "first" if answer is first else "second")


def room(view: View, rng: np.random.Generator) -> Talk | None:
    """Which room is it? Only with two things in view."""
    question = ("Which room is this?", "What room are you in?")[rng.integers(2)]
    return _talk("room", view, question, view.room) if len(view.things) >= 2 else None


def direction(view: View, rng: np.random.Generator) -> Talk | None:
    """Which way to turn to face something."""
    thing = _single(view, rng)
    if thing is None or min(abs(thing.column - edge) for edge in (0.4, 0.6)) < 0.04:
        return None
    answer = "left" if thing.column < 0.4 else "right" if thing.column > 0.6 else "straight ahead"
    return _talk("direction", view, f"Which way do you go to reach the {thing.name}: left, right or straight ahead?", answer)


TALKERS: tuple[Talker, ...] = (presence, colour, count, side, relation, nearer, room, direction)
