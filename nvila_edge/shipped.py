"""What ships with the package: the built-in model and the episodes it is measured on."""

from __future__ import annotations

from pathlib import Path

_ASSETS = Path(__file__).resolve().parent / "assets"
BUNDLE, CHECKPOINT, DATASET = _ASSETS / "bundle", _ASSETS / "checkpoint", _ASSETS / "dataset"
