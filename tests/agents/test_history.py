"""What an agent remembers: one frame per completed primitive, plus the newest."""

from __future__ import annotations

import pytest

from agents.history import History, frames_for_decision
from nvila_edge.navigation.profiles import PROFILES

STREAM, NAVILA = PROFILES["stream"], PROFILES["navila"]


def walked(steps: int) -> History:
    history = History()
    for frame_id in range(steps):
        history.observe(frame_id)
        history.completed()
    history.observe(steps)
    return history


def test_every_completed_primitive_leaves_the_frame_before_it() -> None:
    assert walked(3).ids == (0, 1, 2, 3)


def test_a_frame_taken_anew_replaces_the_newest() -> None:
    history = walked(2)
    history.observe(7)
    history.observe(8)
    assert history.ids == (0, 1, 8)


def test_stream_needs_the_newest_frame_only() -> None:
    assert frames_for_decision(STREAM, walked(30)) == (30,)


@pytest.mark.parametrize(
    ("steps", "frames"),
    [
        (0, (0,)),
        (4, (0, 1, 2, 3, 4)),
        (8, (0, 1, 2, 3, 4, 5, 6, 8)),
        (19, (0, 2, 5, 8, 10, 13, 16, 19)),
        (99, (0, 14, 28, 42, 56, 70, 84, 99)),
    ],
)
def test_navila_needs_the_published_window_without_its_black_pads(steps: int, frames: tuple[int, ...]) -> None:
    assert frames_for_decision(NAVILA, walked(steps)) == frames


@pytest.mark.parametrize("profile", [STREAM, NAVILA])
def test_nothing_can_be_decided_before_the_first_frame(profile) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        frames_for_decision(profile, History())
