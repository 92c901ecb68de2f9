"""Episodes per hour of an evaluation, against one worker without token cache, kept keys and values, jumps and encoding on arrival.

    python -m benchmarks.eval_throughput [--houses 2] [--episodes 10] [--rounds 3] [--workers 1 2 3]

The built-in model on the first houses of val_unseen, ten episodes each (as in the whole split), in alternation. Both ways walk the same
ways (the naive server answers what a first, uncounted run answered) and their results are compared to the byte. Besides the wall clock,
which a busy machine stretches, the CPU time of all processes is told: with as many busy processes as cores, episodes/h is cores / (CPU time
per episode).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from export.bench import machine, versions
from nvila_edge.serving.process import ServerProcess, start_process, start_server
from nvila_edge.shipped import BUNDLE, DATASET
from sim.crew import Crew
from sim.episodes import Episode, load_split
from sim.results import RESULTS, Record, RunFolder, in_order
from sim.stage import StageSetup
from sim.throughput import throughput

SPLIT = "val_unseen"


class Quiet:
    """A reporter that says nothing."""

    def begin(self, total: int, done: int) -> None:
        """Nothing."""

    def decided(self, episode: Episode, answer: Record) -> None:
        """Nothing."""

    def finished(self, episode: Episode, result: Record | None) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """To stderr: a death in a benchmark should be seen."""
        sys.stderr.write(text + "\n")


def naive_server(recorded: Path, address: str) -> ServerProcess:
    """The baseline's server."""
    module = [sys.executable, "-m", "benchmarks.naive_server", "--bundle", str(BUNDLE), "--recorded", str(recorded), "--bind", address]
    return start_process(module, timeout_s=120.0)


def play(out: Path, episodes: list[Episode], serve: Callable[[str], ServerProcess], workers: int) -> dict[str, Any]:
    """Play the episodes; rates as in throughput.json, and `cpu_s` of all processes. Servers and workers are started within the time."""
    setup = StageSetup(str(DATASET), SPLIT, "engine", 0, "own", False, str(out), ())
    used, started_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with RunFolder(out, {"benchmark": str(out)}, "") as run:
        with Crew(episodes, setup, serve, run, Quiet()) as crew:
            assert crew.work(workers) == 0
            elapsed_s = time.monotonic() - started_s
        run.finish({})
        measured = throughput(in_order(run.results.values()), in_order(run.timings.values()), elapsed_s)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = spent.ru_utime + spent.ru_stime - used.ru_utime - used.ru_stime
    return {**measured, "cpu_s": round(cpu_s, 2), "cpu_s_per_episode": round(cpu_s / len(episodes), 3)}


def measure(folder: Path, episodes: list[Episode], rounds: int, workers: list[int]) -> dict[str, Any]:
    """All ways in alternation: medians over the rounds, and each round's ratio to the baseline of the same round."""
    recorded = folder / "recorded" / RESULTS
    play(recorded.parent, episodes, partial(start_server, BUNDLE), 1)
    ways = {"baseline, 1 worker": (partial(naive_server, recorded), 1)}
    ways |= {f"ours, {count} worker{'s' * (count > 1)}": (partial(start_server, BUNDLE), count) for count in workers}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name, (serve, count) in ways.items():
            out = folder / f"{name} {turn}"
            runs[name].append(play(out, episodes, serve, count))
            assert (out / RESULTS).read_bytes() == recorded.read_bytes(), f"{name}: other results than the recorded run"
            sys.stderr.write(f"{name}: {runs[name][-1]['episodes_per_h']:.0f} episodes/h, {runs[name][-1]['cpu_s']:.1f} s of CPU\n")
    baseline = runs["baseline, 1 worker"]
    return {name: _told(found, baseline) for name, found in runs.items()}


def _told(found: list[dict[str, Any]], baseline: list[dict[str, Any]]) -> dict[str, Any]:
    ratios = [mine["episodes_per_h"] / theirs["episodes_per_h"] for mine, theirs in zip(found, baseline, strict=True)]
    medians = {key: statistics.median(run[key] for run in found) for key in ("episodes_per_h", "env_steps_per_s", "cpu_s_per_episode")}
    return {
        **medians, "times the baseline": {"median": round(statistics.median(ratios), 2), "rounds": [round(ratio, 2) for ratio in ratios]},
        "share": found[len(found) // 2]["share"],
    }  # fmt: skip


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--houses", type=int, default=2)
    parser.add_argument("--episodes", type=int, default=10, help="of each house")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    split = load_split(DATASET, SPLIT).episodes
    scenes = list(dict.fromkeys(episode.scene_id for episode in split))[: options.houses]
    episodes = [episode for scene in scenes for episode in [one for one in split if one.scene_id == scene][: options.episodes]]
    with tempfile.TemporaryDirectory() as made:
        found = measure(Path(made), episodes, options.rounds, options.workers)
    header = {"machine": machine(), "versions": versions(), "episodes": len(episodes), "houses": len(scenes), "rounds": options.rounds}
    print(json.dumps({**header, **found}, indent=1))


if __name__ == "__main__":
    main()
