"""Worker processes that make training data: prepare a house (frames, episodes) and roll out the current model in it.

Each worker keeps its houses in memory, so a house always goes to the same worker.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from sim.houses.library import HouseLibrary


@dataclass(frozen=True)
class PrepareTask:
    """Frames and episodes of one house go to `folder`."""

    house: str
    folder: str
    frames: int
    episodes: int
    image: int
    grid: int
    seed: int


@dataclass(frozen=True)
class RollTask:
    """Roll out `checkpoint` on episodes [first, last) of each house; recordings go to the shard `folder` ("" keeps none)."""

    houses: tuple[str, ...]
    data: str
    first: int
    last: int
    checkpoint: str
    folder: str
    expert_share: float
    temperature: float
    max_decisions: int
    stop_radius_m: float
    seed: int


@dataclass(frozen=True)
class RollResult:
    """episodes and decisions run; how many stopped within 3 m, how many were ever there; expert actions [10] counted."""

    episodes: int
    decisions: int
    successes: int
    oracle_successes: int
    expert_actions: tuple[int, ...]


class TrainingPool:
    """`workers` processes of one thread each."""

    def __init__(self, workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.executors = [ProcessPoolExecutor(1, mp_context=context, initializer=_one_thread) for _ in range(workers)]

    def prepare(self, tasks: Sequence[PrepareTask]) -> Iterator[str]:
        """Runs the tasks and yields house names in order."""
        for future in [self._executor(task.house).submit(prepare_house, task) for task in tasks]:
            yield future.result()

    def roll(self, task: RollTask) -> list[RollResult]:
        """One task, its houses split by worker; results in worker order, shards named folder-0, folder-1 and so on."""
        futures: list[Future[RollResult]] = []
        for worker, executor in enumerate(self.executors):
            houses = tuple(house for house in task.houses if self._executor(house) is executor)
            if houses:
                folder = f"{task.folder}-{worker}" if task.folder else ""
                futures.append(executor.submit(roll_houses, RollTask(**{**vars(task), "houses": houses, "folder": folder})))
        return [future.result() for future in futures]

    def _executor(self, house: str) -> ProcessPoolExecutor:
        return self.executors[int(house.rsplit("_", 1)[1]) % len(self.executors)]

    def close(self) -> None:
        """Ends the workers."""
        for executor in self.executors:
            executor.shutdown(wait=True, cancel_futures=True)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@lru_cache(maxsize=1)
def _library() -> HouseLibrary:
    return HouseLibrary(cache_size=160)


@lru_cache(maxsize=1)
def _renderer():  # noqa: ANN202  one GL context a process
    from sim.renderer import Renderer

    return Renderer()


def prepare_house(task: PrepareTask) -> str:
    """Writes frames/HOUSE and episodes/HOUSE.json.gz (a split of its own) unless they are there; returns the house's name."""
    from sim.collect import collect_frames, save_frames
    from sim.dataset import house_episodes
    from sim.episodes import Dataset, save_split, split_file

    frames_folder, episodes_folder = Path(task.folder) / "frames" / task.house, Path(task.folder) / "episodes"
    have_episodes, have_frames = split_file(episodes_folder, task.house).exists(), frames_folder.exists() or not task.frames
    if have_episodes and have_frames:
        return task.house
    house, navmesh = _library()[task.house]
    if not have_episodes:
        save_split(episodes_folder, Dataset(task.house, house_episodes(house, navmesh, task.episodes, task.seed)), nested=False)
    if not have_frames:
        frames, seen = collect_frames(house, navmesh, _renderer(), task.frames, task.image, task.grid, task.seed)
        save_frames(frames_folder, frames, seen)
    return task.house


def roll_houses(task: RollTask) -> RollResult:
    """Rolls out all episodes of the task in this process."""
    from nvila_edge.model.nvila import NVILA
    from nvila_edge.navigation.actions import ACTIONS
    from nvila_edge.training.episode_store import save_shard
    from nvila_edge.training.stream import StreamLayout
    from sim.episodes import load_split
    from sim.rollout import Roller, RolloutSettings

    model = NVILA.from_pretrained(task.checkpoint)
    assert model.tokenizer is not None
    layout = StreamLayout(model.tokenizer, tokens_per_frame=4)
    settings = RolloutSettings(task.expert_share, task.temperature, task.max_decisions, task.stop_radius_m)
    roller = Roller(model, layout, settings, _renderer())
    outcomes = []
    for name in task.houses:
        house, navmesh = _library()[name]
        episodes = load_split(Path(task.data) / "episodes", name).episodes[task.first : task.last]
        if episodes:
            outcomes += roller.run(house, navmesh, episodes, np.random.default_rng([task.seed, *name.encode()]))
    if task.folder:
        save_shard(Path(task.folder), [outcome.recording for outcome in outcomes])
    wanted = np.concatenate([outcome.recording.expert for outcome in outcomes])
    return RollResult(
        len(outcomes), len(wanted), sum(o.success for o in outcomes), sum(o.oracle_success for o in outcomes),
        tuple(np.bincount(wanted, minlength=len(ACTIONS)).tolist()),
    )  # fmt: skip
