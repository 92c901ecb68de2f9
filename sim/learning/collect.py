"""`nvila-edge data collect`: records roll-outs house by house, balances the answers, and writes a layout that trainers read.

Resumable: a house that is recorded stays; the last file (annotations.json or meta/info.json) is there only when everything before it is.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from nvila_edge.navigation.actions import ACTIONS
from nvila_edge.options.collect import CollectOptions
from nvila_edge.serving.process import FREE_PORT, start_server
from nvila_edge.shipped import BUNDLE
from nvila_edge.training.layouts import ANNOTATIONS, INFO
from sim.houses.library import house_names
from sim.learning.balance import balanced
from sim.learning.navila import write_annotations
from sim.learning.recording import RecordTask, Rollout, load_rollouts, rollouts_file
from sim.learning.report import write_report
from sim.results import OutputError, Record, bind_config, write_json
from sim.training_pool import TrainingPool

SETTINGS, SUMMARY, LOCK = "collect.json", "collected.json", ".lock"
UNPACKED = ".frames"  # where the frames of a LeRobot dataset lie until they are in its files


@dataclass(frozen=True)
class Collection:
    """What was recorded, house by house, with the copies [decisions] of each roll-out that is kept; counts of answers before and after."""

    houses: Sequence[tuple[list[Rollout], list[np.ndarray]]]
    recorded: int
    successes: int
    before: Sequence[int]
    after: Sequence[int]


def collect(options: CollectOptions, progress: Callable[[int, int], None]) -> Record:
    """Record (or go on with) a learning set and return its summary; `progress` is told houses done and in all.

    Raises ValueError for options that cannot be, OutputError for the folder, WorkerDied or ServerStartError when it cannot go on.
    """
    names = _check(options)
    with _locked(options.out):
        bind_config(options.out / SETTINGS, _settings(options))
        target = options.out / (ANNOTATIONS if options.format == "navila" else INFO)
        if not target.exists():
            _record(options, names, progress)
            collection = _balance(options, [load_rollouts(rollouts_file(options.out, name)) for name in names])
            summary = _summary(options, collection)
            write_json(options.out / SUMMARY, summary)
            write_report(options.out / "report.html", summary)
            _write(options, collection)
        shutil.rmtree(options.out / UNPACKED, ignore_errors=True)
        return json.loads((options.out / SUMMARY).read_bytes())


def _check(options: CollectOptions) -> tuple[str, ...]:
    """The houses. Raises ValueError for options that cannot be, before anything is written."""
    names = house_names(options.split, options.houses)
    if not 1 <= options.houses <= options.episodes:
        raise ValueError(f"{options.episodes} episodes in {options.houses} houses: ask for at least one house, and one episode in each")
    if options.workers < 1 or options.seed < 0 or not 0 <= options.expert_share <= 1:
        raise ValueError(
            f"--workers {options.workers} (1 or more), --seed {options.seed} (0 or more), --expert-share {options.expert_share} (0 to 1)"
        )
    balanced([0], options.stop_copies, 1.0, options.seed)
    if not 1 / len(ACTIONS) <= options.largest_share <= 1:
        raise ValueError(f"--largest-share {options.largest_share}: {1 / len(ACTIONS):g} to 1")
    bundle = options.bundle or BUNDLE
    if options.source != "expert" and not (bundle / "manifest.json").exists():
        raise ValueError(f"{bundle} is no bundle: it has no manifest.json; make one with `nvila-edge export CKPT {bundle}`")
    if options.format == "lerobot":
        import pyarrow  # noqa: F401 - missing packages are named before hours of recording
    return names


def _settings(options: CollectOptions) -> Record:
    """What the data depend on."""
    settings = {key: value for key, value in asdict(options).items() if key not in ("out", "workers", "bundle")}
    if options.source != "expert":
        manifest = (options.bundle or BUNDLE) / "manifest.json"
        settings["bundle_sha256"] = hashlib.sha256(manifest.read_bytes()).hexdigest()
    return settings


def _frames(options: CollectOptions) -> Path:
    return options.out / (options.split if options.format == "navila" else UNPACKED)


def _record(options: CollectOptions, names: Sequence[str], progress: Callable[[int, int], None]) -> None:
    waiting = [(number, name) for number, name in enumerate(names) if not rollouts_file(options.out, name).exists()]
    done = len(names) - len(waiting)
    progress(done, len(names))
    if not waiting:
        return
    with ExitStack() as stack:
        address = ""
        if options.source != "expert":
            server = start_server(options.bundle or BUNDLE, FREE_PORT)
            stack.callback(server.stop)
            address = server.address
        tasks = [_task(options, number, name, address) for number, name in waiting]
        pool = stack.enter_context(closing(TrainingPool(min(options.workers, len(tasks)))))
        for count, _ in enumerate(pool.record(tasks), start=done + 1):
            progress(count, len(names))


def _task(options: CollectOptions, number: int, name: str, address: str) -> RecordTask:
    first, last = (options.episodes * (number + k) // options.houses for k in (0, 1))  # as `build_dataset` spreads and numbers them
    return RecordTask(
        name, str(options.out), str(_frames(options)), 1 + first, last - first, options.split, options.seed, options.source, address,
        options.expert_share,
    )  # fmt: skip


def _balance(options: CollectOptions, houses: Sequence[list[Rollout]]) -> Collection:
    """Which roll-outs are kept, and how often each of their samples counts."""
    everything = [rollout for rollouts in houses for rollout in rollouts]
    kept = [[r for r in rollouts if r.decisions and (r.success or options.keep == "all")] for rollouts in houses]
    labels = [label for rollouts in kept for rollout in rollouts for _, label, _ in rollout.decisions]
    if not labels:
        raise OutputError(f"{options.out}: no sample is left of {len(everything)} episodes; use --keep all, or a better policy")
    copies = balanced(labels, options.stop_copies, options.largest_share, options.seed)
    lengths = [len(rollout.decisions) for rollouts in kept for rollout in rollouts]
    parts = iter(np.split(copies, np.cumsum(lengths)[:-1]))
    paired = [(rollouts, [next(parts) for _ in rollouts]) for rollouts in kept]
    before = np.bincount(labels, minlength=len(ACTIONS))
    after = np.bincount(labels, copies, len(ACTIONS)).astype(int)
    return Collection(paired, len(everything), sum(r.success for r in everything), before.tolist(), after.tolist())


def _write(options: CollectOptions, collection: Collection) -> None:
    if options.format == "navila":
        write_annotations(options.out / ANNOTATIONS, collection.houses)
        return
    from sim.learning.lerobot import write_lerobot

    write_lerobot(options.out, options.split, _frames(options), collection.houses)


def _summary(options: CollectOptions, collection: Collection) -> Record:
    rollouts = [rollout for rollouts, _ in collection.houses for rollout in rollouts]
    return {
        "episodes": collection.recorded, "successes": collection.successes, "kept": len(rollouts),
        "frames": sum(len(rollout.primitives) for rollout in rollouts),
        "decisions": sum(collection.before), "samples": sum(collection.after), "before": collection.before, "after": collection.after,
        "agreement": round(float(np.mean([a == b for r in rollouts for _, a, b in r.decisions])), 4), "settings": _settings(options),
    }  # fmt: skip


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """One process at a time in a folder. Raises OutputError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / LOCK).open("a")
    except OSError as error:
        raise OutputError(f"cannot write to the folder {out}: {error.strerror or error}; choose another --out") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(f"another process is collecting into {out}; wait for it or choose another --out") from error
        yield
