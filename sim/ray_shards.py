"""An evaluation on many machines: its shards as Ray tasks, which come home as they finish and are joined at the end (extra `ray`).

Every machine needs nvila-edge of the same version, and the dataset and bundle at the same paths; the joined results name what differs. A task
has a server and workers of its own, so nothing but finished shards crosses the network. Ray plays the tasks of a lost machine elsewhere.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from sim.crew import EvaluationError, Reporter
from sim.episodes import Episode
from sim.evaluate import EvalOptions, commit, evaluate, resolve
from sim.results import SHARDS, OutputError, Record, RunFolder
from sim.shards import Shard, folder_of, join, read_shard

EPISODES_PER_SHARD, MOST_SHARDS = 10, 64  # a shard costs a start of server and workers (seconds) and the houses that it shares with others
_LOOK_S = 5.0


class _Unheard:
    """The reporter of a task: the one at home hears of its episodes when the shard is finished."""

    def begin(self, total: int, done: int) -> None:
        """Nothing."""

    def decided(self, episode: Episode, answer: Record) -> None:
        """Nothing."""

    def finished(self, episode: Episode, result: Record | None) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


def shards_of(episodes: int) -> list[Shard]:
    """The shards of so many episodes: the same for every call, so that finished ones are found again."""
    count = min(MOST_SHARDS, -(-episodes // EPISODES_PER_SHARD))
    return [Shard(index, count) for index in range(1, count + 1)]


def evaluate_on_ray(options: EvalOptions, address: str, reporter: Reporter) -> Record:
    """`evaluate` by the cluster at `address` ("local": one that is started here; "auto", "HOST:PORT"), with `options.workers` each shard.

    Finished shards are kept in `out`/shards; the same call goes on after an interruption. Raises what `evaluate` raises, and EvaluationError
    when no cluster answers.
    """
    if options.shard is not None:
        raise ValueError("--ray makes shards by itself: leave out --shard")
    options = replace(options, dataset=options.dataset if options.dataset == "builtin" else str(Path(options.dataset).resolve()))
    task = resolve(options)
    by_id = {episode.episode_id: episode for episode in task.episodes}
    with RunFolder(options.out, task.config, commit(), list(by_id)) as run:
        shards = {shard: options.out / SHARDS / shard.folder for shard in shards_of(len(task.episodes))}
        waiting = [shard for shard, folder in shards.items() if not _finished(folder)]
        done = [result for shard in shards if shard not in waiting for result in read_shard(shards[shard]).results]
        reporter.begin(len(task.episodes), len(done))
        if waiting:
            with _cluster(address, options.workers) as ray:
                for shard, files in _played(ray, options, waiting):
                    _unpack(files, shards[shard])
                    for result in read_shard(shards[shard]).results:
                        reporter.finished(by_id[str(result["episode_id"])], result)
        return join(run, [read_shard(folder) for folder in shards.values()])


def _finished(folder: Path) -> bool:
    try:
        return bool(read_shard(folder).episodes)
    except OutputError:
        return False


@contextmanager
def _cluster(address: str, cpus: int) -> Iterator[Any]:
    """The ray module, connected. Raises ValueError when no machine has the CPUs that a shard takes: it would wait for ever."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray reports to its makers
    import ray  # pyright: ignore[reportMissingImports]

    path = os.pathsep.join(filter(None, [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]))
    here: dict[str, Any] = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"} if address == "local" else {"address": address}
    try:
        ray.init(runtime_env={"env_vars": {"PYTHONPATH": path}}, log_to_driver=False, logging_level="error", **here)
    except Exception as error:  # Ray raises bare Exception for a node that does not start in its 30 s
        raise EvaluationError(
            f"no Ray cluster at {address!r}: {error!s:.300}; start one with `ray start --head`, or give --ray local"
        ) from error
    try:
        most = max((int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]), default=0)
        if cpus > most:
            raise ValueError(f"--workers {cpus}: the largest machine of the cluster has {most} CPUs; give at most that many")
        yield ray
    finally:
        ray.shutdown()


def _played(ray: Any, options: EvalOptions, shards: list[Shard]) -> Iterator[tuple[Shard, dict[str, bytes]]]:
    """Shards with their files, as they finish. Raises EvaluationError when one cannot be played."""
    remote = ray.remote(num_cpus=options.workers, max_retries=3)(_play)
    values = {field.name: getattr(options, field.name) for field in fields(EvalOptions)}  # of a verb, only what evaluations know
    asked = {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
    pending = {remote.remote({**asked, "shard": str(shard)}): shard for shard in shards}
    while pending:
        for ready in ray.wait(list(pending), timeout=_LOOK_S)[0]:
            shard = pending.pop(ready)
            try:
                yield shard, ray.get(ready)
            except ray.exceptions.RayError as error:
                told = (str(error).strip().splitlines() or [type(error).__name__])[-1]
                raise EvaluationError(f"shard {shard}: {told}; what is finished stays: mend it and give the same command again") from error


def _play(asked: dict[str, Any]) -> dict[str, bytes]:
    """On some machine: play one shard; its files by path within its folder."""
    with tempfile.TemporaryDirectory(prefix="nvila-edge-") as made:
        bundle = None if asked["bundle"] is None else Path(asked["bundle"])
        options = EvalOptions(**{**asked, "out": Path(made), "bundle": bundle})
        evaluate(options, _Unheard())
        folder = folder_of(options)
        return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def _unpack(files: dict[str, bytes], folder: Path) -> None:
    """Write a shard's folder in one step: a kill leaves all of it or nothing."""
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        for name, data in files.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_bytes(data)
        if folder.exists():
            shutil.rmtree(folder)
        part.replace(folder)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise OutputError(
            f"cannot write the shard {folder}: {error.strerror or error}; make room, then give the same command again"
        ) from error
