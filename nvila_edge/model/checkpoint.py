"""The published checkpoint layout: config.json, llm/, vision_tower/, mm_projector/ (facts/nvila.md section 2)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PARTS = ("llm", "vision_tower", "mm_projector")


class CheckpointError(ValueError):
    """A folder that is not a checkpoint in the published layout; the message says what is missing."""


@dataclass(frozen=True)
class CheckpointConfig:
    """What config.json says, with defaults for what older checkpoints leave out; `raw` keeps every key for saving back."""

    projector: str
    image_aspect_ratio: str
    select_layer: int
    num_video_frames: int
    prompt_profile: str
    raw: dict[str, Any]


def checkpoint_folder(path: str | Path) -> Path:
    """The folder that holds config.json, also when it is wrapped in `model/`. Raises CheckpointError naming what is missing."""
    root = Path(path)
    for folder in (root, root / "model"):
        if (folder / "config.json").is_file():
            missing = [part for part in PARTS if not (folder / part).is_dir()]
            if missing:
                raise CheckpointError(f"{folder} has no {', '.join(part + '/' for part in missing)}; a checkpoint holds {', '.join(PARTS)}")
            return folder
    raise CheckpointError(f"{root} is not a checkpoint: no config.json in it or in its model/ folder")


def read_config(folder: Path) -> CheckpointConfig:
    """config.json of a checkpoint folder. Raises CheckpointError when it is not JSON or lacks the projector's type."""
    try:
        raw = json.loads((folder / "config.json").read_text())
        projector = raw["mm_projector_cfg"]["mm_projector_type"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / 'config.json'} cannot be read: {error!r}; is the download complete?") from error
    return CheckpointConfig(
        projector=projector,
        image_aspect_ratio=raw.get("image_aspect_ratio") or "resize",
        select_layer=int(raw.get("mm_vision_select_layer", -2)),
        num_video_frames=int(raw.get("num_video_frames") or 8),
        prompt_profile=raw.get("nvila_edge_prompt_profile", "navila"),
        raw=raw,
    )
