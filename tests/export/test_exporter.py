"""Whole exports: what is in a bundle, how close it is to the checkpoint, and what happens when something is wrong."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from export import awq, smoothquant, verify
from export import bundle as bundle_files
from export.bundle import staged
from export.calibration import Calibration, Recording, read_calibration, write_recording
from export.exporter import export_bundle
from export.source import Checkpoint
from export.verify import Accuracy, verify_bundle
from nvila_edge.engines import load_bundle
from nvila_edge.engines.manifest import read_manifest
from nvila_edge.model.checkpoint import CheckpointError
from nvila_edge.model.layered import load_layered
from tests.tiny import SIZE, TEXTS, save_tiny_checkpoint, tiny_frames


def recordings(n: int, decisions: int = 12, seed: int = 0) -> list[Recording]:
    rng = np.random.default_rng(seed)
    return [Recording(TEXTS[i % 2], tiny_frames(decisions, seed=seed + i), rng.integers(1, 10, decisions)) for i in range(n)]


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "bundle"
    export_bundle(checkpoint, out, Calibration(recordings(4)), accuracy_on=recordings(1, seed=50))
    return out


def test_the_quantised_bundle_is_close_to_the_checkpoint(bundle: Path, checkpoint: Path):
    accuracy = verify_bundle(bundle, checkpoint, recordings(3, seed=100))
    assert accuracy.cosine_min > 0.99 and accuracy.cosine_mean > 0.999
    assert accuracy.action_agreement > 0.7 and accuracy.probability_mean < 0.03  # random weights: INT4's worst case


def test_a_reference_that_is_read_layer_by_layer_answers_as_one_in_memory(checkpoint: Path):
    whole = verify.reference(checkpoint, weights=1, threads=1)
    layered = verify.reference(checkpoint, weights=verify.LAYERED_ABOVE + 1, threads=1)
    assert not list(load_layered(checkpoint).llm.model.layers.parameters())
    expected, found = (verify.replay(engine, recordings(2, 6)) for engine in (whole, layered))
    assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))
    assert whole.generate("Describe the room.", max_new_tokens=5) == layered.generate("Describe the room.", max_new_tokens=5)


@pytest.mark.parametrize(("profile", "frames"), [("stream", 3 + 2), ("navila", None)])
def test_large_models_are_compared_on_fewer_decisions_of_every_recording(tmp_path: Path, profile: str, frames: int | None):
    engine = load_bundle(save_tiny_checkpoint(tmp_path / "checkpoint", profile), "torch")
    some = recordings(2, 8)
    everything, (candidates, tokens, actions) = verify.replay(engine, some), verify.replay(engine, some, most=5)
    picked = [0, 1, 2, 8, 9] if profile == "stream" else [1, 4, 6, 8 + 2, 8 + 6]
    assert np.array_equal(actions, np.concatenate([one.actions for one in some])[picked])
    assert np.array_equal(candidates, everything[0][picked])
    assert frames is None or len(tokens) == frames
    assert len(everything[0]) == 16 and len(everything[1]) == 16
    assert verify.affordable(engine.spec, 10**6, verify.BUDGET) > 1000 and verify.affordable(engine.spec, 10**13, verify.BUDGET) == 4


def test_torch_runs_the_same_quantised_weights(bundle: Path):
    engines = [load_bundle(bundle, backend) for backend in ("onnxruntime", "torch")]
    frames = tiny_frames(6, seed=9)
    tokens = [engine.encode(frames) for engine in engines]
    assert np.abs(tokens[0] - tokens[1]).max() < 0.05 * np.abs(tokens[0]).max()
    sessions = [engine.session(TEXTS[0]) for engine in engines]
    for i in range(6):
        answers = [session.decide(tokens[0][i : i + 1]) for session in sessions]
        assert (
            np.abs(np.array(answers[0].candidates) - np.array(answers[1].candidates)).max() < 0.05
        )  # the CPU rounds activations to INT8 as well


def test_every_quantised_linear_runs_in_integer_arithmetic(bundle: Path, tmp_path: Path):
    for name, fused, linears in (("vision.onnx", "MatMulIntegerToFloat", 2 * 4), ("language.onnx", "MatMulNBits", 3 * 4 + 1)):
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / name)
        options.log_severity_level = 3
        onnxruntime.InferenceSession(str(bundle / name), options)
        assert Counter(node.op_type for node in onnx.load(tmp_path / name).graph.node)[fused] == linears


def test_kernels_for_processors_without_vnni_give_the_same_tokens(bundle: Path, monkeypatch: pytest.MonkeyPatch):
    frames = tiny_frames(3)
    expected = load_bundle(bundle).encode(frames)
    monkeypatch.setattr("nvila_edge.engines.backends.onnxruntime.adds_int8_in_16_bits", lambda: True)
    assert np.array_equal(load_bundle(bundle).encode(frames), expected)


def test_the_manifest_tells_where_a_bundle_comes_from(bundle: Path):
    manifest = read_manifest(bundle)
    assert set(manifest.files) == {"vision.onnx", "language.onnx", "embedding.npy", "tokenizer.json"}
    assert manifest.about["recipe"]["vision"] == "w8a8" and manifest.about["calibration"]["decisions"] == 48
    assert 0 <= manifest.about["accuracy"]["action_agreement"] <= 1
    content = json.loads((bundle / "manifest.json").read_text())
    assert content["prompt_profile"] == "stream" and content["history_rule"]["frames"] == 8


def test_progress_counts_layers(checkpoint: Path, tmp_path: Path):
    seen: list[tuple[str, int, int]] = []
    export_bundle(checkpoint, tmp_path / "b", Calibration([]), "fp16", "fp16", progress=lambda *step: seen.append(step))
    assert ("vision", 2, 2) in seen and ("language", 3, 3) in seen
    assert seen[-1][0].startswith("exported in")


def test_a_failed_export_leaves_nothing_and_an_old_bundle_untouched(bundle: Path, checkpoint: Path, tmp_path: Path):
    before = read_manifest(bundle).files
    broken = [Recording(TEXTS[0], tiny_frames(20), np.full(20, 3))]

    def stop_midway(what: str, done: int, total: int) -> None:
        if what == "language":
            raise OSError(28, "No space left on device")

    for out in (bundle, tmp_path / "fresh"):
        with pytest.raises(OSError, match="No space"):
            export_bundle(checkpoint, out, Calibration(broken), progress=stop_midway)
    assert read_manifest(bundle).files == before
    assert [path.name for path in tmp_path.iterdir()] == ["fresh.journal"], "what is finished stays until there is room"


@pytest.mark.parametrize(("kind", "external"), [("fp16", False), ("fp32", True)])
def test_weights_that_protobuf_cannot_hold_lie_in_a_file_of_their_own(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, external: bool
):
    source = Checkpoint(checkpoint)
    biggest = max(source.vision_numbers(), source.language_numbers())
    smallest = min(source.vision_numbers(), source.language_numbers())
    assert 2 * biggest < 4 * smallest, "one limit tells the types apart for both graphs"
    monkeypatch.setattr("export.exporter.EXTERNAL_ABOVE", 2 * biggest)
    export_bundle(checkpoint, tmp_path / "b", Calibration([]), kind, kind)
    for name, numbers in (("vision.onnx", source.vision_numbers()), ("language.onnx", source.language_numbers())):
        data = tmp_path / "b" / f"{name}.data"
        assert data.exists() == external
        whole = (data if external else tmp_path / "b" / name).stat().st_size
        assert whole == pytest.approx(numbers * (4 if external else 2), rel=0.2), "the count is that of the real tensors"
    tokens = load_bundle(tmp_path / "b").encode(tiny_frames(1))
    assert np.abs(tokens - load_bundle(checkpoint, "torch").encode(tiny_frames(1))).max() < 0.05


def staged_text(out: Path, text: str) -> None:
    with staged(out) as folder:
        (folder / "manifest.json").write_text(text)


def test_the_old_bundle_is_there_until_the_new_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out, rename = tmp_path / "bundle", Path.rename
    staged_text(out, "first")

    def refuse(path: Path, target: Path) -> Path:
        if path.name.endswith(".partial"):
            raise OSError("killed")
        return rename(path, target)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="killed"):
        patch.setattr(Path, "rename", refuse)
        staged_text(out, "second")
    assert (out / "manifest.json").read_text() == "first" and list(tmp_path.iterdir()) == [out]
    out.rename(tmp_path / "bundle.replaced")  # as a kill between the renames leaves it
    with pytest.raises(OSError, match="disk full"), staged(out):
        raise OSError("disk full")
    assert (out / "manifest.json").read_text() == "first"
    staged_text(out, "third")
    assert (out / "manifest.json").read_text() == "third" and list(tmp_path.iterdir()) == [out]


def test_user_mistakes_name_their_mend(checkpoint: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="w8a8, fp16, fp32"):
        export_bundle(checkpoint, tmp_path / "b", Calibration([]), vision="int8")
    with pytest.raises(ValueError, match="at least 16"):
        export_bundle(checkpoint, tmp_path / "b", Calibration(recordings(1)))
    with pytest.raises(CheckpointError, match="no config.json"):
        export_bundle(tmp_path, tmp_path / "b", Calibration([]), "fp16", "fp16")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(ValueError, match="not a bundle"):
        export_bundle(checkpoint, tmp_path / "mine", Calibration([]), "fp16", "fp16")
    assert (tmp_path / "mine" / "notes.txt").exists()


def test_recordings_survive_a_round_trip_and_bad_ones_are_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"neither recordings \(nvila-edge agent --record, .npz\) nor"):
        read_calibration(tmp_path)
    original = recordings(1)[0]
    write_recording(tmp_path / "a.npz", original)
    (found,) = read_calibration(tmp_path).recordings
    assert found.instruction == original.instruction and np.array_equal(found.frames, original.frames)
    (tmp_path / "b.npz").write_bytes(b"not a zip")
    with pytest.raises(ValueError, match="b.npz is not a readable recording"):
        read_calibration(tmp_path)
    write_recording(tmp_path / "b.npz", Recording("go", original.frames, np.full(12, 10)))
    with pytest.raises(ValueError, match="below 10"):
        read_calibration(tmp_path)


def test_the_gate_names_what_failed():
    good = Accuracy(100, 0.97, 0.1, 0.01, 0.995, 0.9995, 2.0, 2.02)
    assert good.failures() == []
    bad = Accuracy(100, 0.90, 0.1, 0.01, 0.95, 0.9995, 2.0, 2.5)
    assert [text.split()[0] for text in bad.failures()] == ["action", "least", "perplexity"]


def test_pictures_of_the_user_calibrate_the_tower_only(checkpoint: Path, tmp_path: Path):
    for index, frame in enumerate(tiny_frames(16)):
        Image.fromarray(frame).save(tmp_path / f"{index}.jpg")
    seen = read_calibration(tmp_path)
    assert len(seen.images) == 16 and not seen.recordings and len(seen.frames(8)) == 8
    manifest = export_bundle(checkpoint, tmp_path / "b", seen, "w8a8", "fp16")
    assert manifest.about["calibration"] == {
        "name": tmp_path.name, "recordings": 0, "images": 16, "decisions": 0, "sha256": seen.sha256()
    }  # fmt: skip
    with pytest.raises(ValueError, match="0 recorded decisions in 0 recordings and 16 images"):
        export_bundle(checkpoint, tmp_path / "c", seen, "w8a8", "w4a16")
    (tmp_path / "3.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"3.jpg is not a readable picture"):
        read_calibration(tmp_path)


@pytest.mark.parametrize("killed_in", ["vision", "language"])
def test_a_killed_export_goes_on_with_the_layer_that_it_was_at(checkpoint: Path, bundle: Path, tmp_path: Path, killed_in: str):
    quantised: list[str] = []

    def stop(what: str, done: int, total: int) -> None:
        if what == killed_in and done == 1:
            raise KeyboardInterrupt

    def count(what: str, done: int, total: int) -> None:
        quantised.append(f"{what} {done}")

    with pytest.raises(KeyboardInterrupt):
        export_bundle(checkpoint, tmp_path / "b", Calibration(recordings(4)), progress=stop)
    kept = sorted(path.name for path in (tmp_path / "b.journal").glob(f"{killed_in}.*"))
    assert kept == [f"{killed_in}.0.npz", f"{killed_in}.1.npz", f"{killed_in}.flow.2.npz"]
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "b.journal").glob(f"{killed_in}.[0-9]*.npz")}
    calls: list[str] = []
    originals = {"vision": smoothquant.quantise_layer, "language": awq.quantise_layer}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("export.smoothquant.quantise_layer", lambda *a: calls.append("vision") or originals["vision"](*a))
        patch.setattr("export.awq.quantise_layer", lambda *a: calls.append("language") or originals["language"](*a))
        export_bundle(checkpoint, tmp_path / "b", Calibration(recordings(4)), progress=count)
    assert len(before) == 2 and calls.count("language") == (1 if killed_in == "language" else 3)
    assert calls.count("vision") == 0
    assert not (tmp_path / "b.journal").exists()
    for name in ("vision.onnx", "language.onnx"):
        assert (tmp_path / "b" / name).read_bytes() == (bundle / name).read_bytes()


def test_the_journal_of_another_export_is_not_used(checkpoint: Path, tmp_path: Path):
    (tmp_path / "b.journal").mkdir()
    (tmp_path / "b.journal" / "key").write_text("another")
    (tmp_path / "b.journal" / "vision.0.npz").write_bytes(b"not read")
    export_bundle(checkpoint, tmp_path / "b", Calibration(recordings(4)), "w8a8", "fp16")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b"]


def test_two_exports_to_one_folder_are_not_mixed(checkpoint: Path, tmp_path: Path):
    def again(what: str, done: int, total: int) -> None:
        if what == "language" and done == 1:
            with pytest.raises(ValueError, match="another export is writing to"):
                export_bundle(checkpoint, tmp_path / "b", Calibration([]), "fp32", "fp32")

    manifest = export_bundle(checkpoint, tmp_path / "b", Calibration([]), "fp16", "fp16", progress=again)
    assert manifest.about["recipe"]["vision"] == "fp16" and read_manifest(tmp_path / "b").files == manifest.files
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_lock_that_its_owner_removed_meanwhile_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out, lock = tmp_path / "b", bundle_files.fcntl.flock

    def late(file: Any, how: int) -> None:  # between opening and locking, the owner ends and another export begins
        (tmp_path / "b.lock").unlink()
        (tmp_path / "b.lock").touch()
        lock(file, how)

    monkeypatch.setattr(bundle_files.fcntl, "flock", late)
    with pytest.raises(ValueError, match="another export is writing to"), bundle_files.locked(out):
        pass
    monkeypatch.undo()
    with bundle_files.locked(out):
        pass
    assert not (tmp_path / "b.lock").exists()


def test_a_link_is_followed(checkpoint: Path, tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for _ in range(2):
        export_bundle(checkpoint, tmp_path / "link", Calibration([]), "fp16", "fp16")
    assert (tmp_path / "link").is_symlink() and sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]
    read_manifest(tmp_path / "real")


@pytest.mark.parametrize(("value", "kind"), [(float("nan"), "fp32"), (1e6, "fp16")])
def test_weights_that_cannot_be_stored_are_named(checkpoint: Path, tmp_path: Path, value: float, kind: str):
    shutil.copytree(checkpoint, tmp_path / "c")
    file = tmp_path / "c" / "llm" / "model.safetensors"
    state = load_file(file)
    state["model.layers.1.mlp.down_proj.weight"][0, 0] = value
    save_file(state, file, {"format": "pt"})
    with pytest.raises(ValueError, match=r"layers.1.mlp.down_proj.weight holds values that are not finite in float"):
        export_bundle(tmp_path / "c", tmp_path / "b", Calibration([]), kind, kind)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_verify_needs_a_bundle_and_its_own_checkpoint(bundle: Path, checkpoint: Path, tmp_path: Path):
    for pair in ((bundle, bundle), (checkpoint, checkpoint)):
        with pytest.raises(ValueError, match="nvila-edge verify BUNDLE --against CKPT"):
            verify_bundle(*pair, recordings(1))
    other = save_tiny_checkpoint(tmp_path / "other", size=replace(SIZE, hidden=256))
    with pytest.raises(ValueError, match="another model"):
        verify_bundle(bundle, other, recordings(1))


@pytest.mark.parametrize("content", [b"", b"PK broken"])
def test_a_broken_recording_is_named_whatever_is_wrong_with_it(tmp_path: Path, content: bytes):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match="a.npz is not a readable recording"):
        read_calibration(tmp_path)
    frames = tiny_frames(2)
    for actions in (np.array([1.5, 2.0]), np.array(["a", "b"]), np.zeros(0, int)):
        np.savez(tmp_path / "a.npz", instruction=np.array("go"), frames=frames[: len(actions)], actions=actions)
        with pytest.raises(ValueError, match="a.npz: .*wanted one or more whole numbers"):
            read_calibration(tmp_path)


def test_a_torn_journal_is_begun_anew(checkpoint: Path, bundle: Path, tmp_path: Path):
    def stop(what: str, done: int, total: int) -> None:
        if what == "language" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_bundle(checkpoint, tmp_path / "b", Calibration(recordings(4)), progress=stop)
    torn = tmp_path / "b.journal" / "language.1.npz"
    torn.write_bytes(torn.read_bytes()[:-40])
    export_bundle(checkpoint, tmp_path / "b", Calibration(recordings(4)))
    assert (tmp_path / "b" / "language.onnx").read_bytes() == (bundle / "language.onnx").read_bytes()
