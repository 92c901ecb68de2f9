"""The mirror image of a lesson: frames, actions and words with left and right exchanged. As true as the lesson, for the price of the tower's pass."""

from __future__ import annotations

import re

import numpy as np

from nvila_edge.navigation.actions import ACTIONS, Turn

_OTHER = {"left": "right", "right": "left"}
_SIDE = re.compile(r"\b(left|right)\b(?! in front of)", re.IGNORECASE)  # "right in front of the sofa" says no side
_OPPOSITE = np.array([ACTIONS.index(Turn(-action.angle_deg)) if isinstance(action, Turn) else at for at, action in enumerate(ACTIONS)])


def mirrored_text(text: str) -> str:
    """The same instruction in the mirrored house."""

    def other(match: re.Match[str]) -> str:
        word = _OTHER[match[0].lower()]
        return word.capitalize() if match[0][0].isupper() else word

    return _SIDE.sub(other, text)


def mirrored_actions(actions: np.ndarray) -> np.ndarray:
    """Indices in ACTIONS, [n], with turns to the other side; negative ones (UNTAUGHT) stay."""
    return np.where(actions < 0, actions, _OPPOSITE[actions])


def mirrored_images(images_NHWC: np.ndarray) -> np.ndarray:
    """Frames as a camera in the mirrored house sees them (sim/cameras.py: the lens is in the middle)."""
    return images_NHWC[:, :, ::-1]
