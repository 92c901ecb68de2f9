"""The TensorRT backend as far as a machine without a GPU can show it: copies, shapes, and errors that name the mend."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvila_edge.engines import BundleError, load_bundle
from nvila_edge.engines.backends.tensorrt import runs
from nvila_edge.engines.backends.tensorrt_engines import Shapes, graphs_of, inputs_and_outputs
from nvila_edge.engines.backends.tensorrt_library import TensorRTError, library
from nvila_edge.engines.manifest import read_manifest
from nvila_edge.gpu import gpu_is_there

ASSETS = Path(__file__).parents[2] / "nvila_edge" / "assets" / "bundle"


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9))))
def test_runs_cover_every_pair_once_and_in_order(pairs: list[tuple[int, int]]):
    found = runs([row for row, _ in pairs], [slot for _, slot in pairs])
    assert [(row + i, slot + i) for row, slot, count in found for i in range(count)] == pairs
    assert all((a[0] + a[2], a[1] + a[2]) != b[:2] for a, b in zip(found, found[1:], strict=False))


def test_profiles_hold_a_whole_window_and_name_every_input():
    spec = read_manifest(ASSETS).spec
    shapes = Shapes.of(spec)
    assert shapes.positions >= spec.frames * (spec.vision.tokens + 1) + 448
    for name in graphs_of(spec):
        outputs = {"tokens", "logits"} | {f"new_{kind}.{i}" for kind in ("key", "value") for i in range(spec.language.layers)}
        wanted = inputs_and_outputs(name, spec)
        for profile in shapes.profiles(name, spec):
            assert set(profile) == set(wanted) - outputs
            for key, sizes in profile.items():
                assert all(len(size) == len(wanted[key][1]) for size in sizes)
                assert all(low <= usual <= high for low, usual, high in zip(*sizes, strict=True)), (key, sizes)


def test_an_unknown_target_and_a_missing_library_are_named(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match="allowed: tensorrt, tensorrt-rtx"):
        library("openvino")

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(TensorRTError, match=r"pip install .*nvila-edge\[tensorrt\]"):
        library("tensorrt-rtx")


def test_a_bundle_without_engines_is_named_before_the_driver():
    with pytest.raises(BundleError, match="has no TensorRT engines.*nvila-edge export .* --target tensorrt-rtx --arch"):
        load_bundle(ASSETS, "tensorrt")


@pytest.mark.skipif(gpu_is_there(), reason="this machine has a GPU")
def test_without_a_driver_the_error_names_doctor(tmp_path: Path):
    pytest.importorskip("cuda.bindings")
    shutil.copytree(ASSETS, tmp_path / "bundle")
    (tmp_path / "bundle" / "tensorrt" / "sm89").mkdir(parents=True)
    (tmp_path / "bundle" / "tensorrt" / "sm89" / "engines.json").write_text("{}")
    with pytest.raises(TensorRTError, match="driver.*nvila-edge doctor"):
        load_bundle(tmp_path / "bundle", "tensorrt")


def test_engines_of_other_graphs_or_another_gpu_are_refused(tmp_path: Path):
    from nvila_edge.engines.backends.tensorrt_engines import ABOUT, EngineInfo, folder_of

    manifest = read_manifest(ASSETS)
    with pytest.raises(BundleError, match="engines for no architecture, not for sm89; build them: nvila-edge export .* --arch sm89"):
        EngineInfo.read(tmp_path, "sm89", manifest)
    folder = folder_of(tmp_path, "sm89")
    folder.mkdir(parents=True)
    for text, message in (("{", "is corrupt"), ('{"target": 1}', "is corrupt")):
        (folder / ABOUT).write_text(text)
        with pytest.raises(BundleError, match=message):
            EngineInfo.read(tmp_path, "sm89", manifest)
    import json

    info = EngineInfo("tensorrt-rtx", "1.7", "sm89", Shapes.of(manifest.spec), {"vision": "0" * 64})
    (folder / ABOUT).write_text(json.dumps(info.to_json()))
    with pytest.raises(BundleError, match="were built from other graphs"):
        EngineInfo.read(tmp_path, "sm89", manifest)
