"""Learning rates over a run, and the optimizer: AdamW without weight decay, one group a part (the paper's section 3.1)."""

from __future__ import annotations

import math

import torch
from torch import nn

from nvila_edge.training.coat import CoatAdamW
from nvila_edge.training.stages import StageRecipe
from nvila_edge.training.starting import part_of
from nvila_edge.training.states import named_trainable


def factor(step: int, steps: int, warmup: float) -> float:
    """What the peak rate is multiplied by in step 0 .. steps - 1: a linear rise over the first `warmup` share, then half a cosine down to 0.

    The rise ends at 1; its first step is not 0, as the released scripts' is: a short run has few of them.
    """
    rising = math.ceil(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def new_optimizer(model: nn.Module, recipe: StageRecipe) -> torch.optim.Optimizer:
    """One group for each part that trains; the published scripts honour only one of two such rates (VILA's llava_trainer.py), here all count."""
    groups: dict[str, list[nn.Parameter]] = {}
    for name, parameter in named_trainable(model):
        groups.setdefault(part_of(name), []).append(parameter)
    listed = [{"params": parameters, "lr": getattr(recipe.learning_rate, part), "part": part} for part, parameters in groups.items()]
    kind = CoatAdamW if recipe.optimizer == "coat" else torch.optim.AdamW
    return kind(listed, weight_decay=0.0)


def set_rates(optimizer: torch.optim.Optimizer, recipe: StageRecipe, step: int, steps: int) -> dict[str, float]:
    """Sets this step's rates; returns them by part."""
    scale = factor(step, steps, recipe.warmup)
    for group in optimizer.param_groups:
        group["lr"] = getattr(recipe.learning_rate, group["part"]) * scale
    return {group["part"]: group["lr"] for group in optimizer.param_groups}
