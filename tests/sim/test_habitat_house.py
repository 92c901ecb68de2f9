"""One house on both renderers. In a file of its own: no simulator of another test may be open while our renderer draws. Needs habitat_sim."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from sim.env import HouseEnv
from sim.geometry import Pose
from sim.habitat import HabitatEnv, HabitatSim
from sim.habitat_scenes import write_stage_config
from sim.houses.glb import write_glb
from sim.navmesh import NavMesh
from sim.renderer import Renderer
from sim.task_profiles import TASK_PROFILES
from tests.sim.toy import two_rooms

pytestmark = pytest.mark.habitat


def test_our_house_looks_and_walks_alike_in_both(tmp_path: Path) -> None:
    """The toy house through its GLB: the same view from the same pose, and the same way along a wall."""
    pytest.importorskip("habitat_sim")
    house = two_rooms()
    scene = tmp_path / "toy.glb"
    write_glb(house, scene)
    write_stage_config(scene)
    start, actions = Pose((-2.0, 0.1, 0.0), -math.pi / 2), [2, 1, 1, 3, 1, 1, 2, 2, 1, 3]
    renderer = Renderer()
    ours = HouseEnv(house, NavMesh.from_triangles(house.triangle_soup), renderer)
    ours.reset(start)
    seen = []
    for action in actions:
        ours.execute(action)
        seen.append((ours.pose, ours.capture().rgb.astype(int)))
    renderer.close()  # two OpenGL contexts in one process take each other's place
    opened = HabitatSim(TASK_PROFILES["vlnce-r2r"])
    theirs = HabitatEnv(opened, scene)
    theirs.reset(start)
    for action, (pose, rgb) in zip(actions, seen, strict=True):
        theirs.execute(action)
        assert math.dist(pose.position_m, theirs.pose.position_m) < 0.03
        assert np.abs(rgb - theirs.view(pose)).mean() < 9.0  # our renderer darkens what is far, Habitat does not
    opened.close()
