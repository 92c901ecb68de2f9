"""The oracle goes where the words say, and says so when they say nothing definite."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sim.geometry import Pose
from sim.instructions.layout import Layout
from sim.instructions.oracle import Misleading, follow, sufficient
from sim.navmesh import NavMesh
from tests.sim.instructions.plan_house import plan_house, plan_navmesh

BEDROOM = Pose((2.0, 0.0, 4.0), 0.0)  # looks along -z, at the bedroom's door
INTO_LOUNGE = "Walk out of the bedroom and into the hallway. Take the purple door. "
FRIDGE, SOFA, GREEN_ARMCHAIR, PIANO = (7.5, 5.5), (1.5, -3.4), (7.4, -3.4), (7.4, 0.6)


@pytest.fixture(scope="module")
def layout() -> Layout:
    return Layout(plan_house())


@pytest.fixture(scope="module")
def mesh(layout: Layout) -> NavMesh:
    return plan_navmesh(layout.house)


@pytest.mark.parametrize(
    ("text", "thing"),
    [
        ("Leave the bedroom. Turn right and enter the kitchen. Stop next to the fridge.", FRIDGE),
        ("Go straight into the corridor, go through the door on the right into the kitchen and wait by the white fridge.", FRIDGE),
        ("Leave the bedroom, enter the lounge and stop in front of the red couch.", SOFA),
        (INTO_LOUNGE + "Walk past the red armchair on your left and stop by the green armchair.", None),
        (INTO_LOUNGE + "Walk past the red armchair on your right and stop by the green armchair.", GREEN_ARMCHAIR),
        ("Leave the bedroom. Once in the hallway, wait close to the piano.", PIANO),
        ("Leave the bedroom and enter the lounge, then stop when you reach the green armchair.", GREEN_ARMCHAIR),
    ],
)
def test_follows_the_words(layout: Layout, mesh: NavMesh, text: str, thing: tuple[float, float] | None) -> None:
    if thing is None:
        with pytest.raises(Misleading):
            follow(layout, mesh, BEDROOM, text)
        return
    ends = follow(layout, mesh, BEDROOM, text)
    assert len(ends) == 1
    assert math.dist(ends[0][[0, 2]], thing) < 1.8
    assert sufficient(layout, mesh, BEDROOM, ends[0], text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Leave the kitchen and stop by the piano.", "nothing fits"),  # not in the kitchen
        ("Leave the bedroom, enter the nursery and stop by the crib.", "nothing fits"),  # no such room
        ("Leave the bedroom and turn left.", "doesn't end"),
        ("Leave the bedroom, go through the door on your right and stop.", "several doors"),  # and even then: where?
        ("Leave the bedroom and wait.", "doesn't end"),
        ("Dance to the fridge.", "isn't understood|nothing fits"),
        ("Leave the bedroom. Use the door on your left into the kitchen and stop by the fridge.", "nothing fits"),  # it is on the right
    ],
)
def test_refuses_what_cannot_be_followed(layout: Layout, mesh: NavMesh, text: str, reason: str) -> None:
    with pytest.raises(Misleading, match=reason):
        follow(layout, mesh, BEDROOM, text)
    assert not sufficient(layout, mesh, BEDROOM, (7.0, 0.0, 5.0), text)


def test_an_open_choice_of_doors_is_ambiguous(layout: Layout, mesh: NavMesh) -> None:
    start = Pose((4.0, 0.0, 1.0), 0.0)  # in the hallway with four doors
    with pytest.raises(Misleading, match="several doors"):
        follow(layout, mesh, start, "Leave the hallway. Turn right. Stop by the fridge.")
    ends = follow(layout, mesh, start, "Leave the hallway and enter the kitchen. Turn left. Stop by the fridge.")
    assert math.dist(ends[0][[0, 2]], FRIDGE) < 1.8


def test_two_armchairs_are_two_readings(layout: Layout, mesh: NavMesh) -> None:
    text = "Leave the bedroom and enter the living room, and stop by the armchair."
    ends = follow(layout, mesh, BEDROOM, text)
    assert len(ends) == 2
    assert np.allclose(sorted(ends[:, 2]), [-3.4, -1.5], atol=1.3)
    assert not sufficient(layout, mesh, BEDROOM, (2.0, 0.0, -2.0), text)


def test_the_goal_decides_whether_a_text_suffices(layout: Layout, mesh: NavMesh) -> None:
    text = "Leave the bedroom. Turn right and enter the kitchen. Stop next to the fridge."
    assert sufficient(layout, mesh, BEDROOM, mesh.snap(np.array([6.9, 0.0, 5.5])), text)
    assert not sufficient(layout, mesh, BEDROOM, mesh.snap(np.array([6.9, 0.0, -2.0])), text)


def test_sides_depend_on_where_one_looks(layout: Layout, mesh: NavMesh) -> None:
    east, west = Pose((4.0, 0.0, 1.0), -math.pi / 2), Pose((4.0, 0.0, 1.0), math.pi / 2)
    text = "Go through the door on your left into the lounge and stop in front of the red sofa."
    assert math.dist(follow(layout, mesh, east, text)[0][[0, 2]], SOFA) < 1.8
    with pytest.raises(Misleading):
        follow(layout, mesh, west, text)
    assert len(follow(layout, mesh, west, text.replace("left", "right")))
