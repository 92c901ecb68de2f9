"""The PyTorch model: equal to the reference on text, loss-free saving, clear errors."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from nvila_edge import NVILA
from nvila_edge.model.preprocess import pixels
from nvila_edge.model.projector import SpaceToChannel
from nvila_edge.training.builtin import ModelSize, new_model
from nvila_edge.training.tokenizer import train_tokenizer

SIZE = ModelSize(vision_hidden=32, vision_layers=2, vision_heads=2, hidden=128, layers=2, heads=4, kv_heads=2, intermediate=128)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    import torch

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoint")
    new_model(SIZE, train_tokenizer(["Where is the sofa?"])).eval().save_pretrained(folder)
    return folder


def test_text_logits_equal_the_reference(golden):
    case = golden / "nvila" / "text"
    prompt = json.loads((case / "case.json").read_text())["prompt"]
    expected = np.load(case / "golden.npz")["logits"][0]
    assert np.abs(NVILA.from_pretrained(case / "ckpt").logits(prompt) - expected).max() < 1e-4


def test_saving_and_loading_keeps_every_bit(checkpoint, tmp_path):
    model = NVILA.from_pretrained(checkpoint)
    frame = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    model.save_pretrained(tmp_path)
    again = NVILA.from_pretrained(tmp_path)
    assert np.array_equal(model.logits("<image>Where?", images=[frame]), again.logits("<image>Where?", images=[frame]))
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "llm", "vision_tower", "mm_projector"}


def test_an_image_is_four_tokens_and_a_line_break(checkpoint):
    model = NVILA.from_pretrained(checkpoint)
    frame = np.zeros((64, 64, 3), np.uint8)
    assert len(model.embed_prompt("<image>Where?", images=[frame])) - len(model.embed_prompt("Where?")) == 5


@pytest.mark.parametrize(("prompt", "count"), [("Where?", 1), ("<image><image>", 1), ("<image>", 0)])
def test_marks_and_media_must_agree(checkpoint, prompt, count):
    with pytest.raises(ValueError, match="write one mark for each"):
        NVILA.from_pretrained(checkpoint).logits(prompt, images=[np.zeros((8, 8, 3), np.uint8)] * count)


def test_generation_is_greedy_and_ends(checkpoint):
    model = NVILA.from_pretrained(checkpoint)
    embeds, ids = model.embed_prompt("Hello"), []
    while len(ids) < 5:  # without a cache, one pass for each token
        with torch.no_grad():
            ids.append(int(model.llm(inputs_embeds=embeds[None], use_cache=False).logits[0, -1].argmax()))
        if ids[-1] in model.tokenizer.stops:
            ids.pop()
            break
        embeds = torch.cat([embeds, model.llm.get_input_embeddings()(torch.tensor([ids[-1]]))])
    assert model.generate("Hello", max_new_tokens=5) == model.tokenizer.decode(ids)


def test_what_is_missing_is_named(checkpoint, tmp_path):
    with pytest.raises(ValueError, match="no config.json"):
        NVILA.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="llm/, vision_tower/, mm_projector/"):
        NVILA.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="float8"):
        NVILA.from_pretrained(checkpoint, dtype="float8")


def test_space_to_channel_pads_and_orders_blocks_row_by_row():
    import torch

    grid = torch.arange(9.0).view(1, 9, 1)
    assert SpaceToChannel(2, 2)(grid)[0].tolist() == [[0, 1, 3, 4], [2, 0, 5, 0], [6, 7, 0, 0], [8, 0, 0, 0]]


def test_pixels_are_scaled_to_one_around_zero_and_frames_checked():
    frame = np.zeros((4, 4, 3), np.uint8)
    frame[:] = 255
    assert pixels([frame], 2).tolist() == np.ones((1, 3, 2, 2)).tolist()
    with pytest.raises(ValueError, match=r"uint8 RGB array of shape .* got float32"):
        pixels([np.zeros((4, 4, 3), np.float32)], 2)
