"""Packed rows give what every sample gives alone; samples become what the model is asked with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nvila_edge.model.nvila import NVILA
from nvila_edge.training.collate import fused
from nvila_edge.training.labels import IGNORED, conversation
from nvila_edge.training.packing import packed, packed_attention, plan
from nvila_edge.training.samples import Exchange, Sample, SampleError
from nvila_edge.training.step import TrainingStep, checkpoint_layers
from tests.nvila_edge.lessons import lessons, prepared
from tests.tiny import tiny_frames, tiny_model


@pytest.fixture(scope="module")
def model() -> NVILA:
    return tiny_model()


def _loss_and_gradients(model: NVILA, rows: list, packing: bool, checkpointing: bool = False) -> tuple[float, dict[str, torch.Tensor]]:
    step, total = TrainingStep(model, packing), 0.0
    model.zero_grad()
    labels = sum(one.learned for row in rows for one in row)
    if checkpointing:
        checkpoint_layers(model)
    for row in rows:
        if packing:
            with packed_attention(model.llm):
                loss = step(row) / labels
                loss.backward()
        else:
            loss = step(row) / labels
            loss.backward()
        total += float(loss.detach())
    return total, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def _same(a: tuple, b: tuple) -> None:
    assert abs(a[0] - b[0]) < 1e-5
    assert a[1].keys() == b[1].keys() and len(a[1]) > 50
    for name, gradient in a[1].items():
        assert (gradient - b[1][name]).abs().max() < 1e-5 * max(1.0, float(gradient.abs().max())), name


def test_a_packed_row_gives_the_losses_and_gradients_of_its_samples_alone(model):
    batch = prepared(model, lessons())
    alone = _loss_and_gradients(model, [[one] for one in batch], packing=False)
    _same(alone, _loss_and_gradients(model, [batch], packing=True))
    _same(alone, _loss_and_gradients(model, [batch[3:], batch[:3]], packing=True))  # another split: the mean is over all rows
    _same(alone, _loss_and_gradients(model, [batch], packing=False))  # padded
    assert alone[0] > 1


def test_gradient_checkpointing_changes_nothing(model):
    batch = prepared(model, lessons(4))
    plain = _loss_and_gradients(model, [batch], packing=True)
    _same(plain, _loss_and_gradients(tiny_model().train(), [batch], packing=True, checkpointing=True))


def test_a_sample_is_asked_as_the_model_is_asked(model):
    """The fused question and generation prompt are those of NVILA.embed_prompt; the answer follows, and only it is learned."""
    frames, tokenizer = tiny_frames(2), model.tokenizer
    sample = Sample("a", "s", (Exchange("<image><image>What is there?", "a piano"),), tuple(frames))
    (one,) = prepared(model, [sample])
    (embeds,), (labels,) = fused(model, [one])
    asked = model.embed_prompt("<image><image>What is there?", images=list(frames))
    assert torch.equal(embeds[: len(asked)], asked)
    answer = [*tokenizer.encode("a piano"), tokenizer.end_of_turn]
    assert labels.tolist() == [IGNORED] * len(asked) + answer and one.length == len(labels) and one.learned == len(answer)


def test_every_answer_of_a_conversation_is_learned_with_its_end(model):
    tokenizer = model.tokenizer
    pieces = conversation(tokenizer, (Exchange("one?", "yes"), Exchange(" two? ", "no")))
    text = tokenizer.tokenizer.decode([t for p in pieces for t in p.ids], skip_special_tokens=False)
    head = "<|im_start|>system\nYou are a helpful assistant<|im_end|>\n"
    turns = "<|im_start|>user\none?<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n<|im_start|>user\ntwo?<|im_end|>\n<|im_start|>assistant\nno<|im_end|>"
    assert text == head + turns
    learned = [tokenizer.tokenizer.decode(list(p.ids), skip_special_tokens=False) for p in pieces if p.learned]
    assert learned == ["yes<|im_end|>", "no<|im_end|>"]
    bare = conversation(tokenizer, (Exchange("one?", "yes"),), system_prompt=False)
    assert tokenizer.tokenizer.decode(list(bare[0].ids), skip_special_tokens=False).startswith(
        "<|im_start|>system\n<|im_end|>\n<|im_start|>user"
    )


def test_llama_ends_the_last_answer_otherwise(golden):
    tokenizer = NVILA.from_pretrained(golden / "nvila" / "navila" / "ckpt").tokenizer
    pieces = conversation(tokenizer, (Exchange("a", "b"), Exchange("c", "d")))
    ends = [p.ids[-1] for p in pieces if p.learned]
    assert ends == [tokenizer.tokenizer.token_to_id("<|eot_id|>"), tokenizer.tokenizer.token_to_id("<|end_of_text|>")]
    ids, asked = [t for p in pieces[:1] for t in p.ids], tokenizer.prompt("a")
    assert ids == [t for chunk in asked for t in chunk.ids]  # also its two beginnings


@pytest.mark.parametrize("case", ["lite_wide", "lite_multi", "s2_wide", "s2_multi", "video_tsp", "video_basic", "navila"])
def test_lengths_are_known_before_anything_is_encoded(golden, case):
    """`fused` asserts that every sample has as many positions as were foreseen, in every image mode; learned positions are the answer's."""
    model = NVILA.from_pretrained(golden / "nvila" / case / "ckpt", dtype="float32")
    recorded = np.load(golden / "nvila" / case / "golden.npz")
    images = [recorded[key] for key in sorted(recorded.files) if key.startswith("img")]
    frames = tuple(images[0] for _ in range(8)) if "video" in case else None
    samples = [
        Sample("one", "s", (Exchange("<image>Look.", "ok"),), tuple(images[:1])),
        Sample("two", "s", (Exchange("<image>A<image>", "no"), Exchange("b", "c")), (images[0], images[-1])),
        *([Sample("film", "s", (Exchange("<vila/video>When?", "now"),), video=frames)] if frames else []),
    ]
    batch = prepared(model, samples, 100_000)
    embeds, labels = fused(model, batch)
    assert [len(one) for one in embeds] == [one.length for one in batch] == [len(one) for one in labels]
    assert [int((one != IGNORED).sum()) for one in labels] == [one.learned for one in batch]
    if case == "lite_wide":
        tiles = len(model.media.tiles(images[:1])[0].tiles)
        assert tiles > 1 and batch[0].pieces[-2].ids[0] == model.tokenizer.newline  # a textual line break after every tile


def test_the_plan_fills_rows_without_passing_the_limit():
    lengths = [5, 3, 9, 2, 2, 12, 1]
    rows = plan(lengths, 10)
    assert sorted(index for row in rows for index in row) == list(range(7))
    assert [sum(lengths[i] for i in row) for row in rows] == [12, 10, 10, 2]
    assert plan([], 10) == []


def test_the_first_label_of_every_sample_in_a_row_is_masked():
    row = packed([torch.zeros(3, 4), torch.zeros(2, 4)], [torch.tensor([7, 8, 9]), torch.tensor([5, 6])])
    assert row.labels.tolist() == [IGNORED, 8, 9, IGNORED, 6] and row.positions.tolist() == [[0, 1, 2, 0, 1]]


def test_too_long_samples_are_refused_by_length(model):
    with pytest.raises(SampleError, match="has .* positions with its media; the recipe's max_length is 20"):
        prepared(model, lessons(2), 20)
