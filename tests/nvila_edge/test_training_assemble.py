"""A model of a tower and a language model that were trained apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from nvila_edge.model.checkpoint import CheckpointError
from nvila_edge.model.nvila import NVILA
from nvila_edge.training.assemble import assemble
from nvila_edge.training.stages import load_stages
from nvila_edge.training.trainer import StageRun
from tests.nvila_edge.lessons import FAST, write_data
from tests.tiny import save_tiny_checkpoint, tiny_frames


@pytest.fixture
def parts(tmp_path) -> tuple[Path, Path]:
    """The two folders, as transformers' own models are published."""
    whole = save_tiny_checkpoint(tmp_path / "whole")
    shutil.copytree(whole / "vision_tower", tmp_path / "tower")
    tower = json.loads((tmp_path / "tower" / "config.json").read_text())
    tower["num_hidden_layers"] = 3  # one more than is stored: the layer before the last is the one that is used
    (tmp_path / "tower" / "config.json").write_text(json.dumps(tower))
    return tmp_path / "tower", whole / "llm"


def test_the_parts_are_taken_over_and_the_result_is_a_checkpoint(tmp_path, parts):
    torch.manual_seed(0)
    model = assemble(*parts, projector="mlp_downsample_8x2")
    model.save_pretrained(tmp_path / "made")
    again, whole = NVILA.from_pretrained(tmp_path / "made"), NVILA.from_pretrained(tmp_path / "whole", dtype="float32")
    assert all(torch.equal(a, b) for a, b in zip(again.llm.state_dict().values(), whole.llm.state_dict().values(), strict=True))
    assert len(again.vision_tower.encoder.layers) == 2
    frames = list(tiny_frames(1))
    assert (again.logits("<image>what?", images=frames) == model.logits("<image>what?", images=frames)).all()


def test_parts_that_are_none_are_refused(tmp_path, parts):
    vision, language = parts
    with pytest.raises(ValueError, match="unknown projector type 'mlp'"):
        assemble(vision, language, projector="mlp")
    with pytest.raises(CheckpointError, match="expected a siglip_vision_model"):
        shutil.copytree(vision, tmp_path / "clip")
        (tmp_path / "clip" / "config.json").write_text(json.dumps({"model_type": "clip_vision_model"}))
        assemble(tmp_path / "clip", language)
    (vision / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no \*.safetensors"):
        assemble(vision, language)


def test_the_first_stage_begins_with_parts(tmp_path, parts):
    places = [f"parts.vision={parts[0]}", f"parts.language={parts[1]}", f"data={write_data(tmp_path / 'data')}"]
    recipe = load_stages("nvila-stage1", [*places, *FAST, "projector=mlp_downsample_8x2", "steps=2"])[0]
    made = NVILA.from_pretrained(StageRun(recipe, tmp_path / "out", lambda _line: None).run())
    whole = NVILA.from_pretrained(tmp_path / "whole")
    assert all(torch.equal(a, b) for a, b in zip(made.llm.state_dict().values(), whole.llm.state_dict().values(), strict=True))
    assert made.config.projector == "mlp_downsample_8x2" and made.config.raw["nvila_edge_stage"] == "stage1"
