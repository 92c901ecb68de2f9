"""An evaluation by a Ray cluster gives the bytes of one that ran in one piece: a stand-in for Ray that plays in this process, and a real
cluster on this machine (slow; needs the extra `ray`)."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nvila_edge.shipped import BUNDLE
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


class RayError(Exception):
    """What Ray raises for a task that failed."""


def stand_in() -> SimpleNamespace:
    """As much of Ray as is used here: one machine with 2 CPUs, whose tasks run when they are waited for, the last asked first."""

    def remote(**_: object) -> Callable[[Any], Any]:
        return lambda task: SimpleNamespace(remote=lambda argument: (task, tuple(sorted(argument.items(), key=str))))

    def get(asked: tuple[Callable[[dict[str, Any]], Any], tuple[tuple[str, Any], ...]]) -> Any:
        try:
            return asked[0](dict(asked[1]))
        except Exception as error:
            raise RayError(f"traceback\n{type(error).__name__}: {error}") from error

    return SimpleNamespace(
        init=lambda **_: None, shutdown=lambda: None, nodes=lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}], remote=remote, get=get,
        wait=lambda pending, timeout: (pending[-1:], pending[:-1]), exceptions=SimpleNamespace(RayError=RayError),
    )  # fmt: skip


@pytest.fixture(params=["stand-in", pytest.param("real", marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module `ray`."""
    if request.param == "real":
        pytest.importorskip("ray")
    else:
        monkeypatch.setitem(sys.modules, "ray", stand_in())


@pytest.mark.usefixtures("cluster")
def test_a_cluster_gives_the_same_bytes_goes_on_and_names_what_fails(tmp_path: Path) -> None:
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
    shutil.copy(BUNDLE / "manifest.json", broken)  # its engines are missing: only a shard finds that out
    with pytest.raises(EvaluationError, match="shard ./2.*give the same command again"):
        evaluate_on_ray(EvalOptions(**{**vars(ray), "out": tmp_path / "bad", "policy": "engine", "bundle": broken}), "local", Silent())
