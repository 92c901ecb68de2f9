"""Fine-tunes saved as LoRA adapters (with `non_lora_trainables.bin` for what was trained whole), merged into their base while it is read.

W' = W + scale * B A, scale = lora_alpha / r, or / sqrt(r) with use_rslora (peft's LoraConfig).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nvila_edge.model.checkpoint import PARTS, CheckpointError, read_json
from nvila_edge.model.weights import StoredTensor, _safetensors, torch_tensors

_PREFIXES = ("base_model.model.", "model.")


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter rather than a whole model."""
    return (folder / "adapter_config.json").is_file()


def base_folder(adapter: Path) -> str:
    """What the adapter was trained on: a folder (also relative to the adapter's) or a hub id."""
    named = read_json(adapter / "adapter_config.json").get("base_model_name_or_path")
    if not named:
        raise CheckpointError(
            f"{adapter / 'adapter_config.json'} names no base_model_name_or_path; write the base checkpoint's folder there"
        )
    beside = adapter / str(named)
    return str(beside) if beside.is_dir() else str(named)


def merged(base: dict[str, dict[str, StoredTensor]], adapter: Path) -> dict[str, dict[str, StoredTensor]]:
    """The base's tensors by part, with the adapter's changes. Raises CheckpointError for what doesn't fit the base."""
    config = read_json(adapter / "adapter_config.json")
    if config.get("use_dora"):
        raise CheckpointError(f"{adapter}: DoRA adapters are not supported; expected LoRA")
    result = {part: dict(tensors) for part, tensors in base.items()}
    for name, value in _whole(adapter).items():
        part, own = _place(name, result, value.origin)
        result[part][own] = value
    pairs: dict[str, dict[str, StoredTensor]] = {}
    for name, value in _adapter_tensors(adapter).items():
        layer, _, kind = (
            name.replace(".lora_A.default", ".lora_A").replace(".lora_B.default", ".lora_B").removesuffix(".weight").rpartition(".")
        )
        if kind not in ("lora_A", "lora_B"):
            raise CheckpointError(f"{value.origin}: expected lora_A or lora_B weights")
        pairs.setdefault(layer, {})[kind] = value
    for layer, pair in pairs.items():
        if len(pair) != 2:
            raise CheckpointError(f"{adapter}: {layer} has only {next(iter(pair))}; expected lora_A and lora_B")
        part, own = _place(f"{layer}.weight", result, pair["lora_A"].origin)
        rank = pair["lora_A"].shape[0]
        scale = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
        weight = result[part][own]
        if (pair["lora_B"].shape[0], pair["lora_A"].shape[1]) != weight.shape or pair["lora_B"].shape[1] != rank:
            raise CheckpointError(
                f"{pair['lora_A'].origin}: expected a pair for {list(weight.shape)}, found {pair['lora_A'].shape} and {pair['lora_B'].shape}"
            )
        result[part][own] = replace(weight, load=partial(_added, weight, pair["lora_A"], pair["lora_B"], scale))
    return result


def _added(weight: StoredTensor, a: StoredTensor, b: StoredTensor, scale: float, dtype: torch.dtype | None) -> Tensor:
    base = weight.load(dtype)
    return (base.float() + scale * (b.load(torch.float32) @ a.load(torch.float32))).to(base.dtype)


def _adapter_tensors(adapter: Path) -> dict[str, StoredTensor]:
    for name, read in (("adapter_model.safetensors", _safetensors), ("adapter_model.bin", torch_tensors)):
        if (adapter / name).is_file():
            return read(adapter / name)
    raise CheckpointError(f"{adapter} has an adapter_config.json but neither adapter_model.safetensors nor adapter_model.bin")


def _whole(adapter: Path) -> dict[str, StoredTensor]:
    path = adapter / "non_lora_trainables.bin"
    return torch_tensors(path) if path.is_file() else {}


def _place(name: str, parts: dict[str, dict[str, Any]], origin: str) -> tuple[str, str]:
    """(part, our name) of a name in the adapter's files."""
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    part, _, own = name.partition(".")
    if part == "vision_tower":
        own = own.rsplit("vision_model.", 1)[-1]
    if part not in PARTS or own not in parts[part]:
        raise CheckpointError(f"{origin}: the base has no {name}")
    return part, own
