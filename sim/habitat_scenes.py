"""Scenes as Habitat wants them: where a scene id's GLB lies, and the stage description that says which way is up.

Habitat takes a bare GLB as Matterport's are: +Z up. A glTF file is +Y up, and without a description beside it the house lies on its
side: no error, a navmesh on its walls (habitat-sim 0.3.3).
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

from sim.results import write_atomic

SCENES_FOLDER = Path("data/scene_datasets")  # Habitat's usual place, seen from the working directory
_MAGIC, _JSON_CHUNK = 0x46546C67, 0x4E4F534A  # glTF 2.0, 4.4: "glTF" and "JSON", little endian


def stage_config(scene: Path) -> Path:
    """Where Habitat looks for a GLB's stage description: NAME.stage_config.json beside NAME.glb."""
    return scene.with_name(f"{scene.stem}.stage_config.json")


def write_stage_config(scene: Path) -> Path:
    """Write the description of a GLB that is +Y up, as glTF says, with nothing lit: what its textures and colours say is what is seen."""
    path = stage_config(scene)
    write_atomic(path, json.dumps(_upright(scene), indent=1).encode())
    return path


def _upright(scene: Path) -> dict[str, Any]:
    return {"render_asset": scene.name, "up": [0.0, 1.0, 0.0], "front": [0.0, 0.0, -1.0], "force_flat_shading": True}


def find_scene(scene_id: str, dataset: Path, scenes: Path | None, check: bool = True) -> Path:
    """The GLB of a scene id such as "mp3d/SCAN/SCAN.glb" or "houses/NAME/NAME.glb".

    Looked for in `scenes` (which may be the folder of mp3d itself), or else in the dataset's folder and in data/scene_datasets.
    Raises ValueError that says where it was looked for, and (with `check`) when Habitat would lay the scene on its side.
    """
    relative = Path(scene_id)
    roots = [dataset, SCENES_FOLDER] if scenes is None else [scenes]
    tried = [root / relative for root in roots]
    if scenes is not None:
        tried.append(scenes / Path(*relative.parts[1:]))
    found = next((path for path in tried if path.is_file()), None)
    if found is None:
        places = ", ".join(str(path) for path in tried)
        make = (
            "; generated houses come from `nvila-edge data houses --out DIR`, then --dataset DIR" if relative.parts[0] == "houses" else ""
        )
        raise ValueError(
            f"no scene {scene_id}: looked for {places}; give the folder that holds {relative.parts[0]}/ with --scenes DIR{make}"
        )
    trap = orientation_trap(found) if check else ""
    if trap:
        raise ValueError(trap)
    return found


def orientation_trap(scene: Path) -> str:
    """What is wrong with the way that Habitat would stand the scene up, and its mend; "" when nothing is.

    A GLB with a stage description is left alone. One without is taken as +Z up, which is wrong when its y extent is clearly the smallest:
    rooms are wider than they are high.
    """
    if stage_config(scene).exists():
        return ""
    extent = glb_extent(scene)
    if extent is None or extent[1] > 0.8 * min(extent[0], extent[2]):
        return ""
    size = " x ".join(f"{value:.1f}" for value in extent)
    return (
        f"{scene} is {size} m, +Y up, and has no {stage_config(scene).name} beside it: Habitat would lay it on its side without an error; "
        f"write that file with the content {json.dumps(_upright(scene))}, or make the house again with `nvila-edge data houses`"
    )


def glb_extent(scene: Path) -> tuple[float, float, float] | None:
    """Size (x, y, z) in metres of all meshes by their accessors' bounds; None when it can't be told (compressed, or nodes that turn them).

    Raises ValueError for a file that is no binary glTF.
    """
    root = _glb_json(scene)
    if any({"rotation", "matrix"} & node.keys() for node in root.get("nodes", [])):
        return None
    used = {primitive["attributes"].get("POSITION") for mesh in root.get("meshes", []) for primitive in mesh.get("primitives", [])}
    bounds = [root["accessors"][index] for index in used if index is not None]
    if not bounds or not all("min" in accessor and "max" in accessor for accessor in bounds):
        return None
    low = [min(accessor["min"][axis] for accessor in bounds) for axis in range(3)]
    high = [max(accessor["max"][axis] for accessor in bounds) for axis in range(3)]
    x, y, z = (float(b) - float(a) for a, b in zip(low, high, strict=True))
    return (x, y, z) if math.isfinite(x + y + z) else None


def _glb_json(scene: Path) -> dict[str, Any]:
    try:
        with scene.open("rb") as stream:
            magic, _, _, length, kind = struct.unpack("<5I", stream.read(20))
            if (magic, kind) == (_MAGIC, _JSON_CHUNK):
                return json.loads(stream.read(length))
    except (struct.error, ValueError):
        pass
    raise ValueError(f"{scene} is no readable binary glTF; download or make the scene again")
