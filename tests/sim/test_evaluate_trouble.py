"""Evaluations in trouble: a worker that hangs, a policy that never stops, a full disk. Nothing is lost, everything is said."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

import sim.crew
from agents.policy import Policy
from nvila_edge.navigation.actions import Forward
from nvila_edge.navigation.agent_profiles import MAX_STEPS
from nvila_edge.navigation.decision import Decision
from sim.dataset import build_dataset
from sim.env import HouseEnv
from sim.episodes import Episode
from sim.evaluate import EvalOptions, evaluate
from sim.policies import ForwardPolicy
from sim.progress import Display
from sim.results import Record
from sim.stage import Stage, StageSetup
from tests.sim.test_evaluate import Silent, children, same

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> EvalOptions:
    data = tmp_path_factory.mktemp("data")
    build_dataset(data, "val_unseen", houses=1, episodes=3, seed=3, scenes=False)
    options = EvalOptions(tmp_path_factory.mktemp("out"), policy="forward", dataset=str(data), videos=0)
    evaluate(options, Silent())
    return options


def test_a_worker_that_hangs_is_replaced_and_its_episode_played_again(
    undisturbed: EvalOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Freezer(Silent):
        """Stops the first worker that decides anything, without killing it."""

        def decided(self, episode: Episode, answer: Record) -> None:
            super().decided(episode, answer)
            if self.decisions == 1:
                os.kill(children("sim.workers")[0], signal.SIGSTOP)
                monkeypatch.setattr(sim.crew, "SILENCE_S", 0.5)

        def note(self, text: str) -> None:
            super().note(text)
            monkeypatch.setattr(sim.crew, "SILENCE_S", 300.0)

    reporter = Freezer()
    evaluate(EvalOptions(**{**vars(undisturbed), "out": tmp_path}), reporter)
    assert same(undisturbed.out, tmp_path) and any("silent for" in note and "a new worker goes on" in note for note in reporter.notes)
    assert children("sim.workers") == []


def test_a_policy_that_never_stops_ends_at_the_step_limit(undisturbed: EvalOptions, tmp_path: Path) -> None:
    class Endless(ForwardPolicy):
        def decide(self) -> Decision:
            return self._certain(Forward(75))

    class Tireless(Stage):
        def _policy(self, episode: Episode, env: HouseEnv) -> Policy:
            return Endless(0)

    setup = StageSetup(undisturbed.dataset, "val_unseen", "forward", 0, "own", False, str(tmp_path), ())
    with Tireless(setup) as stage:
        played = stage.play("1", lambda *_: None)
    assert played is not None and played.result["steps"] == MAX_STEPS == 500
    assert played.result["ended"] == "limit" and played.result["success"] == 0.0 and 0 not in played.result["actions"]


def test_a_full_disk_ends_the_evaluation_with_its_mend_and_room_lets_it_go_on(undisturbed: EvalOptions, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nvila_edge.cli", "eval", "--dataset", undisturbed.dataset, "--policy", "forward", "--videos", "0"]
    first = len((undisturbed.out / "results.jsonl").read_bytes().splitlines(keepends=True)[0])
    maps = max(file.stat().st_size for file in (undisturbed.out / "maps").iterdir())
    room = max(maps, first) + 100  # no file may grow beyond it: the first line fits, all three do not

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    run = subprocess.run(
        [*command, "--workers", "1", "--out", str(tmp_path)], cwd=ROOT, preexec_fn=little_room, capture_output=True, text=True, check=False
    )
    assert (run.returncode, "make room" in run.stderr) == (1, True), run.stderr
    reporter = Silent()
    evaluate(EvalOptions(**{**vars(undisturbed), "out": tmp_path}), reporter)
    assert reporter.begun[1] >= 1 and same(undisturbed.out, tmp_path)


def test_a_log_has_a_line_per_episode_with_what_remains(undisturbed: EvalOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    results = [json.loads(line) for line in (undisturbed.out / "results.jsonl").read_bytes().splitlines()]
    clock = iter([0.0, 0.0, 60.0, 60.0, 120.0, 120.0, 180.0, 180.0])
    monkeypatch.setattr("sim.progress.time", SimpleNamespace(monotonic=lambda: next(clock)))
    out = io.StringIO()
    with Display(Console(file=out, width=200)) as display:
        display.begin(5, 2)
        for result in results:
            display.finished(Episode(result["episode_id"], "", "", (0, 0, 0), (0, 0, 0, 1), (), (), "", 1.0, ()), result)
    lines = out.getvalue().splitlines()
    assert [line[:3] for line in lines[1:]] == ["3/5", "4/5", "5/5"]
    assert "(about 2 min 00 s left)" in lines[1] and "(about 1 min 00 s left)" in lines[2] and "(done in 3 min 00 s)" in lines[3]
