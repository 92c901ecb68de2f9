"""The simulated robot and camera: primitives, collisions, records, frames."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from nvila_edge.navigation.actions import Primitive
from sim.env import HouseEnv, walk
from sim.geometry import Pose
from sim.navmesh import NavMesh
from sim.renderer import Renderer
from tests.sim.toy import two_rooms

EAST = -math.pi / 2


@cache
def world() -> tuple:
    house = two_rooms()
    return house, NavMesh.from_triangles(house.triangle_soup), Renderer(64, 64)


def started(pose: Pose) -> HouseEnv:
    env = HouseEnv(*world())
    env.reset(pose)
    return env


def test_forward_moves_a_quarter_metre_and_turns_are_fifteen_degrees() -> None:
    env = started(Pose((-2.0, 0.1, 0.0), EAST))
    ahead, left, right = env.execute(Primitive.FORWARD), env.execute(Primitive.LEFT), env.execute(Primitive.RIGHT)
    assert (ahead.moved_m, ahead.turned_deg, ahead.collided) == (pytest.approx(0.25), 0.0, False)
    assert (left.moved_m, left.turned_deg) == (0.0, 15.0) and right.turned_deg == -15.0
    assert env.pose.position_m == pytest.approx((-1.75, 0.1, 0.0)) and env.pose.yaw_rad == pytest.approx(EAST)
    assert env.actions == [Primitive.FORWARD, Primitive.LEFT, Primitive.RIGHT]
    assert len(env.positions) == 4 and env.collided == [False] * 3


def test_walls_stop_and_glancing_blows_slide_and_both_are_collisions() -> None:
    env = started(Pose((3.7, 0.1, -1.0), EAST))
    blocked = env.execute(Primitive.FORWARD)
    assert blocked.collided and blocked.moved_m == pytest.approx(0.1, abs=1e-6)
    env.execute(Primitive.LEFT)
    env.execute(Primitive.LEFT)
    slid = env.execute(Primitive.FORWARD)
    assert slid.collided and slid.moved_m == pytest.approx(0.125, abs=1e-6) and env.pose.position_m[2] < -1.1
    assert env.collided == [True, False, False, True]


def test_numbers_are_primitives_too_and_others_are_refused() -> None:
    start = Pose((-2.0, 0.1, 0.0), EAST)
    for primitive in Primitive:
        named, numbered = started(start), started(start)
        assert named.execute(primitive) == numbered.execute(int(primitive))
        before = Pose(numbered.positions[0], EAST)
        assert named.pose == numbered.pose == walk(world()[1], before, int(primitive))
        assert isinstance(numbered.actions[0], Primitive)
    with pytest.raises(ValueError, match="7"):
        started(start).execute(7)


def test_stop_changes_nothing_but_the_record() -> None:
    env = started(Pose((1.0, 0.1, 1.0), 0.3))
    pose = env.pose
    motion = env.execute(Primitive.STOP)
    env.halt()
    assert env.pose == pose and (motion.moved_m, motion.turned_deg, motion.collided) == (0.0, 0.0, False)
    assert env.actions == [Primitive.STOP] and env.positions == [pose.position_m] * 2


def test_turning_around_comes_back_to_the_same_view() -> None:
    env = started(Pose((1.0, 0.1, 1.0), 0.0))
    first = env.capture()
    for _ in range(24):
        env.execute(Primitive.LEFT)
    last = env.capture()
    assert abs(env.pose.yaw_rad) < 1e-9 and (first.frame_id, last.frame_id) == (0, 1) and last.captured_s >= first.captured_s
    assert np.abs(first.rgb.astype(int) - last.rgb).max() <= 2


def test_environments_share_a_renderer() -> None:
    house, mesh, renderer = world()
    other = HouseEnv(two_rooms(), mesh, renderer)
    other.reset(Pose((1.0, 0.1, 1.0), 0.0))
    env = started(Pose((1.0, 0.1, 1.0), 0.0))
    before = env.capture().rgb
    assert np.array_equal(other.capture().rgb, before) and np.array_equal(env.capture().rgb, before)


def test_a_reset_snaps_the_start_and_forgets() -> None:
    env = started(Pose((1.0, 0.0, 1.0), 0.0))
    assert env.pose.position_m == pytest.approx((1.0, 0.1, 1.0))
    env.execute(Primitive.FORWARD)
    env.reset(Pose((-1.0, 0.1, 1.0), 0.0))
    assert env.actions == [] and env.collided == [] and len(env.positions) == 1 and env.capture().frame_id == 0


def test_no_start_and_no_reset_are_named() -> None:
    with pytest.raises(ValueError, match="walkable"):
        started(Pose((50.0, 0.0, 0.0), 0.0))
    with pytest.raises(ValueError, match="reset"):
        HouseEnv(*world()).execute(Primitive.FORWARD)
