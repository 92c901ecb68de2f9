"""A real dataset has a few bad episodes: each is counted and named, and the others are played."""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.crew import EvaluationError
from sim.dataset import build_dataset
from sim.episodes import Dataset, Episode, Speech, load_split, save_split, split_file
from sim.evaluate import EvalOptions, evaluate
from sim.houses.library import HouseLibrary, scene_name
from sim.results import load_run
from tests.sim.test_evaluate import Silent, summary_without_latency


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("good")
    build_dataset(folder, "val_unseen", houses=1, episodes=2, seed=3, scenes=False)
    return load_split(folder, "val_unseen")


def inside_something(episode: Episode) -> tuple[float, float, float]:
    """A point near the start that is well off the navmesh, at the height of the floor."""
    mesh = HouseLibrary(1)[scene_name(episode.scene_id)][1]
    x, y, z = episode.start_position
    points = (np.array([x + dx, y, z + dz]) for dx in np.arange(0, 6, 0.2) for dz in np.arange(0, 6, 0.2))
    return tuple(next(point for point in points if 0.3 < np.linalg.norm(mesh.snap(point) - point) < 2.0).tolist())


def broken(good: Dataset, folder: Path) -> Path:
    """The first good episode and one of each kind of bad ones, as another program would have written them."""
    first = good.episodes[0]
    odd = {
        "10": replace(first, scene_id="mp3d/nowhere/nowhere.glb"),
        "11": replace(first, scene_id="houses/elsewhere_0001/elsewhere_0001.glb"),
        "12": replace(first, start_position=inside_something(first)),
        "13": replace(first, start_position=(500.0, 0.0, 500.0)),
        "14": replace(first, goals=((500.0, 0.0, 500.0),)),  # unreachable
        "15": replace(first, goals=(first.start_position,), geodesic_distance_m=0.0),
        "16": replace(first, goals=()),
        "17": replace(first, instruction="word " * 500),
        "18": replace(first, reference_path=()),  # and no ground truth
    }  # fmt: skip
    episodes = (first, *(replace(episode, episode_id=key) for key, episode in odd.items()))
    truth = {key: good.ground_truth[first.episode_id] for key in (first.episode_id, *odd) if key != "18"}
    path = save_split(folder, Dataset("val_unseen", episodes, truth, good.vocabulary))
    content: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    entry = content["episodes"][0]
    content["episodes"] += [
        entry | {"episode_id": str(entry["episode_id"])},
        entry | {"episode_id": 19, "start_rotation": [0, math.nan, 0, 1]},
    ]
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    return folder


def test_each_bad_episode_is_named_and_the_others_are_played(good: Dataset, tmp_path: Path) -> None:
    options = EvalOptions(tmp_path / "out", policy="oracle", dataset=str(broken(good, tmp_path / "data")), videos=0)
    reporter = Silent()
    summary = evaluate(options, reporter)
    wanted = {
        "1": "occurs twice", "10": "not a built-in house", "11": "elsewhere_0001", "12": "inside something", "13": "nothing walkable near",
        "16": "has no goal", "17": "at most 2000", "19": "not a unit quaternion",
    }  # fmt: skip
    left_out = {entry["episode_id"]: entry["reason"] for entry in summary["left_out_episodes"]}
    assert {key: word for key, word in wanted.items() if word not in left_out.get(key, "")} == {} and set(left_out) == set(wanted)
    assert summary["left_out"] == len(wanted) and sum("is left out" in note for note in reporter.notes) == 5
    odd = {entry["episode_id"]: entry["reason"] for entry in summary["non_finite_episodes"]}
    assert (
        "no way leads" in odd["14"]
        and "the start is the goal" in odd["15"]
        and "ground truth" in odd["18"]
        and set(odd) == {"14", "15", "18"}
    )
    results = {result["episode_id"]: result for result in load_run(tmp_path / "out")[0]}
    assert set(results) == {"1", "14", "15", "18"} and summary["episodes"] == 4 and summary["non_finite"] == 3
    assert (results["14"]["distance_to_goal"], results["14"]["spl"], results["15"]["spl"]) == ("inf", "nan", "nan")
    assert results["18"]["ndtw"] == "nan" and results["18"]["success"] == 1.0
    before = summary_without_latency(tmp_path / "out")
    evaluate(options, Silent())
    assert summary_without_latency(tmp_path / "out") == before


def test_an_evaluation_with_nothing_to_play_says_why(good: Dataset, tmp_path: Path) -> None:
    elsewhere = tuple(replace(episode, scene_id="mp3d/a/a.glb") for episode in good.episodes)
    save_split(tmp_path / "data", Dataset("val_unseen", elsewhere))
    with pytest.raises(EvaluationError, match="none of 2 episodes could be played.*mp3d/a/a.glb"):
        evaluate(EvalOptions(tmp_path / "out", policy="oracle", dataset=str(tmp_path / "data"), videos=0), Silent())
    path = split_file(tmp_path / "data", "val_unseen")
    path.write_bytes(gzip.compress(b'{"episodes": [{"episode_id": 5}]}'))
    with pytest.raises(ValueError, match="no episodes that can be used.*episode_id 5.*is missing"):
        evaluate(EvalOptions(tmp_path / "out2", policy="oracle", dataset=str(tmp_path / "data"), videos=0), Silent())


def test_rxr_is_evaluated_in_the_languages_chosen(good: Dataset, tmp_path: Path) -> None:
    languages = ("en-IN", "hi-IN")
    episodes = tuple(replace(e, speech=Speech(name, role="guide")) for e, name in zip(good.episodes, languages, strict=True))
    save_split(tmp_path / "data", Dataset("val_unseen", episodes, good.ground_truth))
    options = EvalOptions(
        tmp_path / "out", policy="oracle", dataset=str(tmp_path / "data"), videos=0, role="guide", languages="en-US, en-IN"
    )
    summary = evaluate(options, Silent())
    assert summary["episodes"] == 1 and summary["SR"] == 100.0 and summary["config"]["languages"] == ["en-IN", "en-US"]
    with pytest.raises(OSError, match="languages"):
        evaluate(replace(options, languages="en-IN"), Silent())
