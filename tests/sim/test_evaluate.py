"""Evaluations end to end with policies that need no server: same bytes however they ran."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sim.crew import EvaluationError, next_episode
from sim.dataset import build_dataset
from sim.decisions import Witness
from sim.episodes import Dataset, Episode, load_split, save_split
from sim.evaluate import EvalOptions, evaluate, spread
from sim.houses.library import HouseLibrary, scene_name
from sim.metrics import episode_metrics
from sim.outcome import rooms_entered
from sim.results import OutputError, Record, load_run
from tests.sim.toy import two_rooms

ROOT = Path(__file__).parents[2]


class Silent:
    """A reporter that keeps what it hears."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.begun: tuple[int, int] = (0, 0)
        self.decisions = 0

    def begin(self, total: int, done: int) -> None:
        self.begun = (total, done)

    def decided(self, episode: Episode, answer: Record) -> None:
        self.decisions += 1

    def finished(self, episode: Episode, result: Record | None) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    build_dataset(folder, "val_unseen", houses=2, episodes=6, seed=3, scenes=False)
    return folder


@pytest.fixture(scope="module")
def oracle(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run of the oracle with one worker, with a video."""
    out = tmp_path_factory.mktemp("oracle")
    evaluate(EvalOptions(out, policy="oracle", dataset=str(dataset), videos=1), Silent())
    return out


def summary_without_latency(out: Path) -> bytes:
    """What must be the same."""
    summary = json.loads((out / "summary.json").read_bytes())
    del summary["latency_ms"]
    return json.dumps(summary).encode()


def same(a: Path, b: Path) -> bool:
    """Whether two runs are the same by the contract."""
    return (a / "results.jsonl").read_bytes() == (b / "results.jsonl").read_bytes() and summary_without_latency(
        a
    ) == summary_without_latency(b)


def test_the_oracle_reaches_every_goal_and_leaves_all_files(oracle: Path) -> None:
    results, timings, summary = load_run(oracle)
    assert summary["episodes"] == len(results) == len(timings) == 6 and summary["SR"] == 100.0 and summary["non_finite"] == 0
    assert summary["config"]["success_distance_m"] == 3.0 and summary["policy"] == "oracle" and summary["split"] == "val_unseen"
    assert (oracle / "report.html").stat().st_size > 50_000 and len(list((oracle / "videos").glob("*.mp4"))) == 1
    for result in results:
        witness = Witness.load(oracle, result["episode_id"])
        assert (
            witness is not None and list(witness.expert) == [decision["action"] for decision in result["trace"]] and witness.sheet is None
        )


def test_lines_hold_what_the_contract_names_and_metrics_follow_from_them(oracle: Path, dataset: Path) -> None:
    result = load_run(oracle)[0][0]
    names = (
        "episode_id scene_id instruction actions positions steps decisions rejections distance_to_goal success spl oracle_success ndtw sdtw"
    )
    assert set(names.split()) | {"path_length", "collisions"} <= result.keys() and isinstance(result["collisions"], int)
    assert (
        len(result["positions"]) == len(result["actions"]) + 1 and result["actions"][-1] == 0 and result["steps"] == len(result["actions"])
    )
    split = load_split(dataset, "val_unseen")
    episode = split.episodes[0]
    field = HouseLibrary(1)[scene_name(episode.scene_id)][1].distances_to(np.array(episode.goal))
    distances = [field.distance(np.array(position)) for position in result["positions"]]
    locations = [list(point) for point in split.ground_truth[episode.episode_id].locations]
    again = episode_metrics(result["positions"], result["actions"], distances, [False] * result["steps"], locations)
    for name in ("distance_to_goal", "spl", "ndtw", "path_length", "success"):
        assert result[name] == pytest.approx(again[name], abs=1e-3)


def test_more_workers_give_the_same_bytes(oracle: Path, dataset: Path, tmp_path: Path) -> None:
    evaluate(EvalOptions(tmp_path, policy="oracle", dataset=str(dataset), workers=2, videos=0), Silent())
    assert same(oracle, tmp_path)


def test_a_killed_evaluation_goes_on_and_gives_the_same_bytes(oracle: Path, dataset: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nvila_edge.cli", "eval", "--dataset", str(dataset), "--policy", "oracle", "--videos", "0"]
    command += ["--workers", "1", "--out", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if (tmp_path / "results.jsonl").exists() and (tmp_path / "results.jsonl").stat().st_size:
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with (tmp_path / "results.jsonl").open("ab") as file:
        file.write(b'{"episode_id":"6","act')  # a line that the kill cut
    reporter = Silent()
    evaluate(EvalOptions(tmp_path, policy="oracle", dataset=str(dataset), videos=0), reporter)
    assert same(oracle, tmp_path) and reporter.begun[1] >= 1


def test_a_worker_that_dies_is_replaced_and_its_episode_played_again(oracle: Path, dataset: Path, tmp_path: Path) -> None:
    class Killer(Silent):
        """Kills the first worker that decides anything."""

        def decided(self, episode: Episode, answer: Record) -> None:
            if self.decisions == 0:
                os.kill(children("sim.workers")[0], signal.SIGKILL)
            super().decided(episode, answer)

    reporter = Killer()
    evaluate(EvalOptions(tmp_path, policy="oracle", dataset=str(dataset), videos=0), reporter)
    assert same(oracle, tmp_path) and any("a new worker goes on" in note for note in reporter.notes)


def children(module: str) -> list[int]:
    """Process ids of this process's children that run a module."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == os.getpid() and module in (folder / "cmdline").read_bytes().decode():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_chance_and_always_ahead_stop_at_the_experts_median(dataset: Path, tmp_path: Path) -> None:
    lengths = sorted(len(truth.actions) for truth in load_split(dataset, "val_unseen").ground_truth.values())
    median = int((lengths[2] + lengths[3]) / 2)
    for policy in ("random", "forward"):
        evaluate(EvalOptions(tmp_path / policy, policy=policy, dataset=str(dataset), episodes=2, videos=0), Silent())
        results = load_run(tmp_path / policy)[0]
        assert len(results) == 2 and all(result["steps"] == median and result["actions"][-1] == 0 for result in results)


def test_swapped_instructions_come_from_far_goals_of_the_same_house(dataset: Path, tmp_path: Path) -> None:
    options = EvalOptions(tmp_path, policy="forward", dataset=str(dataset), instructions="swapped", videos=0)
    summary = evaluate(options, Silent())
    episodes = load_split(dataset, "val_unseen").episodes
    library = HouseLibrary(2)
    for result in load_run(tmp_path)[0]:
        own = next(episode for episode in episodes if episode.episode_id == result["episode_id"])
        lenders = [episode for episode in episodes if episode.scene_id == own.scene_id and episode.instruction == result["instruction"]]
        mesh = library[scene_name(own.scene_id)][1]
        assert lenders and all(mesh.geodesic(np.array(own.goal), np.array(lender.goal)) >= 5.0 for lender in lenders)
    assert summary["episodes"] + summary["left_out"] == 6


def test_a_dataset_of_other_houses_is_refused(dataset: Path, tmp_path: Path) -> None:
    split = load_split(dataset, "val_unseen")
    moved = [Episode(**{**vars(episode), "geodesic_distance_m": episode.geodesic_distance_m + 1}) for episode in split.episodes]
    save_split(tmp_path / "data", Dataset("val_unseen", tuple(moved), split.ground_truth, split.vocabulary))
    with pytest.raises(EvaluationError, match="another version of nvila-edge made it"):
        evaluate(EvalOptions(tmp_path / "out", policy="oracle", dataset=str(tmp_path / "data"), videos=0), Silent())


def test_other_options_in_the_same_folder_are_refused(oracle: Path, dataset: Path) -> None:
    with pytest.raises(OutputError, match="seed 0 there, 1 now"):
        evaluate(EvalOptions(oracle, policy="oracle", dataset=str(dataset), seed=1), Silent())


def test_options_that_cannot_be_are_named(dataset: Path, tmp_path: Path) -> None:
    for options, message in (
        (EvalOptions(tmp_path, policy="engine", dataset=str(dataset), bundle=tmp_path), "no manifest.json"),
        (EvalOptions(tmp_path, policy="oracle", dataset=str(dataset), workers=0), "--workers 0"),
        (EvalOptions(tmp_path, policy="oracle", dataset=str(dataset), episodes=0), "--episodes 0"),
        (EvalOptions(tmp_path, policy="engine", dataset=str(dataset), workers=17), "--workers 17: their server has 16 places"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate(options, Silent())
    assert not (tmp_path / "results.jsonl").exists()


def test_few_episodes_are_spread_over_the_split(dataset: Path) -> None:
    episodes = load_split(dataset, "val_unseen").episodes
    assert [episode.episode_id for episode in spread(episodes, 3)] == ["1", "3", "5"] and spread(episodes, 99) == episodes


def test_a_free_worker_keeps_its_house_and_avoids_the_others(dataset: Path) -> None:
    episodes = load_split(dataset, "val_unseen").episodes
    first, second = episodes[0].scene_id, episodes[-1].scene_id
    assert next_episode(episodes, second, []).episode_id == "4"
    assert next_episode(episodes, "", [first]).episode_id == "4"
    assert next_episode(episodes[:3], "", [first]).episode_id == "1"


def test_rooms_entered_counts_changes_of_room() -> None:
    house = two_rooms()
    assert rooms_entered(house.rooms, [[-2, 0, 0], [-1, 0, 0], [2, 0, 0], [9, 0, 9], [3, 0, 0], [-1, 0, 0]]) == 2
