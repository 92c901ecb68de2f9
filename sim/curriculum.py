"""What a step of cloning and DAgger trains on: errands first, then routes among errands, recent rounds more often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nvila_edge.training.recipe import DaggerStage
from nvila_edge.training.stream import Episode

RECENT_ROUNDS = 12
_ERRANDS_PER_ROUTE = 2  # an errand has fewer than half of a route's decisions


class Curriculum:
    """Recorded routes and errands, each a list of rounds with the oldest first: the expert's, much larger and soon known by heart, then DAgger's."""

    def __init__(self, stage: DaggerStage, routes: Sequence[Sequence[Episode]], errands: Sequence[Sequence[Episode]]) -> None:
        self._stage = stage
        self._kinds = [
            ([e for each in rounds for e in each], [e for each in (rounds[1:] or rounds)[-RECENT_ROUNDS:] for e in each])
            for rounds in (routes, errands)
        ]

    def batch(self, step: int, rng: np.random.Generator) -> list[Episode]:
        """Episodes of similar length: a random length is drawn through a random episode, its neighbours fill the batch."""
        stage = self._stage
        errands = step < stage.errand_steps or rng.random() < stage.errand_share
        everything, recent = self._kinds[errands]
        count = stage.batch_size * (_ERRANDS_PER_ROUTE if errands else 1)
        sources = (recent if rng.random() < stage.recent_share else everything for _ in range(4 * count))
        candidates = [source[rng.integers(len(source))] for source in sources]
        candidates.sort(key=lambda episode: len(episode.expert))
        start = int(rng.integers(0, len(candidates) - count + 1))
        return candidates[start : start + count]
