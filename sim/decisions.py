"""What people want to see of every decision and no measure needs: the frame it was made on, what the expert would have done, how long each stage took.

Two files per episode, beside the contract's: `decisions/ID.json` and `frames/ID.jpg`, one contact sheet. Both are bounded (at most `MAX_TILES` thumbnails of
`TILE_PX`, about 2 kB each) and may be missing: the report then shows what results.jsonl tells.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from agents.events import Decided
from agents.protocols import Frame
from nvila_edge.navigation.actions import Action
from sim.expert import looked_on
from sim.geometry import Pose
from sim.policies import action_index
from sim.results import DECISIONS, FRAMES, Record, encode_line, write_atomic

TILE_PX = 96  # width of a thumbnail; its height follows the camera's shape
COLUMNS, MAX_TILES = 8, 64  # a longer episode shows every second, third .. decision
QUALITY = 60
_SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what a split may call an episode (sim/episodes.py): safe as a file name

ExpertAction = Callable[
    [Pose, tuple[float, ...]], Action
]  # pose, yaws looked along before on this spot (sim/expert.py) -> what the expert would do


class DecisionLog:
    """Collects one episode's decisions; `save` writes them.

    expert: None when nobody knows the way. looks: whether the policy sees the camera's frames (else there is nothing to show).
    """

    def __init__(self, expert: ExpertAction | None, looks: bool) -> None:
        self._expert, self._looks = expert, looks
        self._frame: Frame | None = None
        self._tiles: list[np.ndarray] = []
        self._expert_actions: list[int | None] = []
        self._yaw_deg: list[float] = []
        self._timing_ms: list[dict[str, float]] = []
        self._looked: tuple[float, ...] = ()

    def captured(self, frame: Frame) -> None:
        """The newest frame; its picture is looked at when a decision is made on it."""
        self._frame = frame

    def decided(self, event: Decided, pose: Pose) -> None:
        """A decision, made at `pose` on the newest frame."""
        if self._looks and self._frame is not None:
            self._tiles.append(thumbnail(self._frame.rgb))
        self._expert_actions.append(action_index(self._expert(pose, self._looked)) if self._expert else None)
        self._yaw_deg.append(round(math.degrees(pose.yaw_rad), 1))
        self._timing_ms.append(event.decision.timing_ms)
        self._looked = looked_on(self._looked, pose, event.decision.action)

    def save(self, out: Path, episode_id: str) -> None:
        """Write both files, each in one step; an episode that is played again replaces them. Raises OutputError."""
        stages = sorted({stage for timing in self._timing_ms for stage in timing})
        content: Record = {
            "episode_id": episode_id, "expert": self._expert_actions, "yaw_deg": self._yaw_deg,
            "timing_ms": {stage: [round(timing.get(stage, 0.0), 2) for timing in self._timing_ms] for stage in stages},
        }  # fmt: skip
        if self._tiles:
            kept = spread_over(len(self._tiles))
            height, width = self._tiles[0].shape[:2]
            content["sheet"] = {"width": width, "height": height, "columns": min(COLUMNS, len(kept)), "decisions": kept}
            (out / FRAMES).mkdir(parents=True, exist_ok=True)
            write_atomic(out / FRAMES / f"{episode_id}.jpg", contact_sheet([self._tiles[index] for index in kept]))
        (out / DECISIONS).mkdir(parents=True, exist_ok=True)
        write_atomic(out / DECISIONS / f"{episode_id}.json", encode_line(content))


@dataclass(frozen=True)
class Witness:
    """One episode's decisions as `DecisionLog` saved them, a value per decision: `expert` (index in ACTIONS, None: unknown), `yaw_deg`, `timing_ms` by
    stage; `shown`: the decision behind each tile of the contact sheet `sheet` (None: no frames), tiles of `tile_px` (width, height) in `columns`."""

    expert: tuple[int | None, ...]
    yaw_deg: tuple[float, ...]
    timing_ms: dict[str, tuple[float, ...]]
    shown: tuple[int, ...] = ()
    tile_px: tuple[int, int] = (0, 0)
    columns: int = 0
    sheet: Path | None = None

    @staticmethod
    def load(out: Path, episode_id: str) -> Witness | None:
        """What was saved for an episode; None when there is nothing, or nothing that can be read (an older or a copied folder)."""
        path, picture = out / DECISIONS / f"{episode_id}.json", out / FRAMES / f"{episode_id}.jpg"
        if not _SAFE_ID.fullmatch(episode_id) or not path.exists():
            return None
        try:
            content = json.loads(path.read_bytes())
            timing = {str(stage): tuple(map(float, values)) for stage, values in content["timing_ms"].items()}
            witness = Witness(tuple(content["expert"]), tuple(map(float, content["yaw_deg"])), timing)
            sheet = content.get("sheet")
            if sheet is None or not picture.exists():
                return witness
            size = int(sheet["width"]), int(sheet["height"])
            return Witness(
                witness.expert, witness.yaw_deg, timing, tuple(map(int, sheet["decisions"])), size, int(sheet["columns"]), picture
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None


def thumbnail(rgb: np.ndarray) -> np.ndarray:
    """A frame, uint8 [H, W, 3], as wide as a tile."""
    height = max(1, round(TILE_PX * rgb.shape[0] / rgb.shape[1]))
    return np.asarray(Image.fromarray(rgb).resize((TILE_PX, height), Image.Resampling.BOX))


def spread_over(count: int) -> list[int]:
    """Which of so many decisions are shown: all, or `MAX_TILES` evenly from the first to the last."""
    if count <= MAX_TILES:
        return list(range(count))
    return [index * (count - 1) // (MAX_TILES - 1) for index in range(MAX_TILES)]


def contact_sheet(tiles: list[np.ndarray]) -> bytes:
    """The tiles, all of one shape, row by row as one JPEG."""
    height, width = tiles[0].shape[:2]
    columns = min(COLUMNS, len(tiles))
    sheet = np.zeros((-(-len(tiles) // columns) * height, columns * width, 3), np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * height, index % columns * width
        sheet[top : top + height, left : left + width] = tile
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()
