"""A turn is never undone by the next action: a model that is unsure which way to look would otherwise dither between left and right.

It is a rule of the `stream` profile's grammar: training leaves such answers out, and decoding does not allow them.
"""

from __future__ import annotations

import numpy as np

from nvila_edge.navigation.actions import ACTIONS, Turn

_SIDES = np.array([0 if not isinstance(action, Turn) else (1 if action.angle_deg > 0 else -1) for action in ACTIONS])


def undoes(action: int, previous: int) -> bool:
    """Whether `action` turns against `previous`; both are indices in ACTIONS."""
    return bool(_SIDES[action] * _SIDES[previous] < 0)


def steadied(probabilities: np.ndarray, previous: int | None) -> np.ndarray:
    """The ten probabilities without those that would undo the action before (index in ACTIONS, None at the start); they sum to 1 again."""
    if previous is None or not _SIDES[previous]:
        return probabilities
    kept = np.where(_SIDES == -_SIDES[previous], 0.0, probabilities)
    return kept / kept.sum() if kept.sum() > 0 else probabilities
