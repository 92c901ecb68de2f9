"""Text back to meaning, by key words alone: knows nothing of the templates, so that a text must say what it was meant to say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from sim.instructions.meaning import AHEAD, AROUND, LEFT, RIGHT, Approach, Arrive, Clause, Cross, Inside, Landmark, Pass, Straight, Turn
from sim.instructions.names import COLOUR_NAMES, ROOM_NAMES, THING_NAMES

_BREAKS = frozenset({".", ",", ";", "and", "then", "now", "finally"})
_STOPS = frozenset({"stop", "wait", "halt", "stay", "finish", "stand"})
_DOORS = frozenset({"door", "doorway", "opening"})
_ENTERING = frozenset({"into", "enter", "to", "for"})
_LEAVING = frozenset({"of", "from", "leave", "exit"})
_AROUND = frozenset({"around", "back", "opposite", "other", "u-turn"})
_STRAIGHT = frozenset({"straight", "forward", AHEAD, "direction"})
_FRONT_PHRASES = (("right", "in", "front", "of"), ("directly", "in", "front", "of"), ("in", "front", "of"))
_NEAR_PHRASES = (("next", "to"), ("close", "to"), ("by",), ("beside",), ("near",))
_AHEAD_PHRASES = (("in", "front", "of", "you"), ("straight", "ahead"), ("directly", "ahead"), ("ahead", "of", "you"))
_SIDE_PATTERN = (("on", "to"), ("your", "the"), (LEFT, RIGHT))

Token = tuple[str, object]  # kind "word" | "thing" | "room" | "side" | "near", and what it is


@dataclass(frozen=True)
class Said:
    """A clause and where it stands: text[start:end]."""

    clause: Clause
    start: int
    end: int


def read(text: str) -> tuple[Clause, ...]:
    """The clauses of a text, in its order. Raises ValueError for a part that has no meaning here."""
    return tuple(said.clause for said in read_in_place(text))


def read_in_place(text: str) -> tuple[Said, ...]:
    """The clauses of a text with their places, in its order. Raises ValueError for a part that has no meaning here."""
    found: list[Said] = []
    for chunk in _chunks(_tokens(text)):
        clause = _clause([token for token, _, _ in chunk])
        if clause is None:
            raise ValueError(f"{text[chunk[0][1] : chunk[-1][2]]!r} in {text!r} isn't understood")
        found.append(Said(clause, chunk[0][1], chunk[-1][2]))
    return tuple(found)


def _tokens(text: str) -> list[tuple[Token, int, int]]:
    """Tokens and where each begins and ends in the text."""
    matches = list(re.finditer(r"[a-z0-9]+(?:[-'][a-z0-9]+)*|[.,;]", text.lower()))
    words = [match[0] for match in matches]
    tokens: list[tuple[Token, int, int]] = []
    position = 0
    while position < len(words):
        token, length = _token_at(words, position)
        tokens.append((token, matches[position].start(), matches[position + length - 1].end()))
        position += length
    return tokens


def _token_at(words: list[str], at: int) -> tuple[Token, int]:
    """The longest thing, room, side or relation that begins here, or the single word; and how many words it took."""
    for size in range(min(5, len(words) - at), 0, -1):
        phrase = tuple(words[at : at + size])
        if phrase in _lexicon():
            return _lexicon()[phrase], size
    pattern = words[at : at + 3]
    if len(pattern) == 3 and all(word in allowed for word, allowed in zip(pattern, _SIDE_PATTERN, strict=True)):
        return ("side", pattern[2]), 4 if words[at + 3 : at + 4] == ["side"] else 3
    return ("word", words[at]), 1


@cache
def _lexicon() -> dict[tuple[str, ...], Token]:
    entries: dict[tuple[str, ...], Token] = {}
    for category, names in THING_NAMES.items():
        for name in names:
            words = tuple(name.lower().split())
            entries[words] = ("thing", Landmark(category))
            entries.update({(colour, *words): ("thing", Landmark(category, colour)) for colour in COLOUR_NAMES})
    entries.update({tuple(name.split()): ("room", kind) for kind, names in ROOM_NAMES.items() for name in names})
    entries.update({phrase: ("side", AHEAD) for phrase in _AHEAD_PHRASES})
    entries.update({phrase: ("near", True) for phrase in _FRONT_PHRASES})
    entries.update({phrase: ("near", False) for phrase in _NEAR_PHRASES})
    return entries


def _chunks(tokens: list[tuple[Token, int, int]]) -> list[list[tuple[Token, int, int]]]:
    """Parts between punctuation and connectives that hold more than filler ("after that", "from there", "next")."""
    chunks: list[list[tuple[Token, int, int]]] = [[]]
    for token in tokens:
        kind, value = token[0]
        if kind == "word" and value in _BREAKS:
            chunks.append([])
        elif not (kind == "word" and value == "next"):
            chunks[-1].append(token)
    filler = {"after", "that", "from", "there", "once"}
    return [chunk for chunk in chunks if any(kind != "word" or value not in filler for (kind, value), _, _ in chunk)]


def _clause(chunk: list[Token]) -> Clause | None:
    words = {value for kind, value in chunk if kind == "word"}
    things = [value for kind, value in chunk if kind == "thing" and isinstance(value, Landmark)]
    side = next((str(value) for kind, value in chunk if kind == "side"), "")
    door = bool(words & _DOORS) or _noun_exit(chunk)
    roles = _room_roles(chunk)
    if len(things) > 1:
        return None
    if words & _STOPS and not door:
        front = any(kind == "near" and value is True for kind, value in chunk)
        return Arrive(things[0] if things else None, front, roles.get("inside", ""))
    if door or ("leaving" in roles or "entering" in roles) and not words & {"when", "once"}:
        return Cross(roles.get("leaving", ""), side, roles.get("entering", ""), things[0] if things else None, _door_colour(chunk))
    if things:
        return Pass(things[0], side) if side in (LEFT, RIGHT) else Approach(things[0])
    if roles:
        return Inside(next(iter(roles.values())))
    return _turn(words, side)


def _turn(words: set[object], side: str) -> Clause | None:
    if words & _AROUND:
        return Turn(AROUND)
    sides = ({side} | words) & {LEFT, RIGHT}
    if len(sides) == 1:
        return Turn(str(sides.pop()))
    return Straight() if side == AHEAD or words & _STRAIGHT else None


def _noun_exit(chunk: list[Token]) -> bool:
    return any(chunk[i] == ("word", "exit") and chunk[i - 1][1] in ("the", *COLOUR_NAMES) for i in range(1, len(chunk)))


def _door_colour(chunk: list[Token]) -> str:
    """A colour that stands by itself belongs to the door (things take theirs with them)."""
    return next((str(value) for kind, value in chunk if kind == "word" and value in COLOUR_NAMES), "")


def _room_roles(chunk: list[Token]) -> dict[str, str]:
    """Rooms by what the word before them ("the" skipped) makes of them: leaving, entering, or inside."""
    roles: dict[str, str] = {}
    for index, (kind, value) in enumerate(chunk):
        if kind == "room":
            before = [word for part, word in chunk[max(0, index - 2) : index] if part == "word" and word != "the"]
            word = before[-1] if before else ""
            role = "entering" if word in _ENTERING else "leaving" if word in _LEAVING else "inside"
            roles[role] = str(value)
    return roles
