"""Opening bundles: what is wrong with one is said before anything runs. And free text, the window profile, lazy imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from export.calibration import Calibration
from export.exporter import export_bundle
from nvila_edge.engines import BundleError, Engine, load_bundle
from nvila_edge.model.nvila import NVILA
from nvila_edge.navigation.actions import ACTIONS
from tests.tiny import TEXTS, save_tiny_checkpoint, tiny_frames


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A `navila` checkpoint and its bundle, unquantised."""
    folder = tmp_path_factory.mktemp("navila")
    checkpoint = save_tiny_checkpoint(folder / "checkpoint", "navila")
    export_bundle(checkpoint, folder / "bundle", Calibration([]), "fp32", "fp32")
    return checkpoint, folder / "bundle"


@pytest.fixture()
def bundle(made: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy to spoil."""
    for source in made[1].iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes())
    return tmp_path


def edit(bundle: Path, **changes: object) -> None:
    content = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps({**content, **changes}))


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path):
    with pytest.raises(BundleError, match="nvila-edge export CKPT"):
        load_bundle(tmp_path)


def test_older_and_newer_formats_name_the_way_out(bundle: Path):
    edit(bundle, format=0)
    with pytest.raises(BundleError, match="it is older; export it again"):
        load_bundle(bundle)
    edit(bundle, format=99)
    with pytest.raises(BundleError, match="it is newer; upgrade nvila-edge"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 2}', '{"format": 2, "spec": 3, "files": {}}', '{"format": "1"}', '{"format": true}', "[" * 100_000]
)
def test_a_damaged_manifest_is_called_corrupt(bundle: Path, text: str):
    (bundle / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match="corrupt"):
        load_bundle(bundle)


def test_missing_cut_off_and_changed_files_are_told_apart(bundle: Path):
    path = bundle / "language.onnx"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(BundleError, match="cut off"):
        load_bundle(bundle)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BundleError, match="SHA-256"):
        load_bundle(bundle)
    path.unlink()
    with pytest.raises(BundleError, match=r"lacks language\.onnx"):
        load_bundle(bundle)


def test_a_manifest_may_not_reach_out_of_its_folder(bundle: Path):
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    edit(bundle, files={**files, "../secret": {"sha256": "0", "bytes": 1}})
    with pytest.raises(BundleError, match="outside"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "words"), [({"profile": "straem"}, "did you mean 'stream'.*known: navila, stream"), ({"frames": 0}, "at least 1")]
)
def test_a_profile_that_does_not_exist_is_not_taken_for_another(bundle: Path, change: dict, words: str):
    edit(bundle, spec=json.loads((bundle / "manifest.json").read_text())["spec"] | change)
    with pytest.raises(BundleError, match=words):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("vision", {"image_size": 999_999}), ("vision", {"patch": 0}), ("vision", {"projector": "magic"}), ("vision", {"heads": "4"}),
        ("language", {"layers": -1}), ("language", {"rope_theta": float("nan")}), ("language", {"tied": 1}),
    ],
)  # fmt: skip
def test_a_spec_that_no_model_has_is_refused_by_name(bundle: Path, part: str, change: dict):
    spec = json.loads((bundle / "manifest.json").read_text())["spec"]
    edit(bundle, spec=spec | {part: spec[part] | change})
    with pytest.raises(BundleError, match=next(iter(change))):
        load_bundle(bundle)


def test_an_instruction_of_thousands_of_tokens_is_refused(made: tuple[Path, Path]):
    with pytest.raises(ValueError, match="at most 448"):
        load_bundle(made[1]).session("go " * 600)


def test_generate_takes_pil_images_and_refuses_what_is_no_picture(made: tuple[Path, Path]):
    engine, frames = load_bundle(made[1]), tiny_frames(2)
    for picture, array in (
        (Image.fromarray(frames[0]), frames[0]),
        (Image.fromarray(frames[0]).convert("L"), np.repeat(np.asarray(Image.fromarray(frames[0]).convert("L"))[..., None], 3, 2)),
    ):
        found, expected = (engine.generate("<image>\nwhat", images=[given], max_new_tokens=6) for given in (picture, array))
        assert found == expected
    clips = [list(frames), [Image.fromarray(frame) for frame in frames]]
    assert len({engine.generate("<vila/video>\nwhat", video=clip, max_new_tokens=6) for clip in clips}) == 1
    with pytest.raises(ValueError, match="one mark for each"):
        engine.generate("<image>\nwhat", images=[Image.fromarray(frame) for frame in frames])
    with pytest.raises(ValueError, match="must be uint8"):
        engine.generate("<image>\nwhat", images=[frames[0].astype(np.float32)])
    with pytest.raises(ValueError, match="max_new_tokens is 0"):
        engine.generate("what", max_new_tokens=0)


@pytest.mark.parametrize(
    ("prompt", "media", "said"),
    [
        ("<image>", {"images": [Image.new("I;16", (20, 20))]}, "mode I;16"),
        ("<image>", {"images": Image.new("RGB", (20, 20))}, "images is one picture"),
        ("<vila/video>", {"video": np.zeros((32, 20, 3), np.uint8)}, "video is one picture"),
        (None, {}, "the prompt is NoneType"),
        ("go " * 9000, {}, "positions with its media.* 8192"),
    ],
)  # fmt: skip
def test_generate_refuses_what_the_model_refuses(made: tuple[Path, Path], prompt: Any, media: Any, said: str):
    model, engine = NVILA.from_pretrained(made[0], dtype="float32"), load_bundle(made[1])
    for generate in (model.generate, engine.generate):
        with pytest.raises(ValueError, match=said):
            generate(prompt, **media)


def test_generate_equals_the_model(made: tuple[Path, Path]):
    model, engine = NVILA.from_pretrained(made[0], dtype="float32"), load_bundle(made[1])
    frames = list(tiny_frames(3))
    for prompt, media in (
        ("where is the sofa", {}),
        ("<image>\nwhat is on the left", {"images": frames[:1]}),
        ("<vila/video> what happened", {"video": frames}),
    ):
        assert engine.generate(prompt, max_new_tokens=12, **media) == model.generate(prompt, max_new_tokens=12, **media)
    with pytest.raises(ValueError, match="one mark for each"):
        engine.generate("no mark", images=frames)


def test_a_window_is_scored_as_the_model_would(made: tuple[Path, Path]):
    model, engine = NVILA.from_pretrained(made[0], dtype="float32"), load_bundle(made[1])
    frames = tiny_frames(5)
    decision = engine.session(TEXTS[0]).decide(engine.encode(frames))
    window = [np.zeros((128, 128, 3), np.uint8)] * 3 + list(frames)  # padded on the left with black
    logits = model.logits(engine.profile.user_text(TEXTS[0]), images=window)[-1]
    root = engine.tree.trie.branches[0]
    allowed = np.exp(logits[list(root.tokens)].astype(np.float64))
    assert decision.candidates[0] == pytest.approx(float(allowed[0] / allowed.sum()), rel=0.02)
    assert sum(decision.candidates) == pytest.approx(1) and decision.action in ACTIONS


def test_a_window_session_answers_the_same_whatever_came_before(made: tuple[Path, Path]):
    engine: Engine = load_bundle(made[1])
    tokens = engine.encode(tiny_frames(8))
    session = engine.session(TEXTS[1])
    first = session.decide(tokens).candidates
    session.decide(tokens[:3])
    assert session.decide(tokens).candidates == first
    with pytest.raises(ValueError, match=r"\[1..8, 4, 128\]"):
        session.decide(np.concatenate([tokens, tokens]))


def test_loading_and_deciding_needs_no_torch(made: tuple[Path, Path]):
    script = (
        "import sys, numpy\nimport nvila_edge, nvila_edge.engines\nassert not {'torch', 'onnxruntime', 'onnx'} & set(sys.modules)\n"
        f"engine = nvila_edge.engines.load_bundle({str(made[1])!r})\n"
        "engine.session('go to the sofa').decide(engine.encode(numpy.zeros((2, 32, 48, 3), numpy.uint8)))\n"
        "assert not {'torch', 'transformers', 'onnx'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_window_s_first_frame_is_run_once_and_answers_depend_on_the_window_alone(
    made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    engine = load_bundle(made[1])
    tokens = engine.encode(tiny_frames(12))
    windows = [tokens[: i + 1] for i in range(8)] + [tokens[[0, 2, 3, 4, 5, 6, 7, i]] for i in (8, 9)] + [tokens[[1, 2, 3, 4, 5, 6, 7, 9]]]
    session, fresh = engine.session(TEXTS[0]), [engine.session(TEXTS[0]) for _ in windows]
    widths: list[int] = []
    prefill = engine.backend.prefill
    monkeypatch.setattr(engine.backend, "prefill", lambda embeds, *rest: (widths.append(len(embeds)), prefill(embeds, *rest))[1])
    answers = [session.decide(window).candidates for window in windows]
    assert len(widths) == len(windows) + 2  # black first until decision 7, then frame 0, and frame 1 in the last window: one more pass each
    assert [i for i, width in enumerate(widths) if width != widths[0]] == [7, 11]
    assert answers == [one.decide(window).candidates for one, window in zip(fresh, windows, strict=True)]
