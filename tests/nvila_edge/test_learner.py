"""One step after another, a cut in between, and the same weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from nvila_edge.training.builtin import ModelSize, new_model
from nvila_edge.training.checkpoints import TrainingError
from nvila_edge.training.learner import Learner
from nvila_edge.training.stream import Batch, Episode, StreamLayout
from nvila_edge.training.tokenizer import train_tokenizer

TEXT = "Leave the bedroom, then stop by the piano."
SPANS = ((0, 17), (24, 41))
SIZE = ModelSize(vision_hidden=32, vision_layers=1, vision_heads=2, hidden=128, layers=2, heads=4, kv_heads=2, intermediate=128)


def _fresh(file: Path) -> tuple[Learner, StreamLayout]:
    torch.manual_seed(0)
    model = new_model(SIZE, train_tokenizer([TEXT]))
    for parameter in model.vision_tower.parameters():
        parameter.requires_grad_(False)
    assert model.tokenizer is not None
    return Learner(model, 128, file), StreamLayout(model.tokenizer, 4)


def _batch(layout: StreamLayout, seed: int) -> Batch:
    rng = np.random.default_rng(seed)
    walked = rng.integers(1, 10, 3)
    features = rng.normal(size=(3, 64, 32)).astype(np.float16)
    return layout.collate([Episode(TEXT, features, walked, walked, spans=SPANS, part=np.array([0, 0, 1]))])


def test_pointers_lead_to_the_words_of_each_part(tmp_path: Path) -> None:
    _, layout = _fresh(tmp_path / "none.pt")
    batch, opening = _batch(layout, 0), layout.opening(TEXT)
    said = [layout.tokenizer.decode(opening[first:last]).strip() for _, _, first, last, _ in batch.pointers.tolist()]
    assert said == ["leave the bedroom", "leave the bedroom", "stop by the piano"]
    assert [column for _, column, *_ in batch.pointers.tolist()] == [column + 4 for _, column in batch.slots.tolist()]


def test_what_goes_on_from_its_file_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole, layout = _fresh(tmp_path / "whole.pt")
    first, _ = _fresh(tmp_path / "cut.pt")
    losses = [whole.learn(_batch(layout, seed), _batch(layout, 9), 1e-3) for seed in range(4)]
    cut = [first.learn(_batch(layout, seed), _batch(layout, 9), 1e-3) for seed in range(2)]
    first.save(3)
    second, _ = _fresh(tmp_path / "cut.pt")
    assert (second.step, second.round) == (2, 3)
    assert cut + [second.learn(_batch(layout, seed), _batch(layout, 9), 1e-3) for seed in (2, 3)] == losses
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_the_same_batch_again_is_known_better_and_the_tower_stays(tmp_path: Path) -> None:
    learner, layout = _fresh(tmp_path / "none.pt")
    tower = {name: value.clone() for name, value in learner.model.vision_tower.state_dict().items()}
    losses = [learner.learn(_batch(layout, 0), None, 1e-3) for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]
    assert all(torch.equal(value, tower[name]) for name, value in learner.model.vision_tower.state_dict().items())


def test_a_loss_that_is_no_number_stops_and_names_the_file(tmp_path: Path) -> None:
    learner, layout = _fresh(tmp_path / "good.pt")
    with torch.no_grad():
        learner.model.llm.model.embed_tokens.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"good\.pt holds the last good state"):
        learner.learn(_batch(layout, 0), None, 1e-3)
