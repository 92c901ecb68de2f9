"""When a roll-out that an expert corrects should end, and what the expert must know of the last action."""

from __future__ import annotations

from nvila_edge.navigation.actions import Action, Turn

FULL_TURN_DEG = 360.0
STRAYED_M = 2.5  # a lesson ends so much farther from the goal than it had come: the way back from there is in no instruction, and learning it teaches turning


class Lesson:
    """Follows one roll-out: how near it came (geodesic metres) and how far it has turned on the spot."""

    def __init__(self) -> None:
        self.closest_m = float("inf")
        self.turned_deg = 0.0

    def decided(self, distance_m: float) -> None:
        """A decision is made so far from the goal."""
        self.closest_m = min(self.closest_m, distance_m)

    def is_lost(self, action: Action, distance_m: float) -> bool:
        """Whether it should end after an action that led so far from the goal: strayed, or turned all the way round on the spot.

        Such states would soon be most of what is learned.
        """
        self.turned_deg = self.turned_deg + abs(action.angle_deg) if isinstance(action, Turn) else 0.0
        return self.turned_deg >= FULL_TURN_DEG or distance_m > self.closest_m + STRAYED_M


def turning(last: Action | None) -> int:
    """+1 or -1 when the last action was a turn to the left or right, else 0: what `Expert.action` wants to know."""
    return (1 if last.angle_deg > 0 else -1) if isinstance(last, Turn) else 0
