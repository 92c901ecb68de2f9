"""Evaluations: a split, a policy, worker processes, one server for all of them; resumable, and the same bytes however it ran."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from nvila_edge import __version__
from nvila_edge.engines.manifest import read_description
from nvila_edge.engines.spec import spec_of_checkpoint
from nvila_edge.navigation.agent_profiles import OURS, AgentProfile, agent_profile, check_prompt
from nvila_edge.options.backend import checked_threads
from nvila_edge.options.evaluation import EvalOptions
from nvila_edge.serving.process import ServerProcess, start_server
from nvila_edge.serving.sessions import SessionLimits
from nvila_edge.shipped import BUNDLE, DATASET
from sim.crew import Crew, EvaluationError, Reporter
from sim.early_failure import Watched
from sim.episodes import Choice, Dataset, Episode, Fault, load_usable, said_by_hand, split_file
from sim.metrics import SUCCESS_M
from sim.policies import expert_histogram, median_steps
from sim.report import build_report
from sim.results import THROUGHPUT, Record, RunFolder, in_order, write_json
from sim.shards import Shard, folder_of
from sim.stage import StageSetup
from sim.summary import header, summarise
from sim.task_profiles import DEFAULT, TaskProfile, task_of, task_profile
from sim.throughput import throughput
from sim.worlds import ENVS

POLICIES = ("engine", "oracle", "random", "forward")


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
class Task:
    """Resolved options: where things lie, which episodes are to be played, which of all are filmed, and the configuration that results
    depend on."""

    folder: Path
    bundle: Path
    dataset: Dataset
    episodes: tuple[Episode, ...]
    agent: AgentProfile
    faults: tuple[Fault, ...]
    filmed: tuple[str, ...]
    config: Record


def _check_options(options: EvalOptions, bundle: Path) -> None:
    """Raises ValueError for what needs no dataset to be refused."""
    if options.workers < 1:
        raise ValueError(f"--workers {options.workers}: at least 1")
    if options.policy == "engine" and options.workers > SessionLimits().sessions:
        most = SessionLimits().sessions
        raise ValueError(
            f"--workers {options.workers}: their server has {most} places; give at most {most}, or --shard: each has its own server"
        )
    if options.seed < 0 or options.videos < 0:
        raise ValueError(f"--seed {options.seed}, --videos {options.videos}: neither may be below 0")
    if options.policy not in POLICIES:
        raise ValueError(f"--policy {options.policy!r}: one of {', '.join(POLICIES)}")
    if options.env not in ENVS:
        raise ValueError(f"--env {options.env!r}: one of {', '.join(ENVS)}")
    if options.env == "house" and (options.profile != DEFAULT or options.scenes is not None):
        raise ValueError(f"--profile and --scenes are for --env habitat; our own houses are walked with {DEFAULT}")
    if options.policy == "engine" and not (bundle / "manifest.json").exists() and not (bundle / "config.json").exists():
        raise ValueError(f"{bundle} is no bundle: it has no manifest.json; make one with `nvila-edge export CKPT {bundle}`")
    _check_engine(options, bundle)


def _check_engine(options: EvalOptions, bundle: Path) -> None:
    checked_threads(options.threads)
    if options.policy != "engine" and (options.backend, options.threads) != ("onnxruntime", 1):
        raise ValueError(f"--backend and --threads are of a model; the policy {options.policy!r} has none: leave them out")
    if options.policy == "engine" and options.backend not in ("onnxruntime", "torch") and not _is_bundle(bundle):
        raise ValueError(f"--backend {options.backend} runs bundles; {bundle} is a checkpoint, which runs in torch: leave --backend out")


def resolve(options: EvalOptions) -> Task:
    """What the options mean. Raises ValueError for what cannot be, and what reading the dataset raises."""
    folder = DATASET if options.dataset == "builtin" else Path(options.dataset)
    bundle = options.bundle or BUNDLE
    _check_options(options, bundle)
    agent, choice = _agent(options, bundle), _choice(options)
    profile = _profile(options, agent)
    dataset = load_usable(folder, options.split, choice)
    if options.instructions == "by-hand":
        dataset = said_by_hand(dataset, folder)
    episodes, faults = _with_goals(dataset, f"the split {options.split} of {folder}")
    episodes = spread(episodes, options.episodes)
    config: Record = {
        "env": options.env, "dataset": options.dataset if options.dataset == "builtin" else folder.resolve().name,
        "dataset_sha256": _sha256(*(split_file(folder, options.split, truth, choice.role) for truth in (False, True))),
        "split": options.split, "policy": options.policy, "episodes": len(episodes), "seed": options.seed,
        "instructions": options.instructions, "frames": options.frames, "max_steps": min(agent.max_steps, profile.max_steps),
        "success_distance_m": SUCCESS_M,
        "camera": {"width": profile.width, "height": profile.height, "hfov_deg": profile.hfov_deg, "height_m": profile.camera_height_m},
        "forward_m": profile.forward_m, "turn_deg": profile.turn_deg, "sliding": profile.sliding, **({"demo": True} if options.demo else {}),
        **({"role": choice.role} if choice.role else {}), **({"languages": list(choice.languages)} if choice.languages else {}),
    }  # fmt: skip
    if options.env == "habitat":
        from sim.habitat import load_habitat

        config |= {"profile": profile.name, "habitat_sim": load_habitat().__version__}
    if options.policy == "engine":
        files = [bundle / "manifest.json"] if _is_bundle(bundle) else sorted(file for file in bundle.rglob("*") if file.is_file())
        config["bundle_sha256"] = _sha256(*files)
        config |= {"agent": asdict(agent), **_engine_config(options, bundle)}
    filmed = tuple(episode.episode_id for episode in episodes[: options.videos])
    if options.shard is not None:
        shard = Shard.parse(options.shard)
        episodes, config["shard"] = shard.part(episodes), str(shard)
    return Task(folder, bundle, dataset, episodes, agent, faults, filmed, config)


def _agent(options: EvalOptions, bundle: Path) -> AgentProfile:
    """The agent that was asked for, or that the bundle is meant for; policies without a model move as ours."""
    if options.policy != "engine":
        if options.agent is not None:
            raise ValueError(f"--agent {options.agent} is how a model is asked; the policy {options.policy!r} has none: leave --agent out")
        return OURS
    manifest = read_description(bundle) if _is_bundle(bundle) else None
    agent = agent_profile(options.agent or (manifest.agent if manifest else OURS.name))
    check_prompt(agent, (manifest.spec if manifest else spec_of_checkpoint(bundle)).profile)
    if agent.leaks_queue and options.workers > 1:
        raise ValueError(f"--workers {options.workers}: what the agent {agent.name!r} does depends on the episode before; give --workers 1")
    return agent


def _profile(options: EvalOptions, agent: AgentProfile) -> TaskProfile:
    """Habitat's task, which the agent's turns must fit; in our own houses the agent's own camera and steps."""
    if options.env == "house":
        return task_of(agent)
    profile = task_profile(options.profile)
    if options.policy == "engine" and profile.turn_deg != agent.steps.turn_deg:
        raise ValueError(
            f"--profile {profile.name} turns by {profile.turn_deg:g} degrees, the agent {agent.name!r} by {agent.steps.turn_deg}: choose another"
        )
    return profile


def _choice(options: EvalOptions) -> Choice:
    return Choice(options.role, tuple(sorted({name.strip() for name in options.languages.split(",")} - {""})))


def _with_goals(dataset: Dataset, name: str) -> tuple[tuple[Episode, ...], tuple[Fault, ...]]:
    """The episodes that can be judged, and the dataset's faults with those that have no goal. Raises ValueError when there are none."""
    episodes = tuple(episode for episode in dataset.episodes if episode.goals)
    if dataset.episodes and not episodes:
        _ = dataset.episodes[0].goal  # a test split is refused here
    if not episodes:
        first = f"; the first: {dataset.faults[0].reason}" if dataset.faults else ""
        raise ValueError(f"{name} has no episodes that can be used ({len(dataset.faults)} that cannot{first})")
    aimless = tuple(Fault(episode.episode_id, "it has no goal") for episode in dataset.episodes if not episode.goals)
    return episodes, dataset.faults + aimless


def _is_bundle(folder: Path) -> bool:
    """A checkpoint folder has no manifest: it runs unquantised in torch, to compare with."""
    return (folder / "manifest.json").exists()


def _engine_config(options: EvalOptions, bundle: Path) -> Record:
    """What runs the model and results may depend on, as far as it is not what it always was: older runs can be gone on with."""
    threads: Record = {"threads": options.threads} if options.threads != 1 else {}
    return threads | ({"backend": options.backend} if _is_bundle(bundle) and options.backend != "onnxruntime" else {})


def _serve(options: EvalOptions, folder: Path, address: str) -> ServerProcess:
    return start_server(folder, address, backend=options.backend if _is_bundle(folder) else "torch", threads=options.threads)


def _stage_setup(options: EvalOptions, task: Task) -> StageSetup:
    truths, blind = list(task.dataset.ground_truth.values()), options.policy in ("random", "forward")
    return StageSetup(
        dataset=str(task.folder), split=options.split, policy=options.policy, seed=options.seed,
        env=options.env, profile=options.profile, scenes=str(options.scenes) if options.scenes else "",
        instructions=options.instructions, black=options.frames == "black", out=str(folder_of(options)), videos=task.filmed,
        expert_counts=tuple(expert_histogram(truths)) if blind else (), stop_after=median_steps(truths) if blind else 0,
        agent=task.agent.name, role=options.role, languages=_choice(options).languages,
    )  # fmt: skip


def check(options: EvalOptions) -> None:
    """Raises what `evaluate` would raise before its first episode: options, dataset, bundle, renderer. Writes nothing."""
    from nvila_edge.engines.manifest import read_manifest
    from sim.renderer import Renderer

    task = resolve(options)
    if options.policy == "engine" and _is_bundle(task.bundle):
        read_manifest(task.bundle)
    Renderer(16, 16).close()


def evaluate(options: EvalOptions, reporter: Reporter) -> Record:
    """Run (or go on with) an evaluation and return its summary; everything is in `folder_of(options)`.

    Raises ValueError for options that cannot be, OutputError for the folder, EvaluationError (PolicyBroken when the model answers no actions) and
    ServerStartError when it cannot go on.
    """
    started_s = time.monotonic()
    task = resolve(options)
    with ExitStack() as stack:
        ids = [episode.episode_id for episode in task.episodes]
        run = stack.enter_context(RunFolder(folder_of(options), task.config, commit(), ids))
        waiting = [episode for episode in task.episodes if episode.episode_id not in run.results]
        if task.agent.leaks_queue and run.results and waiting:
            raise ValueError(
                f"what the agent {task.agent.name!r} had queued when {options.out} was interrupted is lost; choose another --out"
            )
        if options.policy == "engine":
            reporter = Watched(reporter, task.agent, options.max_rejections, run.results.values())
        reporter.begin(len(task.episodes), len(run.results))
        left_out = task.faults
        if waiting:
            serve = partial(_serve, options, task.bundle) if options.policy == "engine" else None
            crew = stack.enter_context(Crew(waiting, _stage_setup(options, task), serve, run, reporter))
            left_out += crew.work(min(options.workers, len(waiting)))
            _measure(run, {episode.episode_id for episode in waiting}, time.monotonic() - started_s)
        if not run.results and options.shard is None:
            raise EvaluationError(f"none of {len(task.episodes)} episodes could be played; the first: {left_out[len(task.faults)].reason}")
        told = header(task.config, ((fault.episode_id, fault.reason) for fault in left_out), run.commits)
        summary = summarise(in_order(run.results.values()), in_order(run.timings.values()), told)
        run.finish(summary)
        if run.results:  # a shard may have none, and the whole still has
            build_report(folder_of(options))
    return summary


def _measure(run: RunFolder, played: set[str], elapsed_s: float) -> None:
    """Write throughput.json, of the episodes that this call played."""
    results, timings = ([record for key, record in records.items() if key in played] for records in (run.results, run.timings))
    write_json(run.out / THROUGHPUT, throughput(results, timings, elapsed_s))
