"""Our navmesh against what Habitat 0.3.3 recorded: polygons, lengths, snapping, steps, distance traces, follower; and the mesh it exported."""

from __future__ import annotations

import gzip
import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmarks.navmesh_agreement import geodesics, numbers, points, steps
from sim.expert import expert_rollout
from sim.geometry import Pose, yaw_of
from sim.navmesh import NavMesh

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "habitat"
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="../shared/golden/habitat isn't here")
each_scene = pytest.mark.parametrize("scene", ("s1", "s2", "s3"))


@cache
def golden(scene: str, name: str = "geodesic.json") -> dict:
    data = (GOLDEN / scene / name).read_bytes()
    return json.loads(gzip.decompress(data) if name.endswith(".gz") else data)


@cache
def ours(scene: str) -> NavMesh:
    return NavMesh.from_glb(GOLDEN / scene / "scene.glb")


def exported(scene: str) -> np.ndarray:
    """The triangles float32 [T, 3, 3] that Habitat exported, of all islands."""
    islands = golden(scene)["navmesh"]["islands"]
    return np.concatenate([np.array(island["vertices"], dtype=np.float32)[np.array(island["triangles"])] for island in islands])


def corners(polygons: list[np.ndarray] | np.ndarray) -> set[tuple[float, ...]]:
    return {tuple(corner) for polygon in polygons for corner in np.asarray(polygon, dtype=np.float32).tolist()}


@each_scene
def test_islands_and_every_corner_are_habitats_to_the_bit(scene: str) -> None:
    mesh, islands = ours(scene), golden(scene)["navmesh"]["islands"]
    assert corners(mesh.polygons()) == corners(exported(scene))
    theirs = sorted((island["y_range"][0], island["area"]) for island in islands)
    mine = sorted((island.y_min_m, island.area_m2) for island in mesh.islands())
    assert np.array(mine) == pytest.approx(np.array(theirs), rel=1e-5)
    assert mesh.main_island.area_m2 == pytest.approx(islands[golden(scene)["main_floor_island"]]["area"], rel=1e-5)
    triangles = [{tuple(corner) for corner in triangle.tolist()} for triangle in exported(scene)]
    polygons = [corners([polygon]) for polygon in mesh.polygons()]
    assert all(any(triangle <= polygon for polygon in polygons) for triangle in triangles)


@pytest.mark.parametrize("mesh_of", ["scene.glb", "exported"])
@each_scene
def test_lengths_points_and_steps_are_habitats(scene: str, mesh_of: str) -> None:
    mesh = ours(scene) if mesh_of == "scene.glb" else NavMesh.from_polygons(list(exported(scene)))
    lengths = geodesics(mesh, golden(scene))
    assert lengths["exact max cm"] < 0.01 and lengths["median cm"] < 0.01 and lengths["within 5 cm %"] >= 90
    assert lengths["beyond 5 cm"] == lengths[".. by fact 6"]  # where Habitat's own search isn't shortest
    assert lengths["reachable alike, all pairs %"] == 100
    if mesh_of == "scene.glb":  # its search depends on the polygons, which the export has cut into triangles
        assert lengths["Habitat's search max cm"] < 0.01
    assert set(points(mesh, golden(scene)).values()) == {100.0}
    walked = steps(mesh, golden(scene), GOLDEN / scene)
    assert walked["steps"] > 2000 and walked["flags alike %"] == 100
    assert min(walked["steps within 1 mm %"], walked["probes within 1 mm %"]) >= 99.5


@each_scene
def test_habitats_length_is_found_both_ways_and_to_other_islands(scene: str) -> None:
    for pair in golden(scene)["pairs"]:
        start, end = numbers(pair["start"]), numbers(pair["end"])
        for ours_m, theirs_m in (
            (ours(scene).habitat_geodesic(start, end), pair["geodesic"]),
            (ours(scene).habitat_geodesic(end, start), pair["geodesic_reverse"]),
        ):
            assert ours_m == pytest.approx(float(theirs_m), abs=1e-4)
        assert ours(scene).geodesic(start, end) <= float(pair["geodesic"]) + 1e-4


@each_scene
def test_distance_traces_of_the_scripted_agents_are_habitats(scene: str) -> None:
    goals = {
        str(episode["episode_id"]): np.array(episode["goals"][0]["position"])
        for name in ("episodes.json.gz", "edge_episodes.json.gz")
        for episode in golden(scene, name)["episodes"]
    }
    checked, edge = 0, set()
    for run in golden(scene, "metrics.json")["runs"]:
        if run.get("exception_at_reset") or run["agent"] not in ("gt_half_then_stop", "stop_immediately", "left_forward_x10_then_stop"):
            continue
        goal, last, distance = goals[str(run["episode_id"])], None, math.nan
        for position, theirs in zip(np.array(run["positions"]), run["distance_to_goal_trace"], strict=True):
            if last is None or not np.allclose(last, position, rtol=1e-5, atol=1e-4):  # habitat-lab measures anew after such a move only
                last, distance = position, ours(scene).habitat_geodesic(position, goal)
            assert distance == pytest.approx(float(theirs), abs=1e-4), (run["episode_id"], run["agent"])
        checked += 1
        edge |= {run.get("edge_kind")}
    assert checked >= 30 and len(edge) >= 8


@each_scene
def test_a_wrong_start_height_is_corrected_as_in_habitat(scene: str) -> None:
    heading = 0.25 * np.array([-math.sin(math.radians(15)), 0, -math.cos(math.radians(15))])  # after the probe's one left turn
    for probe in golden(scene, "rollouts.json")["height_snap_probe"]:
        start, turned = numbers(probe["start"]), numbers(probe["after_turn"])
        assert ours(scene).try_step(start, start) == pytest.approx(turned, abs=1e-4)
        assert ours(scene).try_step(turned, turned + heading) == pytest.approx(numbers(probe["after_forward"]), abs=1e-4)


@each_scene
def test_the_expert_ends_as_near_and_walks_as_far_as_habitats_follower(scene: str) -> None:
    lengths = []
    for trajectory in [one for one in golden(scene, "follower.json")["trajectories"] if one["allow_sliding"]][::3]:
        goal = numbers(trajectory["goal"])
        x, y, z = trajectory["start_position"]
        rollout = expert_rollout(ours(scene), Pose((x, y, z), yaw_of(trajectory["start_rotation"])), goal, trajectory["goal_radius"])
        assert ours(scene).geodesic(np.array(rollout.poses[-1].position_m), goal) < 0.25
        walked = [np.linalg.norm(np.diff(way, axis=0), axis=1).sum() for way in (rollout.locations, np.array(trajectory["positions"]))]
        assert abs(walked[0] - walked[1]) < 0.25 + 0.05 * walked[1]  # a step earlier or later, and 5 %
        lengths.append(walked)
    ours_m, theirs_m = np.sum(lengths, axis=0)
    assert len(lengths) == 10 and ours_m == pytest.approx(theirs_m, rel=0.05)
