"""Projector and language model in cloning and DAgger: one step at a time, saved whole. Matrices are moved by Muon, all else by AdamW.

With Muon the words of short episodes are followed after a third of the steps that AdamW alone takes (benchmarks/results/builtin-training.md).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from nvila_edge.model.nvila import NVILA
from nvila_edge.training.pointing import Pointing
from nvila_edge.training.states import save_state
from nvila_edge.training.stream import Batch, stream_loss

QUESTION_WEIGHT = 0.5
MATRIX_RATE = 2.0


class Learner:
    """Trains the projector, the language model and the read-out of `Pointing`; goes on from the file where there is one.

    `step` and `round` are those that come next.
    """

    def __init__(self, model: NVILA, hidden: int, file: Path) -> None:
        self.model, self._file, self.step, self.round = model, file, 0, 0
        self._device = model.llm.model.embed_tokens.weight.device
        torch.manual_seed(0)
        self._pointing = Pointing(hidden).to(self._device)
        matrices: list[torch.nn.Parameter] = []
        others: list[torch.nn.Parameter] = []
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                table = "embed" in name or "lm_head" in name
                (matrices if parameter.ndim == 2 and not table else others).append(parameter)
        others += self._pointing.parameters()
        self._trained = [*matrices, *others]
        self._optimizers = (
            torch.optim.Muon(matrices, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, weight_decay=0.0, betas=(0.9, 0.95)),  # 0.999 had loss spikes
        )
        if file.exists():
            state = torch.load(file, weights_only=True, map_location=self._device)
            model.load_state_dict(state["model"])
            self._pointing.load_state_dict(state["pointing"])
            for optimizer, stored in zip(self._optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(stored)
            self.step, self.round = state["step"], state["round"]

    def save(self, number: int) -> None:
        """Everything, with the round that comes next (or goes on)."""
        optimizers = [optimizer.state_dict() for optimizer in self._optimizers]
        parts = {"model": self.model.state_dict(), "pointing": self._pointing.state_dict(), "optimizers": optimizers}
        save_state(self._file, {**parts, "step": self.step, "round": number})

    def learn(self, walked: Batch, asked: Batch | None, rate: float) -> float:
        """One step; returns the loss. rate: AdamW's learning rate; Muon's is MATRIX_RATE times as large.

        Raises FloatingPointError when the loss is not finite: the file holds the last good state.
        """
        for optimizer, times in zip(self._optimizers, (MATRIX_RATE, 1.0), strict=True):
            optimizer.param_groups[0]["lr"] = times * rate
        with torch.autocast(self._device.type, torch.bfloat16):
            loss = stream_loss(self.model, walked.to(self._device), self._pointing)
            if asked is not None:
                loss = loss + QUESTION_WEIGHT * stream_loss(self.model, asked.to(self._device))
        for parameter in self._trained:
            parameter.grad = None
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._trained, 1.0)
        for optimizer in self._optimizers:
            optimizer.step()
        self.step += 1
        value = float(loss.detach())
        if not np.isfinite(value):
            raise FloatingPointError(f"the loss became {value} at step {self.step}; {self._file} holds the last good state")
        return value
