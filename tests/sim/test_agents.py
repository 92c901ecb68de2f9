"""Evaluations by named agents with models that always say the same, and the early end of those that say nothing of use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nvila_edge.navigation.agent_profiles import AGENTS
from nvila_edge.serving.process import start_server
from sim.dataset import build_dataset
from sim.early_failure import PolicyBroken, Watched
from sim.evaluate import EvalOptions, evaluate
from sim.results import Record, load_run, read_lines
from sim.stage import Stage, StageSetup
from tests.parrot import parrot, window_bundle
from tests.sim.test_evaluate import Silent


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return window_bundle(tmp_path_factory.mktemp("window"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data")
    build_dataset(folder, "val_unseen", houses=1, episodes=6, seed=5, scenes=False)
    return str(folder)


def test_an_evaluation_goes_as_the_bundles_manifest_says(window: Path, data: str, tmp_path: Path) -> None:
    bundle = parrot(window, tmp_path / "bundle", "The next action is turn left 90 degree.", agent="navid")
    summary = evaluate(EvalOptions(tmp_path / "out", dataset=data, bundle=bundle, episodes=2, videos=1), Silent())
    config, results = summary["config"], load_run(tmp_path / "out")[0]
    assert (config["agent"]["name"], config["turn_deg"]) == ("navid", 30)
    assert (config["camera"]["width"], config["camera"]["height"]) == (640, 480)
    for result in results:  # 26 turns on the spot are hopeless by NaVid's rule; three are one decision
        assert result["actions"] == [2] * 26 + [0] and result["ended"] == "forced" and result["decisions"] == 9
        assert result["success"] == (result["distance_to_goal"] < 3) and result["rejections"] == 0
    assert summary["rejections"] == 0 and len(list((tmp_path / "out" / "videos").glob("*.mp4"))) == 1
    with pytest.raises(OSError, match="with another configuration .agent"):
        evaluate(EvalOptions(tmp_path / "out", dataset=data, bundle=bundle, agent="navila", episodes=2), Silent())


def test_a_broken_policy_ends_early_with_what_it_said_and_what_is_finished_stays(window: Path, data: str, tmp_path: Path) -> None:
    bundle, out = parrot(window, tmp_path / "bundle", "I am a banana."), tmp_path / "out"
    options = EvalOptions(out, dataset=data, bundle=bundle, agent="ours-text", videos=0)
    with pytest.raises(
        PolicyBroken,
        match=r"10 of 10 answers in the first 5 episodes were no actions \(at most 50 % may be\). It answered 'I am a banana.' \(10 x\); "
        r"expected was one of the ten sentences.*What is finished stays.*agent 'ours-text'.*--max-rejections 1",
    ):
        evaluate(options, Silent())
    finished = (out / "results.jsonl").read_bytes()
    assert len(read_lines(out / "results.jsonl")[0]) == 5 and not (out / "summary.json").exists()
    with pytest.raises(PolicyBroken):  # at once, from what is there
        evaluate(options, Silent())
    assert (out / "results.jsonl").read_bytes() == finished
    summary = evaluate(replace(options, max_rejections=1.0), Silent())
    assert (summary["episodes"], summary["rejections"], summary["decisions"]) == (6, 12, 12)
    assert {result["ended"] for result in load_run(out)[0]} == {"rejected"}
    assert (out / "results.jsonl").read_bytes().startswith(finished)


def result_of(decisions: int, rejections: int) -> Record:
    trace = [{"text": "hm", "rejected": True}] * rejections + [{"text": "ok"}] * (decisions - rejections)
    return {"decisions": decisions, "rejections": rejections, "trace": trace}


def test_only_the_first_episodes_are_judged_and_only_by_their_share() -> None:
    def judged(results: list[Record], total: int = 100, most: float = 0.5) -> int:
        """How many episodes finished before it was ended; all of them when it was not."""
        watched = Watched(Silent(), AGENTS["navila"], most)
        watched.begin(total, 0)
        for index, result in enumerate(results):
            try:
                watched.finished(None, result)  # pyright: ignore[reportArgumentType]
            except PolicyBroken:
                return index + 1
        return len(results) + 1

    good, even, bad = result_of(10, 0), result_of(10, 5), result_of(10, 6)
    assert judged([bad] * 30) == 5 and judged([bad] * 30, total=3) == 3
    assert judged([even] * 30) == 31 and judged([good, *[bad] * 30]) == 7
    assert judged([*[good] * 20, *[result_of(1000, 1000)] * 5]) == 26
    assert judged([bad] * 30, most=1.0) == 31 and judged([*[good] * 7, result_of(1, 1)], most=0.0) == 8
    with pytest.raises(ValueError, match=r"--max-rejections 1.5: a share"):
        Watched(Silent(), AGENTS["ours"], 1.5)


def test_a_leaking_queue_goes_from_episode_to_episode_of_a_worker(window: Path, data: str, tmp_path: Path) -> None:
    bundle = parrot(window, tmp_path / "bundle", "The next action is move forward 100 cm.")
    setup = StageSetup(data, "val_unseen", "engine", 0, "own", True, str(tmp_path), (), agent="navila-leak")
    with start_server(bundle) as server, Stage(replace(setup, address=server.address)) as stage:
        stage.agent = replace(stage.agent, max_steps=3)
        played = [stage.play(episode_id, lambda *_: None) for episode_id in ("1", "2")]
    results = [one.result for one in played if one is not None]
    assert [(result["actions"], result["decisions"]) for result in results] == [([1, 1, 1], 1), ([1, 1, 1], 1)]
    assert results[1]["trace"][0]["step"] == 1  # the fourth quarter of the first episode's metre came before


def test_agents_that_cannot_be_are_refused_before_anything_runs(window: Path, data: str, tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"agent": "navlia"}, "did you mean 'navila'"),
        ({"agent": "navila"}, "this model was made for 'stream'"),
        ({"agent": "navila-leak", "bundle": window, "workers": 2}, "give --workers 1"),
        ({"agent": "navila", "policy": "oracle"}, "leave --agent out"),
        ({"max_rejections": -1.0}, "--max-rejections -1"),
    ]
    for options, words in cases:
        with pytest.raises(ValueError, match=words):
            evaluate(EvalOptions(tmp_path / "out", dataset=data, **options), Silent())
