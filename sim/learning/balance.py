"""How often each sample counts: answers are uneven, and a stop is said once an episode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nvila_edge.navigation.actions import ACTIONS, Stop

STOP = ACTIONS.index(Stop())


def balanced(labels: Sequence[int], stop_copies: int, largest_share: float, seed: int) -> np.ndarray:
    """Copies int64 [n] of each sample: 0 is dropped, a stop counts `stop_copies` times.

    No answer makes more than `largest_share` of all copies; what is too much is dropped at random (stops lose copies). Labels are indices in
    ACTIONS. Raises ValueError for values out of range, and for a share that the answers present cannot keep.
    """
    if stop_copies < 1 or not 0 < largest_share <= 1:
        raise ValueError(f"stop copies {stop_copies} (at least 1) and largest share {largest_share} (above 0, at most 1) cannot be")
    answers = np.asarray(labels, np.int64)
    copies = np.where(answers == STOP, stop_copies, 1).astype(np.int64)
    counts = np.bincount(answers, copies, len(ACTIONS)).astype(np.int64)
    present = np.count_nonzero(counts)
    if largest_share * present < 1:
        raise ValueError(f"no answer can make at most {largest_share:g} of {present} different answers; at least {1 / max(1, present):.2f}")
    limit, rng = _limit(counts, largest_share), np.random.default_rng(np.random.SeedSequence([seed, len(answers)]))
    for answer in np.flatnonzero(counts > limit):
        rows = np.flatnonzero(answers == answer)
        kept = rng.choice(np.repeat(rows, copies[rows]), limit, replace=False)
        copies[rows] = 0
        np.add.at(copies, kept, 1)
    return copies


def _limit(counts: np.ndarray, largest_share: float) -> int:
    """The most copies that one answer may have, so that it makes at most `largest_share` of what is left of all."""
    low, high = 0, int(counts.max(initial=0))
    while low < high:  # the excess over the share is convex in the limit and 0 at none: what is allowed is an interval from 0
        middle = (low + high + 1) // 2
        if middle <= largest_share * np.minimum(counts, middle).sum() + 1e-9:
            low = middle
        else:
            high = middle - 1
    return low
