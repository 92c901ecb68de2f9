"""Several prompts at once give what each gives alone: padding on either side, mixed media, answers."""

from __future__ import annotations

import numpy as np
import pytest

from nvila_edge import NVILA
from nvila_edge.model.generation import Sampling
from nvila_edge.model.nvila import Turn
from nvila_edge.model.video import frame_indices, frames_as_images, read_video

FRAMES = [np.random.default_rng(seed).integers(0, 255, (60, 90, 3), np.uint8) for seed in range(8)]
TURNS = (
    Turn("Go to the door."),
    Turn("<image>Where is the sofa?", images=FRAMES[:1]),
    Turn("<image> then <image>, and now?", images=FRAMES[:2]),
    Turn("<vila/video>Describe.", video=FRAMES),
)


@pytest.fixture(scope="module", params=["s2_wide", "lite_wide", "video_tsp"])
def model(request, golden):
    return NVILA.from_pretrained(golden / "nvila" / request.param / "ckpt")


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_batch_of_mixed_prompts_equals_one_by_one(model, side):
    for turn, row in zip(TURNS, model.batch_logits(TURNS, side), strict=True):
        assert np.abs(row - model.logits(turn.prompt, turn.images, turn.video)).max() < 1e-4


def test_batched_answers_equal_single_ones(model):
    singles = [model.generate(turn.prompt, turn.images, turn.video, max_new_tokens=6) for turn in TURNS]
    assert model.generate_batch(TURNS, max_new_tokens=6) == singles


def test_streamed_pieces_join_to_the_answer(model):
    assert "".join(model.stream("Hello", max_new_tokens=12)) == model.generate("Hello", max_new_tokens=12)


def test_sampling_is_reproducible_and_greedy_at_zero(model):
    hot = [model.generate("Hello", max_new_tokens=8, sampling=Sampling(2.0, 1.0, seed)) for seed in (1, 1, 2, 3)]
    assert hot[0] == hot[1]
    assert len(set(hot)) > 1
    assert model.generate("Hello", max_new_tokens=8, sampling=Sampling(2.0, 1e-9)) == model.generate("Hello", max_new_tokens=8)


@pytest.mark.parametrize("bad", [{"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}])
def test_impossible_sampling_is_refused(bad):
    with pytest.raises(ValueError, match="expected temperature"):
        Sampling(**bad)


def test_frames_as_images_bypasses_the_video_encoder(model):
    prompt, images = frames_as_images("<vila/video>Describe.", FRAMES)
    assert prompt == "<image>" * 8 + "Describe."
    per_image = len(model.embed_prompt("<image>Describe.", FRAMES[:2][:1])) if model.config.image_aspect_ratio == "resize" else None
    rows = len(model.embed_prompt(prompt, images)) - len(model.embed_prompt("Describe."))
    assert rows == 8 * (per_image - len(model.embed_prompt("Describe."))) if per_image else rows % 8 == 0


@pytest.mark.parametrize(
    ("count", "wanted", "expected"), [(100, 4, [0, 33, 66, 99]), (3, 8, [0, 0, 1, 1, 1, 1, 2, 2]), (1, 2, [0, 0]), (0, 8, [])]
)
def test_frames_are_spread_from_first_to_last(count, wanted, expected):
    assert frame_indices(count, wanted) == expected


def test_frames_by_time_are_at_most_the_wanted_number():
    assert frame_indices(90, 8, video_fps=30, fps=1) == [0, 30, 60]
    assert len(frame_indices(900, 8, video_fps=30, fps=2)) == 8


def test_a_folder_of_frames_is_a_video_and_unreadable_ones_are_dropped(tmp_path):
    from PIL import Image

    for index, frame in enumerate(FRAMES[:3]):
        Image.fromarray(frame).save(tmp_path / f"{index}.png")
    (tmp_path / "2.png").write_bytes(b"not a picture")
    assert len(read_video(tmp_path, 3)) == 2
    assert np.array_equal(np.asarray(read_video(tmp_path, 3)[0]), FRAMES[0])


def test_a_file_that_is_no_video_is_named(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"\x00" * 100)
    with pytest.raises(ValueError, match=r"clip\.mp4"):
        read_video(tmp_path / "clip.mp4", 8)
