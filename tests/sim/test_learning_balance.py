"""How often each sample counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.learning.balance import balanced

STOP, AHEAD, LEFT = 0, 3, 4


def counts(labels: list[int], copies: np.ndarray) -> dict[int, int]:
    """Copies of each answer."""
    return {label: int(copies[np.array(labels) == label].sum()) for label in set(labels)}


def test_stops_are_copied_and_nothing_else() -> None:
    assert balanced([AHEAD, LEFT, STOP, AHEAD, STOP], 3, 1.0, 0).tolist() == [1, 1, 3, 1, 3]


def test_the_largest_share_drops_at_random_by_the_seed_and_as_little_as_it_can() -> None:
    labels = [AHEAD] * 90 + [LEFT] * 20 + [STOP] * 10
    copies = balanced(labels, 1, 0.5, 7)
    assert counts(labels, copies) == {AHEAD: 30, LEFT: 20, STOP: 10}  # 30 of 60 is half; 31 of 61 would be more
    assert np.array_equal(copies, balanced(labels, 1, 0.5, 7)) and not np.array_equal(copies, balanced(labels, 1, 0.5, 8))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=120), st.integers(1, 4), st.floats(0.1, 1.0), st.integers(0, 5))
def test_no_answer_exceeds_its_share_and_none_is_lost_without_need(labels: list[int], stops: int, share: float, seed: int) -> None:
    if share * len(set(labels)) < 1:
        with pytest.raises(ValueError, match="at least"):
            balanced(labels, stops, share, seed)
        return
    found = counts(labels, balanced(labels, stops, share, seed))
    assert max(found.values()) <= share * sum(found.values()) + 1e-6
    whole = {label: labels.count(label) * (stops if label == STOP else 1) for label in set(labels)}
    assert all(found[label] == whole[label] or found[label] == max(found.values()) for label in found)


@pytest.mark.parametrize(("stops", "share"), [(0, 1.0), (1, 0.0), (1, 1.5)])
def test_values_that_cannot_be_are_refused(stops: int, share: float) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        balanced([STOP], stops, share, 0)
