"""The engine policy: always through a server process, which may die on the way."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from export.calibration import Calibration, Recording
from export.exporter import export_bundle
from sim.dataset import build_dataset
from sim.decisions import MAX_TILES, Witness
from sim.episodes import Episode, load_split, save_split
from sim.evaluate import EvalOptions, evaluate, resolve
from sim.results import OutputError, Record, load_run
from tests.sim.test_evaluate import Silent, children
from tests.tiny import TEXTS, save_tiny_checkpoint, tiny_frames


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model: it errs about, but it answers."""
    folder = tmp_path_factory.mktemp("bundle")
    frames = tiny_frames(20)
    recordings = [Recording(TEXTS[i % 2], frames[5 * i : 5 * i + 5], np.array([1, 4, 7, 3, 0])) for i in range(4)]
    export_bundle(save_tiny_checkpoint(folder / "checkpoint"), folder / "bundle", Calibration(recordings))
    return folder / "bundle"


@pytest.fixture(scope="module")
def options(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> EvalOptions:
    data = tmp_path_factory.mktemp("data")
    build_dataset(data, "val_unseen", houses=1, episodes=3, seed=5, scenes=False)
    return EvalOptions(tmp_path_factory.mktemp("undisturbed"), dataset=str(data), bundle=bundle, videos=0)


@pytest.fixture(scope="module")
def undisturbed(options: EvalOptions) -> Path:
    evaluate(options, Silent())
    return options.out


def test_decisions_have_probabilities_and_latencies_are_kept_apart(undisturbed: Path) -> None:
    results, timings, summary = load_run(undisturbed)
    decisions = [decision for result in results for decision in result["trace"]]
    assert len(decisions) == summary["decisions"] > 0
    for decision in decisions:
        assert sum(decision["candidates"]) == pytest.approx(1.0, abs=1e-2) and decision["candidates"][decision["action"]] > 0
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p99"]
    assert sum(len(timing["latency_ms"]) for timing in timings) == len(decisions) and "_ms" not in " ".join(results[0])
    assert len(summary["config"]["bundle_sha256"]) == 64
    for result in results:
        witness = Witness.load(undisturbed, result["episode_id"])
        assert witness is not None and witness.sheet is not None and len(witness.expert) == result["decisions"]
        assert len(witness.shown) == min(MAX_TILES, result["decisions"]) and len(witness.timing_ms["language"]) == result["decisions"]


def test_a_killed_server_is_started_again_and_no_episode_is_lost_or_counted_twice(
    undisturbed: Path, options: EvalOptions, tmp_path: Path
) -> None:
    class Killer(Silent):
        """Kills the server at the second decision."""

        def decided(self, episode: Episode, answer: Record) -> None:
            super().decided(episode, answer)
            if self.decisions == 2:
                os.kill(children("nvila_edge.serving")[0], signal.SIGKILL)

    reporter = Killer()
    evaluate(EvalOptions(**{**vars(options), "out": tmp_path, "workers": 2}), reporter)
    assert (tmp_path / "results.jsonl").read_bytes() == (undisturbed / "results.jsonl").read_bytes()
    assert any("starting it again" in note for note in reporter.notes)
    assert children("nvila_edge.serving") == [] and children("sim.workers") == []


class Watching(Silent):
    """Keeps the server's command line."""

    command: tuple[str, ...] = ()

    def decided(self, episode: Episode, answer: Record) -> None:
        super().decided(episode, answer)
        self.command = tuple(Path(f"/proc/{children('nvila_edge.serving')[0]}/cmdline").read_text().split("\0"))


def test_what_runs_the_model_is_chosen_and_told_where_it_is_not_as_always(undisturbed: Path, options: EvalOptions, tmp_path: Path) -> None:
    assert not {"backend", "threads"} & load_run(undisturbed)[2]["config"].keys(), "folders of earlier versions can be gone on with"
    watching, threads = Watching(), min(2, os.cpu_count() or 1)
    summary = evaluate(replace(options, out=tmp_path, episodes=1, backend="torch", threads=threads), watching)
    given = dict(pairwise(watching.command))
    assert (given["--backend"], given["--threads"]) == ("torch", str(threads))
    assert summary["config"]["backend"] == "torch" and summary["config"].get("threads", 1) == threads
    with pytest.raises(OutputError, match="backend"):
        evaluate(replace(options, out=tmp_path, episodes=1, threads=threads), Silent())


def test_a_backend_or_threads_that_cannot_be_are_refused_before_anything_runs(bundle: Path, options: EvalOptions) -> None:
    checkpoint = bundle.parent / "checkpoint"
    for changes, said in (
        ({"threads": 0}, "--threads 0: at least 1"),
        ({"backend": "tensorrt", "bundle": checkpoint}, f"--backend tensorrt runs bundles; {checkpoint} is a checkpoint"),
        ({"backend": "torch", "policy": "oracle"}, "the policy 'oracle' has none: leave them out"),
    ):
        with pytest.raises(ValueError, match=said):
            resolve(replace(options, **changes))  # pyright: ignore[reportArgumentType]
    assert "backend" not in resolve(replace(options, backend="torch", bundle=checkpoint)).config, "a checkpoint has always run in torch"


def test_black_frames_make_it_blind(undisturbed: Path, options: EvalOptions, tmp_path: Path) -> None:
    evaluate(EvalOptions(**{**vars(options), "out": tmp_path, "frames": "black"}), Silent())
    seen, blind = (load_run(out)[0] for out in (undisturbed, tmp_path))
    first = [[result["trace"][0]["candidates"] for result in results] for results in (seen, blind)]
    assert first[0] != first[1]
    assert load_run(tmp_path)[2]["config"]["frames"] == "black"


def test_instructions_that_the_model_cannot_take_are_left_out_and_the_others_are_played(
    undisturbed: Path, options: EvalOptions, tmp_path: Path
) -> None:
    split = load_split(options.dataset, "val_unseen")
    told = {"90": "go past the <image> and stop", "91": "क" * 500}
    odd = tuple(replace(split.episodes[0], episode_id=key, instruction=text) for key, text in told.items())
    save_split(tmp_path / "data", replace(split, episodes=odd + split.episodes))
    summary = evaluate(replace(options, out=tmp_path / "out", dataset=str(tmp_path / "data")), Silent())
    reasons = {fault["episode_id"]: fault["reason"] for fault in summary["left_out_episodes"]}
    assert set(reasons) == set(told) and "<image>" in reasons["90"] and "tokens; at most 448" in reasons["91"]
    assert (tmp_path / "out" / "results.jsonl").read_bytes() == (undisturbed / "results.jsonl").read_bytes()
