"""Fine-tunes saved as LoRA adapters (with `non_lora_trainables.bin` for what was trained whole), merged into their base while it is read.

W' = W + scale * B A, scale = lora_alpha / r, or / sqrt(r) with use_rslora (peft's LoraConfig).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nvila_edge.model.checkpoint import PARTS, CheckpointError, read_json
from nvila_edge.model.weights import FLOATS, StoredTensor, safetensors_tensors, torch_tensors

_CONFIG = "adapter_config.json"
_ROWS = 1024


@dataclass(frozen=True)
class Pair:
    """The two factors of a layer's change: a [r, in], b [out, r]; `layer` is its name without peft's prefix."""

    layer: str
    a: StoredTensor
    b: StoredTensor


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter rather than a whole model."""
    return (folder / _CONFIG).is_file()


def base_folder(adapter: Path) -> str:
    """What the adapter was trained on: a folder (also relative to the adapter's) or a hub id."""
    named = read_json(adapter / _CONFIG).get("base_model_name_or_path")
    if not named:
        raise CheckpointError(f"{adapter / _CONFIG} names no base_model_name_or_path; write the base checkpoint's folder there")
    beside = adapter / str(named)
    return str(beside) if beside.is_dir() else str(named)


def merged(base: dict[str, dict[str, StoredTensor]], adapter: Path) -> dict[str, dict[str, StoredTensor]]:
    """The base's tensors by part, with the adapter's changes. Raises CheckpointError for what doesn't fit the base."""
    config = _checked_config(adapter / _CONFIG)
    pairs, others = _sorted(_adapter_tensors(adapter))
    if not pairs and not others:
        raise CheckpointError(f"{adapter} holds an adapter without a single tensor; is the download complete?")
    whole = adapter / "non_lora_trainables.bin"
    result = {part: dict(tensors) for part, tensors in base.items()}
    for name, value in {**(torch_tensors(whole) if whole.is_file() else {}), **others}.items():
        part, own = _place(name, base, value.origin)
        result[part][own] = value
    for pair in pairs:
        part, own = _place(f"{pair.layer}.weight", base, pair.a.origin)
        weight, rank = result[part][own], pair.a.shape[0]
        if rank < 1 or not {pair.a.dtype, pair.b.dtype} <= set(FLOATS):
            raise CheckpointError(
                f"{pair.a.origin}: expected factors of rank 1 or more as floats, found rank {rank}, {pair.a.dtype} and {pair.b.dtype}"
            )
        if (pair.b.shape[0], *pair.a.shape[1:]) != weight.shape or pair.b.shape[1:] != (rank,):
            raise CheckpointError(
                f"{pair.a.origin}: expected a pair for {list(weight.shape)}, found {list(pair.a.shape)} and {list(pair.b.shape)}"
            )
        result[part][own] = replace(weight, packed=None, load=partial(_added, weight, pair, _scale(config, pair.layer, rank)))
    return result


def _checked_config(path: Path) -> dict[str, Any]:
    config = read_json(path)
    for key, expected in (("peft_type", ("LORA", None)), ("use_dora", (False, None)), ("fan_in_fan_out", (False, None))):
        if config.get(key) not in expected:
            raise CheckpointError(
                f"{path}: {key} is {config[key]!r}; only LoRA adapters of Linear layers can be merged, expected {expected[0]!r}"
            )
    if not isinstance(config.get("lora_alpha"), int | float) or isinstance(config.get("lora_alpha"), bool):
        raise CheckpointError(f"{path}: lora_alpha is {config.get('lora_alpha')!r}; expected a number")
    patterns = config.get("alpha_pattern") or {}
    try:
        good = all(isinstance(value, int | float) and re.compile(pattern) for pattern, value in patterns.items())
    except (re.error, AttributeError, TypeError):
        good = False
    if not good:
        raise CheckpointError(f"{path}: alpha_pattern is {patterns!r}; expected regular expressions of layer names with numbers")
    return config


def _scale(config: dict[str, Any], layer: str, rank: int) -> float:
    """alpha_pattern gives some layers an alpha of their own, by their name's end (peft matches it so)."""
    patterns = (config.get("alpha_pattern") or {}).items()
    alpha = next((value for pattern, value in patterns if re.match(rf"(.*\.)?({pattern})$", layer)), config["lora_alpha"])
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _added(weight: StoredTensor, pair: Pair, scale: float, dtype: torch.dtype | None, own: bool = True) -> Tensor:
    """In float32, rounded once; some rows at a time, so that no second copy of a large layer arises. `own` is always so."""
    a, b, base = pair.a.load(torch.float32), pair.b.load(torch.float32), weight.load(None, own=True)
    result = torch.empty(weight.shape, dtype=dtype or weight.dtype)
    for some, rows, own_rows in zip(result.split(_ROWS), b.split(_ROWS), base.split(_ROWS)):
        some.copy_((rows @ a).mul_(scale).add_(own_rows))
    return result


def _sorted(found: dict[str, StoredTensor]) -> tuple[list[Pair], dict[str, StoredTensor]]:
    """The pairs, and what the adapter holds whole (biases, modules_to_save)."""
    factors: dict[str, dict[str, StoredTensor]] = {}
    others: dict[str, StoredTensor] = {}
    for name, value in found.items():
        match = re.fullmatch(r"(?:base_model\.model\.)?(.+)\.(lora_A|lora_B)(?:\.default)?\.weight", name)
        if match:
            factors.setdefault(match[1], {})[match[2]] = value
        else:
            others[name.replace(".base_layer.", ".").replace(".modules_to_save.default.", ".").replace(".modules_to_save.", ".")] = value
    for layer, pair in factors.items():
        if len(pair) != 2:
            kind, value = next(iter(pair.items()))
            raise CheckpointError(f"{value.origin}: {layer} has only {kind}; expected lora_A and lora_B")
    return [Pair(layer, pair["lora_A"], pair["lora_B"]) for layer, pair in factors.items()], others


def _adapter_tensors(adapter: Path) -> dict[str, StoredTensor]:
    for name, read in (("adapter_model.safetensors", safetensors_tensors), ("adapter_model.bin", torch_tensors)):
        if (adapter / name).exists():
            return read(adapter / name)
    raise CheckpointError(f"{adapter} has an {_CONFIG} but neither adapter_model.safetensors nor adapter_model.bin")


def _place(name: str, base: dict[str, dict[str, StoredTensor]], origin: str) -> tuple[str, str]:
    """(part, our name) of a name in the adapter's files: of the whole model, or of the bare language model."""
    rest = name.removeprefix("base_model.").removeprefix("model.")  # the second one is peft's, or the bare language model's own
    for candidate in (rest, rest.removeprefix("model.")):
        part, _, own = candidate.partition(".")
        own = own.rsplit("vision_model.", 1)[-1] if part == "vision_tower" else own
        if part in PARTS and own in base[part]:
            return part, own
    for candidate in (name, rest):
        if candidate in base["llm"]:
            return "llm", candidate
    raise CheckpointError(f"{origin}: the base has no {rest}")
