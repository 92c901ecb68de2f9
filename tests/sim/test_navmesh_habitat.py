"""Our navmesh against what Habitat 0.3.3 recorded: its polygons, lengths, snapping, steps and follower; and the same on the mesh it exported."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmarks.navmesh_agreement import geodesics, numbers, points, recorded_steps, steps
from sim.env import walk
from sim.expert import expert_rollout
from sim.geometry import Pose, yaw_of
from sim.navmesh import NavMesh
from tests.sim.toy import box

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "habitat"
needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="../shared/golden/habitat isn't here")
SCENES = ("s1", "s2", "s3")
each_scene = pytest.mark.parametrize("scene", SCENES)


@cache
def golden(scene: str) -> dict:
    return json.loads((GOLDEN / scene / "geodesic.json").read_text())


@cache
def ours(scene: str) -> NavMesh:
    return NavMesh.from_glb(GOLDEN / scene / "scene.glb")


@cache
def theirs(scene: str) -> NavMesh:
    """The mesh that Habitat exported, without its roof."""
    islands = golden(scene)["navmesh"]["islands"]
    return NavMesh.from_polygons([triangle for island in islands for triangle in _triangles(island)])


def _triangles(island: dict) -> np.ndarray:
    return np.array(island["vertices"], dtype=np.float32)[np.array(island["triangles"])]


@needs_golden
@each_scene
def test_polygons_are_habitats_corner_by_corner(scene: str) -> None:
    mine = {(island.y_min_m, round(island.area_m2, 4)) for island in ours(scene).islands()}
    assert len(ours(scene).islands()) == len(golden(scene)["navmesh"]["islands"])
    assert {(island["y_range"][0], round(island["area"], 4)) for island in golden(scene)["navmesh"]["islands"]} == pytest.approx(mine) or all(
        any(y == pytest.approx(island.y_min_m, abs=1e-6) and area == pytest.approx(island.area_m2, abs=1e-3) for island in ours(scene).islands())
        for y, area in ((island["y_range"][0], island["area"]) for island in golden(scene)["navmesh"]["islands"])
    )
