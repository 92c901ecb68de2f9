"""How roll-outs that an expert corrects are run, and when they should end."""

from __future__ import annotations

from dataclasses import dataclass

STRAYED_M = 4.0  # a lesson ends so much farther from the goal than it had come: the way back from there is in no instruction, and learning it teaches turning


@dataclass(frozen=True)
class RolloutSettings:
    """expert_share: chance that the expert's action is executed; temperature 0 is greedy; stop_radius_m: the expert says stop within it."""

    expert_share: float
    temperature: float
    max_decisions: int
    stop_radius_m: float


class Lesson:
    """Follows one roll-out: how near it came (geodesic metres)."""

    def __init__(self) -> None:
        self.closest_m = float("inf")

    def decided(self, distance_m: float) -> None:
        """A decision is made so far from the goal."""
        self.closest_m = min(self.closest_m, distance_m)

    def is_lost(self, distance_m: float) -> bool:
        """Whether it should end after an action that led so far from the goal: such states would soon be most of what is learned."""
        return distance_m > self.closest_m + STRAYED_M
