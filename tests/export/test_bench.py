"""The benchmark measures what it says, on a bundle beside its own checkpoint, and tells it as text, JSON and a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from export.bench import WHAT, bench, page, table
from export.calibration import Calibration
from export.exporter import export_bundle


def test_a_bundle_beside_its_checkpoint(checkpoint: Path, tmp_path: Path):
    export_bundle(checkpoint, tmp_path / "bundle", Calibration([]), "fp16", "fp16")
    result = bench([tmp_path / "bundle", checkpoint], 3)
    for timing in result.timings:
        assert set(timing.ms) == set(WHAT) and all(0 < low <= middle <= high and n == 3 for low, middle, high, n in timing.ms.values())
        assert timing.tokens_per_s == pytest.approx(1000 / timing.ms["decode"][0])
    bundle, torch = result.timings
    assert 30 < bundle.peak_memory_mb < torch.peak_memory_mb, "torch alone takes more than the whole engine"
    files = sum(path.stat().st_size for path in (tmp_path / "bundle").iterdir())
    assert bundle.megabytes == pytest.approx(files / 1e6)
    assert json.loads(result.to_json())["timings"][0]["name"] == str(tmp_path / "bundle")
    text, html = table(result), page(result)
    assert f"{bundle.ms['decide'][0]:.2f}" in text and "tokens/s" in text and result.machine in text
    assert html.startswith("<!doctype html>") and html.count("<h2>") == len(WHAT) + 1 and "http" not in html


def test_less_than_one_decision_is_refused(checkpoint: Path):
    with pytest.raises(ValueError, match="--decisions 0: at least 1"):
        bench([checkpoint], 0)
