"""Shards of an evaluation lose nothing, play nothing twice, and join to the same bytes; what does not fit together is refused by name."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sim.dataset import build_dataset
from sim.episodes import Episode, load_split, save_split
from sim.evaluate import EvalOptions, evaluate
from sim.results import OutputError
from sim.shards import Shard, folder_of, merge
from tests.sim.test_evaluate import Silent, same

EPISODES = [Episode(str(n), "", "", (0, 0, 0), (0, 0, 0, 1), ((0, 0, 0),), ((0, 0, 0),), "", 1.0, ()) for n in range(37)]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 36, 37])
def test_every_episode_is_in_exactly_one_shard_and_none_is_larger_by_more_than_one(count: int) -> None:
    parts = [Shard(index, count).part(EPISODES) for index in range(1, count + 1)]
    assert [episode for part in parts for episode in part] == EPISODES
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "-1/3", "a/b", "1/3/5", ""])
def test_what_is_no_part_of_a_whole_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="for example --shard 2/4"):
        Shard.parse(text)


def test_more_shards_than_episodes_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 37 shards"):
        Shard(1, 38).part(EPISODES)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> EvalOptions:
    """An evaluation in one piece."""
    data = tmp_path_factory.mktemp("data")
    build_dataset(data, "val_unseen", houses=2, episodes=5, seed=3, scenes=False)
    options = EvalOptions(tmp_path_factory.mktemp("whole"), policy="random", dataset=str(data), videos=1)
    evaluate(options, Silent())
    return options


@pytest.fixture(scope="module")
def shards(whole: EvalOptions, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same in three shards, all given one folder."""
    out = tmp_path_factory.mktemp("shards")
    made = [EvalOptions(**{**vars(whole), "out": out, "shard": f"{index}/3"}) for index in (1, 2, 3)]
    for options in made:
        evaluate(options, Silent())
    return [folder_of(options) for options in made]


def copies(shards: list[Path], folder: Path) -> list[Path]:
    return [Path(shutil.copytree(shard, folder / shard.name)) for shard in shards]


def test_merged_shards_are_the_whole_to_the_byte_whatever_their_order(whole: EvalOptions, shards: list[Path], tmp_path: Path) -> None:
    assert [shard.name for shard in shards] == ["shard-1-of-3", "shard-2-of-3", "shard-3-of-3"]
    for out, order in (("a", shards), ("b", shards[::-1])):
        merge(tmp_path / out, order)
        assert same(whole.out, tmp_path / out)
    files = {path.relative_to(whole.out) for path in whole.out.rglob("*") if path.is_file() and path.name != "throughput.json"}
    assert {path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()} == files
    merge(tmp_path / "a", shards)
    assert same(whole.out, tmp_path / "a")


def test_missing_and_doubled_shards_are_named(shards: list[Path], tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="2/3 missing"):
        merge(tmp_path / "out", [shards[0], shards[2]])
    with pytest.raises(OutputError, match="shard 2/3 was given twice"):
        merge(tmp_path / "out", [*shards, shards[1]])
    with pytest.raises(OutputError, match="no shards were given"):
        merge(tmp_path / "out", [])
    assert not (tmp_path / "out").exists()


def test_an_unfinished_shard_is_named_with_its_episodes(shards: list[Path], tmp_path: Path) -> None:
    cut = copies(shards, tmp_path)
    lines = (cut[1] / "results.jsonl").read_bytes().splitlines(keepends=True)
    (cut[1] / "results.jsonl").write_bytes(lines[0])
    missing = json.loads(lines[1])["episode_id"]
    with pytest.raises(OutputError, match=f"shard 2/3 .* not finished: episodes {missing} missing of its 2; give its command again"):
        merge(tmp_path / "out", cut)
    (cut[1] / "results.jsonl").write_bytes(b"".join(lines))
    (cut[1] / "summary.json").unlink()
    with pytest.raises(OutputError, match="not finished: only the summary"):
        merge(tmp_path / "out", cut)


def test_a_shard_without_the_timing_of_a_result_is_named(shards: list[Path], tmp_path: Path) -> None:
    cut = copies(shards, tmp_path)
    lines = (cut[0] / "timings.jsonl").read_bytes().splitlines(keepends=True)
    (cut[0] / "timings.jsonl").write_bytes(b"".join(lines[1:]))
    with pytest.raises(OutputError, match=r"shard-1-of-3/timings.jsonl has no line of episode"):
        merge(tmp_path / "out", cut)


def test_a_shard_whose_episodes_are_all_left_out_is_finished_and_joins_the_whole(whole: EvalOptions, tmp_path: Path) -> None:
    split = load_split(whole.dataset, "val_unseen")
    nowhere = replace(split.episodes[0], scene_id="mp3d/nowhere/nowhere.glb")
    save_split(tmp_path / "data", replace(split, episodes=(nowhere, split.episodes[1])))
    options = EvalOptions(tmp_path / "whole", policy="random", dataset=str(tmp_path / "data"), videos=0)
    evaluate(options, Silent())
    made = [replace(options, out=tmp_path / "parts", shard=f"{index}/2") for index in (1, 2)]
    assert [evaluate(part, Silent())["episodes"] for part in made] == [0, 1]
    summary = merge(tmp_path / "out", [folder_of(part) for part in made])
    assert summary["left_out"] == 1 and same(options.out, tmp_path / "out")


def test_shards_of_different_evaluations_are_refused_with_what_differs(whole: EvalOptions, shards: list[Path], tmp_path: Path) -> None:
    other = EvalOptions(**{**vars(whole), "out": tmp_path, "shard": "2/3", "seed": 7})
    evaluate(other, Silent())
    with pytest.raises(OutputError, match="no shards of one evaluation: seed 0 and 7"):
        merge(tmp_path / "out", [shards[0], folder_of(other), shards[2]])
    with pytest.raises(OutputError, match="holds no shard"):
        merge(tmp_path / "out", [whole.out])


def test_a_folder_that_holds_something_else_is_not_merged_into(shards: list[Path], whole: EvalOptions, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="another configuration.*shard"):
        merge(copies(shards, tmp_path)[0], shards)
    out = Path(shutil.copytree(whole.out, tmp_path / "whole"))
    first, *rest = (out / "results.jsonl").read_bytes().splitlines(keepends=True)
    (out / "results.jsonl").write_bytes(b"".join([first.replace(b'"steps":', b'"steps":1'), *rest]))
    with pytest.raises(OutputError, match="differs from the one in"):
        merge(out, shards)
