"""Pruning: scores that tell planted samples apart, the baselines, going on after a kill, and what is written."""

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
import torch

from benchmarks.experiments.planted import Shares, auc, fresh, planted, teach, write_planted
from nvila_edge import cli
from nvila_edge.model.nvila import NVILA
from nvila_edge.training.collate import fused
from nvila_edge.training.delta_loss import Answered, answer_log_probabilities, delta_loss
from nvila_edge.training.mixture import load_mixture
from nvila_edge.training.pruning import choices
from nvila_edge.training.pruning.run import PruneOptions, prune
from nvila_edge.training.samples import Exchange, Sample
from tests.nvila_edge.lessons import lessons, prepared
from tests.tiny import tiny_frames, tiny_model


def _quiet(_line: str) -> None:
    pass


@pytest.fixture(scope="module")
def untaught(tmp_path_factory) -> tuple[str, str]:
    """Two checkpoints that know nothing."""
    folder = tmp_path_factory.mktemp("untaught")
    for number, name in enumerate(("large", "small")):
        fresh(number).save_pretrained(folder / name)
    return str(folder / "large"), str(folder / "small")


def test_scores_are_of_the_answers_alone():
    model = tiny_model()
    image = tiny_frames(1)[0]
    sample = Sample("a", "s", (Exchange("<image>What is it?", "a red sofa"), Exchange("And then?", "stop")), (image,))
    (one,) = prepared(model, [sample])
    (found,) = answer_log_probabilities(model, [one])
    assert model.tokenizer is not None
    # by hand: the conversation's embeddings piece by piece, and the log-softmax at the place before each learned token
    with torch.no_grad():
        (embeds,), (labels,) = fused(model, [one])
        logits = model.llm(inputs_embeds=embeds[None], use_cache=False).logits[0].log_softmax(-1)
    places = [place for place in range(1, len(labels)) if labels[place] >= 0]
    words = [
        *model.tokenizer.encode("a red sofa"),
        model.tokenizer.end_of_turn,
        *model.tokenizer.encode("stop"),
        model.tokenizer.end_of_turn,
    ]
    assert [int(labels[place]) for place in places] == words and found.tokens == len(words)
    by_hand = sum(float(logits[place - 1, labels[place]]) for place in places)
    assert found.log_probability == pytest.approx(by_hand, rel=1e-5)


def test_a_batch_scores_as_its_samples_alone():
    model = tiny_model()
    batch = prepared(model, lessons(6))
    together = answer_log_probabilities(model, batch)
    alone = [answer_log_probabilities(model, [one])[0] for one in batch]
    assert [one.tokens for one in together] == [one.tokens for one in alone]
    assert [one.log_probability for one in together] == pytest.approx([one.log_probability for one in alone], rel=1e-4)


def test_mean_and_sum_of_the_same_answers():
    large, small = Answered(-1.0, 4), Answered(-9.0, 4)
    assert delta_loss(large, small) == 2.0 and delta_loss(large, small, "sum") == 8.0
    assert delta_loss(small, large) == -2.0 and delta_loss(large, Answered(-9.0, 9)) == 0.75
    with pytest.raises(ValueError, match="allowed: mean, sum"):
        delta_loss(large, small, "max")


def test_easy_and_mislabelled_samples_rank_below_helpful_ones(tmp_path):
    study = [sample for _, sample in planted(400, seed=1, shares=Shares(0.3, 0.0))]
    large, small = fresh(0), fresh(1)
    teach(large, study, 90, seed=0, learning_rate=3e-3)
    teach(small, [sample for _, sample in planted(400, seed=3, shares=Shares(0.6, 0.0))], 35, seed=0, learning_rate=3e-3)
    large.save_pretrained(tmp_path / "large")
    small.save_pretrained(tmp_path / "small")
    pool = planted(160, seed=2)
    data = write_planted(tmp_path / "pool", pool)
    options = PruneOptions(data=data, out=tmp_path / "out", large=str(tmp_path / "large"), small=str(tmp_path / "small"))
    judged = prune(options, _quiet).subsets["pool"]
    kinds = [kind for kind, _ in pool]
    scores = {kind: [one.score or 0.0 for one, k in zip(judged, kinds, strict=True) if k == kind] for kind in set(kinds)}
    assert auc(scores["helpful"], scores["easy"] + scores["mislabelled"]) >= 0.9
    assert auc(scores["easy"], scores["mislabelled"]) >= 0.9
    kept = [kind for one, kind in zip(judged, kinds, strict=True) if one.kept]
    assert len(kept) == 80 and kept.count("helpful") / 80 > 0.85 > kinds.count("helpful") / 160 + 0.2
    report = (tmp_path / "out" / "report.html").read_text()
    assert report.count("data:image/jpeg;base64,") == 18 and all(
        f"<h3>{kind}</h3>" in report for kind in ("helpful", "easy", "distracting")
    )
    assert "http" not in report and report.count("<rect") > 5


def test_the_choices():
    assert choices.highest([1.0, 3.0, 3.0, -2.0, 0.0], 2) == [1, 2] and choices.highest([1.0, 1.0, 1.0], 1) == [0]
    assert [choices.kept_count(n, keep) for n, keep in ((10, 0.5), (10, 0.01), (3, 1.0), (7, 0.3))] == [5, 1, 3, 2]
    first, again = (choices.drawn(50, 10, np.random.default_rng(3)) for _ in range(2))
    assert first == again == sorted(set(first)) and len(first) == 10
    labels = np.array([0] * 60 + [1] * 30 + [2] * 9 + [-1])
    kept = choices.evenly(labels, 50, np.random.default_rng(0))
    assert len(kept) == 50 == len(set(kept)) and np.bincount(labels[kept] + 1)[1:3].tolist() == [30, 15]
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        choices.kept_count(5, 1.5)


def test_clusters_are_of_alike_pictures():
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(3), 20)
    features = np.eye(8, dtype=np.float32)[groups] * rng.uniform(1, 5, (60, 1)) + rng.normal(0, 0.02, (60, 8))
    features[::20] = 0
    labels = choices.clusters(features, 3, np.random.default_rng(1))
    assert set(labels[::20]) == {-1}
    seen = [set(labels[groups == group][1:]) for group in range(3)]
    assert all(len(one) == 1 for one in seen) and len(set.union(*seen)) == 3
    assert set(choices.clusters(np.ones((4, 8), np.float32), 100, np.random.default_rng(0))) == {0}


@pytest.mark.parametrize("method", ["delta", "cluster", "random"])
def test_what_is_kept_can_be_trained_on_subset_by_subset(tmp_path, untaught, method):
    data = write_planted(tmp_path / "pool", planted(40, seed=4))
    (data / "images" / "00003.png").write_bytes(b"no picture")
    with (data / "annotations.jsonl").open("a") as file:
        file.write("not json\n")
    large, small = untaught
    pruned = prune(PruneOptions(data=data, out=tmp_path / "out", large=large, small=small, method=method, by="kind", keep=0.3), _quiet)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    mixture = load_mixture(tmp_path / "out" / "mixture.yaml", "pruned", 0)
    assert {name for name in summary["subsets"]} == {f"pool-{kind}" for kind in ("easy", "helpful", "mislabelled")}
    assert [len(part) for part in mixture.parts] == [counts["kept"] for counts in summary["subsets"].values()]
    assert all(counts["kept"] == max(1, round(0.3 * counts["samples"])) for counts in summary["subsets"].values())
    total = sum(counts["samples"] for counts in summary["subsets"].values())
    broken = method != "random"  # which reads no picture
    assert total == 40 - broken and pruned.faults.total == 1 + broken
    assert all(Path(str(sample.images[0])).is_file() for part in mixture.parts for sample in part)
    if method == "delta":
        by_score = sorted((one for one in pruned.subsets["pool-helpful"]), key=lambda one: -(one.score or 0.0))
        assert [one.kept for one in by_score] == sorted((one.kept for one in by_score), reverse=True)


def test_another_share_asks_no_model_again_and_another_model_is_refused(tmp_path, untaught, monkeypatch):
    data, (large, small) = write_planted(tmp_path / "pool", planted(16, seed=4)), untaught
    options = {"data": data, "out": tmp_path / "out", "large": large, "small": small}
    prune(PruneOptions(**options), _quiet)
    before = {name: (tmp_path / "out" / name).read_bytes() for name in ("large.jsonl", "small.jsonl", "scores.csv")}
    monkeypatch.setattr(NVILA, "from_pretrained", lambda *_, **__: pytest.fail("a model was opened"))
    assert sum(one.kept for one in prune(PruneOptions(**options, keep=0.25, reduce="sum"), _quiet).subsets["pool"]) == 4
    prune(PruneOptions(**options), _quiet)
    assert before == {name: (tmp_path / "out" / name).read_bytes() for name in before}
    with pytest.raises(ValueError, match="large.jsonl was made of something else.*model"):
        prune(PruneOptions(**options | {"large": small}), _quiet)
    with pytest.raises(ValueError, match="--large and --small"):
        prune(PruneOptions(**options | {"small": "", "out": tmp_path / "other", "large": ""}), _quiet)


def test_a_run_that_was_killed_goes_on_and_ends_as_if_it_had_not_been(tmp_path, untaught):
    data, (large, small) = write_planted(tmp_path / "pool", planted(64, seed=4)), untaught
    arguments = ["data", "prune", str(data), "--large", large, "--small", small, "--batch", "2"]
    code = "import sys, torch; torch.set_num_threads(1); from nvila_edge.cli import main; sys.exit(main(sys.argv[1:]))"
    killed = subprocess.Popen([sys.executable, "-c", code, *arguments, "--out", str(tmp_path / "killed")], stdout=subprocess.DEVNULL)
    ledger, deadline = tmp_path / "killed" / "large.jsonl", time.monotonic() + 90
    while not (ledger.exists() and len(ledger.read_bytes().splitlines()) > 6):
        assert time.monotonic() < deadline and killed.poll() is None
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait(20)
    kept = ledger.read_bytes()
    assert not (tmp_path / "killed" / "summary.json").exists() and len(kept.splitlines()) < 65
    ledger.write_bytes(kept + b'{"key": "pool/6')  # as if the kill had torn a line
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert cli.main([*arguments, "--out", str(tmp_path / "killed")]) == 0 == cli.main([*arguments, "--out", str(tmp_path / "whole")])
    torch.set_num_threads(threads)
    for name in ("large.jsonl", "small.jsonl", "scores.csv", "summary.json", "report.html", "kept/pool.jsonl"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert ledger.read_bytes().startswith(kept[: kept.rindex(b"\n") + 1])


def test_mistakes_are_named(tmp_path, capsys):
    data = write_planted(tmp_path / "pool", planted(4, seed=1))
    (tmp_path / "mixture.yaml").write_text("datasets:\n  pool: {path: pool/annotations.jsonl, media: pool}\nmixtures: {all: pool}\n")
    out = ("--method", "random", "--out", str(tmp_path / "out"))
    for arguments, message in (
        ((str(tmp_path / "nowhere"), *out), "is not there"),
        ((str(tmp_path), *out), "holds none of annotations.jsonl"),
        ((str(data), "--by", "kinds", *out), "did you mean 'kind'"),
        ((str(data), "--keep", "0", *out), "keep is 0"),
        ((str(tmp_path / "mixture.yaml"), *out), "name one of its mixtures with --mixture: all"),
        ((str(tmp_path / "mixture.yaml"), "--mixture", "al", *out), "did you mean 'all'"),
    ):
        assert cli.main(["data", "prune", *arguments]) == 2
        assert message in capsys.readouterr().err
    assert cli.main(["data", "prune", str(tmp_path / "mixture.yaml"), "--mixture", "all", *out]) == 0
    assert "kept 2" in capsys.readouterr().out
