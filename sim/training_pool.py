"""Worker processes that make training data: prepare a house (frames, episodes) and roll out the current model in it.

Each worker keeps its houses in memory, so a house always goes to the same worker.
"""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from sim.houses.library import HouseLibrary
from sim.learning.recording import RecordTask, record_house
from sim.lesson import RolloutSettings
from sim.renderer import Renderer
from sim.workers import Worker, answers

EPISODE_S = 300.0  # 500 steps behind a slow server
HOUSE_S = 900.0  # a house takes seconds to prepare or to roll out; a worker that needs this long for one hangs
ROUTES, ERRANDS = "episodes", "errands"  # kinds of episodes, and their folders
_NICE = 10  # training goes first where both run at a time
_AHEAD = 16  # tasks that a worker is sent before it has answered: they fit into the pipe


@dataclass(frozen=True)
class PrepareTask:
    """Frames, episodes and errands of one house go to `folder`."""

    house: str
    folder: str
    frames: int
    episodes: int
    errands: int
    image: int
    grid: int
    seed: int


@dataclass(frozen=True)
class RollTask:
    """Roll out `checkpoint` on episodes [first, last) of each house in the folder `episodes`; recordings go to the shard `folder` ("" keeps none)."""

    houses: Sequence[str]
    episodes: str
    first: int
    last: int
    checkpoint: str
    folder: str
    settings: RolloutSettings
    seed: int
    tokens_per_frame: int
    window: int


@dataclass(frozen=True)
class RollResult:
    """episodes and decisions run; how many stopped within 3 m, how many were ever there; expert actions [10] counted."""

    episodes: int
    decisions: int
    successes: int
    oracle_successes: int
    expert_actions: Sequence[int]


class TrainingPool:
    """`workers` processes of one thread each. Its methods raise WorkerDied for one that fails or hangs: run the same again to go on."""

    def __init__(self, workers: int) -> None:
        self.workers = [Worker("sim.training_pool") for _ in range(workers)]

    def prepare(self, tasks: Sequence[PrepareTask]) -> Iterator[str]:
        """Runs the tasks and yields house names in order."""
        return self._each("prepare", tasks, HOUSE_S)

    def record(self, tasks: Sequence[RecordTask]) -> Iterator[str]:
        """Records each house's episodes and yields house names in order."""
        return self._each("record", tasks, HOUSE_S + EPISODE_S * max((task.episodes for task in tasks), default=0))

    def _each(self, kind: str, tasks: Sequence[PrepareTask] | Sequence[RecordTask], deadline_s: float) -> Iterator[str]:
        queues = {worker: deque(task for task in tasks if self._owner(task.house) is worker) for worker in self.workers}
        for worker, queue in queues.items():
            for _ in range(min(_AHEAD, len(queue))):
                worker.send({kind: asdict(queue.popleft())})
        for task in tasks:
            worker = self._owner(task.house)
            yield worker.answer(deadline_s)["house"]
            if queues[worker]:
                worker.send({kind: asdict(queues[worker].popleft())})

    def roll(self, task: RollTask) -> list[RollResult]:
        """One task, its houses split by worker; results in worker order, shards named folder-0, folder-1 and so on."""
        asked: list[tuple[Worker, int]] = []
        for number, worker in enumerate(self.workers):
            houses = tuple(house for house in task.houses if self._owner(house) is worker)
            if houses:
                part = replace(task, houses=houses, folder=f"{task.folder}-{number}" if task.folder else "")
                worker.send({"roll": asdict(part)})
                asked.append((worker, len(houses)))
        return [RollResult(**worker.answer(HOUSE_S * houses)) for worker, houses in asked]

    def _owner(self, house: str) -> Worker:
        return self.workers[int(house.rsplit("_", 1)[1]) % len(self.workers)]

    def close(self) -> None:
        """Ends the workers now."""
        for worker in self.workers:
            worker.close()


def main() -> int:
    """The worker process: one line per task, one answer per line."""
    answer = answers()
    os.nice(_NICE)
    for line in sys.stdin:
        for kind, task in json.loads(line).items():
            match kind:
                case "prepare":
                    answer(house=prepare_house(PrepareTask(**task)))
                case "record":
                    recording = RecordTask(**task)
                    house, navmesh = _library()[recording.house]
                    answer(house=record_house(recording, house, navmesh, _renderer()))
                case _:
                    answer(**asdict(roll_houses(RollTask(**task | {"settings": RolloutSettings(**task["settings"])}))))
    return 0


@lru_cache(maxsize=1)
def _library() -> HouseLibrary:
    return HouseLibrary(cache_size=160)


@lru_cache(maxsize=1)
def _renderer() -> Renderer:
    """One GL context a process."""
    return Renderer()


def prepare_house(task: PrepareTask) -> str:
    """Writes frames/HOUSE, and episodes/HOUSE.json.gz and errands/HOUSE.json.gz (a split each), unless they are there; returns the house's name."""
    from sim.collect import collect_frames, save_frames
    from sim.dataset import SHORT, VLN_CE, house_episodes
    from sim.episodes import Dataset, save_split, split_file

    folder = Path(task.folder)
    for kind, count, draw in ((ROUTES, task.episodes, VLN_CE), (ERRANDS, task.errands, SHORT)):
        if not split_file(folder / kind, task.house).exists():
            episodes = house_episodes(*_library()[task.house], count, task.seed, draw=draw)
            save_split(folder / kind, Dataset(task.house, episodes), nested=False)
    if task.frames and not (folder / "frames" / task.house).exists():
        frames, seen = collect_frames(*_library()[task.house], _renderer(), task.frames, task.image, task.grid, task.seed)
        save_frames(folder / "frames" / task.house, frames, seen)
    return task.house


def roll_houses(task: RollTask) -> RollResult:
    """Rolls out all episodes of the task in this process."""
    import torch

    from nvila_edge.model.nvila import NVILA
    from nvila_edge.navigation.actions import ACTIONS
    from nvila_edge.training.episode_store import save_shard
    from nvila_edge.training.stream import StreamLayout
    from sim.episodes import load_split
    from sim.rollout import Roller

    torch.set_num_threads(1)
    model = NVILA.from_pretrained(task.checkpoint)
    assert model.tokenizer is not None
    layout = StreamLayout(model.tokenizer, task.tokens_per_frame, task.window)
    roller = Roller(model, layout, task.settings, _renderer())
    outcomes = []
    for name in task.houses:
        house, navmesh = _library()[name]
        episodes = load_split(Path(task.episodes), name).episodes[task.first : task.last]
        if episodes:
            outcomes += roller.run(house, navmesh, episodes, np.random.default_rng([task.seed, *name.encode()]))
    if task.folder:
        save_shard(Path(task.folder), [recording for outcome in outcomes for recording in outcome.recordings])
    wanted = np.concatenate([outcome.recordings[0].expert for outcome in outcomes])
    return RollResult(
        len(outcomes), len(wanted), sum(o.success for o in outcomes), sum(o.oracle_success for o in outcomes),
        tuple(np.bincount(wanted[wanted >= 0], minlength=len(ACTIONS)).tolist()),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
