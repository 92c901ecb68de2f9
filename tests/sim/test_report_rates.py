"""Groups of episodes and published rows: what is counted, and what may be compared."""

from __future__ import annotations

import pytest

from sim.report.published import R2R, RXR, benchmark_of, differences, rows
from sim.report.rates import BY_LENGTH, ROOMS, THINGS, by_doorways, by_instruction, mentions, sentences, sides
from tests.sim.test_report import result

NAVILA = {
    "split": "val_unseen", "camera": {"width": 512, "height": 512, "hfov_deg": 90.0, "height_m": 1.25}, "sliding": True, "turn_deg": 15,
    "dataset": "R2R_VLNCE_v1-3",
}  # fmt: skip


def of(system: str, benchmark: str = R2R):
    """The published row of a system."""
    return next(row for row in rows(benchmark) if row.system.startswith(system))


def test_only_the_same_scenes_camera_motion_and_episodes_are_comparable() -> None:
    row = of("NaVILA")
    assert differences(row, NAVILA, R2R, 1839) == []
    assert differences(row, {**NAVILA, "sliding": False}, R2R, 1839) == ["other sliding"]
    assert differences(row, NAVILA, R2R, 1832) == ["1,832 episodes, not 1,839"]
    assert differences(row, {**NAVILA, "split": "val_seen", "frames": "black"}, R2R, 1839) == ["split val_seen", "an ablation"]
    assert differences(of("NaVid"), NAVILA, R2R, 1839) == ["other camera", "other turn angle"]
    assert differences(of("NavFoM"), NAVILA, R2R, 1839) == ["camera, sliding, turn angle not stated", "more sensors"]
    assert differences(row, {"split": "val_unseen"}, R2R, 1839) == [
        "our camera not recorded",
        "our sliding not recorded",
        "our turn angle not recorded",
    ]


def test_the_benchmark_follows_from_scenes_and_dataset() -> None:
    assert benchmark_of(NAVILA, ["mp3d/x/x.glb"]) == R2R and benchmark_of({"dataset": "RxR_VLNCE_v0"}, ["mp3d/x/x.glb"]) == RXR
    assert benchmark_of(NAVILA, ["mp3d/x/x.glb", "houses/a/a.glb"]) == ""
    assert of("NaVILA", RXR).numbers == (6.77, None, 49.3, 44.0, 58.8)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Turn left.", "left"), ("Stop right in front of the sofa.", "neither"), ("Go right, then left.", "both"), ("Wait right there.", "neither"),
        ("The door on your right is open", "right"), ("Go up the stairs", "neither"), ("Take the copyright", "neither"),
    ],
)  # fmt: skip
def test_sides_are_those_that_an_instruction_names(text: str, named: str) -> None:
    assert sides(text) == named


def test_landmarks_are_counted_once_and_by_their_longest_name() -> None:
    assert mentions("Pass the coffee table, the Sofa and the sofa.", THINGS) == 2
    assert mentions("From the living room into the hallway and the hall", ROOMS) == 3
    assert mentions("Walk on.", THINGS) == 0


def test_sentences_end_at_full_stops_and_not_in_numbers() -> None:
    assert [sentences(text) for text in ("Go", "Go. Stop.", "Walk 2.5 m! Then stop", "...")] == [1, 2, 2, 1]


def test_every_episode_is_in_one_group_of_each_kind() -> None:
    episodes = [result(i, i % 2 == 0) for i in range(9)]
    for grouping in (BY_LENGTH, by_doorways(episodes), *by_instruction()):
        assert sum(rate.count for rate in grouping.rates(episodes).values()) == 9, grouping.title
    assert {label: (rate.wins, rate.count) for label, rate in BY_LENGTH.rates(episodes).items()} == {
        "0–6 m": (0, 0), "6–8 m": (1, 1), "8–10 m": (1, 2), "10–12 m": (1, 2), "over 12 m": (2, 4),
    }  # fmt: skip
    assert [rate.count for rate in by_doorways(episodes).rates(episodes).values()] == [3, 3, 3]
