"""Evaluations: a split, a policy, worker processes, one server for all of them; resumable, and the same bytes however it ran."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from nvila_edge import __version__
from nvila_edge.navigation.actions import TURN_STEP_DEG
from nvila_edge.serving.process import ServerProcess, start_server
from nvila_edge.shipped import BUNDLE, DATASET
from sim.crew import Crew, Reporter
from sim.episodes import Dataset, Episode, load_split, split_file
from sim.metrics import SUCCESS_M
from sim.policies import expert_histogram, median_steps
from sim.report import build_report
from sim.results import Record, RunFolder, in_order
from sim.stage import StageSetup
from sim.summary import summarise
from sim.task_profiles import DEFAULT, task_profile
from sim.worlds import ENVS

POLICIES = ("engine", "oracle", "random", "forward")


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
    env: Literal["house", "habitat"] = "house"
    scenes: Path | None = None  # for Habitat
    profile: str = DEFAULT
    demo: bool = False  # a demonstration: its folder may be replaced by the next one


def spread(episodes: Sequence[Episode], count: int | None) -> tuple[Episode, ...]:
    """`count` episodes evenly spread over the split, so that few episodes still see many houses. Raises ValueError for less than one."""
    if count is None or count >= len(episodes):
        return tuple(episodes)
    if count < 1:
        raise ValueError(f"--episodes {count}: at least 1")
    return tuple(episodes[index * len(episodes) // count] for index in range(count))


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
    folder = DATASET if options.dataset == "builtin" else Path(options.dataset)
    bundle = options.bundle or BUNDLE
    if options.workers < 1:
        raise ValueError(f"--workers {options.workers}: at least 1")
    if options.seed < 0 or options.videos < 0:
        raise ValueError(f"--seed {options.seed}, --videos {options.videos}: neither may be below 0")
    if options.policy not in POLICIES:
        raise ValueError(f"--policy {options.policy!r}: one of {', '.join(POLICIES)}")
    if options.env not in ENVS:
        raise ValueError(f"--env {options.env!r}: one of {', '.join(ENVS)}")
    if options.env == "house" and (options.profile != DEFAULT or options.scenes is not None):
        raise ValueError(f"--profile and --scenes are for --env habitat; our own houses are walked with {DEFAULT}")
    profile = task_profile(options.profile)
    if options.policy == "engine" and profile.turn_deg != TURN_STEP_DEG:
        raise ValueError(
            f"--profile {profile.name} turns by {profile.turn_deg:g} degrees, a bundle's answers by {TURN_STEP_DEG}: choose another"
        )
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
        "instructions": options.instructions, "frames": options.frames, "max_steps": profile.max_steps, "success_distance_m": SUCCESS_M,
        "camera": {"width": profile.width, "height": profile.height, "hfov_deg": profile.hfov_deg, "height_m": profile.camera_height_m},
        "forward_m": profile.forward_m, "turn_deg": profile.turn_deg, "sliding": profile.sliding, **({"demo": True} if options.demo else {}),
    }  # fmt: skip
    if options.env == "habitat":
        from sim.habitat import load_habitat

        config |= {"profile": profile.name, "habitat_sim": load_habitat().__version__}
    if options.policy == "engine":
        files = [bundle / "manifest.json"] if _is_bundle(bundle) else sorted(file for file in bundle.rglob("*") if file.is_file())
        config["bundle_sha256"] = _sha256(*files)
    return _Task(folder, bundle, dataset, episodes, config)


def _is_bundle(folder: Path) -> bool:
    """A checkpoint folder has no manifest: it runs unquantised in torch, to compare with."""
    return (folder / "manifest.json").exists()


def _serve(folder: Path, address: str) -> ServerProcess:
    return start_server(folder, address, backend="onnxruntime" if _is_bundle(folder) else "torch")


def _stage_setup(options: EvalOptions, task: _Task) -> StageSetup:
    truths, blind = list(task.dataset.ground_truth.values()), options.policy in ("random", "forward")
    return StageSetup(
        dataset=str(task.folder), split=options.split, policy=options.policy, seed=options.seed,
        env=options.env, profile=options.profile, scenes=str(options.scenes) if options.scenes else "",
        swapped=options.instructions == "swapped", black=options.frames == "black", out=str(options.out),
        videos=tuple(episode.episode_id for episode in task.episodes[: options.videos]),
        expert_counts=tuple(expert_histogram(truths)) if blind else (), stop_after=median_steps(truths) if blind else 0,
    )  # fmt: skip


def check(options: EvalOptions) -> None:
    """Raises what `evaluate` would raise before its first episode: options, dataset, bundle, renderer. Writes nothing."""
    from nvila_edge.engines.manifest import read_manifest
    from sim.renderer import Renderer

    task = _resolve(options)
    if options.policy == "engine" and _is_bundle(task.bundle):
        read_manifest(task.bundle)
    Renderer(16, 16).close()


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
            serve = partial(_serve, task.bundle) if options.policy == "engine" else None
            crew = stack.enter_context(Crew(waiting, _stage_setup(options, task), serve, run, reporter))
            left_out = crew.work(min(options.workers, len(waiting)))
        header = {
            "policy": options.policy, "dataset": task.config["dataset"], "split": options.split, "seed": options.seed, "left_out": left_out,
            "config": task.config, "commit": ", ".join(run.commits),
        }  # fmt: skip
        summary = summarise(in_order(run.results.values()), in_order(run.timings.values()), header)
        run.finish(summary)
        build_report(options.out)
    return summary
