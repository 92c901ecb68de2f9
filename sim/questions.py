"""Grounding questions about single frames: where is the red sofa, which room is this. They teach words their look and bearing."""

from __future__ import annotations

import numpy as np

from nvila_edge.training.stream import Episode
from sim.houses.categories import CATEGORIES, COLOURS, FURNITURE, ROOM_KINDS
from sim.labels import THIRDS, Seen

_WHERE = ("where is the {thing}?", "on which side is the {thing}?", "where do you see the {thing}?")
_ROOM = ("which room is this?", "what room are you in?")
NOWHERE = "nowhere"


def frame_question(seen: list[Seen], room: int, features: np.ndarray, rng: np.random.Generator) -> Episode:
    """One question of a frame with its answer; features float16 [P, C] of that frame.

    One in five asks for the room, the others for a thing: half of these for one in view (with its colour half of the time).
    """
    none = np.zeros(0, np.int8)

    def episode(text: str, answer: str) -> Episode:
        return Episode(text, features[None], none, none, answer)

    if rng.random() < 0.2:
        return episode(str(rng.choice(_ROOM)), ROOM_KINDS[room])
    question = str(rng.choice(_WHERE))
    if seen and rng.random() < 0.6:
        asked = seen[rng.integers(len(seen))]
        with_colour = asked.colour >= 0 and rng.random() < 0.5
        same = [s for s in seen if s.category == asked.category and (not with_colour or s.colour == asked.colour)]
        name = f"{COLOURS[asked.colour]} {CATEGORIES[asked.category]}" if with_colour else CATEGORIES[asked.category]
        return episode(question.format(thing=name), THIRDS[same[0].third])  # the largest when there are several
    absent = str(rng.choice([name for name in FURNITURE if CATEGORIES.index(name) not in {s.category for s in seen}]))
    if seen and rng.random() < 0.3:  # the thing is there, in another colour
        asked = seen[rng.integers(len(seen))]
        colours = {s.colour for s in seen if s.category == asked.category}
        other = [colour for number, colour in enumerate(COLOURS) if number not in colours]
        absent = f"{rng.choice(other)} {CATEGORIES[asked.category]}"
    return episode(question.format(thing=absent), NOWHERE)
