"""The files of an evaluation: safe against kills, full disks and two runs in one folder.

`results.jsonl` holds what happened (the same bytes for the same configuration), `timings.jsonl` and `throughput.json` what a wall clock
measured, `run.json` the configuration that the folder belongs to. A line is on the disk before the next episode starts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nvila_edge.finite import finite
from sim.leftovers import remove_parts

RESULTS, TIMINGS, SUMMARY, RUN, REPORT = "results.jsonl", "timings.jsonl", "summary.json", "run.json", "report.html"
THROUGHPUT = "throughput.json"
VIDEOS, MAPS, DECISIONS, FRAMES, LOCK = "videos", "maps", "decisions", "frames", ".lock"
SHARDS = "shards"  # within --out: where a cluster's finished ones lie
Record = dict[str, Any]


class OutputError(OSError):
    """Something could not be written to, or is not as expected in, the folder of an evaluation."""


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: NumPy becomes Python, non-finite numbers the strings "inf", "-inf" and "nan"."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return finite(value)


def number(value: Any) -> float:
    """The float behind a JSON value of ours ("inf", "-inf" and "nan" included)."""
    return float(value)


def encode_line(record: Mapping[str, Any]) -> bytes:
    """One line of JSON, keys in the order given, without spaces."""
    return json.dumps(plain(record), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def read_lines(path: Path) -> tuple[list[Record], int]:
    """The complete records of a JSON-lines file and how many bytes they take; a cut last line is left out, a missing file is empty.

    Raises OutputError when a line before the last is not JSON: that is damage, not an interruption.
    """
    if not path.exists():
        return [], 0
    lines = path.read_bytes().split(b"\n")
    records: list[Record] = []
    size = 0
    for index, line in enumerate(lines[:-1]):
        try:
            record = json.loads(line)
        except ValueError as error:
            if index == len(lines) - 2 and lines[-1] == b"":
                break
            raise OutputError(f"{path}, line {index + 1}: not JSON ({error}); remove that line, its episode will be run again") from error
        if not isinstance(record, dict) or "episode_id" not in record:
            raise OutputError(f"{path}, line {index + 1}: not an episode's record; remove that line, its episode will be run again")
        records.append(record)
        size += len(line) + 1
    return records, size


def sort_key(record: Mapping[str, Any]) -> tuple[int, int, str]:
    """Order of episode ids: numbers by value, then other strings by letters."""
    text = str(record["episode_id"])
    return (0, int(text), text) if text.isdecimal() else (1, 0, text)


def video_name(episode_id: str) -> str:
    """The file name of an episode's video."""
    return f"{int(episode_id):04d}.mp4" if episode_id.isdecimal() else f"{episode_id}.mp4"


def write_atomic(path: Path, data: bytes) -> None:
    """Replace `path` by `data` in one step; on an error the old content stays. Raises OutputError."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise OutputError(
            f"cannot write {path}: {_reason(error)}; make room or choose another --out, then give the same command again"
        ) from error


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write readable JSON in one step. Raises OutputError."""
    write_atomic(path, json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=2).encode() + b"\n")


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


class LineLog:
    """An append-only JSON-lines file; each line is flushed to the disk before `append` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise OutputError(f"cannot open {path} for writing: {_reason(error)}; choose another --out") from error

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one line. Raises OutputError, with the file as it was before, when the disk is full or gone."""
        data = encode_line(record)
        start = os.fstat(self._fd).st_size
        try:
            while data:
                data = data[os.write(self._fd, data) :]
            os.fsync(self._fd)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, start)
            raise OutputError(
                f"cannot write to {self.path}: {_reason(error)}; what is written stays: make room and give the same command again to go on"
            ) from error

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class RunFolder:
    """The folder of one evaluation while it runs: locked, bound to its configuration, knowing which episodes are done.

    Use as a context manager. `results` and `timings` map episode ids (as strings) to records.
    """

    def __init__(self, out: Path, config: Mapping[str, Any], commit: str, episodes: Sequence[str] = ()) -> None:
        """Open or resume `out`. `episodes`: the ids that belong to it, so that what is missing can be told without the dataset.

        Raises OutputError when it cannot be written, is damaged, another run holds it, or it belongs to another configuration.
        """
        self.out = out
        try:
            out.mkdir(parents=True, exist_ok=True)
            self._lock = (out / LOCK).open("a")
        except OSError as error:
            raise OutputError(f"cannot write to the folder {out}: {_reason(error)}; choose another --out") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise OutputError(f"another evaluation is writing to {out}; wait for it or choose another --out") from error
        try:
            self.config: Record = plain(config)
            self.commits = self._bind(self.config, commit, episodes)
            self.results = self._recover(out / RESULTS)
            timings = self._recover(out / TIMINGS)
            self.timings = {key: record for key, record in timings.items() if key in self.results}
            self._results_log, self._timings_log = LineLog(out / RESULTS), LineLog(out / TIMINGS)
        except BaseException:
            self._lock.close()
            raise

    def _bind(self, config: Record, commit: str, episodes: Sequence[str]) -> list[str]:
        path = self.out / RUN
        commits = [commit]
        if path.exists():
            run = stored_run(self.out)
            _same_config(self.out, run["config"], config)
            commits = run["commits"] + [commit] * (commit not in run["commits"])
        elif (self.out / RESULTS).exists():
            raise OutputError(f"{self.out} holds {RESULTS} but no {RUN}: not known how it was made; choose another --out")
        write_json(path, {"config": config, "commits": commits, "episodes": list(episodes)})
        return commits

    @staticmethod
    def _recover(path: Path) -> dict[str, Record]:
        records, size = read_lines(path)
        if path.exists() and path.stat().st_size > size:
            os.truncate(path, size)
        done: dict[str, Record] = {}
        for record in records:
            done.setdefault(str(record["episode_id"]), record)
        return done

    def add(self, result: Record, timing: Record) -> None:
        """Put one finished episode on the disk: its timing first, so that a result is never without one. Raises OutputError."""
        key = str(result["episode_id"])
        assert key not in self.results, f"episode {key} was finished twice"
        self._timings_log.append(timing)
        self._results_log.append(result)
        self.results[key], self.timings[key] = plain(result), plain(timing)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Sort both files by episode id and write the summary, each in one step; remove what killed processes left half-written.

        Raises OutputError.
        """
        remove_parts((self.out, *(self.out / name for name in (VIDEOS, MAPS, DECISIONS, FRAMES, SHARDS))))
        for name, records in ((RESULTS, self.results), (TIMINGS, self.timings)):
            write_atomic(self.out / name, b"".join(map(encode_line, in_order(records.values()))))
        write_json(self.out / SUMMARY, summary)

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self._results_log.close()
        self._timings_log.close()
        self._lock.close()


def read_json(path: Path, keys: Sequence[str] = ()) -> Record:
    """A file that `write_json` wrote, with these keys at least. Raises OutputError for anything else."""
    try:
        content = json.loads(path.read_bytes())
        missing = [key for key in keys if key not in content]
    except (ValueError, TypeError) as error:
        content, missing = None, [str(error)]
    if not isinstance(content, dict) or missing:
        raise OutputError(
            f"{path} is damaged ({', '.join(missing) or 'not an object'}); remove the folder {path.parent} or choose another --out"
        )
    return content


def _same_config(out: Path, stored: Record, wanted: Record) -> None:
    if stored == wanted:
        return
    different = [key for key in sorted(stored.keys() | wanted.keys()) if stored.get(key) != wanted.get(key)]
    changes = ", ".join(f"{key} {stored.get(key)!r} there, {wanted.get(key)!r} now" for key in different)
    raise OutputError(f"{out} was begun with another configuration ({changes}); choose another --out or remove that folder")


def bind_config(path: Path, config: Record) -> None:
    """Write the configuration that a folder belongs to, unless it is there. Raises OutputError when another one is, naming what differs."""
    if path.exists():
        _same_config(path.parent, read_json(path, ()), plain(config))
    else:
        write_json(path, config)


def in_order(records: Iterable[Record]) -> list[Record]:
    """The records sorted by episode id."""
    return sorted(records, key=sort_key)


def stored_run(out: Path) -> Record:
    """What a folder is bound to: `config`, `commits`, `episodes`; {} when to nothing. Raises OutputError when that is damaged."""
    return read_json(out / RUN, ("config", "commits")) if (out / RUN).exists() else {}


def clear_run(out: Path) -> None:
    """Remove what an earlier evaluation wrote to `out`, and nothing else. Raises OutputError while another run holds the folder."""
    if not out.exists():
        return
    with (out / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(f"another evaluation is writing to {out}; wait for it or choose another --out") from error
        for name in (RESULTS, TIMINGS, SUMMARY, THROUGHPUT, RUN, REPORT):
            (out / name).unlink(missing_ok=True)
        patterns = ((VIDEOS, "*.mp4*"), (MAPS, "*.jpg"), (MAPS, "*.json"), (DECISIONS, "*.json*"), (FRAMES, "*.jpg*"))
        for made in [made for folder, pattern in patterns for made in (out / folder).glob(pattern)]:
            made.unlink()


def load_run(out: Path) -> tuple[list[Record], list[Record], Record]:
    """Results, timings and summary of a finished (or interrupted: then the summary is empty) evaluation.

    Raises OutputError when `out` holds none, or a damaged one.
    """
    if not (out / RESULTS).exists():
        raise OutputError(f"{out} holds no {RESULTS}; give the --out folder of an evaluation")
    results, timings = read_lines(out / RESULTS)[0], read_lines(out / TIMINGS)[0]
    if not results:
        raise OutputError(f"{out} holds no finished episode; go on with the evaluation first (the same command again)")
    summary = read_json(out / SUMMARY) if (out / SUMMARY).exists() else {}
    return in_order(results), in_order(timings), summary
