"""What ships with the package: the built-in model's engines and the episodes it is measured on."""

from __future__ import annotations

from pathlib import Path

_ASSETS = Path(__file__).resolve().parent / "assets"
BUNDLE, DATASET = _ASSETS / "bundle", _ASSETS / "dataset"
