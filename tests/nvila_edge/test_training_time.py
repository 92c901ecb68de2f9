"""Temporal localisation: times as tokens and back, the soft loss in training, and the measures."""

from __future__ import annotations

import pytest
import torch

from nvila_edge.model.nvila import NVILA
from nvila_edge.training.collate import Preparer
from nvila_edge.training.packing import packed_attention
from nvila_edge.training.samples import Exchange, Sample, SampleError
from nvila_edge.training.soft_cross_entropy import soft_cross_entropy, summed_soft_cross_entropy
from nvila_edge.training.step import TrainingStep
from nvila_edge.training.time_tokens import add_time_tokens, interval, localisation_metrics, overlap, times_as_tokens, tokens_as_times
from tests.nvila_edge.lessons import lessons, prepared
from tests.tiny import tiny_frames, tiny_model


def test_seconds_become_tokens_and_tokens_seconds():
    assert times_as_tokens("from <0> to <12.3> and <60.0>", 60.0) == "from <t0> to <t20> and <t99>"
    assert times_as_tokens("<75>", 60.0) == "<t99>" and times_as_tokens("<sofa> <t3>", 60.0) == "<sofa> <t3>"
    assert tokens_as_times("<t0> <t20> <t99> <t100>", 60.0) == "<0.0> <12.12> <60.0> <60.0>"


def test_an_answer_names_an_interval():
    assert interval("from <t50> to <t10>.", 99.0) == (10.0, 50.0)
    assert interval("<t10> <t50> <t90>", 99.0) == (10.0, 50.0)
    assert interval("<t10> only", 99.0) == (0.0, 99.0) == interval("never", 99.0)
    assert interval("<12.5> to <999>", 99.0) == (12.5, 99.0)


def test_overlap_and_measures():
    assert overlap((0, 10), (5, 15)) == pytest.approx(1 / 3) and overlap((0, 1), (2, 3)) == 0 and overlap((2, 2), (2, 2)) == 1
    assert overlap((2, 8), (0, 10)) == pytest.approx(0.6)
    # per video first: the video with many answers counts as much as the other
    assert localisation_metrics([[1.0, 0.0, 0.0, 0.0], [0.5]]) == pytest.approx({"mean_iou": 37.5, "precision_at_0.5": 62.5})
    with pytest.raises(ValueError, match="at least one answer"):
        localisation_metrics([[1.0], []])


@pytest.mark.parametrize("tied", [True, False])
def test_a_model_gets_time_tokens_and_keeps_them(tmp_path, tied):
    model = tiny_model()
    if not tied:
        model.llm.config.tie_word_embeddings = False
        model.llm.lm_head.weight = torch.nn.Parameter(model.llm.lm_head.weight.detach() * 1.5)
    before, asked = model.llm.get_input_embeddings().weight.detach().clone(), model.logits("where?")
    add_time_tokens(model)
    ids = model.config.raw["time_token_ids"]
    assert len(ids) == 100 and model.tokenizer.encode("<t7>") == [ids[7]] and max(ids) < model.llm.config.vocab_size
    assert torch.equal(model.llm.get_input_embeddings().weight[: len(before)], before)
    assert (model.logits("where?")[:, : asked.shape[1]] == asked).all()
    model.save_pretrained(tmp_path / "saved")
    again = NVILA.from_pretrained(tmp_path / "saved")
    assert (again.logits("at <t7>?") == model.logits("at <t7>?")).all()
    add_time_tokens(again)  # a second time nothing is added
    assert again.llm.config.vocab_size == model.llm.config.vocab_size and again.config.raw["time_token_ids"] == ids
    with pytest.raises(ValueError, match="has 100 time tokens, the recipe wants 50"):
        add_time_tokens(again, 50)
    again.config.raw["time_token_ids"] = [1, 2]
    with pytest.raises(ValueError, match="mismatched vocabulary"):
        add_time_tokens(again)


def test_samples_with_times_need_a_duration_and_are_learned_softly():
    model = tiny_model()
    add_time_tokens(model)
    exchange, frames = (Exchange("<vila/video>When?", "from <2.0> to <8>"),), tuple(tiny_frames(4))
    preparer = Preparer(model, 512)
    with pytest.raises(SampleError, match="no .duration. of its video"):
        preparer.prepare(Sample("a", "s", exchange, video=frames))
    one = preparer.prepare(Sample("a", "s", exchange, video=frames, duration_s=10.0))
    ids = model.config.raw["time_token_ids"]
    assert [token for token in one.pieces[-1].ids if token in ids] == [ids[20], ids[79]]
    batch, step = [one, *prepared(model, lessons(3))], TrainingStep(model, packing=True)
    with packed_attention(model.llm), torch.no_grad():
        packed = float(step(batch))
    with torch.no_grad():
        alone = TrainingStep(model, packing=False)
        assert sum(float(alone([sample])) for sample in batch) == pytest.approx(packed, abs=1e-3)
        logits = torch.from_numpy(model.logits("<vila/video>When?", video=list(frames)))
        answer = torch.tensor(one.pieces[-1].ids[:1])
        first = float(summed_soft_cross_entropy(logits[-1:], answer, ids))
        assert first == pytest.approx(float(torch.nn.functional.cross_entropy(logits[-1:], answer)), abs=1e-5)


def test_the_sum_and_the_mean_agree():
    logits, labels = torch.randn(1, 6, 30, generator=torch.Generator().manual_seed(0)), torch.tensor([[1, 12, 3, 14, 5, 16]])
    total = summed_soft_cross_entropy(logits[0, :-1], labels[0, 1:], range(10, 20))
    assert float(soft_cross_entropy(logits, labels, range(10, 20))) == pytest.approx(float(total) / 5)
