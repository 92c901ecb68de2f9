"""An evaluation by a Ray cluster (a real one, on this machine) gives the bytes of one that ran in one piece."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.crew import EvaluationError
from sim.dataset import build_dataset
from sim.evaluate import EvalOptions, evaluate
from sim.ray_shards import MOST_SHARDS, evaluate_on_ray, shards_of
from tests.sim.test_evaluate import Silent, same


def test_every_call_makes_the_same_shards_of_about_ten_episodes() -> None:
    assert [str(shard) for shard in shards_of(25)] == ["1/3", "2/3", "3/3"]
    assert len(shards_of(1)) == 1 and len(shards_of(330)) == 33 and len(shards_of(1839)) == MOST_SHARDS


def test_shards_are_no_option_of_a_cluster(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leave out --shard"):
        evaluate_on_ray(EvalOptions(tmp_path, policy="oracle", shard="1/2"), "local", Silent())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_cluster_gives_the_same_bytes_goes_on_and_names_what_fails(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    build_dataset(tmp_path / "data", "val_unseen", houses=1, episodes=12, seed=3, scenes=False)
    options = EvalOptions(tmp_path / "whole", policy="random", dataset=str(tmp_path / "data"), videos=1)
    evaluate(options, Silent())

    class Counting(Silent):
        ended = 0

        def finished(self, episode: object, result: object) -> None:
            self.ended += 1

    ray, reporter = EvalOptions(**{**vars(options), "out": tmp_path / "ray"}), Counting()
    evaluate_on_ray(ray, "local", reporter)
    assert same(tmp_path / "whole", tmp_path / "ray") and reporter.begun == (12, 0) and reporter.ended == 12
    assert {path.name for path in (tmp_path / "ray" / "videos").iterdir()} == {path.name for path in (options.out / "videos").iterdir()}
    (tmp_path / "ray" / "shards" / "shard-2-of-2" / "summary.json").unlink()
    again = Counting()
    evaluate_on_ray(ray, "local", again)
    assert again.begun == (12, 6) and again.ended == 6 and same(tmp_path / "whole", tmp_path / "ray")
    with pytest.raises(ValueError, match="the largest machine"):
        evaluate_on_ray(EvalOptions(**{**vars(ray), "out": tmp_path / "many", "workers": 4096}), "local", Silent())
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "manifest.json").write_text("{}")
    with pytest.raises(EvaluationError, match="shard ./2.*give the same command again"):
        evaluate_on_ray(EvalOptions(**{**vars(ray), "out": tmp_path / "bad", "policy": "engine", "bundle": broken}), "local", Silent())
