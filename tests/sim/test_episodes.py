"""R2R_VLNCE files: what is written is read back, and what is wrong is named."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.episodes import Dataset, Episode, GroundTruth, encode, load_split, save_split, split_file

EPISODE = {
    "episode_id": 1, "trajectory_id": 4, "scene_id": "mp3d/zsNo4HB9uLZ/zsNo4HB9uLZ.glb",
    "start_position": [13.6, 0.17, -6.9], "start_rotation": [0.0, 0.7071068, 0.0, 0.7071068], "info": {"geodesic_distance": 6.4},
    "goals": [{"position": [12.1, 0.17, -0.8], "radius": 3.0}], "reference_path": [[13.6, 0.17, -6.9], [12.1, 0.17, -0.8]],
    "instruction": {"instruction_text": "Walk past the sofa and stop.", "instruction_tokens": [2, 3, 4, 5, 0]},
}  # fmt: skip


def write(folder: Path, episodes: Any, truth: Any = None, **more: Any) -> Path:
    """A split named "x" in a folder, as another program would write it."""
    (folder / "x").mkdir(exist_ok=True)
    (folder / "x" / "x.json.gz").write_bytes(gzip.compress(json.dumps({"episodes": episodes, **more}).encode()))
    if truth is not None:
        (folder / "x" / "x_gt.json.gz").write_bytes(gzip.compress(json.dumps(truth).encode()))
    return folder


def test_reads_the_published_layout(tmp_path: Path) -> None:
    truth = {"1": {"actions": [1, 2, 3, 0], "forward_steps": 1, "locations": [[13.6, 0.17, -6.9], [13.5, 0.17, -6.7]]}}
    dataset = load_split(write(tmp_path, [EPISODE], truth, instruction_vocab={"word_list": ["<pad>", "<unk>", "walk"]}), "x")
    (episode,) = dataset.episodes
    assert (episode.episode_id, episode.trajectory_id) == ("1", "4")
    assert episode.goal == (12.1, 0.17, -0.8)
    assert math.isclose(episode.start.yaw_rad, math.pi / 2, abs_tol=1e-5)
    assert episode.geodesic_distance_m == 6.4
    assert dataset.ground_truth["1"] == GroundTruth((1, 2, 3, 0), ((13.6, 0.17, -6.9), (13.5, 0.17, -6.7)))
    assert dataset.ground_truth["1"].forward_steps == 1
    assert dataset.vocabulary == ("<pad>", "<unk>", "walk")


def test_a_test_split_has_no_goals_and_old_files_have_prefixes(tmp_path: Path) -> None:
    hidden = {key: value for key, value in EPISODE.items() if key not in ("goals", "reference_path", "info")}
    dataset = load_split(write(tmp_path, [hidden | {"scene_id": "data/scene_datasets/mp3d/a/a.glb"}]), "x")
    assert dataset.episodes[0].scene_id == "mp3d/a/a.glb"
    assert dataset.ground_truth == {}
    with pytest.raises(ValueError, match="has no goal"):
        _ = dataset.episodes[0].goal


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start_rotation": [0, 0, 0, 2]}, "unit quaternion"),
        ({"start_position": [1, 2]}, "start_position"),
        ({"start_position": [1, 2, "nan"]}, "finite point"),
        ({"instruction": {"instruction_text": "  "}}, "non-empty"),
        ({"instruction": {}}, "instruction_text"),
        ({"goals": [{"radius": 3.0}]}, "position"),
        ({"scene_id": None}, "scene_id"),
        ({"info": [1]}, "info|list"),
    ],
)
def test_errors_name_file_and_episode(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    write(tmp_path, [EPISODE | {"episode_id": 7}, EPISODE | {"episode_id": 42} | change])
    with pytest.raises(ValueError, match=rf"x\.json\.gz, episode number 1 \(episode_id 42\).*{message}"):
        load_split(tmp_path, "x")


@pytest.mark.parametrize("episode_id", ["../../escaped", "a/b", "", "x" * 65])
def test_an_episode_id_names_files_and_cannot_leave_the_folder(tmp_path: Path, episode_id: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        load_split(write(tmp_path, [EPISODE | {"episode_id": episode_id}]), "x")


def test_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nvila-edge data houses"):
        load_split(tmp_path, "x")
    write(tmp_path, [EPISODE, EPISODE])
    with pytest.raises(ValueError, match="episode_id 1 occurs twice"):
        load_split(tmp_path, "x")
    path = split_file(tmp_path, "x")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match="x.json.gz: not readable"):
        load_split(tmp_path, "x")
    path.write_bytes(gzip.compress(b"[]"))
    with pytest.raises(ValueError, match="episodes"):
        load_split(tmp_path, "x")
    write(tmp_path, [EPISODE], {"1": {"actions": [1, 9], "locations": []}})
    with pytest.raises(ValueError, match=r"x_gt.json.gz, episode_id 1: actions \[9\]"):
        load_split(tmp_path, "x")


coordinate = st.floats(-100, 100).map(lambda v: round(v, 4))
point = st.tuples(coordinate, coordinate, coordinate)


@settings(max_examples=30, deadline=None)
@given(st.lists(point, min_size=2, max_size=6), st.floats(-math.pi, math.pi), st.text("abc é.", min_size=1).filter(str.strip))
def test_what_is_written_is_read_back(points: list, yaw: float, text: str) -> None:
    rotation = (0.0, math.sin(yaw / 2), 0.0, math.cos(yaw / 2))
    episode = Episode("3", "a7", "houses/h/h.glb", points[0], rotation, (points[-1],), tuple(points), text, 7.25, (2, 0))
    dataset = Dataset("val_unseen", (episode,), {"3": GroundTruth((1, 0), tuple(points))}, ("<pad>", "<unk>", "abc"))
    with TemporaryDirectory() as name:
        folder = Path(name)
        first = save_split(folder, dataset)
        assert load_split(folder, "val_unseen") == dataset
        before = first.read_bytes()
        save_split(folder, dataset)
        assert first.read_bytes() == before
        flat = save_split(folder / "flat", dataset, nested=False)
        assert flat == folder / "flat" / "val_unseen.json.gz"
        assert load_split(folder / "flat", "val_unseen") == dataset


def test_tokens_are_padded_cut_and_marked_unknown() -> None:
    assert encode(["walk", "jump"], ("<pad>", "<unk>", "walk"), 4) == (2, 1, 0, 0)
    assert encode(["walk"] * 9, ("<pad>", "<unk>", "walk"), 3) == (2, 2, 2)
