"""The teacher always arrives, in merged actions, without dithering; it answers from anywhere."""

from __future__ import annotations

import math
import time
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvila_edge.navigation.actions import ACTIONS, Forward, Primitive, Stop, Turn, primitives
from sim.env import HouseEnv, walk
from sim.expert import Expert, expert_rollout, looked_on
from sim.geometry import Pose
from sim.houses.generator import generate_house
from sim.navmesh import NavMesh
from sim.renderer import Renderer
from tests.sim.toy import two_rooms

EAST = -math.pi / 2


@cache
def meshes() -> tuple[NavMesh, ...]:
    houses = [two_rooms(), generate_house("train_0001"), generate_house("val_unseen_0002")]
    return tuple(NavMesh.from_triangles(house.triangle_soup) for house in houses)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 2), st.floats(-math.pi, math.pi))
def test_every_walk_arrives_short_and_without_dithering(seed: int, which: int, yaw_rad: float) -> None:
    mesh, rng = meshes()[which], np.random.default_rng(seed)
    start, goal = mesh.random_point(rng), mesh.random_point(rng)
    rollout = expert_rollout(mesh, Pose(tuple(start.tolist()), yaw_rad), goal)
    shortest = mesh.geodesic(start, goal)
    assert mesh.geodesic(np.array(rollout.poses[-1].position_m), goal) < 0.3
    walked = np.linalg.norm(np.diff(rollout.locations, axis=0), axis=1).sum()
    assert walked <= 1.1 * shortest + 0.3
    assert rollout.actions[-1] == Stop() and all(action in ACTIONS for action in rollout.actions)
    assert rollout.primitives == tuple(step for action in rollout.actions for step in primitives(action))
    assert len(rollout.poses) == len(rollout.primitives) + 1
    for first, second in zip(rollout.actions, rollout.actions[1:], strict=False):
        assert not (isinstance(first, Turn) and isinstance(second, Turn) and first.angle_deg * second.angle_deg < 0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 2))
def test_after_a_random_stumble_the_teacher_still_arrives(seed: int, which: int) -> None:
    mesh, rng = meshes()[which], np.random.default_rng(seed)
    pose, goal = Pose(tuple(mesh.random_point(rng).tolist()), 0.0), mesh.random_point(rng)
    for primitive in rng.choice([1, 1, 1, 2, 3], size=30):
        pose = walk(mesh, pose, Primitive(int(primitive)))
    rollout = expert_rollout(mesh, pose, goal)
    assert mesh.geodesic(np.array(rollout.poses[-1].position_m), goal) < 0.3


def test_long_straight_ways_are_walked_in_long_strides() -> None:
    mesh = meshes()[0]
    expert = Expert(mesh, np.array([1.5, 0.1, 0.0]))
    assert expert.action(Pose((-2.0, 0.1, 0.0), EAST)) == Forward(75)
    assert expert.action(Pose((1.0, 0.1, 0.0), EAST)) == Forward(25)  # 0.25 m on it is within 0.3 m
    assert expert.action(Pose((1.3, 0.1, 0.0), EAST)) == Stop()
    assert expert.action(Pose((-2.0, 0.1, 0.0), 0.0)) == Turn(-45)
    assert expert.action(Pose((-2.0, 0.1, 0.0), EAST - math.radians(31))) == Turn(30)
    assert expert.distance_m(Pose((-2.0, 0.1, 0.0), 0.0)) == pytest.approx(3.5)


def test_an_unreachable_goal_is_a_stop() -> None:
    mesh = meshes()[0]
    expert = Expert(mesh, np.array([0.0, 2.9, 0.0]))
    assert expert.action(Pose((-2.0, 0.1, 0.0), 0.0)) == Stop() and math.isinf(expert.distance_m(Pose((-2.0, 0.1, 0.0), 0.0)))
    assert expert_rollout(mesh, Pose((-2.0, 0.1, 0.0), 0.0), np.array([0.0, 2.9, 0.0])).primitives == (Primitive.STOP,)
    with pytest.raises(ValueError, match="walkable"):
        expert_rollout(mesh, Pose((90.0, 0.1, 0.0), 0.0), np.zeros(3))


def test_the_environment_walks_as_the_rollout_says() -> None:
    house = two_rooms()
    mesh = meshes()[0]
    rollout = expert_rollout(mesh, Pose((-2.0, 0.1, 1.5), 0.4), np.array([2.0, 0.1, 1.5]))
    env = HouseEnv(house, mesh, Renderer(16, 16))
    env.reset(rollout.poses[0])
    for primitive, pose in zip(rollout.primitives, rollout.poses[1:], strict=True):
        env.execute(primitive)
        assert env.pose.position_m == pytest.approx(pose.position_m, abs=1e-9) and env.pose.yaw_rad == pytest.approx(pose.yaw_rad)


def test_answers_are_quick_enough_for_training() -> None:
    mesh, rng = meshes()[1], np.random.default_rng(0)
    expert = Expert(mesh, mesh.random_point(rng))
    poses = [Pose(tuple(mesh.random_point(rng).tolist()), float(rng.uniform(-3, 3))) for _ in range(200)]
    before = time.process_time()
    for pose in poses:
        expert.action(pose)
    assert 200 / (time.process_time() - before) > 300


@pytest.mark.parametrize(
    ("looked_deg", "yaw_deg", "expected"),
    [
        ((), 145, Turn(-45)),  # the shorter way round
        ((100,), 145, Turn(45)),  # never in view: turned on
        ((-100,), -145, Turn(-45)),
        ((0,), 45, Turn(-45)),  # was ahead: turned back to
        ((40, 85), 130, Turn(-45)),  # at the edge of the first frame
        ((50, 95), 140, Turn(45)),  # just beside it
    ],
)
def test_whoever_looks_for_the_way_turns_on_and_whoever_saw_it_turns_back(looked_deg, yaw_deg, expected) -> None:
    expert = Expert(meshes()[0], np.array([1.5, 0.1, 0.0]))
    looked = tuple(EAST + math.radians(deg) for deg in looked_deg)
    assert expert.action(Pose((-2.0, 0.1, 0.0), EAST + math.radians(yaw_deg)), looked) == expected


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 2), st.sampled_from([45, -45]))
def test_after_a_wrong_turn_the_expert_changes_sides_once_at_most(seed: int, which: int, wrong_deg: int) -> None:
    mesh, rng = meshes()[which], np.random.default_rng(seed)
    pose, goal = Pose(tuple(mesh.random_point(rng).tolist()), float(rng.uniform(-math.pi, math.pi))), mesh.random_point(rng)
    expert, action, turns, looked = Expert(mesh, goal), Turn(wrong_deg), [], ()
    while isinstance(action, Turn):
        turns.append(action.angle_deg)
        assert sum(map(abs, turns)) <= 45 + 360
        looked = looked_on(looked, pose, action)
        for primitive in primitives(action):
            pose = walk(mesh, pose, primitive)
        action = expert.action(pose, looked)
    sides = np.sign([turn for turn in turns if abs(turn) == 45])
    assert np.count_nonzero(np.diff(sides)) <= 1
