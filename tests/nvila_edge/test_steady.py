"""No turn is undone by the next action, in decoding and in what training teaches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvila_edge.navigation.actions import ACTIONS, Forward, Turn
from nvila_edge.navigation.steady import steadied, undoes

INDEX = {action: index for index, action in enumerate(ACTIONS)}


@pytest.mark.parametrize(
    ("action", "previous", "expected"),
    [(Turn(15), Turn(-45), True), (Turn(-30), Turn(15), True), (Turn(45), Turn(15), False), (Forward(25), Turn(15), False), (Turn(15), Forward(75), False)],
)  # fmt: skip
def test_only_the_opposite_turn_undoes_a_turn(action, previous, expected):
    assert undoes(INDEX[action], INDEX[previous]) is expected


@given(st.lists(st.floats(1e-3, 1), min_size=10, max_size=10), st.integers(0, 9))
def test_what_would_undo_has_no_probability_and_the_rest_keeps_its_proportions(weights, previous):
    before = np.array(weights) / np.sum(weights)
    after = steadied(before, previous)
    banned = np.array([undoes(index, previous) for index in range(10)])
    assert np.isclose(after.sum(), 1)
    assert (after[banned] == 0).all()
    assert np.allclose(after[~banned] * before[~banned].sum(), before[~banned])


def test_at_the_start_nothing_is_forbidden():
    uniform = np.full(10, 0.1)
    assert steadied(uniform, None) is uniform
