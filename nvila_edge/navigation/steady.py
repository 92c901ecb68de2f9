"""What a steady walker never does: turn to and fro on the spot, turn round more than once there, push on where the last step did not move.

A model that is unsure which way to look would otherwise dither, spin, or push against a chair for the rest of its steps. It is a rule of the
`stream` profile's grammar: decoding does not allow such answers, and training leaves them out. Measured on the built-in model in
benchmarks/results/builtin-training.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nvila_edge.navigation.actions import ACTIONS, Forward, Primitive, Turn

FULL_TURN_DEG = 345  # one more turn of 15 degrees and everything has been seen
LOOKED_BACK = 24  # actions: as many as a full turn may take
BLOCKED_M = 0.1  # a forward primitive of 0.25 m that achieves less has met something

_ANGLES_DEG = np.array([action.angle_deg if isinstance(action, Turn) else 0 for action in ACTIONS])
_SIDES = np.sign(_ANGLES_DEG)
_FORWARD = np.array([isinstance(action, Forward) for action in ACTIONS])


def is_blocked(primitive: Primitive, moved_m: float) -> bool:
    """Whether a forward primitive met something: then the rest of its action is dropped, and the next decision is told so."""
    return primitive == Primitive.FORWARD and moved_m < BLOCKED_M


def _turns(past: Sequence[int]) -> list[int]:
    """Degrees of the turns since the last action that was none, the newest first; `past` are indices in ACTIONS."""
    turns = []
    for action in reversed(past):
        if not _SIDES[action]:
            break
        turns.append(int(_ANGLES_DEG[action]))
    return turns


def turned_deg(past: Sequence[int]) -> int:
    """Degrees turned on the spot, to either side, since the last action that was no turn."""
    return sum(map(abs, _turns(past)))


def turned_back(past: Sequence[int]) -> bool:
    """Whether turns on this spot have changed their side: once mends a turn too far, twice is dithering."""
    turns = _turns(past)
    return any(later * earlier < 0 for later, earlier in zip(turns, turns[1:]))


def steadied(probabilities: np.ndarray, past: Sequence[int], blocked: bool = False) -> np.ndarray:
    """The ten probabilities without what a steady walker does not do; they sum to 1 again.

    past: indices in ACTIONS of what was done so far, oldest first. blocked: the last forward step met something.
    """
    barred = np.zeros(len(ACTIONS), bool)
    if past:
        barred |= (_SIDES * _SIDES[past[-1]] < 0) & turned_back(past)
        barred |= (_SIDES != 0) & (turned_deg(past) >= FULL_TURN_DEG)
    barred |= _FORWARD & blocked
    kept = np.where(barred, 0.0, probabilities)
    return kept / kept.sum() if kept.sum() > 0 else probabilities
