"""A whole training run in small: every stage, a cut in the middle, and a checkpoint that opens."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nvila_edge import NVILA
from nvila_edge.training.grounding import WordAlignment, presence
from nvila_edge.training.recipe import load_recipe
from sim.dagger import DaggerRun

SMALL = (
    "houses=11", "episodes_per_house=2", "workers=1", "vision.frames_per_house=12", "vision.steps=2", "vision.batch_size=4",
    "grounding.steps=2", "grounding.batch_size=4", "grounding.aligned_frames=4", "dagger.cloning_episodes_per_house=1",
    "dagger.cloning_steps=2", "dagger.rounds=1", "dagger.houses_per_round=1", "dagger.episodes_per_house=1", "dagger.steps_per_round=1",
    "dagger.batch_size=2", "dagger.max_decisions=3", "dagger.question_share=0.5", "dagger.validation_episodes=1",
    "model.vision_hidden=32", "model.vision_layers=1", "model.vision_heads=2", "model.hidden=128", "model.layers=1", "model.intermediate=128",
)  # fmt: skip


def test_presence_is_counted_by_block_of_patches():
    counts = np.zeros((1, 16, 2), np.uint8)
    counts[0, :, 0] = 100
    counts[0, 6, 1] = 50  # row 1, column 2 of a 4 x 4 grid
    assert presence(counts, 4, 2)[0].tolist() == [[True, False], [True, True]]
    assert presence(counts, 2, 2)[0, :, 1].tolist() == [False, True, False, False]


def test_alignment_is_low_where_tokens_lie_at_their_words():
    embedding = torch.eye(4)
    alignment = WordAlignment([[0], [1, 2]])
    tokens = torch.stack([embedding[0], embedding[1] + embedding[2]])[None]
    right, wrong = torch.tensor([[[1, 0], [0, 1]]]), torch.tensor([[[0, 1], [1, 0]]])
    assert float(alignment(tokens, embedding, right)) < 0.1 < float(alignment(tokens, embedding, wrong))


@pytest.mark.slow
def test_a_run_goes_through_all_stages_and_on_after_a_cut(tmp_path: Path):
    said: list[str] = []

    class Cut(Exception):
        pass

    def cut_after_grounding(line: str) -> None:
        said.append(line)
        if line.startswith("grounding: step 2"):
            raise Cut

    recipe = load_recipe("builtin", SMALL)
    with pytest.raises(Cut):
        DaggerRun(recipe, tmp_path, cut_after_grounding).run()
    assert not (tmp_path / "dagger.pt").exists()
    checkpoint = DaggerRun(recipe, tmp_path, said.append).run()
    stages = [json.loads(line)["stage"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert stages == ["vision", "dagger", "dagger"]
    assert np.isfinite(NVILA.from_pretrained(checkpoint, dtype="float32").logits("where is the sofa?")).all()
