"""Recorded decisions that `export` calibrates with and `verify` compares on."""

from __future__ import annotations

from typing import Any


def calibration(source: str, split: str, houses: int, seed: int) -> Any:
    """What export calibrates with and verify compares on: of a folder, or ("builtin") the expert in generated houses."""
    from export.calibration import Calibration, Recording, read_calibration

    if source != "builtin":
        return read_calibration(source)
    from sim.recordings import expert_recordings

    print(f"recording the expert in {houses} houses of {split} …", flush=True)
    recordings = [Recording(*parts) for parts in expert_recordings(split, houses, 2, seed)]
    return Calibration(recordings, name=f"expert, {houses} houses of {split}, seed {seed}")
