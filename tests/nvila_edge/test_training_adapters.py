"""Tuning with few parameters: what trains, what is saved, and that the merged model is the trained one."""

from __future__ import annotations

import pytest
import torch

from nvila_edge.model.nvila import NVILA
from nvila_edge.training.adapters import add_adapters, merged_state
from nvila_edge.training.stages import load_stages
from nvila_edge.training.starting import freeze
from nvila_edge.training.states import named_trainable
from nvila_edge.training.trainer import StageRun, losses
from tests.nvila_edge.lessons import stage
from tests.tiny import tiny_model

SMALL = ("tuning.rank=4", "tuning.alpha=8")


def _trains(*overrides: str) -> tuple[NVILA, set[str]]:
    model, recipe = tiny_model(), load_stages("nvila-stage4", [*SMALL, *overrides])[0]
    freeze(model, recipe)
    add_adapters(model, recipe)
    return model, {name for name, _ in named_trainable(model)}


def test_lora_takes_every_linear_layer_of_the_decoder_and_not_the_output():
    model, names = _trains("tuning.language=lora", "learning_rate.vision=0")
    layers = {name.split(".lora_")[0] for name in names if name.startswith("llm.")}
    assert len(layers) == 7 * len(model.llm.model.layers) and all(".lora_" in name for name in names if name.startswith("llm."))
    assert {name for name in names if not name.startswith("llm.")} == {
        f"mm_projector.{name}" for name, _ in model.mm_projector.named_parameters()
    }


def test_norms_only_and_lora_on_the_tower():
    _, names = _trains("tuning.vision=norms", "learning_rate.language=0")
    vision = {name for name in names if name.startswith("vision_tower")}
    assert len(vision) == 2 * 4 and all("layer_norm" in name for name in vision)
    model, names = _trains("tuning.vision=lora", "learning_rate.language=0")
    layers = {name.split(".lora_")[0] for name in names if name.startswith("vision_tower")}
    assert len(layers) == 6 * len(model.vision_tower.encoder.layers)


def test_the_merged_model_answers_as_the_adapted_one():
    recipe = load_stages("nvila-stage4", [*SMALL, "tuning.language=lora", "tuning.vision=lora", "tuning.dropout=0"])[0]
    model = tiny_model()
    freeze(model, recipe)
    add_adapters(model, recipe)
    for name, parameter in named_trainable(model):
        if ".lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    plain, adapted = tiny_model().logits("where?"), model.eval().logits("where?")
    merged = tiny_model()
    merged.load_state_dict(merged_state(model, dict(model.state_dict()), recipe))
    assert abs(merged.logits("where?") - adapted).max() < 1e-3 < abs(plain - adapted).max()


def test_a_run_with_adapters_goes_on_to_the_bit_and_saves_the_published_layout(tmp_path):
    overrides = (*SMALL, "tuning.language=lora", "tuning.vision=norms", "learning_rate.language=1e-3", "steps=4")
    recipe = stage(tmp_path, *overrides)
    final = StageRun(recipe, tmp_path / "whole", lambda _line: None).run()

    class Stopped(Exception):
        pass

    def stop(line: str) -> None:
        if "3 of 4" in line:
            raise Stopped

    run = StageRun(recipe, tmp_path / "cut", stop)
    run._spoken = -1e9
    seen = run._speak
    run._speak = lambda record: (setattr(run, "_spoken", -1e9), seen(record))  # type: ignore[method-assign]
    with pytest.raises(Stopped):
        run.run()
    StageRun(recipe, tmp_path / "cut", lambda _line: None).run()
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole") and len(losses(tmp_path / "cut")) == 4
    before, after = NVILA.from_pretrained(recipe.checkpoint).state_dict(), NVILA.from_pretrained(final).state_dict()
    assert before.keys() == after.keys()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert "llm.model.layers.0.self_attn.q_proj.weight" in changed and "vision_tower.encoder.layers.0.layer_norm1.weight" in changed
    assert not any("embed" in name or "lm_head" in name or "mlp.fc" in name or "input_layernorm" in name for name in changed)


def test_the_navigation_recipe_is_table_5s_recommendation():
    recipe = load_stages("finetune-nav")[0]
    assert (recipe.tuning.language, recipe.tuning.vision) == ("qlora", "norms")
    assert 5 <= recipe.learning_rate.language / recipe.learning_rate.vision <= 50 and recipe.learning_rate.projector > 0
