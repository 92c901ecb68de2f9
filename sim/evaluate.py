"""Evaluations: a split, a policy, worker processes, one server for all of them; resumable, and the same bytes however it ran."""

from __future__ import annotations

import hashlib
import selectors
import subprocess
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from nvila_edge import __version__
from nvila_edge.navigation.actions import TURN_STEP_DEG
from nvila_edge.serving.process import FREE_PORT, ServerProcess, start_server
from sim.env import FORWARD_M
from sim.episodes import Dataset, Episode, load_split, split_file
from sim.metrics import SUCCESS_M
from sim.policies import expert_histogram, median_steps
from sim.renderer import CAMERA_HEIGHT_M, CAMERA_PX, HFOV_DEG
from sim.report import build_report
from sim.results import Record, RunFolder, in_order
from sim.stage import MAX_STEPS, StageSetup
from sim.summary import summarise
from sim.workers import Worker, WorkerDied

ASSETS = Path(__file__).resolve().parents[1] / "nvila_edge" / "assets"
BUILTIN_DATASET, BUILTIN_BUNDLE = ASSETS / "dataset", ASSETS / "bundle"
POLICIES = ("engine", "oracle", "random", "forward")
RESTARTS = 5  # of a server or a worker in a row without a finished episode in between


class EvaluationError(RuntimeError):
    """The evaluation cannot go on; what is finished stays."""


@dataclass(frozen=True)
class EvalOptions:
    """What `nvila-edge eval` was asked. `episodes` None is all of them; `bundle` None is the built-in one."""

    out: Path
    policy: Literal["engine", "oracle", "random", "forward"] = "engine"
    dataset: str = "builtin"
    split: str = "val_unseen"
    bundle: Path | None = None
    episodes: int | None = None
    workers: int = 1
    seed: int = 0
    instructions: Literal["own", "swapped"] = "own"
    frames: Literal["camera", "black"] = "camera"
    videos: int = 5
    env: Literal["house"] = "house"


class Reporter(Protocol):
    """Who is told how it goes."""

    def begin(self, total: int, done: int) -> None:
        """`total` episodes, of which `done` are there from an earlier run."""
        ...

    def decided(self, episode: Episode, answer: Record) -> None:
        """An agent decided: answer has step, text, probability, latency_ms."""
        ...

    def finished(self, episode: Episode, result: Record | None) -> None:
        """An episode ended; None: it was left out."""
        ...

    def note(self, text: str) -> None:
        """Something that people should know."""
        ...


def spread(episodes: Sequence[Episode], count: int | None) -> tuple[Episode, ...]:
    """`count` episodes evenly spread over the split, so that few episodes still see many houses. Raises ValueError for less than one."""
    if count is None or count >= len(episodes):
        return tuple(episodes)
    if count < 1:
        raise ValueError(f"--episodes {count}: at least 1")
    return tuple(episodes[index * len(episodes) // count] for index in range(count))


def next_episode(waiting: Sequence[Episode], scene: str, busy: Sequence[str]) -> Episode:
    """What a free worker plays next: the scene it has loaded, else one that nobody plays, else the first (the choice changes no result)."""
    same = next((episode for episode in waiting if episode.scene_id == scene), None)
    return same or next((episode for episode in waiting if episode.scene_id not in busy), waiting[0])


def _sha256(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes() if file.exists() else b"none")
    return digest.hexdigest()


def commit() -> str:
    """The commit of the checkout that runs (with "-dirty" when tracked files differ), else the version of the package."""
    root = Path(__file__).resolve().parents[1]
    try:
        head = subprocess.run(["git", "rev-parse", "--verify", "HEAD"], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
        clean = subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=root, capture_output=True, check=False).returncode == 0
        return head if clean else f"{head}-dirty"
    except (OSError, subprocess.CalledProcessError):
        pass
    return f"nvila-edge {__version__}"


@dataclass(frozen=True)
class _Task:
    """Resolved options: where things lie, which episodes, and the configuration that results depend on."""

    folder: Path
    bundle: Path
    dataset: Dataset
    episodes: tuple[Episode, ...]
    config: Record


def _resolve(options: EvalOptions) -> _Task:
    folder = BUILTIN_DATASET if options.dataset == "builtin" else Path(options.dataset)
    bundle = options.bundle or BUILTIN_BUNDLE
    if options.workers < 1:
        raise ValueError(f"--workers {options.workers}: at least 1")
    if options.policy not in POLICIES:
        raise ValueError(f"--policy {options.policy!r}: one of {', '.join(POLICIES)}")
    if options.policy == "engine" and not (bundle / "manifest.json").exists() and not (bundle / "config.json").exists():
        raise ValueError(f"{bundle} is no bundle: it has no manifest.json; make one with `nvila-edge export CKPT {bundle}`")
    dataset = load_split(folder, options.split)
    episodes = spread(dataset.episodes, options.episodes)
    if not episodes:
        raise ValueError(f"the split {options.split} of {folder} has no episodes")
    for episode in episodes:
        _ = episode.goal  # a test split is refused here, by name
    config: Record = {
        "env": options.env, "dataset": options.dataset if options.dataset == "builtin" else folder.resolve().name,
        "dataset_sha256": _sha256(split_file(folder, options.split), split_file(folder, options.split, ground_truth=True)),
        "split": options.split, "policy": options.policy, "episodes": len(episodes), "seed": options.seed,
        "instructions": options.instructions, "frames": options.frames, "max_steps": MAX_STEPS, "success_distance_m": SUCCESS_M,
        "camera": {"width": CAMERA_PX, "height": CAMERA_PX, "hfov_deg": HFOV_DEG, "height_m": CAMERA_HEIGHT_M},
        "forward_m": FORWARD_M, "turn_deg": TURN_STEP_DEG, "sliding": True,
    }  # fmt: skip
    if options.policy == "engine":
        files = [bundle / "manifest.json"] if _is_bundle(bundle) else sorted(bundle.rglob("*.safetensors"))
        config["bundle_sha256"] = _sha256(*files)
    return _Task(folder, bundle, dataset, episodes, config)


def _is_bundle(folder: Path) -> bool:
    """A checkpoint folder has no manifest: it runs unquantised in torch, to compare with."""
    return (folder / "manifest.json").exists()


def _serve(folder: Path, address: str = FREE_PORT) -> ServerProcess:
    return start_server(folder, address, backend="onnxruntime" if _is_bundle(folder) else "torch")


def evaluate(options: EvalOptions, reporter: Reporter) -> Record:
    """Run (or go on with) an evaluation and return its summary; everything is in `options.out`.

    Raises ValueError for options that cannot be, OutputError for the folder, EvaluationError and ServerStartError when it cannot go on.
    """
    task = _resolve(options)
    with ExitStack() as stack:
        run = stack.enter_context(RunFolder(options.out, task.config, commit()))
        waiting = [episode for episode in task.episodes if episode.episode_id not in run.results]
        reporter.begin(len(task.episodes), len(run.results))
        left_out = 0
        if waiting:
            left_out = stack.enter_context(_Crew(options, task, run, reporter)).work(waiting)
        header = {
            "policy": options.policy, "dataset": task.config["dataset"], "split": options.split, "seed": options.seed, "left_out": left_out,
            "config": task.config, "commit": ", ".join(run.commits),
        }  # fmt: skip
        summary = summarise(in_order(run.results.values()), in_order(run.timings.values()), header)
        run.finish(summary)
        build_report(options.out)
    return summary


class _Crew:
    """The server and the workers of one evaluation."""

    def __init__(self, options: EvalOptions, task: _Task, run: RunFolder, reporter: Reporter) -> None:
        self._options, self._task, self._run, self._reporter = options, task, run, reporter
        self._server: ServerProcess | None = _serve(task.bundle) if options.policy == "engine" else None
        self._restarts = 0
        self._workers: list[Worker] = []
        self._by_id = {episode.episode_id: episode for episode in task.episodes}
        self._waiting: deque[Episode] = deque()
        self._setup = self._stage_setup()

    def _stage_setup(self) -> StageSetup:
        options, truths = self._options, list(self._task.dataset.ground_truth.values())
        blind = options.policy in ("random", "forward")
        return StageSetup(
            dataset=str(self._task.folder), split=options.split, policy=options.policy, seed=options.seed,
            swapped=options.instructions == "swapped", black=options.frames == "black", out=str(options.out),
            videos=tuple(episode.episode_id for episode in self._task.episodes[: options.videos]),
            address=self._server.address if self._server is not None else "",
            expert_counts=tuple(expert_histogram(truths)) if blind else (), stop_after=median_steps(truths) if blind else 0,
        )  # fmt: skip

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.close()
        if self._server is not None:
            self._server.stop()

    def work(self, waiting: Sequence[Episode]) -> int:
        """Play all these episodes; returns how many were left out."""
        self._waiting.extend(waiting)
        open_, left_out = len(waiting), 0
        self._workers = [Worker(self._setup) for _ in range(min(self._options.workers, len(waiting)))]
        with selectors.DefaultSelector() as selector:
            for worker in self._workers:
                selector.register(worker.fd, selectors.EVENT_READ, worker)
            while open_:
                for key, _ in selector.select(timeout=0.2):
                    ended, out = self._listen(key.data, selector)
                    open_, left_out = open_ - ended, left_out + out
                self._keep_server()
        return left_out

    def _listen(self, worker: Worker, selector: selectors.BaseSelector) -> tuple[int, int]:
        """What a worker has to say; returns how many episodes ended with it, and how many of them were left out."""
        ended = out = 0
        try:
            messages = worker.receive()
        except WorkerDied as death:
            self._replace(worker, selector, str(death))
            return 0, 0
        for message in messages:
            match message["type"]:
                case "ready":
                    worker.ready = True
                case "decided":
                    self._reporter.decided(self._by_id[message["episode_id"]], message)
                    continue
                case "interrupted":
                    self._reporter.note(f"episode {message['episode_id']} starts anew: {message['message']}")
                    self._waiting.appendleft(self._by_id[worker.episode])
                    self._count_restart(message["message"])
                case "failed":
                    raise EvaluationError(message["message"])
                case "played" | "left_out":
                    ended, out = ended + 1, out + (message["type"] == "left_out")
                    self._finished(worker, message)
            worker.episode = ""
            self._occupy(worker)
        return ended, out

    def _finished(self, worker: Worker, message: Record) -> None:
        if message["type"] == "played":
            self._run.add(message["result"], message["timing"])
        self._restarts = 0
        self._reporter.finished(self._by_id[worker.episode], message.get("result"))

    def _occupy(self, worker: Worker) -> None:
        if self._waiting:
            episode = next_episode(self._waiting, worker.scene, [other.scene for other in self._workers if other.episode])
            self._waiting.remove(episode)
            worker.episode, worker.scene = episode.episode_id, episode.scene_id
            worker.send({"episode_id": episode.episode_id})

    def _replace(self, worker: Worker, selector: selectors.BaseSelector, reason: str) -> None:
        """A new process for one that died; its episode is played again."""
        self._count_restart(reason)
        selector.unregister(worker.fd)
        worker.close()
        if worker.episode:
            self._waiting.appendleft(self._by_id[worker.episode])
        self._reporter.note(f"{reason}; a new worker goes on")
        self._workers[self._workers.index(worker)] = fresh = Worker(self._setup)
        selector.register(fresh.fd, selectors.EVENT_READ, fresh)

    def _keep_server(self) -> None:
        """A new server, at the same address, for one that died."""
        if self._server is None or self._server.alive:
            return
        address = self._server.address
        status = self._server.stop()
        self._count_restart(f"the server ended with status {status}")
        self._reporter.note(f"the server ended with status {status}; starting it again")
        self._server = _serve(self._task.bundle, address)

    def _count_restart(self, reason: str) -> None:
        self._restarts += 1
        if self._restarts > RESTARTS:
            raise EvaluationError(f"{reason}; {RESTARTS} tries in a row were in vain. What is finished stays: mend it and run this again")
