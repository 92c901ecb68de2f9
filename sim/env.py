"""A house behind the loop's camera and robot protocols: VLN-CE's primitives on the navmesh, frames from the renderer."""

from __future__ import annotations

import math
import time

import numpy as np

from agents.protocols import Frame, Motion
from nvila_edge.navigation.actions import FORWARD_STEP_CM, TURN_STEP_DEG, Primitive
from sim.geometry import Pose
from sim.houses.house import House
from sim.navmesh import NavMesh
from sim.renderer import Renderer

FORWARD_M = FORWARD_STEP_CM / 100
COLLISION_MARGIN_M2 = 1e-5  # Habitat: collided when moved^2 + 1e-5 < wanted^2 (facts 2.7.8)


class HouseEnv:
    """One agent in one house. Several environments may share a renderer: it is told to load the house only when another one is loaded.

    Recorded since `reset`: `positions` (start first), `collided` and `actions`, one entry per executed primitive.
    """

    def __init__(self, house: House, navmesh: NavMesh, renderer: Renderer) -> None:
        self.house, self.navmesh, self._renderer = house, navmesh, renderer
        self._pose: Pose | None = None
        self._frames = 0
        self.positions: list[tuple[float, float, float]] = []
        self.collided: list[bool] = []
        self.actions: list[Primitive] = []

    @property
    def pose(self) -> Pose:
        """Where the agent stands. Raises ValueError before the first `reset`."""
        if self._pose is None:
            raise ValueError("the environment has no pose yet: call reset(pose) first")
        return self._pose

    def reset(self, pose: Pose) -> Pose:
        """Put the agent on the navmesh at `pose`, forget the records, and return where it stands now.

        Raises ValueError when nothing walkable is near.
        """
        point = self.navmesh.snap(np.array(pose.position_m))
        if not np.isfinite(point).all():
            raise ValueError(f"nothing walkable near {pose.position_m} in {self.house.name}: choose a start on the navmesh (NavMesh.snap)")
        self._pose = Pose(_triple(point), pose.yaw_rad)
        self._frames = 0
        self.positions, self.collided, self.actions = [self._pose.position_m], [], []
        return self._pose

    def capture(self) -> Frame:
        """The view from the current pose, rendered now."""
        self._renderer.show(self.house)
        frame = Frame(self._frames, self._renderer.rgb(self.pose), time.monotonic())
        self._frames += 1
        return frame

    def execute(self, primitive: Primitive) -> Motion:
        """Move 0.25 m ahead (sliding along obstacles), turn by 15 degrees, or stand still for a stop; records the outcome."""
        before = self.pose
        turned_deg, moved_m, collided = 0.0, 0.0, False
        if primitive is Primitive.FORWARD:
            self._pose, moved_m, collided = self._forward(before)
        elif primitive in (Primitive.LEFT, Primitive.RIGHT):
            turned_deg = float(TURN_STEP_DEG if primitive is Primitive.LEFT else -TURN_STEP_DEG)
            self._pose = Pose(before.position_m, _wrapped(before.yaw_rad + math.radians(turned_deg)))
        self.positions.append(self.pose.position_m)
        self.collided.append(collided)
        self.actions.append(Primitive(primitive))
        return Motion(moved_m, turned_deg, collided)

    def halt(self) -> None:
        """Nothing moves between primitives."""

    def _forward(self, before: Pose) -> tuple[Pose, float, bool]:
        """Pose after a step ahead, metres moved, and whether less than the whole step was possible."""
        x, y, z = before.position_m
        wanted = (x - math.sin(before.yaw_rad) * FORWARD_M, y, z - math.cos(before.yaw_rad) * FORWARD_M)
        after = _triple(self.navmesh.try_step(np.array(before.position_m), np.array(wanted)))
        moved_m = math.dist(before.position_m, after)
        return Pose(after, before.yaw_rad), moved_m, moved_m**2 + COLLISION_MARGIN_M2 < FORWARD_M**2


def _triple(point: np.ndarray) -> tuple[float, float, float]:
    x, y, z = point.tolist()
    return x, y, z


def _wrapped(angle_rad: float) -> float:
    return math.remainder(angle_rad, 2 * math.pi)
