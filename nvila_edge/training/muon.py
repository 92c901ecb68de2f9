"""The optimizer of a model's own training: Muon for matrices, AdamW for all else (embeddings, norms, read-outs), gradients clipped to norm 1.

With Muon the words of short episodes are followed after a third of the steps that AdamW alone takes (benchmarks/results/builtin-training.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

MATRIX_RATE = 2.0  # times AdamW's
MAX_NORM = 1.0


class MuonAdamW:
    """Steps everything of `model` that requires gradients, and the `readouts` that only training has."""

    def __init__(self, model: nn.Module, *readouts: nn.Module) -> None:
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                table = "embed" in name or "lm_head" in name
                (matrices if parameter.ndim == 2 and not table else others).append(parameter)
        others += [parameter for readout in readouts for parameter in readout.parameters()]
        self._trained = [*matrices, *others]
        self._parts = (
            torch.optim.Muon(matrices, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, weight_decay=0.0, betas=(0.9, 0.95)),  # 0.999 had loss spikes
        )

    def step(self, loss: Tensor, rate: float) -> None:
        """One step down the gradient of `loss`. rate: AdamW's learning rate; Muon's is MATRIX_RATE times as large."""
        for part, times in zip(self._parts, (MATRIX_RATE, 1.0), strict=True):
            part.param_groups[0]["lr"] = times * rate
        for parameter in self._trained:
            parameter.grad = None
        loss.backward()
        nn.utils.clip_grad_norm_(self._trained, MAX_NORM)
        for part in self._parts:
            part.step()

    def state(self) -> list[dict[str, Any]]:
        """Both parts' states, for torch.save."""
        return [part.state_dict() for part in self._parts]

    def load(self, state: Sequence[Mapping[str, Any]]) -> None:
        """What `state` gave."""
        for part, stored in zip(self._parts, state, strict=True):
            part.load_state_dict(dict(stored))
