"""Exports of checkpoints in the published shapes: engines equal the published code's answers, and every graph builds a TensorRT-RTX engine."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from export.calibration import Calibration, Recording
from export.exporter import export_bundle
from export.tensorrt import aimed, build_engines
from nvila_edge.engines import load_bundle
from nvila_edge.engines.backends.tensorrt_engines import EngineInfo, graphs_of
from nvila_edge.engines.backends.tensorrt_library import Library
from nvila_edge.engines.generate import fuse_prompt
from nvila_edge.engines.manifest import BundleError, read_manifest
from tests.tiny import TEXTS, tiny_frames

CASES = ("lite_wide", "s2_tall_even", "s2_multi", "navila", "text", "video_tsp")


@pytest.fixture(scope="module", params=CASES)
def exported(request: pytest.FixtureRequest, golden: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    case, out = golden / "nvila" / request.param, tmp_path_factory.mktemp(request.param) / "bundle"
    export_bundle(case / "ckpt", out, Calibration([]), "fp32", "fp32")
    return case, out


def test_an_engine_equals_the_published_code(exported: tuple[Path, Path]):
    case, bundle = exported
    described, recorded, engine = json.loads((case / "case.json").read_text()), np.load(case / "golden.npz"), load_bundle(bundle)
    prompt = described.get("question") or described["prompt"]
    shown = [recorded[f"img{index}"] for index in range(sum(name.startswith("img") for name in recorded))]
    media = {"video": shown} if described.get("kind") == "video" else {"images": shown}
    fused = fuse_prompt(engine, prompt, media.get("images"), media.get("video"))
    assert np.abs(fused - recorded["emb"][0]).max() < 1e-3  # the token table is fp16
    if "greedy" in recorded:
        expected = engine.tokenizer.decode(recorded["greedy"][0].tolist())
        assert engine.generate(prompt, max_new_tokens=len(recorded["greedy"][0]), **media) == expected


@pytest.mark.parametrize("name", ["lite_wide", "s2_wide", "navila"])
def test_quantised_graphs_build_tensorrt_rtx_engines_ahead_of_time(golden: Path, tmp_path: Path, name: str):
    pytest.importorskip("tensorrt_rtx_bindings")
    rng = np.random.default_rng(0)
    recordings = [Recording(TEXTS[i % 2], tiny_frames(8, seed=i), rng.integers(1, 10, 8)) for i in range(3)]
    export_bundle(golden / "nvila" / name / "ckpt", tmp_path / "bundle", Calibration(recordings))
    out = build_engines(tmp_path / "bundle", "tensorrt-rtx", "sm89", lambda *_: None)
    manifest = read_manifest(tmp_path / "bundle")  # checks every hash
    names = graphs_of(manifest.spec)
    assert ("projector" in names) == name.startswith("s2")
    assert {f"tensorrt/sm89/{name}.engine" for name in names} < set(manifest.files) and out == tmp_path / "bundle" / "tensorrt" / "sm89"
    info = EngineInfo.read(tmp_path / "bundle", "sm89", manifest)
    assert info.target == "tensorrt-rtx" and set(info.graphs) == set(names)
    with pytest.raises(BundleError, match="has engines for sm89, not for sm120"):
        EngineInfo.read(tmp_path / "bundle", "sm120", manifest)
    with pytest.raises(ValueError, match="cannot build for 'sm90' here; allowed: .*sm89"):
        build_engines(tmp_path / "bundle", "tensorrt-rtx", "sm90", lambda *_: None)


def test_engines_lie_under_the_name_of_the_gpu_that_they_were_built_for(golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("tensorrt_rtx_bindings")
    export_bundle(golden / "nvila" / "text" / "ckpt", tmp_path / "bundle", Calibration([]), "fp16", "fp16")
    told: list[str | None] = []
    monkeypatch.setattr("export.tensorrt.this_gpu", lambda: "sm87")  # of a Jetson Orin
    monkeypatch.setattr("export.tensorrt.build", lambda found, graph, arch, *_: told.append(arch) or b"an engine")
    for arch in (None, "sm87"):
        out = build_engines(tmp_path / "bundle", "tensorrt-rtx", arch, lambda *_: None)
        assert out.relative_to(tmp_path / "bundle") == Path("tensorrt/sm87")
    assert set(told) == {None}, "what a library cannot cross-build it builds for the GPU at hand"


def test_the_architecture_of_this_machine_may_be_named_and_others_only_where_the_library_knows_them():
    classic = Library("tensorrt", SimpleNamespace(__version__="11.0"))
    assert aimed(classic, "sm89", lambda: "sm89") == aimed(classic, None, lambda: "sm89") == ("sm89", None)
    with pytest.raises(ValueError, match="cannot build for 'sm120' here; allowed: sm89"):
        aimed(classic, "sm120", lambda: "sm89")
    with pytest.raises(ValueError, match="no NVIDIA GPU to build for"):
        aimed(classic, None, lambda: None)
    with pytest.raises(ValueError, match="cannot build for 'sm89' here; allowed: none"):
        aimed(classic, "sm89", lambda: None)


def test_a_kill_while_engines_are_replaced_leaves_a_whole_bundle(golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("tensorrt_rtx_bindings")
    bundle = tmp_path / "bundle"
    export_bundle(golden / "nvila" / "text" / "ckpt", bundle, Calibration([]), "fp16", "fp16")
    monkeypatch.setattr("export.tensorrt.build", lambda *_: b"an engine")
    build_engines(bundle, "tensorrt-rtx", "sm89", lambda *_: None)
    assert any(name.startswith("tensorrt/") for name in read_manifest(bundle).files)

    def killed(_path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("export.tensorrt.file_digest", killed)
        build_engines(bundle, "tensorrt-rtx", "sm89", lambda *_: None)
    assert not any(name.startswith("tensorrt/") for name in read_manifest(bundle).files)
    build_engines(bundle, "tensorrt-rtx", "sm89", lambda *_: None)
    assert "tensorrt/sm89/language.engine" in read_manifest(bundle).files
