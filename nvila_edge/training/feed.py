"""The samples of every step, for one process: drawn from the epoch's order, prepared on other threads while the step before runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from nvila_edge.training.collate import Prepared, Preparer
from nvila_edge.training.mixture import Mixture
from nvila_edge.training.ranks import Ranks
from nvila_edge.training.samples import Faults, Sample, SampleError

_Waiting = list[tuple[Sample, Future[Prepared]]]
_THREADS = 4
_DEADLINE_S = 1800.0  # for one sample: a network drive may take minutes, hours mean that it hangs


class Feed:
    """Step n takes the n-th global batch of the epoch's order, and every process its share of that: the same samples whatever the number of processes.

    A batch comes in groups of at most `ahead` samples a process, of which one is prepared while another is trained on: pictures of two groups are
    held, not of a batch. Batches are whole; what is left of an epoch comes in the next one's order. A mixture smaller than a batch is one batch.
    """

    def __init__(self, mixture: Mixture, seed: int, global_batch: int, preparer: Preparer, ranks: Ranks, ahead: int = 32) -> None:
        self._mixture, self._seed, self._preparer, self._ranks = mixture, seed, preparer, ranks
        self.faults = Faults()
        self._order: tuple[int, list[Sample]] = (0, mixture.order(seed))
        samples = len(self._order[1])
        self._batch, self._group = min(global_batch, samples), ahead * ranks.world
        self.steps_per_epoch = samples // self._batch
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="feed")
        self._waiting: dict[tuple[int, int], _Waiting] = {}

    def batch(self, step: int) -> list[Sample]:
        """The global batch of a step, counted from 0."""
        epoch, number = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = (epoch, self._mixture.order(self._seed + epoch))
        return self._order[1][number * self._batch : (number + 1) * self._batch]

    def take(self, step: int, more: bool = True) -> Iterator[list[Prepared]]:
        """This process's samples of a step, in as many groups on every process, without those that cannot be used. more: whether another step follows."""
        groups = -(-self._batch // self._group)
        for number in range(groups):
            waiting = self._waiting.pop((step, number), None) or self._submit(self._of_group(step, number))
            following = (step, number + 1) if number + 1 < groups else (step + 1, 0)
            if more or following[0] == step:
                self._waiting[following] = self._submit(self._of_group(*following))
            yield _collected(waiting, self.faults)

    def all_of(self, samples: Sequence[Sample], faults: Faults) -> Iterator[list[Prepared]]:
        """This process's share of some samples, in groups."""
        for start in range(0, len(samples), self._group):
            yield _collected(self._submit(samples[start : start + self._group]), faults)

    def close(self) -> None:
        """Stops the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _of_group(self, step: int, number: int) -> list[Sample]:
        return self.batch(step)[number * self._group : (number + 1) * self._group]

    def _submit(self, samples: Sequence[Sample]) -> _Waiting:
        return [(sample, self._pool.submit(self._preparer.prepare, sample)) for sample in self.share(samples)]

    def share(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        """This process's."""
        return samples[self._ranks.rank :: self._ranks.world]


def _collected(waiting: _Waiting, faults: Faults) -> list[Prepared]:
    found: list[Prepared] = []
    for sample, future in waiting:
        try:
            found.append(future.result(timeout=_DEADLINE_S))
        except SampleError as error:
            faults.add(sample.subset, sample.id, str(error))
    return found
