"""What an instruction says, free of words: the writer puts meanings into text, the oracle reads them back out of it."""

from __future__ import annotations

from dataclasses import dataclass

LEFT, RIGHT, AHEAD, AROUND = "left", "right", "ahead", "around"


@dataclass(frozen=True)
class Landmark:
    """A thing as it is named: category (of CATEGORIES) and colour (of COLOURS) or "" when the colour isn't said."""

    category: str
    colour: str = ""


@dataclass(frozen=True)
class Turn:
    """Turn on the spot: LEFT, RIGHT or AROUND."""

    side: str


@dataclass(frozen=True)
class Straight:
    """Walk on in the direction that you face."""


@dataclass(frozen=True)
class Inside:
    """You are now in a room of this kind (of ROOM_KINDS): a check, not a movement."""

    room: str


@dataclass(frozen=True)
class Cross:
    """Go through one doorway. What isn't said is "" or None.

    leaving, entering: kinds of the rooms; side: LEFT, RIGHT or AHEAD, where the door is; beside: what it is next to; colour: of its frame.
    """

    leaving: str = ""
    side: str = ""
    entering: str = ""
    beside: Landmark | None = None
    colour: str = ""


@dataclass(frozen=True)
class Pass:
    """Walk past a thing that is then on this side (LEFT or RIGHT) of you, in the room where you are."""

    landmark: Landmark
    side: str


@dataclass(frozen=True)
class Approach:
    """Walk up to a thing in the room where you are."""

    landmark: Landmark


@dataclass(frozen=True)
class Arrive:
    """Stop: near the thing, in `front` of it if so said, or (landmark None) where you are. `room` is the room's kind when it is said."""

    landmark: Landmark | None
    front: bool = False
    room: str = ""


Clause = Turn | Straight | Inside | Cross | Pass | Approach | Arrive
