"""Clauses into sentences: picks a template for each, fills in names, and joins them."""

from __future__ import annotations

import re

import numpy as np

from sim.instructions.meaning import AROUND, Approach, Arrive, Clause, Cross, Inside, Landmark, Pass, Straight, Turn
from sim.instructions.names import FRONT_PHRASES, NEAR_PHRASES, ROOM_NAMES, SIDE_PHRASES, THING_NAMES
from sim.instructions.wording import Wording

# what takes a colour: openings and exits don't
_DOOR_NOUN = re.compile(r"\bthe (door|doorway)\b")


def phrase(clauses: tuple[Clause, ...], rng: np.random.Generator, wording: Wording) -> str:
    """The clauses as 1-3 sentences of text; each room or thing keeps one name throughout."""
    names = {kind: options[int(rng.integers(len(options)))] for kind, options in (THING_NAMES | ROOM_NAMES).items()}
    sentences: list[str] = []
    used: set[str] = set()
    groups = _sentences(clauses, rng)
    for group in groups:
        texts = [_fill(clause, names, rng, wording) for clause in group]
        opening = "" if not sentences or isinstance(group[0], Inside) else _pick(_fresh(wording.templates["opening"], used), rng)
        last = wording.templates["final joint" if group is groups[-1] else "last joint"]
        sentences.append(_capital(opening + _join(texts, group, rng, wording.templates["joint"], last)) + ".")
        used.add(opening)
    return " ".join(sentences)


def _sentences(clauses: tuple[Clause, ...], rng: np.random.Generator) -> list[list[Clause]]:
    """Groups of clauses, at most three; a new one always begins at "in the kitchen", unless there are three already."""
    forced = [i for i, clause in enumerate(clauses) if isinstance(clause, Inside) and i][:2]
    dropped = {i for i, clause in enumerate(clauses) if isinstance(clause, Inside)} - set(forced)
    content = len(clauses) - len(dropped)
    wanted = 1 + int(content > 2 and rng.random() < 0.8) + int(content > 4 and rng.random() < 0.8)
    free = [i for i in range(1, len(clauses)) if i not in dropped and i not in forced and i - 1 not in forced]
    extra = max(0, wanted - 1 - len(forced))
    cuts = sorted({*forced, *(int(i) for i in rng.permutation(free)[:extra])})
    groups, start = [], 0
    for cut in [*cuts, len(clauses)]:
        groups.append([clause for i, clause in enumerate(clauses) if start <= i < cut and i not in dropped])
        start = cut
    return [group for group in groups if group]


def _join(texts: list[str], group: list[Clause], rng: np.random.Generator, joints: tuple[str, ...], last_joints: tuple[str, ...]) -> str:
    """The texts as one sentence; no "and" beside a clause that has one of its own, and no joint twice, where there is a choice."""
    joined, used = texts[0], {""}
    for index in range(1, len(texts)):
        options = last_joints if index == len(texts) - 1 else joints
        if " and " in texts[index - 1] or " and " in texts[index]:
            options = tuple(option for option in options if "and" not in option) or options
        joint = ", " if isinstance(group[index - 1], Inside) else _pick(_fresh(options, used), rng)
        used |= {joint} - {", "}
        joined += joint + texts[index]
    return joined


def _fresh(options: tuple[str, ...], used: set[str]) -> tuple[str, ...]:
    """The options that aren't worn yet ("" and commas never are); all when none is left."""
    return tuple(option for option in options if option not in used or not option) or options


def _fill(clause: Clause, names: dict[str, str], rng: np.random.Generator, wording: Wording) -> str:
    template = _pick(_options(clause, wording, rng), rng)
    slots = {"near": _pick(FRONT_PHRASES if isinstance(clause, Arrive) and clause.front else NEAR_PHRASES, rng)}
    match clause:
        case Turn(side=side):
            slots["side"] = side
        case Inside(room=room):
            slots["room"] = names[room]
        case Pass(landmark=landmark, side=side):
            slots |= {"landmark": _name(landmark, names), "flank": _pick(SIDE_PHRASES[side], rng)}
        case Cross():
            slots |= {"leaving": names.get(clause.leaving, ""), "entering": names.get(clause.entering, "")}
            slots["where"] = _pick(SIDE_PHRASES[clause.side], rng) if clause.side else ""
            slots["landmark"] = _name(clause.beside, names) if clause.beside else ""
            if clause.colour:
                template = _DOOR_NOUN.sub(rf"the {clause.colour} \1", template)
        case Arrive(landmark=landmark, room=room):
            slots |= {"landmark": _name(landmark, names) if landmark else "", "room": names.get(room, "")}
        case _:
            pass
    return " ".join(template.format(**slots).split())


def _options(clause: Clause, wording: Wording, rng: np.random.Generator) -> tuple[str, ...]:
    templates = wording.templates
    match clause:
        case Turn(side=side):
            return templates["around" if side == AROUND else "turn"]
        case Straight():
            return templates["straight"]
        case Inside():
            return templates["inside"]
        case Pass():
            return templates["pass"]
        case Arrive(front=front, room=room):
            at = not front and not room and rng.random() < 0.35
            return templates["arrive room" if room else "arrive at" if at else "arrive"]
        case Cross():
            return _cross_options(clause, wording)
        case Approach():
            raise AssertionError("approaching is written as part of arriving")


def _cross_options(clause: Cross, wording: Wording) -> tuple[str, ...]:
    """Templates with just the slots that are said. A colour needs a door to belong to, and takes the place of the side."""
    if clause.beside:
        return wording.templates["beside entering" if clause.entering else "beside"]
    placed = bool(clause.side or clause.colour)
    kind = " ".join(word for word, said in (("leaving", clause.leaving), ("side", placed), ("entering", clause.entering)) if said)
    options = wording.templates[kind]
    return tuple(option for option in options if _DOOR_NOUN.search(option)) if clause.colour else options


def _name(landmark: Landmark, names: dict[str, str]) -> str:
    return f"{landmark.colour} {names[landmark.category]}".strip()


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
