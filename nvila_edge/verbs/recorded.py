"""Recorded decisions that `export` calibrates with and `verify` compares on."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def calibration(source: str, split: str, houses: int, seed: int) -> Any:
    """What export calibrates with and verify compares on: of a folder, or ("builtin") the expert in generated houses.

    A folder may hold .npz recordings, pictures, and what `nvila-edge agent --record` wrote, or be one of the latter. Raises ValueError.
    """
    from export.calibration import Calibration, Recording, read_calibration

    if source != "builtin":
        return read_calibration(source, _driven(Path(source)))
    from sim.recordings import expert_recordings

    print(f"recording the expert in {houses} houses of {split} …", flush=True)
    recordings = [Recording(*parts) for parts in expert_recordings(split, houses, 2, seed)]
    return Calibration(recordings, name=f"expert, {houses} houses of {split}, seed {seed}")


def _driven(folder: Path) -> list[Any]:
    """What agents recorded there: of each decision that was an action, its newest frame and the action; broken-off episodes as far as they go."""
    if not any(folder.glob("*.mcap")) and not any(folder.glob("*/*.mcap")):
        return []
    import numpy as np

    from agents.recording.reader import Seen, is_recording, read_recording
    from export.calibration import Recording
    from nvila_edge.navigation.actions import ACTIONS
    from nvila_edge.serving.jpeg import decode_jpeg

    found = []
    for path in [folder] if is_recording(folder) else sorted(inside for inside in folder.iterdir() if is_recording(inside)):
        recording = read_recording(path)
        seen = {step.frame_id: step.jpeg for step in recording.steps if isinstance(step, Seen)}
        decided = [one for one in recording.decisions if one.decision.action in ACTIONS and one.frame_id in seen]
        if decided:
            frames = np.stack([decode_jpeg(seen[one.frame_id]) for one in decided])
            found.append(Recording(recording.instruction, frames, np.array([ACTIONS.index(one.decision.action) for one in decided])))
    return found
