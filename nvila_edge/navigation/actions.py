"""The ten navigation actions: types, sentences, primitives.

The sentences are an interface of the published checkpoints (the R2R annotations of NaVILA-Dataset; "degree" is singular).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

FORWARD_STEP_CM = 25  # VLN-CE: one MOVE_FORWARD is 0.25 m
TURN_STEP_DEG = 15  # VLN-CE: one TURN_LEFT or TURN_RIGHT is 15 degrees


class Primitive(IntEnum):
    """What a simulator or robot executes at once; the numbers are Habitat's action ids."""

    STOP = 0
    FORWARD = 1
    LEFT = 2
    RIGHT = 3


@dataclass(frozen=True)
class Forward:
    """Move straight ahead by `distance_cm` (25, 50 or 75 when guided)."""

    distance_cm: int


@dataclass(frozen=True)
class Turn:
    """Turn on the spot by `angle_deg`, left (counter-clockwise seen from above) positive."""

    angle_deg: int


@dataclass(frozen=True)
class Stop:
    """The instruction is completed."""


Action = Forward | Turn | Stop

ACTIONS: tuple[Action, ...] = (
    Stop(),
    Forward(25),
    Forward(50),
    Forward(75),
    Turn(15),
    Turn(30),
    Turn(45),
    Turn(-15),
    Turn(-30),
    Turn(-45),
)

STOP_SENTENCE = "I think I should stop because I have finished the instruction."


def sentence(action: Action) -> str:
    """The answer sentence of an action, as in the published annotations."""
    match action:
        case Forward(distance_cm=distance):
            return f"The next action is move forward {distance} cm."
        case Turn(angle_deg=angle):
            return f"The next action is turn {'left' if angle > 0 else 'right'} {abs(angle)} degree."
        case Stop():
            return STOP_SENTENCE


SENTENCES: tuple[str, ...] = tuple(sentence(action) for action in ACTIONS)


@dataclass(frozen=True)
class Steps:
    """How an action becomes primitives: a turn's size in degrees, and how many primitives of one action are carried out (None: all)."""

    turn_deg: int = TURN_STEP_DEG
    most: int | None = None


STEPS = Steps()
MOST_AMOUNT = 10**6  # cm or degrees; an episode ends after 500 steps


def primitives(action: Action, steps: Steps = STEPS) -> tuple[Primitive, ...]:
    """The primitives of an action: 25 cm and `steps.turn_deg` each; amounts between are rounded to the nearest, at least one step.

    Amounts beyond MOST_AMOUNT count as that: free text may name any number, and a list is made here.
    """
    match action:
        case Forward(distance_cm=distance):
            return ((Primitive.FORWARD,) * max(1, round(min(distance, MOST_AMOUNT) / FORWARD_STEP_CM)))[: steps.most]
        case Turn(angle_deg=angle):
            side = Primitive.LEFT if angle > 0 else Primitive.RIGHT
            return ((side,) * max(1, round(min(abs(angle), MOST_AMOUNT) / steps.turn_deg)))[: steps.most]
        case Stop():
            return (Primitive.STOP,)
