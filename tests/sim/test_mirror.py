"""The mirror image of a lesson: words, actions and frames with left and right exchanged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nvila_edge.navigation.actions import ACTIONS, Forward, Stop, Turn
from sim.dataset import house_episodes
from sim.houses.library import HouseLibrary
from sim.instructions.meaning import LEFT, RIGHT, Cross
from sim.instructions.reading import read_in_place
from sim.mirror import mirrored_actions, mirrored_images, mirrored_text


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("Turn left. Take the door on your right.", "Turn right. Take the door on your left."),
        ("Left, then stop right in front of the sofa", "Right, then stop right in front of the sofa"),
        ("Go straight into the kitchen", "Go straight into the kitchen"),
    ],
)
def test_sides_are_exchanged_and_nothing_else(text: str, mirrored: str) -> None:
    assert mirrored_text(text) == mirrored
    assert mirrored_text(mirrored) == text


def test_a_mirrored_instruction_means_the_other_sides() -> None:
    episodes = house_episodes(*HouseLibrary(1)["train_0000"], 6, seed=3)
    opposite = {LEFT: RIGHT, RIGHT: LEFT}
    sides = 0
    for episode in episodes:
        there, back = (list(read_in_place(text)) for text in (episode.instruction, mirrored_text(episode.instruction)))
        for said, other in zip(there, back, strict=True):
            side = getattr(said.clause, "side", "")
            expected = replace(said.clause, side=opposite.get(side, side)) if hasattr(said.clause, "side") else said.clause  # type: ignore[call-arg, type-var]
            assert other.clause == expected
            sides += side in opposite
    assert sides and any(isinstance(said.clause, Cross) for said in there)


def test_turns_go_to_the_other_side_and_untaught_stays() -> None:
    at = {action: number for number, action in enumerate(ACTIONS)}
    actions = np.array([at[Turn(45)], at[Turn(-15)], at[Forward(75)], at[Stop()], -1])
    assert mirrored_actions(actions).tolist() == [at[Turn(-45)], at[Turn(15)], at[Forward(75)], at[Stop()], -1]


def test_frames_are_flipped_sideways() -> None:
    images = np.arange(2 * 2 * 3 * 3, dtype=np.uint8).reshape(2, 2, 3, 3)
    assert np.array_equal(mirrored_images(images)[1, 0, 0], images[1, 0, 2])
