"""A run's state as whole tensors by name, whatever it is sharded over: weights and the optimizer's moments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor


def save_state(path: Path, state: dict[str, object]) -> None:
    """One file of everything, whole or not at all; read with torch.load(weights_only=True)."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.rename(path)


def named_trainable(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Parameters that train, in the model's order."""
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]


def gathered(tensors: Iterator[tuple[str, Tensor]], keep: bool) -> dict[str, Tensor]:
    """Whole copies on the CPU. Every process must call it; only where `keep` is set is anything kept."""
    found: dict[str, Tensor] = {}
    for name, value in tensors:
        whole = value.full_tensor() if isinstance(value, DTensor) else value
        if keep:
            found[name] = whole.detach().to("cpu", copy=True).contiguous()
    return found


def optimizer_tensors(optimizer: torch.optim.Optimizer, model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """ "parameter:moment" of all that the optimizer keeps."""
    for name, parameter in named_trainable(model):
        for key, value in sorted(optimizer.state[parameter].items()):
            yield f"{name}:{key}", value


def load_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module, path: Path) -> None:
    """The reverse, each process taking its shards."""
    with safe_open(path, "pt") as stored:
        names = list(stored.keys())
        for name, parameter in named_trainable(model):
            own = [key for key in names if key.rpartition(":")[0] == name]
            optimizer.state[parameter] = {key.rpartition(":")[2]: _placed(stored.get_tensor(key), parameter) for key in own}


def load_trainable(model: nn.Module, path: Path) -> None:
    """Parameters that train from a file of whole tensors. Raises ValueError when it holds others."""
    with safe_open(path, "pt") as stored, torch.no_grad():
        wanted = named_trainable(model)
        if set(stored.keys()) != {name for name, _ in wanted}:
            raise ValueError(f"{path} holds other parameters than those that train now; was the recipe's tuning changed?")
        for name, parameter in wanted:
            parameter.copy_(_placed(stored.get_tensor(name), parameter))


def _placed(whole: Tensor, parameter: Any) -> Tensor:
    """As the parameter lies; a step count is a scalar, and stays on the CPU, where the optimizer makes it."""
    if not whole.ndim:
        return whole
    if isinstance(parameter, DTensor):
        return distribute_tensor(whole.to(parameter.device), parameter.device_mesh, parameter.placements, src_data_rank=None)
    return whole.to(parameter.device)
