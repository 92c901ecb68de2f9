"""What an environment keeps of a walk: where its agent stands, and every primitive with what came of it."""

from __future__ import annotations

import math

from agents.protocols import Motion
from nvila_edge.navigation.actions import Primitive
from sim.geometry import Pose


class Footsteps:
    """Recorded since the reset: `positions` (start first), `collided` and `actions`, one entry per executed primitive."""

    def __init__(self) -> None:
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

    def halt(self) -> None:
        """Nothing moves between primitives."""

    def _begin(self, pose: Pose) -> Pose:
        """Forget the records; the agent stands here."""
        self._pose, self._frames = pose, 0
        self.positions, self.collided, self.actions = [pose.position_m], [], []
        return pose

    def _went(self, primitive: Primitive, after: Pose, collided: bool, turned_deg: float) -> Motion:
        """Record a primitive that ended at `after`."""
        moved_m = math.dist(self.pose.position_m, after.position_m)
        self._pose = after
        self.positions.append(after.position_m)
        self.collided.append(collided)
        self.actions.append(primitive)
        return Motion(moved_m, turned_deg, collided)
