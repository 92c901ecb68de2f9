"""Generated episodes: long enough, through doors, truly described, and the same from the same seed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from sim.dataset import VLN_CE, build_dataset, house_episodes, instruction_words
from sim.dataset_report import episode_facts, write_report
from sim.episodes import Dataset, Episode, load_split
from sim.houses.library import HouseLibrary, house_names, scene_id, scene_name
from sim.instructions.layout import Layout
from sim.instructions.oracle import sufficient
from sim.instructions.wording import words_in

LIBRARY = HouseLibrary(cache_size=8)
HOUSES = ("train_0000", "train_0001", "val_unseen_0000", "val_unseen_0001")


@pytest.fixture(scope="module")
def episodes() -> dict[str, tuple[Episode, ...]]:
    return {name: house_episodes(*LIBRARY[name], 8, seed=5) for name in HOUSES}


def test_lengths_doorways_and_words(episodes: dict[str, tuple[Episode, ...]]) -> None:
    facts = [episode_facts(episode, LIBRARY) for group in episodes.values() for episode in group]
    assert all(VLN_CE.length_m[0] <= fact.length_m <= VLN_CE.length_m[1] for fact in facts)
    assert np.median([fact.length_m for fact in facts]) >= 8.0
    assert np.mean([fact.doorways >= 2 for fact in facts]) >= 0.6
    assert all(12 <= fact.words <= 60 for fact in facts)
    assert all(fact.doorways >= 1 for fact in facts)  # start and goal lie in different rooms


def test_episode_fields_are_consistent(episodes: dict[str, tuple[Episode, ...]]) -> None:
    for name, group in episodes.items():
        _, navmesh = LIBRARY[name]
        for episode in group:
            assert episode.scene_id == scene_id(name)
            measured = navmesh.geodesic(np.array(episode.start_position), np.array(episode.goal))
            assert math.isclose(measured, episode.geodesic_distance_m, abs_tol=0.02)
            assert abs(math.remainder(math.degrees(episode.start.yaw_rad), 15)) < 1e-6
            assert math.dist(episode.reference_path[0], episode.start_position) < 0.1
            assert math.dist(episode.reference_path[-1], episode.goal) < 0.1
            assert 1 <= episode.instruction.count(".") <= 3
            assert len(episode.tokens) == 80 and 1 not in episode.tokens
            words = [instruction_words()[token] for token in episode.tokens if token]
            assert words == words_in(episode.instruction)


def test_instructions_lead_to_their_goal_and_others_do_not(episodes: dict[str, tuple[Episode, ...]]) -> None:
    strangers = 0
    for name, group in episodes.items():
        house, navmesh = LIBRARY[name]
        layout = Layout(house)
        for episode, other in zip(group, group[1:] + group[:1]):
            assert sufficient(layout, navmesh, episode.start, episode.goal, episode.instruction)
            if navmesh.geodesic(np.array(episode.goal), np.array(other.goal)) > 5:
                strangers += sufficient(layout, navmesh, episode.start, episode.goal, other.instruction)
    assert strangers == 0


def test_the_same_seed_gives_the_same_episodes(episodes: dict[str, tuple[Episode, ...]]) -> None:
    house, navmesh = HouseLibrary(cache_size=1)["train_0001"]
    assert house_episodes(house, navmesh, 8, seed=5) == episodes["train_0001"]
    assert house_episodes(house, navmesh, 4, seed=5) == episodes["train_0001"][:4]
    assert house_episodes(house, navmesh, 4, seed=6)[0] != episodes["train_0001"][0]
    assert house_episodes(house, navmesh, 4, seed=5, split="val_seen")[0] != episodes["train_0001"][0]


def test_a_dataset_is_written_read_and_reported(tmp_path: Path) -> None:
    done: list[int] = []
    path = build_dataset(tmp_path / "a", "val_unseen", 2, 5, 0, progress=done.append)
    dataset = load_split(tmp_path / "a", "val_unseen")
    assert [episode.episode_id for episode in dataset.episodes] == ["1", "2", "3", "4", "5"]
    assert done == [2, 5]
    assert dataset.vocabulary == instruction_words()
    for episode in dataset.episodes:
        scene = tmp_path / "a" / episode.scene_id
        assert scene.read_bytes()[:4] == b"glTF"
        truth = dataset.ground_truth[episode.episode_id]
        assert truth.actions[-1] == 0 and truth.actions.count(0) == 1
        assert math.dist(truth.locations[0], episode.start_position) < 0.05
        assert math.dist(truth.locations[-1], episode.goal) < 0.5
        assert len(truth.locations) == truth.forward_steps + 1
    figures = write_report(dataset, tmp_path / "report.html", LIBRARY)
    assert figures["episodes"] == 5 and figures["houses"] == 2 and 5 <= figures["length_m_median"] <= 15
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 8 and "http" not in page and "Geodesic length" in page
    again = build_dataset(tmp_path / "b", "val_unseen", 2, 5, 0, scenes=False)
    assert again.read_bytes() == path.read_bytes()


def test_report_counts_are_those_of_the_episodes(tmp_path: Path, episodes: dict[str, tuple[Episode, ...]]) -> None:
    figures = write_report(Dataset("train", episodes["train_0000"]), tmp_path / "r.html", LIBRARY)
    assert figures["distinct_instructions"] == len({episode.instruction for episode in episodes["train_0000"]})
    assert "no ground truth" in (tmp_path / "r.html").read_text()


def test_splits_name_their_houses() -> None:
    assert house_names("val_unseen", 2) == ("val_unseen_0000", "val_unseen_0001")
    assert house_names("train", 1) == house_names("val_seen", 1) == ("train_0000",)
    assert scene_name(scene_id("val_unseen_0012")) == "val_unseen_0012"
    for scene in ("mp3d/a/a.glb", "houses/train_0001/train_0002.glb", "houses/train_0001/train_0001.obj"):
        with pytest.raises(ValueError, match="not a built-in house"):
            scene_name(scene)


@pytest.mark.parametrize(
    ("split", "houses", "episodes", "message"),
    [("test", 1, 1, "split 'test'"), ("train", 3, 2, "at least one"), ("train", 0, 2, "at least one")],
)
def test_impossible_requests_are_refused(tmp_path: Path, split: str, houses: int, episodes: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_dataset(tmp_path, split, houses, episodes, 0)


def test_the_library_keeps_what_was_used_last() -> None:
    library = HouseLibrary(cache_size=2)
    first = library["train_0000"]
    _ = library["train_0001"], library["train_0000"], library["train_0002"]
    assert library["train_0000"][0] is first[0]
    assert library["train_0001"][0].name == "train_0001"
    with pytest.raises(ValueError, match="cache_size"):
        HouseLibrary(cache_size=0)
