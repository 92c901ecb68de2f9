"""The benchmark measures what it says, on a bundle beside its own checkpoint, and tells it as text, JSON and a page."""

from __future__ import annotations

import json
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from export import energy
from export.bench import WHAT, bench, page, table, versions
from export.calibration import Calibration
from export.exporter import export_bundle
from export.subjects import ANSWER_TOKENS, KINDS, open_subject


def test_a_bundle_beside_its_checkpoint(checkpoint: Path, tmp_path: Path):
    export_bundle(checkpoint, tmp_path / "bundle", Calibration([]), "fp16", "fp16")
    result = bench([str(tmp_path / "bundle"), str(checkpoint)], 3)
    for timing in result.timings:
        assert set(timing.ms) == set(WHAT) and all(0 < low <= middle <= high and n == 3 for low, middle, high, n in timing.ms.values())
        assert timing.tokens_per_s == pytest.approx(1000 / timing.ms["decode"][0])
    bundle, torch = result.timings
    assert 30 < bundle.peak_memory_mb < torch.peak_memory_mb, "torch alone takes more than the whole engine"
    files = sum(path.stat().st_size for path in (tmp_path / "bundle").iterdir())
    assert bundle.megabytes == pytest.approx(files / 1e6)
    assert json.loads(result.to_json())["timings"][0]["name"] == str(tmp_path / "bundle")
    text, html = table(result), page(result)
    assert "by ONNX Runtime" in text and "CPUExecutionProvider" in html and torch.runs_on.endswith("cpu, float32")
    assert f"{bundle.ms['decide'][0]:.2f}" in text and "tokens/s" in text and result.machine in text
    assert html.startswith("<!doctype html>") and html.count("<h2>") == len(WHAT) + 1 and "http" not in html


def test_the_runtime_is_named_whichever_package_brought_it(monkeypatch: pytest.MonkeyPatch):
    """onnxruntime-gpu brings the same module under another name."""

    def version(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr("importlib.metadata.version", version)
    assert f"onnxruntime {onnxruntime.__version__}, numpy" in versions()


def test_less_than_one_decision_is_refused(checkpoint: Path):
    with pytest.raises(ValueError, match="--decisions 0: at least 1"):
        bench([str(checkpoint)], 0)


def test_baselines_run_beside_our_engines(checkpoint: Path):
    names = [f"{kind}:{checkpoint}" for kind in KINDS]
    result = bench(names, 2)
    assert [timing.name for timing in result.timings] == names
    assert all(timing.ms[what][0] > 0 for timing in result.timings for what in WHAT)
    answer = open_subject(names[1], "onnxruntime", 1)
    answer.start()
    frame = np.zeros((128, 128, 3), np.uint8)
    decided = answer.decide(answer.encode(frame))
    assert list(decided.shape) == [1, ANSWER_TOKENS]  # type: ignore[attr-defined]


def test_a_baseline_of_a_bundle_is_refused(checkpoint: Path, tmp_path: Path):
    export_bundle(checkpoint, tmp_path / "bundle", Calibration([]), "fp16", "fp16")
    with pytest.raises(ValueError, match="is a bundle; this baseline needs the checkpoint"):
        open_subject(f"transformers:{tmp_path / 'bundle'}", "onnxruntime", 1)


def test_energy_counters_are_read_across_their_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package, part = tmp_path / "intel-rapl:0", tmp_path / "intel-rapl:0:0"
    for folder in (package, part):
        folder.mkdir()
        (folder / "energy_uj").write_text("9000000")
        (folder / "max_energy_range_uj").write_text("10000000")
    monkeypatch.setattr(energy, "_GPU_WATTS", ["false"])
    with energy.measured(tmp_path) as found:
        (package / "energy_uj").write_text("2500000")
    assert found.joules == pytest.approx(3.5)
    with energy.measured(tmp_path / "nothing") as found:
        pass
    assert found.joules is None
    monkeypatch.setattr(energy, "_GPU_WATTS", ["echo", "40.0\n60.0"])
    with energy.measured(tmp_path / "nothing") as found:
        time.sleep(0.05)
    assert found.joules is not None and 5 <= found.joules < 500
