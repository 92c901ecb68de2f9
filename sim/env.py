"""A house behind the loop's camera and robot protocols: VLN-CE's primitives on the navmesh, frames from the renderer."""

from __future__ import annotations

import math

import numpy as np

from agents.protocols import Frame, Motion
from nvila_edge.navigation.actions import FORWARD_STEP_CM, TURN_STEP_DEG, Primitive
from sim.cameras import LazyFrame
from sim.footsteps import Footsteps
from sim.geometry import Pose
from sim.houses.house import House
from sim.navmesh import DistanceTo, NavMesh
from sim.renderer import Renderer

FORWARD_M = FORWARD_STEP_CM / 100
COLLISION_MARGIN_M2 = 1e-5  # Habitat: collided when moved^2 + 1e-5 < wanted^2 (0 mismatches in 16,906 recorded steps)


def walk(navmesh: NavMesh, pose: Pose, primitive: Primitive | int, turn_deg: int = TURN_STEP_DEG) -> Pose:
    """Where a primitive ends: 0.25 m ahead (sliding along obstacles), turned by `turn_deg`, or at `pose` itself for a stop."""
    if primitive == Primitive.FORWARD:
        start = np.array(pose.position_m)
        return Pose(triple(navmesh.try_step(start, start + pose.heading * FORWARD_M)), pose.yaw_rad)
    if primitive == Primitive.STOP:
        return pose
    # remainder is exact, wrap_angle is not: yaws in ground truth hang on the last bit
    return Pose(pose.position_m, math.remainder(pose.yaw_rad + math.radians(_turned_deg(Primitive(primitive), turn_deg)), 2 * math.pi))


def _turned_deg(primitive: Primitive, turn_deg: int) -> float:
    return float({Primitive.LEFT: turn_deg, Primitive.RIGHT: -turn_deg}.get(primitive, 0))


def triple(point: np.ndarray) -> tuple[float, float, float]:
    """A point [3] as plain numbers."""
    x, y, z = point.tolist()
    return x, y, z


class HouseEnv(Footsteps):
    """One agent in one house. Several environments may share a renderer: it is told to load the house only when another one is loaded.

    turn_deg: of a LEFT or RIGHT.
    """

    def __init__(self, house: House, navmesh: NavMesh, renderer: Renderer, turn_deg: int = TURN_STEP_DEG) -> None:
        super().__init__()
        self.house, self.navmesh, self._renderer, self._turn_deg = house, navmesh, renderer, turn_deg

    def reset(self, pose: Pose) -> Pose:
        """Put the agent on the navmesh at `pose`, forget the records, and return where it stands now.

        Raises ValueError when nothing walkable is near.
        """
        point = self.navmesh.snap(np.array(pose.position_m))
        if not np.isfinite(point).all():
            raise ValueError(f"nothing walkable near {pose.position_m} in {self.house.name}: choose a start on the navmesh (NavMesh.snap)")
        return self._begin(Pose(triple(point), pose.yaw_rad))

    def capture(self) -> Frame:
        """The view from the current pose, rendered when it is looked at."""
        pose = self.pose
        self._frames += 1
        return LazyFrame(self._frames - 1, lambda: self._view(pose))

    def _view(self, pose: Pose) -> np.ndarray:
        self._renderer.show(self.house)
        return self._renderer.rgb(pose)

    def execute(self, primitive: Primitive | int) -> Motion:
        """Move by the rules of `walk` and record the outcome. Raises ValueError for a number that is no primitive."""
        primitive, before = Primitive(primitive), self.pose
        after = walk(self.navmesh, before, primitive, self._turn_deg)
        moved_m = math.dist(before.position_m, after.position_m)
        collided = primitive == Primitive.FORWARD and moved_m**2 + COLLISION_MARGIN_M2 < FORWARD_M**2
        return self._went(primitive, after, collided, _turned_deg(primitive, self._turn_deg))

    def distances_to(self, goal: np.ndarray) -> DistanceTo:
        """Geodesic distances to `goal` [3] on the house's navmesh."""
        return self.navmesh.distances_to(goal)
