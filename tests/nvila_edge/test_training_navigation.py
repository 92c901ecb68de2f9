"""Recorded roll-outs in a mixture: both layouts give the same samples, which ask what the robot asks, and go with LLaVA's in one YAML file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from nvila_edge.navigation.actions import SENTENCES
from nvila_edge.navigation.profiles import profile
from nvila_edge.serving.jpeg import encode_jpeg
from nvila_edge.training.collate import Preparer, fused
from nvila_edge.training.labels import IGNORED
from nvila_edge.training.mixture import Mixture, load_mixture
from nvila_edge.training.samples import Sample, SampleError, opened_picture
from nvila_edge.training.starting import open_model
from nvila_edge.training.trainer import StageRun, losses
from sim.learning.lerobot import write_lerobot
from sim.learning.navila import write_annotations
from sim.learning.recording import FRAME_NAME, Rollout
from tests.nvila_edge.lessons import stage, write_data
from tests.tiny import tiny_frames

TOLD = "Go to the sofa."
LENGTHS = (3, 12)  # frames of the two roll-outs


def _houses() -> list[tuple[list[Rollout], list[np.ndarray]]]:
    """Two roll-outs, a decision at every frame; the last one of each counts twice."""
    found = []
    for number, length in enumerate(LENGTHS, 1):
        poses, decisions = [(0.0, 0.0, -0.25 * k, 0.0) for k in range(length)], [(k, k % len(SENTENCES), 1) for k in range(length)]
        rollout = Rollout(str(number), "train_0000", TOLD, poses, [1] * length, decisions, "stop", True, 0.5)
        found.append(([rollout], [np.array([1] * (length - 1) + [2])]))
    return found


def _frames(folder: Path) -> Path:
    for number, length in enumerate(LENGTHS, 1):
        (folder / str(number)).mkdir(parents=True)
        for place, frame in enumerate(tiny_frames(length, seed=number)):
            (folder / str(number) / FRAME_NAME.format(place)).write_bytes(encode_jpeg(frame))
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder with a set of each layout, made by the writers of `data collect` and `lessons`, and a mixture of all three."""
    pytest.importorskip("pyarrow")
    folder = tmp_path_factory.mktemp("data")
    write_lerobot(folder / "walks", "train", _frames(folder / "r2r" / "train"), _houses())
    write_annotations(folder / "r2r" / "annotations.json", _houses())
    write_data(folder / "talk", n=8)
    (folder / "mixture.yaml").write_text(
        "datasets:\n  talk: {path: talk/lessons.json, media: talk/media}\n  r2r: {format: navila, path: r2r}\n"
        "  walks: {format: lerobot, path: walks}\n  short: {format: navila, path: r2r, frames: 4}\n"
        "mixtures:\n  all: talk + r2r*2 + walks@0.5\n  r2r: r2r\n  walks: walks\n  short: short\n"
        "  weighted: [{dataset: talk, weight: 1}, {dataset: r2r, weight: 3}]\n"
    )
    return folder


def _mixture(folder: Path, name: str) -> Mixture:
    return load_mixture(folder / "mixture.yaml", name, 0)


def _samples(folder: Path, name: str) -> tuple[Sample, ...]:
    (part,) = _mixture(folder, name).parts
    return part


def test_one_file_mixes_the_three_layouts_with_repeats_shares_and_weights(written: Path) -> None:
    sizes = {name: {part[0].subset: len(part) for part in _mixture(written, name).parts} for name in ("all", "weighted")}
    assert sizes == {"all": {"talk": 8, "r2r": 2 * 17, "walks": 8}, "weighted": {"talk": round(25 / 4), "r2r": round(25 * 3 / 4)}}
    order = _mixture(written, "all").order(3)
    assert [one.subset for one in order].count("walks") == 8 and {"r2r", "talk"} < {one.subset for one in order[:8]}


def test_both_layouts_give_the_same_samples(written: Path) -> None:
    one, other = _samples(written, "r2r"), _samples(written, "walks")
    assert [sample.exchanges for sample in one] == [sample.exchanges for sample in other] and len(one) == sum(LENGTHS) + 2
    for a, b in zip(one[::4], other[::4], strict=True):
        assert all(np.array_equal(np.asarray(opened_picture(x)), np.asarray(opened_picture(y))) for x, y in zip(a.images, b.images))


def test_a_sample_shows_the_window_of_its_history_and_black_before_it(written: Path) -> None:
    second, last = _samples(written, "r2r")[1], _samples(written, "r2r")[-1]
    assert (second.exchanges[0].question, second.exchanges[0].answer) == (profile("navila").user_text(TOLD), SENTENCES[1])
    shown = [np.asarray(opened_picture(image)) for image in second.images]
    assert [bool(frame.any()) for frame in shown] == [False] * 6 + [True] * 2
    names = [f"2/frame_{k * 11 // 7}.jpg" for k in range(7)] + ["2/frame_11.jpg"]
    assert [image.path for image in last.images] == [written / "r2r" / "train" / name for name in names]
    short = _samples(written, "short")[-1]
    assert [image.path.name for image in short.images] == [f"frame_{k}.jpg" for k in (0, 3, 7, 11)]
    assert short.exchanges[0].question == profile("navila", 4).user_text(TOLD)


@pytest.mark.parametrize("mode", ["resize", "dynamic"])
@torch.no_grad()
def test_training_asks_what_an_engine_asks(written: Path, tmp_path: Path, mode: str) -> None:
    model = open_model(stage(tmp_path, f"image_mode={mode}"))
    sample = _samples(written, "short")[-1]
    prepared = Preparer(model, 4096).prepare(sample)
    (embeds,), (labels,) = fused(model, [prepared])
    assert model.tokenizer is not None
    blocks = iter(model.media.frames([np.asarray(opened_picture(image)) for image in sample.images]))  # as Engine.encode
    asked = [
        model.media.image_block(next(blocks)) if chunk.media else model.llm.get_input_embeddings()(torch.tensor(chunk.ids))
        for chunk in model.tokenizer.prompt(profile("navila", 4).user_text(TOLD))
    ]
    prompt = torch.cat(asked)
    assert torch.allclose(embeds[: len(prompt)], prompt, atol=1e-6) and len(embeds) == len(prompt) + prepared.learned
    answer = [*model.tokenizer.encode(sample.exchanges[0].answer), model.tokenizer.stops[-1]]
    assert labels.tolist() == [IGNORED] * len(prompt) + answer


def test_what_is_wrong_with_a_sample_is_told_and_the_others_stay(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written, tmp_path / "data")
    path = tmp_path / "data" / "r2r" / "annotations.json"
    entries = json.loads(path.read_bytes())
    entries[2]["frames"], entries[5]["q"], entries[7]["a"] = ["../../secret.jpg"], " ", None
    path.write_text("\n".join([*map(json.dumps, entries), '{"video_id": "9", "q']))  # as JSON lines, cut off at its end
    mixture = _mixture(tmp_path / "data", "r2r")
    assert len(mixture.parts[0]) == 17 - 3 and mixture.faults.counts == {"r2r": 4}
    told = mixture.faults.text()
    assert "r2r/2: " in told and "'../../secret.jpg' is no path inside" in told and "sample 5 (video_id 2): field 'q' is ' '" in told
    assert "field 'a' is None" in told and "sample line 18: is not JSON" in told


def test_frames_that_are_gone_or_no_pictures_are_their_samples_fault(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written, tmp_path / "data")
    train = tmp_path / "data" / "r2r" / "train"
    (train / "1" / "frame_1.jpg").unlink()
    (train / "2" / "frame_0.jpg").write_bytes(b"no picture")
    first, second, *_, last = _samples(tmp_path / "data", "r2r")
    assert opened_picture(first.images[-1]).size == (96, 96)
    for sample, name in ((second, "1/frame_1.jpg"), (last, "2/frame_0.jpg")):
        with pytest.raises(SampleError, match=f"{name}: not readable as a picture"):
            [opened_picture(image) for image in sample.images]


@pytest.mark.parametrize(
    ("name", "message"),
    [("r2r", "annotations.json cannot be read"), ("walks", "info.json: not readable"), ("short", "no folder of frames; expected train")],
)
def test_a_folder_that_is_no_such_set_is_named(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "annotations.json").write_text("[]")
    (tmp_path / "mixture.yaml").write_text(
        "datasets: {r2r: {format: navila, path: empty}, walks: {format: lerobot, path: empty}, short: {format: navila, path: bare}}\n"
        "mixtures: {r2r: r2r, walks: walks, short: short}\n"
    )
    with pytest.raises(ValueError, match=message):
        _mixture(tmp_path, name)


def test_a_stage_trains_on_all_three_and_lists_what_it_left_out(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written, tmp_path / "broken")
    (tmp_path / "broken" / "r2r" / "train" / "1" / "frame_0.jpg").unlink()
    for folder, out in ((written, tmp_path / "good"), (tmp_path / "broken", tmp_path / "bad")):
        overrides = (f"data={folder / 'mixture.yaml'}", "mixture=all", "steps=2", "max_length=1024", "global_batch=25")
        StageRun(stage(tmp_path, *overrides), out, lambda _line: None).run()
        assert len(losses(out)) == 2 and np.isfinite(losses(out)).all()
    assert not (tmp_path / "good" / "skipped.txt").exists()
    told = (tmp_path / "bad" / "skipped.txt").read_text()
    assert told.startswith("8 samples left out (8 of r2r)") and "r2r/0: " in told and "1/frame_0.jpg: not readable as a picture" in told
