"""What can be named: seen, and not to be confused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sim.geometry import Pose
from sim.instructions.landmarks import name_of, visible
from sim.instructions.layout import Layout, crossing_yaw, plan_bearing
from sim.instructions.meaning import AHEAD, AROUND, LEFT, RIGHT, Landmark
from sim.instructions.route import door_side, resample, trace, turn_needed
from sim.navmesh import NavMesh
from tests.sim.instructions.plan_house import DOORS, THINGS, plan_house, plan_navmesh

BED, FRIDGE, SOFA, GREEN, RED, PIANO, SHELF, TOILET = range(8)
WEST, EAST, NORTH, SOUTH = math.pi / 2, -math.pi / 2, 0.0, math.pi


@pytest.fixture(scope="module")
def layout() -> Layout:
    return Layout(plan_house())


@pytest.fixture(scope="module")
def mesh(layout: Layout) -> NavMesh:
    return plan_navmesh(layout.house)


def seen(layout: Layout, x: float, z: float, yaw: float | None, thing: int) -> bool:
    return bool(visible(layout, np.array([[x, z]]), None if yaw is None else np.array([yaw]), [thing])[0, 0])


def test_things_are_seen_ahead_and_not_behind(layout: Layout) -> None:
    assert seen(layout, 4.0, 1.0, EAST, PIANO)
    assert not seen(layout, 4.0, 1.0, WEST, PIANO)
    assert seen(layout, 4.0, 1.0, None, PIANO)


def test_walls_hide_and_doors_open_the_view(layout: Layout) -> None:
    assert not seen(layout, 3.0, 4.0, None, FRIDGE)  # through the wall between bedroom and kitchen
    assert seen(layout, 2.0, 1.0, WEST, TOILET)  # through the bathroom's door
    assert not seen(layout, 2.0, 1.9, None, SOFA)


def test_things_hide_each_other(layout: Layout) -> None:
    # The bookshelf (2 m high, x 2.8..3.6 at z -0.3) stands between a viewer at its back and what lies beyond.
    assert seen(layout, 5.0, -0.6, None, SOFA)
    assert not seen(layout, 3.62, -0.3, None, SOFA) or layout.distance_to_thing(np.array([3.62, -0.3]), SHELF)[0] < 0.05


def test_a_colour_is_said_when_it_is_needed(layout: Layout) -> None:
    here = np.array([[5.0, -2.0]])
    assert name_of(layout, SOFA, here, coloured=False) == Landmark("sofa")
    assert name_of(layout, SOFA, here, coloured=True) == Landmark("sofa", "red")
    assert name_of(layout, RED, here, coloured=False) == Landmark("armchair", "red")
    assert name_of(layout, GREEN, here, coloured=False) == Landmark("armchair", "green")


def test_door_frames_have_their_colours(layout: Layout) -> None:
    assert layout.door_colours == {0: "yellow", 1: "grey", 2: "purple", 3: "pink"}


@pytest.mark.parametrize(("door", "room", "yaw"), [(0, 1, NORTH), (0, 0, SOUTH), (2, 0, NORTH), (3, 0, WEST), (3, 4, EAST)])
def test_crossing_a_door_means_walking_straight_through_its_wall(layout: Layout, door: int, room: int, yaw: float) -> None:
    assert math.isclose(math.cos(crossing_yaw(layout, DOORS[door], room) - yaw), 1.0)


@pytest.mark.parametrize(
    ("door", "yaw", "side"), [(2, EAST, LEFT), (2, WEST, RIGHT), (3, WEST, AHEAD), (1, EAST, RIGHT), (3, EAST, ""), (1, NORTH, "")]
)
def test_sides_of_doors_from_the_middle_of_the_hallway(layout: Layout, door: int, yaw: float, side: str) -> None:
    assert door_side(layout, (4.0, 1.0), yaw, DOORS[door], 0) == side


def test_bearings_are_positive_to_the_left() -> None:
    assert math.isclose(plan_bearing((0, 0), (-1, 0), NORTH), math.pi / 2)
    assert math.isclose(plan_bearing((0, 0), (0, -1), EAST), math.pi / 2)


def test_a_path_is_cut_at_its_doors(layout: Layout, mesh: NavMesh) -> None:
    start = Pose((2.0, 0.0, 4.0), SOUTH)
    path = mesh.path(np.array(start.position_m), np.array([6.0, 0.0, 4.5]))
    visits = trace(layout, path, start)
    assert visits is not None
    assert [visit.kind for visit in visits] == ["bedroom", "hallway", "kitchen"]
    assert [visit.exit.door_id if visit.exit else None for visit in visits] == [0, 1, None]
    assert [turn_needed(visit) for visit in visits] == [AROUND, RIGHT, AHEAD]
    assert sum(len(visit.samples) for visit in visits) == len(resample(path[:, [0, 2]])[0])


def test_local_frames_invert(layout: Layout) -> None:
    points = np.random.default_rng(0).uniform(-5, 5, (20, 2))
    for index in range(len(THINGS)):
        assert np.allclose(layout.from_local(layout.to_local(points, index), index), points)
    assert layout.in_front(np.array([1.5, -2.0]), SOFA) and not layout.in_front(np.array([3.0, -3.4]), SOFA)
