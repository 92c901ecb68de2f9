"""Where the time of an evaluation goes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from agents.protocols import Frame
from sim.cameras import LazyFrame, TimedCamera
from sim.results import THROUGHPUT, write_json
from sim.stopwatch import Stopwatch
from sim.throughput import last_words, spent, throughput


def test_inner_spans_count_for_themselves_and_all_sum_to_the_outermost(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 3.0, 7.0, 8.0, 10.0])
    monkeypatch.setattr("sim.stopwatch.time.monotonic", lambda: next(clock))
    watch = Stopwatch()
    with watch.span("other"):
        with watch.span("decide"), watch.span("render"):  # 1 to 3: decide; 3 to 7: render
            pass
    assert watch.seconds == {"other": 1.0 + 2.0, "decide": 2.0 + 1.0, "render": 4.0}


def test_a_decisions_time_is_the_servers_work_and_waiting() -> None:
    parts = spent({"decide": 2.0, "render": 1.0}, {"encode": 300.0, "decide": 900.0, "language": 850.0, "queue": 500.0})
    assert parts["policy"] == 1.2 and parts["wait"] == 0.8 and parts["render"] == 1.0 and parts["load"] == 0.0
    assert spent({"decide": 2.0}, {})["policy"] == 2.0, "a policy without server waits for nobody"


def test_rates_are_over_the_whole_and_shares_by_worker(tmp_path: Path) -> None:
    timings = [
        {"worker": 1, "wall_s": 4.0, "spent_s": {"render": 1.0, "policy": 3.0}},
        {"worker": 2, "wall_s": 2.0, "spent_s": {"render": 2.0}},
        {"worker": 2, "wall_s": 4.0, "spent_s": {"render": 1.0, "other": 3.0}},
    ]
    measured = throughput([{"steps": 10, "decisions": 5}] * 3, timings, elapsed_s=8.0)
    assert (measured["episodes_per_h"], measured["env_steps_per_s"], measured["workers"]) == (1350.0, 3.75, 2)
    assert measured["share"]["render"] == 0.4 and measured["share"]["policy"] == 0.3
    assert measured["per_worker"]["2"] == {
        "episodes": 2, "busy_s": 6.0, "share": {**dict.fromkeys(measured["share"], 0.0), "render": 0.5, "other": 0.5}
    }  # fmt: skip
    assert last_words(tmp_path) == ""
    write_json(tmp_path / THROUGHPUT, measured)
    assert last_words(tmp_path) == "1350 episodes/h, 4 steps/s, 2 workers: policy 30 %, render 40 %, other 30 %\n"


def test_a_frame_is_drawn_once_when_it_is_first_looked_at_and_never_otherwise() -> None:
    drawn: list[int] = []

    class Camera:
        def capture(self) -> Frame:
            def draw() -> np.ndarray:
                drawn.append(1)
                time.sleep(0.01)
                return np.full((2, 2, 3), 7, np.uint8)

            return LazyFrame(3, draw)

    watch = Stopwatch()
    camera = TimedCamera(Camera(), watch)
    seen, unseen = camera.capture(), camera.capture()
    captured_s = seen.captured_s
    assert (seen.rgb == 7).all() and seen.rgb is seen.rgb and seen.frame_id == unseen.frame_id == 3
    assert drawn == [1] and watch.seconds["render"] >= 0.01 and seen.captured_s >= captured_s + 0.01
