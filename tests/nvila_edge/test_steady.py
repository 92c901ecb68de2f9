"""Sides are changed once at most, nobody turns round twice on the spot or pushes on where nothing moves: in decoding and in what training teaches."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvila_edge.navigation.actions import ACTIONS, Forward, Primitive, Stop, Turn
from nvila_edge.navigation.steady import FULL_TURN_DEG, is_blocked, steadied, turned_back, turned_deg

INDEX = {action: index for index, action in enumerate(ACTIONS)}


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        ([Turn(45), Turn(15)], False),
        ([Turn(45), Turn(-15)], True),
        ([Turn(45), Turn(-15), Turn(-45)], True),
        ([Turn(45), Forward(25), Turn(-15)], False),
        ([Turn(45), Turn(-15), Forward(25)], False),
    ],
)
def test_turning_back_counts_on_the_spot(past, expected):
    assert turned_back([INDEX[action] for action in past]) is expected


@given(st.lists(st.floats(1e-3, 1), min_size=10, max_size=10), st.lists(st.integers(0, 9), max_size=5))
def test_sides_are_changed_once_on_a_spot_and_the_rest_keeps_its_proportions(weights, past):
    before = np.array(weights) / np.sum(weights)
    after = steadied(before, past)
    banned = after == 0
    assert np.isclose(after.sum(), 1)
    assert np.allclose(after[~banned] * before[~banned].sum(), before[~banned])
    for index in np.flatnonzero(~banned):
        sides = np.sign(
            [ACTIONS[at].angle_deg for at in itertools.takewhile(lambda at: isinstance(ACTIONS[at], Turn), [int(index), *past[::-1]])]
        )
        assert np.count_nonzero(np.diff(sides)) <= 1 or np.count_nonzero(np.diff(sides[1:])) > 1
    if past and turned_deg(past) < FULL_TURN_DEG and not turned_back(past):
        assert not banned.any()


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
    assert (steadied(certain, [INDEX[Turn(-45)], INDEX[Turn(45)]]) == certain).all()
