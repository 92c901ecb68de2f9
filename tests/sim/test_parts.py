"""Which part of an instruction is being followed."""

import numpy as np
import pytest

from sim.dataset import SHORT, house_episodes
from sim.expert import expert_rollout
from sim.geometry import Pose
from sim.houses.library import HouseLibrary
from sim.instructions.layout import Layout
from sim.instructions.parts import UNKNOWN_PART, Parts, spans_by_room


@pytest.mark.parametrize(
    ("text", "doors", "parts"),
    [
        ("Turn around and stop by the bed.", 0, ["Turn around and stop by the bed"]),
        (
            "Leave the bedroom, then take the red door. Pass the sofa on your left and stop.",
            2,
            ["Leave the bedroom", "take the red door", "Pass the sofa on your left and stop"],
        ),
        # one door said twice
        (
            "Go through the doorway and enter the bathroom. Wait by the sink.",
            1,
            ["Go through the doorway and enter the bathroom", "Wait by the sink"],
        ),
        # two doors said in the same words
        (
            "Go through the doorway and enter the bathroom. Wait by the sink.",
            2,
            ["Go through the doorway", "enter the bathroom", "Wait by the sink"],
        ),
    ],
)
def test_a_text_is_cut_at_its_doors(text: str, doors: int, parts: list[str]) -> None:
    spans = spans_by_room(text, doors)
    assert spans is not None and [text[a:b] for a, b in spans] == parts


@pytest.mark.parametrize(("text", "doors"), [("Fetch me some tea.", 0), ("Leave the bedroom. Stop.", 3), ("Leave the bedroom.", 1)])
def test_what_cannot_be_told_is_not_guessed(text: str, doors: int) -> None:
    assert spans_by_room(text, doors) is None


def test_along_the_way_part_follows_part_and_elsewhere_none_is_known() -> None:
    house, navmesh = HouseLibrary(cache_size=1)["train_0001"]
    layout = Layout(house)
    (episode,) = house_episodes(house, navmesh, 1, seed=5)
    parts = Parts(layout, navmesh.distances_to(np.array(episode.goal)), episode.start, episode.instruction)
    poses = expert_rollout(navmesh, episode.start, np.array(episode.goal)).poses
    seen = [parts.at(pose) for pose in poses[:-8]]
    assert seen[0] == 0 and seen == sorted(seen) and max(seen) == len(parts.spans) - 1 >= 1
    on_the_way = {room.room_id for pose in poses if (room := house.room_at(pose.position_m[0], pose.position_m[2])) is not None}
    aside = next(room for room in house.rooms if room.room_id not in on_the_way)
    rng = np.random.default_rng(0)
    there = next(p for p in (navmesh.random_point(rng) for _ in range(1000)) if house.room_at(float(p[0]), float(p[2])) is aside)
    x, y, z = (float(value) for value in there)
    assert parts.at(Pose((x, y, z), 0.0)) == UNKNOWN_PART


def test_errands_are_short_and_their_text_is_sufficient() -> None:
    house, navmesh = HouseLibrary(cache_size=1)["train_0001"]
    episodes = house_episodes(house, navmesh, 6, seed=5, draw=SHORT)
    assert all(SHORT.length_m[0] <= episode.geodesic_distance_m <= SHORT.length_m[1] for episode in episodes)
    assert any(len(episode.instruction.split()) < 12 for episode in episodes)
