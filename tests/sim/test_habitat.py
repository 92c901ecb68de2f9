"""The Habitat environment against recordings of habitat_sim 0.3.3 with habitat-lab (golden/habitat; FORMAT.md there). Needs habitat_sim."""

from __future__ import annotations

import gzip
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nvila_edge.navigation.actions import Primitive
from sim.env import HouseEnv
from sim.evaluate import EvalOptions, evaluate
from sim.geometry import Pose, yaw_of
from sim.habitat import HabitatEnv, HabitatError, HabitatSim
from sim.habitat_doctor import habitat_checks
from sim.habitat_scenes import write_stage_config
from sim.houses.glb import write_glb
from sim.metrics import episode_metrics
from sim.navmesh import NavMesh
from sim.outcome import measured
from sim.renderer import Renderer
from sim.results import load_run
from sim.task_profiles import TASK_PROFILES, TaskProfile
from tests.sim.test_evaluate import Silent
from tests.sim.toy import two_rooms

pytestmark = pytest.mark.habitat
SCENES = ("s1", "s2", "s3")
RECORDED = TaskProfile("recorded", 128, 128, 90.0, 1.25)


@pytest.fixture(scope="module")
def scenes(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorded scenes as Habitat wants them: SCENE/scene.glb with its description beside it."""
    pytest.importorskip("habitat_sim")
    folder = tmp_path_factory.mktemp("scenes")
    for name in SCENES:
        (folder / name).mkdir()
        shutil.copy(golden / "habitat" / name / "scene.glb", folder / name)
        shutil.copy(golden / "habitat" / name / "stage_config.json", folder / name / "scene.stage_config.json")
    return folder


@pytest.fixture(scope="module")
def simulator() -> Iterator[HabitatSim]:
    pytest.importorskip("habitat_sim")
    opened = HabitatSim(RECORDED)
    yield opened
    opened.close()


def recorded(golden: Path, scene: str, name: str) -> Any:
    return json.loads((golden / "habitat" / scene / name).read_text())


def start_of(record: dict) -> Pose:
    return Pose(tuple(record["start_position"]), yaw_of(record["start_rotation"]))


@pytest.mark.parametrize("scene", SCENES)
def test_replayed_actions_end_where_habitat_ended(scene: str, scenes: Path, simulator: HabitatSim, golden: Path) -> None:
    env = HabitatEnv(simulator, scenes / scene / "scene.glb")
    for rollout in [r for r in recorded(golden, scene, "rollouts.json")["rollouts"] if r["allow_sliding"]]:
        env.reset(start_of(rollout))
        for action in rollout["actions"]:
            env.execute(action)
        np.testing.assert_allclose(env.positions[1:], rollout["positions"], atol=1e-5)
        assert env.collided == [bool(flag) for flag in rollout["collided"]]
        assert abs(math.remainder(env.pose.yaw_rad - yaw_of(rollout["rotations"][-1]), 2 * math.pi)) < 1e-4


@pytest.mark.parametrize("scene", SCENES)
def test_measures_equal_habitat_labs(scene: str, scenes: Path, simulator: HabitatSim, golden: Path) -> None:
    """Every third scripted run, the awkward episodes too: distance after every step, and the measures at the end."""
    env = HabitatEnv(simulator, scenes / scene / "scene.glb")
    episodes, truths = {}, {}
    for name in ("episodes", "edge_episodes"):
        files = [golden / "habitat" / scene / f"{name}{end}.json.gz" for end in ("", "_gt")]
        found, truth = (json.loads(gzip.decompress(file.read_bytes())) for file in files)
        episodes |= {str(e["episode_id"]): e for e in found["episodes"]}
        truths |= truth
    runs = [run for run in recorded(golden, scene, "metrics.json")["runs"] if "exception_at_reset" not in run][::3]
    assert len(runs) > 20
    for run in runs:
        episode = episodes[str(run["episode_id"])]
        env.reset(Pose(tuple(episode["start_position"]), yaw_of(episode["start_rotation"])))
        for action in run["actions"]:
            env.execute(action)
        distances = measured(env.positions, env.distances_to(np.array(episode["goals"][0]["position"])))
        np.testing.assert_allclose(distances, np.array(run["distance_to_goal_trace"], float), rtol=1e-5, atol=1e-5)
        locations = truths[str(run["episode_id"])]["locations"]
        found = episode_metrics(env.positions, run["actions"], distances, env.collided, locations)
        for ours, theirs in {"distance_to_goal": "distance_to_goal", "success": "success", "spl": "spl", "ndtw": "ndtw_exact"}.items():
            if theirs in run["metrics"]:
                np.testing.assert_allclose(
                    found[ours], float(run["metrics"][theirs]), rtol=1e-4, atol=1e-5, err_msg=f"{run['agent']} {ours}"
                )


def test_the_follower_walks_as_it_was_recorded(scenes: Path, simulator: HabitatSim, golden: Path) -> None:
    env = HabitatEnv(simulator, scenes / "s2" / "scene.glb")
    walks = [t for t in recorded(golden, "s2", "follower.json")["trajectories"] if t["allow_sliding"] and not t["follower_error"]][:8]
    for walk in walks:
        env.reset(start_of(walk))
        follower = env.follower(np.array(walk["goal"]), walk["goal_radius"])
        while not env.actions or (env.actions[-1] != Primitive.STOP and len(env.actions) < 500):
            env.execute(follower())
        distance = env.distances_to(np.array(walk["goal"])).distance(np.array(env.pose.position_m))
        assert distance == pytest.approx(float(walk["final_geodesic"]), abs=0.1) and distance < 0.3
        assert abs(len(env.actions) - len(walk["actions"])) <= 3


def test_frames_are_the_recorded_ones(scenes: Path, simulator: HabitatSim, golden: Path) -> None:
    env = HabitatEnv(simulator, scenes / "s1" / "scene.glb")
    frames = np.load(golden / "habitat" / "s1" / "frames.npz")
    for position, rotation, rgb in zip(frames["position"], frames["rotation_xyzw"], frames["rgb"], strict=True):
        env.reset(Pose(tuple(float(v) for v in position), yaw_of([float(v) for v in rotation])))
        assert np.abs(env.capture().rgb.astype(int) - rgb).mean() < 1.0


def test_a_turn_corrects_a_wrong_start_height(scenes: Path, simulator: HabitatSim, golden: Path) -> None:
    env = HabitatEnv(simulator, scenes / "s1" / "scene.glb")
    for probe in recorded(golden, "s1", "rollouts.json")["height_snap_probe"][:4]:
        assert env.reset(Pose(tuple(probe["start"]), 0.0)).position_m == pytest.approx(probe["start"])
        assert not env.execute(Primitive.LEFT).collided
        assert env.pose.position_m == pytest.approx(probe["after_turn"], abs=1e-5)


def test_a_bigger_body_gets_a_navmesh_of_its_own_and_its_own_camera(scenes: Path) -> None:
    pytest.importorskip("habitat_sim")
    areas = []
    for name in ("vlnce-r2r", "rxr-official"):
        opened = HabitatSim(TASK_PROFILES[name])
        env = HabitatEnv(opened, scenes / "s2" / "scene.glb")
        areas.append(opened.open(scenes / "s2" / "scene.glb").pathfinder.navigable_area)
        env.reset(Pose(tuple(opened.open(env.scene).pathfinder.get_random_navigable_point()), 0.0))
        shape = env.capture().rgb.shape
        assert shape == (TASK_PROFILES[name].height, TASK_PROFILES[name].width, 3)
        assert env.execute(Primitive.LEFT).turned_deg == TASK_PROFILES[name].turn_deg
        assert env.pose.yaw_rad == pytest.approx(math.radians(TASK_PROFILES[name].turn_deg), abs=1e-5)
        opened.close()
    assert areas[1] < areas[0]


def test_our_house_looks_and_walks_alike_in_both(tmp_path: Path) -> None:
    """The toy house through its GLB: the same view from the same pose, and the same way along a wall."""
    pytest.importorskip("habitat_sim")
    house = two_rooms()
    scene = tmp_path / "toy.glb"
    write_glb(house, scene)
    write_stage_config(scene)
    renderer, opened = Renderer(), HabitatSim(TASK_PROFILES["vlnce-r2r"])
    ours, theirs = HouseEnv(house, NavMesh.from_triangles(house.triangle_soup), renderer), HabitatEnv(opened, scene)
    start = Pose((-2.0, 0.1, 0.0), -math.pi / 2)
    ours.reset(start)
    theirs.reset(start)
    for action in [2, 1, 1, 3, 1, 1, 2, 2, 1, 3]:
        ours.execute(action)
        theirs.execute(action)
        assert math.dist(ours.pose.position_m, theirs.pose.position_m) < 0.03
        assert np.abs(ours.capture().rgb.astype(int) - theirs.view(ours.pose)).mean() < 6.0
    opened.close()
    renderer.close()


def test_an_evaluation_runs_in_habitat_and_the_oracle_always_arrives(scenes: Path, golden: Path, tmp_path: Path) -> None:
    split = scenes / "val"
    split.mkdir()
    shutil.copy(golden / "habitat" / "s1" / "episodes.json.gz", split / "val.json.gz")
    shutil.copy(golden / "habitat" / "s1" / "episodes_gt.json.gz", split / "val_gt.json.gz")
    summary = evaluate(EvalOptions(tmp_path, policy="oracle", env="habitat", dataset=str(scenes), split="val", videos=1), Silent())
    results, _, _ = load_run(tmp_path)
    assert summary["SR"] == 100.0 and summary["episodes"] == len(results) == 8
    assert summary["config"]["profile"] == "vlnce-r2r" and summary["config"]["habitat_sim"].startswith("0.")
    assert len(list((tmp_path / "videos").glob("*.mp4"))) == 1


def test_a_scene_that_cannot_be_opened_is_named(tmp_path: Path, simulator: HabitatSim) -> None:
    with pytest.raises(HabitatError, match="absent.glb"):
        HabitatEnv(simulator, tmp_path / "absent.glb")


def test_the_doctor_finds_habitat_and_a_device_to_draw_with() -> None:
    pytest.importorskip("habitat_sim")
    version, egl = (check.probe() for check in habitat_checks(None, "val_unseen", None)[:2])
    assert version.startswith("0.") and "224, 224" in egl
