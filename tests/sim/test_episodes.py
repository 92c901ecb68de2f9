"""R2R_VLNCE files: what is written is read back, and what is wrong is named."""

from __future__ import annotations

import gzip
import json
import math
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvila_edge.shipped import DATASET
from sim.episodes import (
    Choice,
    Dataset,
    Episode,
    GroundTruth,
    TimedWord,
    encode,
    load_split,
    load_usable,
    said_by_hand,
    save_split,
    split_file,
)

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


@pytest.mark.parametrize("vocabulary", [3, ["a"], {"word_list": None}, {"word_list": [1]}])
def test_a_vocabulary_that_is_none_is_named(tmp_path: Path, vocabulary: Any) -> None:
    path = write(tmp_path, [EPISODE]) and split_file(tmp_path, "x")
    content = json.loads(gzip.decompress(path.read_bytes()))
    path.write_bytes(gzip.compress(json.dumps(content | {"instruction_vocab": vocabulary}).encode()))
    with pytest.raises(ValueError, match='x.json.gz: instruction_vocab is .*"word_list"'):
        load_split(tmp_path, "x")


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


SPOKEN = EPISODE | {
    "episode_id": "17", "trajectory_id": "4", "info": {"role": "guide"},
    "instruction": {
        "instruction_id": "88", "instruction_text": "You are facing a wall.", "language": "en-IN", "annotator_id": "3", "edit_distance": 0.25,
        "timed_instruction": [{"word": "You", "start_time": 0.5, "end_time": 0.75}, {"word": "are", "start_time": None, "end_time": None}],
    },
}  # fmt: skip


def spoken(folder: Path, entries: list[dict[str, Any]], role: str = "guide") -> Path:
    """A split "x" of one role in RxR's layout: no vocabulary, string ids."""
    (folder / "x").mkdir(exist_ok=True)
    (folder / "x" / f"x_{role}.json.gz").write_bytes(gzip.compress(json.dumps({"episodes": entries}).encode()))
    truth = {"17": {"actions": [1, 0], "forward_steps": 1, "locations": [[13.6, 0.17, -6.9]]}}
    (folder / "x" / f"x_{role}_gt.json.gz").write_bytes(gzip.compress(json.dumps(truth).encode()))
    return folder


def test_rxr_is_read_with_its_words_and_their_times(tmp_path: Path) -> None:
    dataset = load_split(spoken(tmp_path, [SPOKEN]), "x", Choice("guide"))
    speech = dataset.episodes[0].speech
    assert speech is not None and (speech.language, speech.instruction_id, speech.annotator_id, speech.role) == (
        "en-IN",
        "88",
        "3",
        "guide",
    )
    assert speech.edit_distance == 0.25 and speech.words[0] == TimedWord("You", 0.5, 0.75) and math.isnan(speech.words[1].start_s)
    assert dataset.episodes[0].instruction == "You are facing a wall." and dataset.ground_truth["17"].actions == (1, 0)
    assert dataset.vocabulary == ("<pad>", "<unk>")


def test_rxr_is_written_as_it_is_read(tmp_path: Path) -> None:
    timed = SPOKEN["instruction"] | {"timed_instruction": SPOKEN["instruction"]["timed_instruction"][:1]}  # NaN equals nothing
    dataset = load_split(spoken(tmp_path, [SPOKEN | {"instruction": timed}]), "x", Choice("guide"))
    path = save_split(tmp_path / "again", dataset)
    assert path.name == "x_guide.json.gz" and load_split(tmp_path / "again", "x", Choice("guide")) == dataset
    assert "instruction_vocab" not in json.loads(gzip.decompress(path.read_bytes()))


def test_languages_choose_episodes_and_unknown_ones_are_told_what_there_is(tmp_path: Path) -> None:
    hindi = SPOKEN | {"episode_id": "18", "instruction": SPOKEN["instruction"] | {"language": "hi-IN"}}
    spoken(tmp_path, [SPOKEN, hindi])
    assert [e.episode_id for e in load_split(tmp_path, "x", Choice("guide", ("hi-IN", "te-IN"))).episodes] == ["18"]
    with pytest.raises(ValueError, match="no episode in de-DE; its languages are en-IN, hi-IN"):
        load_split(tmp_path, "x", Choice("guide", ("de-DE",)))


def test_a_role_that_is_not_there_is_answered_with_the_one_that_is(tmp_path: Path) -> None:
    spoken(tmp_path, [SPOKEN], "follower")
    with pytest.raises(FileNotFoundError, match="choose --role follower"):
        load_split(tmp_path, "x")
    with pytest.raises(ValueError, match="allowed are guide and follower"):
        Choice("leader")


def test_bad_entries_are_faults_and_the_others_stay_usable(tmp_path: Path) -> None:
    nan = EPISODE | {"episode_id": 3, "start_rotation": [0, math.nan, 0, 1]}
    bad = [EPISODE | {"episode_id": "1"}, nan, 7, {k: v for k, v in EPISODE.items() if k != "episode_id"}, EPISODE | {"episode_id": 4}]
    truth = {"1": {"actions": [0], "locations": [[0, 0, 0]]}, "4": {"actions": [0], "locations": []}}
    dataset = load_usable(write(tmp_path, [EPISODE, *bad], truth), "x")
    assert [episode.episode_id for episode in dataset.episodes] == ["1", "4"] and list(dataset.ground_truth) == ["1"]
    assert [fault.episode_id for fault in dataset.faults] == ["1", "3", "#3", "#4"]
    reasons = ["occurs twice", "unit quaternion", "expected an object, found int", "'episode_id' is missing"]
    assert all(
        f"x.json.gz, episode number {n}" in f.reason and r in f.reason
        for n, f, r in zip((1, 2, 3, 4), dataset.faults, reasons, strict=True)
    )
    assert [fault.episode_id for fault in dataset.truth_faults] == ["4"] and "x_gt.json.gz" in dataset.truth_faults[0].reason


def test_the_hundred_instructions_said_by_hand_belong_to_episodes_and_use_other_words() -> None:
    dataset = load_split(DATASET, "val_unseen")
    said, own = said_by_hand(dataset, DATASET), {episode.episode_id: episode for episode in dataset.episodes}
    assert len(said.episodes) == 100 and len({episode.scene_id for episode in said.episodes}) == 33
    for episode in said.episodes:
        mine, theirs = (set(re.findall(r"[a-z']+", text.lower())) for text in (episode.instruction, own[episode.episode_id].instruction))
        assert episode.goals == own[episode.episode_id].goals and mine != theirs, episode.episode_id


def test_instructions_by_hand_of_episodes_that_there_are_not_are_refused(tmp_path: Path) -> None:
    dataset = load_split(DATASET, "val_unseen")
    with pytest.raises(FileNotFoundError, match="--instructions own"):
        said_by_hand(dataset, tmp_path)
    (tmp_path / "val_unseen_by_hand.json").write_text('{"nobody": "Go."}')
    with pytest.raises(ValueError, match="no episode nobody"):
        said_by_hand(dataset, tmp_path)
