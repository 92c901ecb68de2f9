"""`nvila-edge doctor habitat`: what an evaluation in Habitat needs, what of it is missing, and the mend of each."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

from nvila_edge.doctor import Check
from sim.episodes import load_split
from sim.habitat import load_habitat
from sim.habitat_scenes import SCENES_FOLDER, find_scene, orientation_trap, stage_config

OLDEST, NEWEST = (0, 2, 4), (0, 3)  # run: 0.3.3 (Python 3.11); its interface as we use it has been there since 0.2.4
PROBE_S = 300.0  # importing compiles numba functions, the first frame shaders: a minute on a machine that is busy
# Without an EGL device Magnum ends the process, so a process of its own asks
_PROBE = """
from pathlib import Path
from sim.habitat import configuration, load_habitat
from sim.task_profiles import TASK_PROFILES
habitat = load_habitat()
with habitat.Simulator(configuration(habitat, TASK_PROFILES["vlnce-r2r"], Path("NONE"))) as simulator:
    print(simulator.get_sensor_observations()["rgb"].shape)
"""


def habitat_checks(dataset: Path | None, split: str, scenes: Path | None) -> list[Check]:
    """The checks; those of scenes are about the dataset's split when one is given, else about what lies in the scenes' folder."""
    found = partial(_scenes, dataset, split, scenes)
    return [
        Check("habitat_sim", _version), Check("EGL device", _egl), Check("scenes", lambda: f"{len(found())} found"),
        Check("which way is up", lambda: _orientation(found())), Check("navmeshes", lambda: _navmeshes(found())),
    ]  # fmt: skip


def _version() -> str:
    version = str(load_habitat().__version__)
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if numbers < OLDEST or numbers[:2] > NEWEST:
        raise ValueError(f"{version} is installed; 0.2.4 to 0.3.x are supported: install one of those into this environment")
    return version


def _egl() -> str:
    root = Path(__file__).resolve().parents[1]
    try:
        done = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=PROBE_S, cwd=root)
    except subprocess.TimeoutExpired:
        raise ValueError(f"nothing was drawn within {PROBE_S:.0f} s: another process may hold the GPU; try again") from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[-300:]
        raise ValueError(
            f"Habitat cannot draw here (status {done.returncode}): {said}; without a GPU: apt-get install -y libegl1 libgl1-mesa-dri, with "
            "one: its driver's libEGL (in a container NVIDIA_DRIVER_CAPABILITIES=all), a headless build of habitat_sim, and no DISPLAY"
        )
    return f"Habitat draws off-screen, frame {done.stdout.strip()}"


def _scenes(dataset: Path | None, split: str, scenes: Path | None) -> list[Path]:
    """The GLBs in question. Raises ValueError when there are none, and names those that are missing."""
    if dataset is not None:
        names = sorted({episode.scene_id for episode in load_split(dataset, split).episodes})
        return [find_scene(name, dataset, scenes, check=False) for name in names]
    root = scenes or SCENES_FOLDER
    found = sorted(path for path in root.rglob("*.glb")) if root.is_dir() else []
    if not found:
        raise ValueError(
            f"no .glb below {root}; Matterport's come with its licence (mp3d/SCAN/SCAN.glb, Habitat's download script, task habitat), our own "
            "from `nvila-edge data houses --out DIR`; say where they are with --scenes DIR, or --dataset DIR for those of a dataset"
        )
    return found


def _orientation(scenes: list[Path]) -> str:
    traps = [trap for scene in scenes if (trap := orientation_trap(scene))]
    if traps:
        raise ValueError(f"{len(traps)} of {len(scenes)} would lie on their side; the first: {traps[0]}")
    described = sum(stage_config(scene).exists() for scene in scenes)
    return f"{described} have a stage description, {len(scenes) - described} are taken as Z-up, as Matterport's are"


def _navmeshes(scenes: list[Path]) -> str:
    """Matterport's are shipped, and published figures use those; a scene without one gets one when it is opened."""
    missing = [scene for scene in scenes if not scene.with_suffix(".navmesh").exists()]
    matterport = [scene for scene in missing if not stage_config(scene).exists()]
    if matterport:
        raise ValueError(
            f"{len(matterport)} of {len(scenes)} Z-up scenes have no .navmesh beside them, the first is {matterport[0]}: episodes would run on "
            "a navmesh made here, not the published one; take the .navmesh files from the same download (mp3d's task habitat has them)"
        )
    return f"{len(scenes) - len(missing)} are there, {len(missing)} are made when a house is opened"
