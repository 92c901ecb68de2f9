"""Scenes for Habitat: where they are looked for, which way they are up, and what is said when something is missing. Needs no Habitat."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nvila_edge.doctor import FAIL, Finding, run_checks
from sim.episodes import Episode
from sim.evaluate import EvalOptions, check
from sim.geometry import Pose
from sim.habitat import HabitatError, load_habitat
from sim.habitat_doctor import habitat_checks
from sim.habitat_scenes import find_scene, glb_extent, orientation_trap, stage_config, write_stage_config
from sim.habitat_world import HabitatWorld
from sim.houses.glb import write_glb
from sim.outcome import LeftOut
from sim.task_profiles import TASK_PROFILES, task_profile
from tests.sim.toy import two_rooms


@pytest.fixture()
def dataset(tmp_path: Path) -> Path:
    """A folder with one scene, houses/toy/toy.glb."""
    scene = tmp_path / "houses" / "toy" / "toy.glb"
    scene.parent.mkdir(parents=True)
    write_glb(two_rooms(), scene)
    return tmp_path


def test_a_described_house_is_found_in_the_datasets_folder_and_in_the_folder_of_scenes(dataset: Path, tmp_path: Path) -> None:
    scene = dataset / "houses" / "toy" / "toy.glb"
    description = write_stage_config(scene)
    assert description == stage_config(scene) == scene.with_name("toy.stage_config.json")
    content = json.loads(description.read_text())
    assert (content["render_asset"], content["up"], content["front"]) == ("toy.glb", [0, 1, 0], [0, 0, -1])
    assert find_scene("houses/toy/toy.glb", dataset, None) == scene
    assert find_scene("houses/toy/toy.glb", Path("elsewhere"), dataset) == scene
    assert find_scene("houses/toy/toy.glb", Path("elsewhere"), dataset / "houses") == scene


def test_a_house_without_a_description_is_refused_because_habitat_would_lay_it_on_its_side(dataset: Path) -> None:
    scene = dataset / "houses" / "toy" / "toy.glb"
    x, y, z = glb_extent(scene) or (0.0, 0.0, 0.0)
    assert y < min(x, z)
    with pytest.raises(ValueError, match=r"on its side.*toy.stage_config.json|toy.stage_config.json.*on its side") as refused:
        find_scene("houses/toy/toy.glb", dataset, None)
    assert '"up": [0.0, 1.0, 0.0]' in str(refused.value), "the mend is in the message"
    assert find_scene("houses/toy/toy.glb", dataset, None, check=False) == scene


def test_a_z_up_scene_needs_no_description(dataset: Path, golden: Path) -> None:
    """Matterport's GLBs are Z-up; here a house whose y extent is the largest stands in for one."""
    scene = dataset / "houses" / "toy" / "toy.glb"
    binary = scene.read_bytes()
    length = int.from_bytes(binary[12:16], "little")
    root = json.loads(binary[20 : 20 + length])
    for accessor in root["accessors"]:
        if "min" in accessor:
            accessor["min"], accessor["max"] = ([accessor[end][axis] for axis in (0, 2, 1)] for end in ("min", "max"))
    text = json.dumps(root, separators=(",", ":")).encode()
    scene.write_bytes(binary[:20] + text.ljust(length) + binary[20 + length :])
    assert orientation_trap(scene) == ""
    shutil.copy(golden / "habitat" / "s1" / "scene.glb", scene)
    assert "on its side" in orientation_trap(scene)


def test_missing_scenes_name_every_place_and_the_mend(dataset: Path) -> None:
    with pytest.raises(ValueError, match=r"mp3d/a/a\.glb.*data/scene_datasets/mp3d/a/a\.glb.*--scenes"):
        find_scene("mp3d/a/a.glb", dataset, None)
    with pytest.raises(ValueError, match="nvila-edge data houses"):
        find_scene("houses/other/other.glb", dataset, None)


def test_a_file_that_is_no_glb_is_named(dataset: Path) -> None:
    scene = dataset / "houses" / "toy" / "toy.glb"
    for content in (b"glTF but not really", b"\0" * 40, b""):
        scene.write_bytes(content)
        with pytest.raises(ValueError, match="toy.glb is no readable binary glTF"):
            glb_extent(scene)


def test_without_habitat_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "habitat_sim", None)
    with pytest.raises(HabitatError, match=r"conda install habitat-sim.*from source.*doctor habitat"):
        load_habitat()


def findings(dataset: Path | None, scenes: Path | None) -> dict[str, Finding]:
    return {finding.name: finding for finding in run_checks(habitat_checks(dataset, "val_unseen", scenes)[2:])}


def test_the_doctor_counts_scenes_and_names_the_trap_and_missing_navmeshes(dataset: Path) -> None:
    found = findings(None, dataset)
    assert found["scenes"].text == "1 found"
    assert found["which way is up"].state == FAIL and "1 of 1 would lie on their side" in found["which way is up"].text
    assert found["navmeshes"].state == FAIL and "toy.glb" in found["navmeshes"].text
    write_stage_config(dataset / "houses" / "toy" / "toy.glb")
    found = findings(None, dataset)
    assert "1 have a stage description" in found["which way is up"].text and "1 are made when a house is opened" in found["navmeshes"].text
    assert "--scenes DIR" in findings(None, dataset / "nothing")["scenes"].text


def test_profiles_are_those_of_the_published_systems() -> None:
    assert list(TASK_PROFILES) == ["vlnce-r2r", "navila-r2r", "navid-r2r", "rxr-official"]
    cameras = {name: (p.width, p.height, p.hfov_deg, p.camera_height_m, p.turn_deg) for name, p in TASK_PROFILES.items()}
    assert cameras == {
        "vlnce-r2r": (224, 224, 90, 1.25, 15), "navila-r2r": (512, 512, 90, 1.25, 15), "navid-r2r": (640, 480, 90, 1.25, 30),
        "rxr-official": (640, 480, 79, 0.88, 30),
    }  # fmt: skip
    assert [name for name, p in TASK_PROFILES.items() if p.needs_own_navmesh or not p.sliding] == ["rxr-official"]
    with pytest.raises(ValueError, match="did you mean 'navila-r2r'"):
        task_profile("navila")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "navila-r2r"}, "--env habitat"),
        ({"env": "habitat", "profile": "navid-r2r"}, "turns by 30 degrees"),
        ({"env": "habitat", "profile": "r2r", "policy": "oracle"}, "unknown task profile"),
        ({"env": "gibson"}, "house, habitat"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        check(EvalOptions(tmp_path, **options))


def test_an_episode_that_starts_far_from_its_scenes_floor_is_left_out(dataset: Path) -> None:
    start = (1.0, 0.0, 2.0)
    episode = Episode("1", "1", "a.glb", start, (0, 0, 0, 1), ((0, 0, 0),), ((0, 0, 0),), "go", 1.0, ())
    for away_m, fits in ((0.0, True), (0.3, True), (1.2, False)):
        floor: Any = SimpleNamespace(scene=dataset / "a.glb", walkable_near=lambda at, away_m=away_m: (at[0] + away_m, at[1], at[2]))
        with nullcontext() if fits else pytest.raises(LeftOut, match=r"1\.20 m from what can be walked on in a\.glb"):
            HabitatWorld(floor, ()).check(episode, Pose(start, 0.0))
