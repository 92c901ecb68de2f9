"""Shards: one evaluation in n parts that run anywhere, each with a folder of its own, and what makes one evaluation of them again."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nvila_edge.options.evaluation import EvalOptions
from sim.episodes import Episode
from sim.report import build_report
from sim.results import (
    DECISIONS,
    FRAMES,
    MAPS,
    RESULTS,
    SUMMARY,
    TIMINGS,
    VIDEOS,
    OutputError,
    Record,
    RunFolder,
    in_order,
    read_json,
    read_lines,
    stored_run,
)
from sim.summary import header, summarise

_NAMED = 10  # episodes that a message names before it says how many more there are


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 1) of `count`."""

    index: int
    count: int

    @staticmethod
    def parse(text: str) -> Shard:
        """From "2/4". Raises ValueError for anything that is no part of a whole."""
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise ValueError(f"--shard {text}: give I/N with I from 1 to N, for example --shard 2/4")
        return Shard(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def folder(self) -> str:
        """Its folder's name within --out: shards may be given the same one."""
        return f"shard-{self.index}-of-{self.count}"

    def part(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """Its episodes: neighbours, which share houses; every episode is in exactly one shard, and sizes differ by one at most.

        Raises ValueError when there are more shards than episodes.
        """
        if self.count > len(episodes):
            raise ValueError(f"--shard {self}: there are {len(episodes)} episodes, so at most {len(episodes)} shards")
        first, end = (index * len(episodes) // self.count for index in (self.index - 1, self.index))
        return tuple(episodes[first:end])


def folder_of(options: EvalOptions) -> Path:
    """Where everything of an evaluation goes: `out`, or a shard's folder in it. Raises ValueError for what is no shard."""
    return options.out if options.shard is None else options.out / Shard.parse(options.shard).folder


@dataclass(frozen=True)
class Part:
    """A finished shard."""

    folder: Path
    shard: Shard
    config: Record  # of the whole evaluation
    commits: list[str]
    episodes: list[str]
    results: list[Record]
    timings: list[Record]
    left_out: list[tuple[str, str]]  # episode ids with reasons


def merge(out: Path, folders: Sequence[Path]) -> Record:
    """Join finished shards in `out`: results.jsonl and summary.json as if the evaluation had run in one piece. Returns the summary.

    Raises OutputError for shards of different evaluations, one that is missing, given twice or not finished (naming its episodes), and for
    an `out` that holds something else.
    """
    parts = sorted(map(read_shard, folders), key=lambda part: part.shard.index)
    _check(parts)
    commits = list(dict.fromkeys(commit for part in parts for commit in part.commits))
    with RunFolder(out, parts[0].config, ", ".join(commits), [episode for part in parts for episode in part.episodes]) as run:
        return join(run, parts)


def join(run: RunFolder, parts: Sequence[Part]) -> Record:
    """Put all shards of `run` in it, and finish it. Returns the summary. Raises OutputError as `merge` does."""
    _check(parts)
    if parts[0].config != run.config:
        raise OutputError(f"{parts[0].folder} is no shard of the evaluation in {run.out}: it was made with other options; remove it")
    for part in parts:
        _take(run, part)
    left_out = [fault for part in parts for fault in part.left_out]
    if not run.results:
        raise OutputError(f"none of the episodes of {run.out} could be played; the first: {': '.join(left_out[0])}")
    told = header(run.config, left_out, run.commits)
    summary = summarise(in_order(run.results.values()), in_order(run.timings.values()), told)
    run.finish(summary)
    build_report(run.out)
    return summary


def read_shard(folder: Path) -> Part:
    """A finished shard. Raises OutputError for a folder that holds none, naming the episodes that are missing."""
    run = stored_run(folder)
    if "shard" not in run.get("config", {}) or "episodes" not in run:
        raise OutputError(f"{folder} holds no shard of an evaluation; give the folders that `nvila-edge eval --shard I/N` wrote")
    config = dict(run["config"])
    shard, episodes = Shard.parse(config.pop("shard")), run["episodes"]
    results, timings = read_lines(folder / RESULTS)[0], read_lines(folder / TIMINGS)[0]
    there = {str(result["episode_id"]) for result in results}
    missing = [episode for episode in episodes if episode not in there]
    finished = (folder / SUMMARY).exists()
    faults = read_json(folder / SUMMARY, ("left_out_episodes",))["left_out_episodes"] if finished else []
    left_out = [(str(fault["episode_id"]), str(fault["reason"])) for fault in faults]
    missing = [episode for episode in missing if episode not in dict(left_out)]
    if missing or not finished:
        raise OutputError(
            f"shard {shard} in {folder} is not finished: {_some(missing)} missing of its {len(episodes)}; give its command again, then merge"
        )
    return Part(folder, shard, config, run["commits"], episodes, results, timings, left_out)


def _some(episodes: Sequence[str]) -> str:
    more = f" and {len(episodes) - _NAMED} more" if len(episodes) > _NAMED else ""
    return f"episodes {', '.join(episodes[:_NAMED])}{more}" if episodes else "only the summary is"


def _check(parts: Sequence[Part]) -> None:
    if not parts:
        raise OutputError("no shards were given; give the folders that `nvila-edge eval --shard I/N` wrote")
    first = parts[0]
    for part in parts[1:]:
        keys = sorted(key for key in first.config.keys() | part.config.keys() if first.config.get(key) != part.config.get(key))
        if keys or part.shard.count != first.shard.count:
            changes = [f"{key} {first.config.get(key)!r} and {part.config.get(key)!r}" for key in keys]
            changes += [f"shards {first.shard} and {part.shard}"] * (part.shard.count != first.shard.count)
            raise OutputError(f"{first.folder} and {part.folder} are no shards of one evaluation: {', '.join(changes)}")
    for before, part in zip(parts, parts[1:], strict=False):
        if before.shard == part.shard:
            raise OutputError(f"shard {part.shard} was given twice: {before.folder} and {part.folder}")
    missing = sorted(set(range(1, first.shard.count + 1)) - {part.shard.index for part in parts})
    if missing:
        names = ", ".join(str(Shard(index, first.shard.count)) for index in missing)
        raise OutputError(
            f"not all shards are there: {names} missing; run `nvila-edge eval … --shard {missing[0]}/{first.shard.count}` first"
        )


def _take(run: RunFolder, part: Part) -> None:
    """One shard's records, videos and maps into the whole's folder."""
    timings = {str(timing["episode_id"]): timing for timing in part.timings}
    for result in part.results:
        key = str(result["episode_id"])
        if key not in timings:
            raise OutputError(
                f"{part.folder / TIMINGS} has no line of episode {key}, which {RESULTS} has: remove that folder and play the shard again"
            )
        if key not in run.results:
            run.add(result, timings[key])
        elif run.results[key] != result:
            raise OutputError(f"episode {key} in {run.out} differs from the one in {part.folder}; choose another folder to merge into")
    for name in (VIDEOS, MAPS, DECISIONS, FRAMES):
        for file in sorted((part.folder / name).glob("*.*")):
            if file.suffix != ".part":
                (run.out / name).mkdir(exist_ok=True)
                shutil.copyfile(file, run.out / name / file.name)
