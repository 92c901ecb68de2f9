"""The files of an evaluation survive kills, full disks and second runs."""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sim.demo import run_demo
from sim.results import (
    RESULTS,
    RUN,
    LineLog,
    OutputError,
    RunFolder,
    clear_run,
    encode_line,
    load_run,
    number,
    plain,
    read_lines,
    write_atomic,
)  # fmt: skip
from tests.sim.test_evaluate import Silent

CONFIG = {"policy": "oracle", "seed": 0}


def record(episode_id: int | str, value: float = 1.0) -> dict:
    """A small result line."""
    return {"episode_id": str(episode_id), "spl": value}


def write(out: Path, ids: list[int], config: dict = CONFIG) -> None:
    """Add episodes to a folder and finish it."""
    with RunFolder(out, config, "c0ffee") as run:
        for episode_id in ids:
            run.add(record(episode_id), {"episode_id": str(episode_id), "latency_ms": []})
        run.finish({"episodes": len(run.results)})


def test_results_are_sorted_by_number_and_the_order_of_arrival_leaves_no_trace(tmp_path: Path) -> None:
    write(tmp_path / "a", [10, 2, 1])
    write(tmp_path / "b", [1, 10, 2])
    assert (tmp_path / "a" / RESULTS).read_bytes() == (tmp_path / "b" / RESULTS).read_bytes()
    assert [r["episode_id"] for r in load_run(tmp_path / "a")[0]] == ["1", "2", "10"]


def test_a_cut_last_line_is_dropped_and_the_rest_kept(tmp_path: Path) -> None:
    write(tmp_path, [1, 2])
    whole = (tmp_path / RESULTS).read_bytes()
    (tmp_path / RESULTS).write_bytes(whole[:-5])
    with RunFolder(tmp_path, CONFIG, "c0ffee") as run:
        assert set(run.results) == {"1"} and set(run.timings) == {"1"}
        run.add(record(2), {"episode_id": "2", "latency_ms": []})
        run.finish({})
    assert (tmp_path / RESULTS).read_bytes() == whole


def test_half_files_of_killed_processes_are_gone_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "0001.mp4.77.part").write_bytes(b"half")
    (tmp_path / "videos" / "0002.mp4").write_bytes(b"whole")
    (tmp_path / "shards" / "shard-1-of-2.77.part" / "videos").mkdir(parents=True)
    theirs = [tmp_path / name for name in ("download.part", "notes/a.1.part", "other-run/videos/0001.mp4.78.part")]
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"somebody else's")
    write(tmp_path, [1])
    assert [path.name for path in (tmp_path / "videos").iterdir()] == ["0002.mp4"] and not list((tmp_path / "shards").iterdir())
    assert all(path.exists() for path in theirs)


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    write(tmp_path, [1, 2, 3])
    lines = (tmp_path / RESULTS).read_bytes().split(b"\n")
    (tmp_path / RESULTS).write_bytes(b"\n".join([lines[0], b"{oops", *lines[2:]]))
    with pytest.raises(OutputError, match="line 2"):
        RunFolder(tmp_path, CONFIG, "c0ffee")


@pytest.mark.parametrize("line", ["null", "[]", '{"spl": 1}'])
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / RESULTS).write_text(line + "\n")
    with pytest.raises(OutputError, match="line 1: not an episode's record"):
        read_lines(tmp_path / RESULTS)


def test_another_configuration_in_the_same_folder_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, [1])
    with pytest.raises(OutputError, match="policy 'oracle' there, 'random' now"):
        RunFolder(tmp_path, {**CONFIG, "policy": "random"}, "c0ffee")


@pytest.mark.parametrize("content", ["{oops", "{}", "[]", "3"])
def test_a_damaged_binding_is_named_with_its_mend(tmp_path: Path, content: str) -> None:
    write(tmp_path, [1])
    (tmp_path / RUN).write_text(content)
    with pytest.raises(OutputError, match="damaged.*choose another --out"):
        RunFolder(tmp_path, CONFIG, "c0ffee")


def test_a_demo_replaces_demos_only(tmp_path: Path) -> None:
    write(tmp_path, [1])
    with pytest.raises(OutputError, match="no demo: it stays"):
        run_demo(tmp_path, 1, 1, Silent())
    assert (tmp_path / RESULTS).exists()


def test_two_runs_in_one_folder_are_refused_while_the_first_lives(tmp_path: Path) -> None:
    with RunFolder(tmp_path, CONFIG, "c0ffee"):
        with pytest.raises(OutputError, match="another evaluation"):
            RunFolder(tmp_path, CONFIG, "c0ffee")
        with pytest.raises(OutputError, match="another evaluation"):
            clear_run(tmp_path)
    RunFolder(tmp_path, CONFIG, "c0ffee").__exit__()


def test_a_killed_run_leaves_its_lines_and_no_lock(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from sim.results import RunFolder\n"
        f"run = RunFolder(Path({str(tmp_path)!r}), {CONFIG!r}, 'c0ffee')\n"
        "run.add({'episode_id': '4', 'spl': 1.0}, {'episode_id': '4', 'latency_ms': []})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(root)}, check=False)
    with RunFolder(tmp_path, CONFIG, "c0ffee") as run:
        assert set(run.results) == {"4"}


def test_a_full_disk_is_a_clear_error() -> None:
    log = LineLog(Path("/dev/full"))
    with pytest.raises(OutputError, match="No space left.*make room"):
        log.append(record(1))
    log.close()


def test_a_write_that_fails_midway_leaves_what_was_there(tmp_path: Path) -> None:
    path, limit = tmp_path / "log.jsonl", resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal

    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    log = LineLog(path)
    log.append(record(1))
    before = path.read_bytes()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limit[1]))
        with pytest.raises(OutputError, match="what is written stays"):
            log.append(record(2))
        with pytest.raises(OutputError):
            write_atomic(path, b"x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
        log.close()
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another --out"):
        RunFolder(tmp_path / "file" / "out", CONFIG, "c0ffee")


def test_numbers_that_are_not_finite_become_words_and_come_back() -> None:
    line = encode_line({"a": math.inf, "b": [np.float32(-np.inf), np.nan], "c": np.arange(2)})
    assert json.loads(line) == {"a": "inf", "b": ["-inf", "nan"], "c": [0, 1]}
    assert number("-inf") == -math.inf and math.isnan(number("nan"))
    assert plain({"x": (np.int64(3),)}) == {"x": [3]}


def test_clearing_removes_the_evaluation_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, [1])
    (tmp_path / "mine.txt").write_text("keep")
    for made in ("decisions/1.json", "frames/1.jpg", "frames/mine.txt"):
        (tmp_path / made).parent.mkdir(exist_ok=True)
        (tmp_path / made).write_text("x")
    clear_run(tmp_path)
    assert not (tmp_path / RESULTS).exists() and (tmp_path / "mine.txt").read_text() == "keep"
    assert sorted(path.name for folder in ("decisions", "frames") for path in (tmp_path / folder).iterdir()) == ["mine.txt"]
    assert read_lines(tmp_path / RESULTS) == ([], 0)
