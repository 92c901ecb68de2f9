"""The samples of every step, for one process: drawn from the epoch's order, prepared on other threads while the step before runs."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from nvila_edge.training.collate import Prepared, Preparer
from nvila_edge.training.mixture import Mixture
from nvila_edge.training.ranks import Ranks
from nvila_edge.training.samples import Faults, Sample, SampleError

_THREADS = 4
_DEADLINE_S = 1800.0  # for one sample: a network drive may take minutes, hours mean that it hangs


class Feed:
    """Step n takes the n-th global batch of the epoch's order, and every process its share of that: the same samples whatever the number of processes.

    Batches are whole; what is left of an epoch comes in the next one's order. A mixture smaller than a batch is one batch.
    """

    def __init__(self, mixture: Mixture, seed: int, global_batch: int, preparer: Preparer, ranks: Ranks) -> None:
        self._mixture, self._seed, self._preparer, self._ranks = mixture, seed, preparer, ranks
        self.faults = Faults()
        self._order: tuple[int, list[Sample]] = (0, mixture.order(seed))
        samples = len(self._order[1])
        self._batch = min(global_batch, samples)
        self.steps_per_epoch = samples // self._batch
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="feed")
        self._ahead: tuple[int, list[tuple[Sample, Future[Prepared]]]] | None = None

    def batch(self, step: int) -> list[Sample]:
        """The global batch of a step, counted from 0."""
        epoch, number = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = (epoch, self._mixture.order(self._seed + epoch))
        return self._order[1][number * self._batch : (number + 1) * self._batch]

    def take(self, step: int, more: bool = True) -> list[Prepared]:
        """This process's samples of a step, those left out that cannot be used; `more`: whether to begin with the next step's."""
        ahead = self._ahead[1] if self._ahead and self._ahead[0] == step else self._submit(step)
        self._ahead = (step + 1, self._submit(step + 1)) if more else None
        return _collected(ahead, self.faults)

    def prepared(self, samples: Sequence[Sample], faults: Faults) -> list[Prepared]:
        """Some samples, this process's share of them."""
        return _collected([(sample, self._pool.submit(self._preparer.prepare, sample)) for sample in self._own(samples)], faults)

    def close(self) -> None:
        """Stops the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _own(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        return samples[self._ranks.rank :: self._ranks.world]

    def _submit(self, step: int) -> list[tuple[Sample, Future[Prepared]]]:
        return [(sample, self._pool.submit(self._preparer.prepare, sample)) for sample in self._own(self.batch(step))]


def _collected(waiting: Sequence[tuple[Sample, Future[Prepared]]], faults: Faults) -> list[Prepared]:
    found: list[Prepared] = []
    for sample, future in waiting:
        try:
            found.append(future.result(timeout=_DEADLINE_S))
        except SampleError as error:
            faults.add(sample.subset, sample.id, str(error))
    return found
