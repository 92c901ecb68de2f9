"""The teacher: follows the exact shortest path to a goal and says what it would do from any pose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nvila_edge.navigation.actions import FORWARD_STEP_CM, TURN_STEP_DEG, Action, Forward, Primitive, Stop, Turn, primitives
from sim.env import FORWARD_M, triple, walk
from sim.geometry import Pose, bearing, wrap_angle
from sim.navmesh import NavMesh

GOAL_RADIUS_M = 0.3
TURN_RAD = math.radians(TURN_STEP_DEG)
HYSTERESIS_RAD = math.radians(10.0)  # below 7.5 a turn of 15 degrees makes it worse; the rest keeps turns apart
IN_VIEW_RAD = math.radians(45.0)  # half of the camera's field of view
GAIN_M = 0.9 * FORWARD_M  # what each merged step must take off the way: within 25 degrees of the path
LEAST_GAIN_M = 0.25 * FORWARD_M  # what the first one must: less means that something is in the way
MAX_STEPS = 3  # an action merges at most three primitives (75 cm, 45 degrees)
REACHED_M = 0.05  # a bend this near counts as passed: the way on decides the heading
LIMIT = 500  # VLN-CE's step limit


@dataclass(frozen=True)
class Rollout:
    """What the expert did: merged `actions` (last is Stop); `primitives` [n]; `poses` [n + 1], start first, STOP repeats the pose;
    `locations` float [m, 3]: the start and one entry per change of position (VLN-CE's ground truth)."""

    actions: tuple[Action, ...]
    primitives: tuple[Primitive, ...]
    poses: tuple[Pose, ...]
    locations: np.ndarray


class Expert:
    """Answers for one goal, to which it knows the `distances`. Works from any pose, also where the expert itself would never go."""

    def __init__(self, navmesh: NavMesh, goal: np.ndarray, goal_radius_m: float = GOAL_RADIUS_M) -> None:
        self._mesh, self._goal_radius_m = navmesh, goal_radius_m
        self.distances = navmesh.distances_to(goal)

    def distance_m(self, pose: Pose) -> float:
        """Geodesic distance to the goal in metres; inf when it can't be reached."""
        return self.distances.distance(np.array(pose.position_m))

    def action(self, pose: Pose, looked: Sequence[float] = ()) -> Action:
        """The next merged action: turn towards the path, walk its straight part, stop within the goal radius (or where nothing helps).

        looked: yaws in radians of the frames taken on this spot before this one, oldest first (`looked_on`). Whoever looks for the way must be told to
        turn on until it is in view: the shorter way round can't be known by what has been seen, and learning it teaches turning back and forth.
        A way that was in view is turned back to.
        """
        path = self.distances.path(np.array(pose.position_m))
        length = _length(path)
        if len(path) == 0 or length < self._goal_radius_m:
            return Stop()
        towards = bearing(path[0], _target(path))
        error = wrap_angle(towards - pose.yaw_rad)
        turned = wrap_angle(pose.yaw_rad - looked[-1]) if looked else 0.0
        if error * turned < 0 and all(abs(wrap_angle(towards - yaw)) > IN_VIEW_RAD for yaw in (*looked, pose.yaw_rad)):
            error += math.copysign(2 * math.pi, turned)
        turns = round(error / TURN_RAD)
        if self._gain(pose, length, turns) < LEAST_GAIN_M:
            return self._around(pose, length)
        if abs(error) <= HYSTERESIS_RAD and self._gain(pose, length, 0) >= LEAST_GAIN_M:
            turns = 0
        return _turn(turns) if turns else self._ahead(pose, length)

    def _gain(self, pose: Pose, length: float, turns: int) -> float:
        """Metres that one step would take off the way after so many 15 degree turns (left positive)."""
        start = np.array(pose.position_m)
        ahead = Pose(pose.position_m, pose.yaw_rad + turns * TURN_RAD).heading * FORWARD_M
        return length - self.distances.distance(self._mesh.try_step(start, start + ahead))

    def _ahead(self, pose: Pose, length: float) -> Forward:
        """One to three steps: as many as pay, none beyond the goal radius."""
        here, left, steps = np.array(pose.position_m), length, 0
        ahead = pose.heading * FORWARD_M
        while steps < MAX_STEPS and left >= self._goal_radius_m:
            here = self._mesh.try_step(here, here + ahead)
            after = self.distances.distance(here)
            if steps and after > left - GAIN_M:
                break
            left, steps = after, steps + 1
        return Forward(steps * FORWARD_STEP_CM)

    def _around(self, pose: Pose, length: float) -> Action:
        """The path is blocked: of the 24 headings the one whose step gains most. The place alone decides, so no turn is undone."""
        gains = {turns: self._gain(pose, length, turns) for turns in sorted(range(-11, 13), key=abs)}
        best = max(gains.values())
        if best < 1e-3:
            return Stop()
        turns = next(turns for turns, gain in gains.items() if gain >= best - 1e-6)
        return _turn(turns) if turns else Forward(FORWARD_STEP_CM)


def looked_on(looked: tuple[float, ...], pose: Pose, action: Action | None) -> tuple[float, ...]:
    """What `Expert.action` has to know after an action from a pose, of what it had to know before."""
    return (*looked, pose.yaw_rad) if isinstance(action, Turn) else ()


def _turn(turns: int) -> Turn:
    """At most 45 degrees of so many 15 degree turns."""
    return Turn(max(-MAX_STEPS, min(MAX_STEPS, turns)) * TURN_STEP_DEG)


def _length(path: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


def _target(path: np.ndarray) -> np.ndarray:
    """The path's next bend that isn't passed yet, or the goal."""
    for point in path[1:-1]:
        if math.hypot(point[0] - path[0][0], point[2] - path[0][2]) > REACHED_M:
            return point
    return path[-1]


def expert_rollout(navmesh: NavMesh, start: Pose, goal: np.ndarray, goal_radius_m: float = GOAL_RADIUS_M) -> Rollout:
    """The expert's whole walk from `start` (snapped) to `goal`, at most 500 primitives.

    Raises ValueError when nothing walkable is near the start.
    """
    point = navmesh.snap(np.array(start.position_m))
    if not np.isfinite(point).all():
        raise ValueError(f"nothing walkable near the start {start.position_m}: choose a point on the navmesh (NavMesh.snap)")
    expert, poses = Expert(navmesh, goal, goal_radius_m), [Pose(triple(point), start.yaw_rad)]
    actions: list[Action] = []
    done: list[Primitive] = []
    while not done or (done[-1] != Primitive.STOP and len(done) < LIMIT):
        action = expert.action(poses[-1]) if len(done) < LIMIT - MAX_STEPS else Stop()
        actions.append(action)
        for primitive in primitives(action):
            done.append(primitive)
            poses.append(walk(navmesh, poses[-1], primitive))
    positions = [pose.position_m for pose in poses]
    changes = [positions[0]] + [after for before, after in zip(positions, positions[1:]) if after != before]
    return Rollout(tuple(actions), tuple(done), tuple(poses), np.array(changes))
