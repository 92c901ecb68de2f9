"""No turn is undone, nobody turns round twice on the spot or pushes on where nothing moves: in decoding and in what training teaches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvila_edge.navigation.actions import ACTIONS, Forward, Primitive, Stop, Turn
from nvila_edge.navigation.steady import is_blocked, steadied, turned_deg, undoes

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
    after = steadied(before, [previous])
    banned = np.array([undoes(index, previous) for index in range(10)])
    assert np.isclose(after.sum(), 1)
    assert (after[banned] == 0).all()
    assert np.allclose(after[~banned] * before[~banned].sum(), before[~banned])


def test_at_the_start_nothing_is_forbidden():
    uniform = np.full(10, 0.1)
    assert np.allclose(steadied(uniform, []), uniform)


UNIFORM = np.full(10, 0.1)


def allowed(past: list, blocked: bool = False) -> set:
    return {type(action) for action, p in zip(ACTIONS, steadied(UNIFORM, [INDEX[action] for action in past], blocked)) if p > 0}


def test_after_a_full_turn_only_walking_and_stopping_are_left():
    assert turned_deg([INDEX[action] for action in (Turn(45), Forward(25), Turn(30), Turn(15))]) == 45
    assert Turn in allowed([Turn(45)] * 7)
    assert allowed([Turn(45)] * 8) == {Forward, Stop}
    assert Turn in allowed([Turn(45)] * 8 + [Forward(25)])


def test_nobody_pushes_on_where_the_last_step_met_something():
    assert is_blocked(Primitive.FORWARD, 0.02) and not is_blocked(Primitive.FORWARD, 0.2) and not is_blocked(Primitive.LEFT, 0.0)
    assert allowed([Forward(25)], blocked=True) == {Turn, Stop}
    assert Forward in allowed([Forward(25)])


def test_a_certain_answer_that_is_not_allowed_stays_when_nothing_else_has_any_probability():
    certain = np.eye(10)[INDEX[Turn(-45)]]
    assert (steadied(certain, [INDEX[Turn(45)]]) == certain).all()
