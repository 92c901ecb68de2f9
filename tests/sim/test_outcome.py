"""Distances to the goal are measured as habitat-lab measures them."""

from __future__ import annotations

import numpy as np

from sim.outcome import measured


class Counting:
    """Distance to the origin, and how often it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def distance(self, point: np.ndarray) -> float:
        self.asked += 1
        return float(np.linalg.norm(point))


def test_small_moves_are_not_measured_until_they_add_up() -> None:
    counting = Counting()
    found = measured([(1.0, 0.0, 0.0), (1.00006, 0.0, 0.0), (1.00012, 0.0, 0.0), (1.00012, 0.0, 0.0), (2.0, 0.0, 0.0)], counting)
    assert found == [1.0, 1.0, 1.00012, 1.00012, 2.0] and counting.asked == 3


def test_far_from_the_origin_a_move_must_be_larger() -> None:
    """Tolerance 1e-4 + 1e-5 of the coordinate: 3e-4 at 20 m."""
    assert measured([(20.0, 0.0, 0.0), (20.00029, 0.0, 0.0)], Counting()) == [20.0, 20.0]
    assert measured([(20.0, 0.0, 0.0), (20.00031, 0.0, 0.0)], Counting()) == [20.0, 20.00031]
