"""Tuning with few parameters (PEFT): LoRA and QLoRA on the language model, LayerNorms only or LoRA on the tower (NVILA, arXiv 2412.04468, Table 5)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nvila_edge.model.nvila import NVILA
from nvila_edge.model.opening import opened
from nvila_edge.training.recipe import RecipeError
from nvila_edge.training.stages import StageRecipe, Tuning

_NORMS = ("layer_norm1", "layer_norm2", "post_layernorm")
_BASE = ".base_layer."


def add_adapters(model: NVILA, recipe: StageRecipe) -> None:
    """Sets up what the recipe's tuning says, in place, for parts that train. The projector always trains whole.

    Raises RecipeError for QLoRA where it cannot be, ModuleNotFoundError without the package that it needs.
    """
    tuning, rates = recipe.tuning, recipe.learning_rate
    if tuning.language != "full" and rates.language:
        if tuning.language == "qlora":
            _quantise(model)
        model.llm.requires_grad_(False)
        _inject(model.llm.model, tuning)
    if tuning.vision == "norms" and rates.vision:
        for name, parameter in model.vision_tower.named_parameters():
            parameter.requires_grad_(any(norm in name for norm in _NORMS))
    if tuning.vision == "lora" and rates.vision:
        model.vision_tower.requires_grad_(False)
        _inject(model.vision_tower.encoder, tuning)


def merged_state(model: NVILA, state: dict[str, Tensor], recipe: StageRecipe) -> dict[str, Tensor]:
    """Tensors under the published names: W + (alpha / rank) B A, in float32. Layers that QLoRA holds in 4 bits are merged into the checkpoint's own."""
    if not recipe.tuning.adapters:
        return state
    whole = {name.replace(_BASE, "."): value for name, value in state.items() if ".lora_" not in name}
    whole = {name: value for name, value in whole.items() if not _is_packing(name)}
    stored = opened(recipe.checkpoint).stored["llm"] if recipe.tuning.language == "qlora" else {}
    scale = recipe.tuning.alpha / recipe.tuning.rank
    for name, a in state.items():
        if name.endswith(".lora_A.default.weight"):
            layer = name.removesuffix(".lora_A.default.weight")
            own = f"{layer}.weight"
            base = stored[own.removeprefix("llm.")].load(torch.float32) if own.removeprefix("llm.") in stored else whole[own].float()
            whole[own] = base + scale * state[f"{layer}.lora_B.default.weight"].float() @ a.float()
    return whole


def _inject(module: nn.Module, tuning: Tuning) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    names = [name for name, child in module.named_modules() if isinstance(child, nn.Linear)]
    config = LoraConfig(r=tuning.rank, lora_alpha=tuning.alpha, lora_dropout=tuning.dropout, target_modules=names)  # type: ignore[arg-type]
    inject_adapter_in_model(config, module)


def _quantise(model: NVILA) -> None:
    """The decoder's linear layers in NF4 with double quantisation; norms and lm_head stay. They take 4 bits when they reach the GPU."""
    if not torch.cuda.is_available():
        raise RecipeError("tuning.language=qlora needs an NVIDIA GPU: its 4-bit kernels are CUDA's; without one take tuning.language=lora")
    from bitsandbytes.nn import Linear4bit, Params4bit  # type: ignore[import-not-found]  an extra, CUDA only

    for name, child in list(model.llm.model.layers.named_modules()):
        if type(child) is nn.Linear:
            parent, _, own = name.rpartition(".")
            quantised: Any = Linear4bit(
                child.in_features, child.out_features, child.bias is not None, torch.bfloat16, compress_statistics=True, quant_type="nf4"
            )
            quantised.weight = Params4bit(child.weight.data, requires_grad=False, compress_statistics=True, quant_type="nf4")
            quantised.bias = child.bias
            setattr(model.llm.model.layers.get_submodule(parent), own, quantised)


def _is_packing(name: str) -> bool:
    """What bitsandbytes keeps beside a packed weight."""
    return any(part in name for part in (".absmax", ".quant_map", ".nested_", ".quant_state"))
