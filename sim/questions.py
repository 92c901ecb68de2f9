"""Grounding questions about single frames: where is the red sofa, which room is this. They teach words their look and bearing."""

from __future__ import annotations

import numpy as np

from nvila_edge.training.stream import Episode
from sim.houses.categories import CATEGORIES, COLOURS, FURNITURE, ROOM_KINDS
from sim.labels import THIRDS, Seen

_WHERE = ("where is the {thing}?", "on which side is the {thing}?", "where do you see the {thing}?")
_ROOM = ("which room is this?", "what room are you in?")
NOWHERE = "nowhere"
_DOOR = CATEGORIES.index("door")
ROOM_SHARE, DOOR_SHARE = 0.1, 0.45  # of the questions; a door is asked for where one is in view, otherwise a thing
_PRESENT, _OTHER_COLOUR = 0.65, 0.25  # asks for something in view; for something in view, but in another colour
_WITH_COLOUR = {True: 0.9, False: 0.4}  # doors are told apart by nothing else


def frame_question(seen: list[Seen], room: int, features: np.ndarray, rng: np.random.Generator) -> Episode:
    """One question of a frame with its answer; features float16 [P, C] of that frame.

    Instructions lead through doors, mostly named by their colours, and an answer that ignores the colour is right for most frames: so doors are
    asked for often, and nearly as often in a colour that is not there (benchmarks/results/builtin-training.md, fifth run).
    """
    none = np.zeros(0, np.int8)

    def episode(text: str, answer: str) -> Episode:
        return Episode(text, features[None], none, none, answer)

    kind = rng.random()
    if kind < ROOM_SHARE:
        return episode(str(rng.choice(_ROOM)), ROOM_KINDS[room])
    doors = [thing for thing in seen if thing.category == _DOOR]
    of_doors = kind < ROOM_SHARE + DOOR_SHARE and bool(doors)
    things = doors if of_doors else seen
    name, third = _asked(seen, things[rng.integers(len(things))], rng) if things else (None, None)
    if name is None:
        name = str(rng.choice([other for other in FURNITURE if CATEGORIES.index(other) not in {s.category for s in seen}]))
    return episode(str(rng.choice(_WHERE)).format(thing=name), NOWHERE if third is None else THIRDS[third])


def _asked(seen: list[Seen], thing: Seen, rng: np.random.Generator) -> tuple[str | None, int | None]:
    """A name to ask for by the example of a thing in view, and the third where it is (None: nowhere); no name to ask for something quite different."""
    category, draw = CATEGORIES[thing.category], rng.random()
    alike = [other for other in seen if other.category == thing.category]
    if draw < _PRESENT:
        with_colour = thing.colour >= 0 and rng.random() < _WITH_COLOUR[thing.category == _DOOR]
        same = [other for other in alike if not with_colour or other.colour == thing.colour]
        return (f"{COLOURS[thing.colour]} {category}" if with_colour else category), same[0].third  # the largest when there are several
    if draw < _PRESENT + _OTHER_COLOUR or thing.category == _DOOR:
        colours = {other.colour for other in alike}
        return f"{rng.choice([colour for number, colour in enumerate(COLOURS) if number not in colours])} {category}", None
    return None, None
