"""Projector and language model in cloning and DAgger: one step at a time, saved whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from nvila_edge.model.nvila import NVILA
from nvila_edge.training.checkpoints import TrainingError
from nvila_edge.training.muon import MuonAdamW
from nvila_edge.training.pointing import Pointing
from nvila_edge.training.states import save_state
from nvila_edge.training.stream import Batch, stream_loss

QUESTION_WEIGHT = 0.5


class Learner:
    """Trains the projector, the language model and the read-out of `Pointing`; goes on from the file where there is one.

    `step` and `round` are those that come next.
    """

    def __init__(self, model: NVILA, hidden: int, file: Path) -> None:
        self.model, self._file, self.step, self.round = model, file, 0, 0
        self._device = model.llm.model.embed_tokens.weight.device
        torch.manual_seed(0)
        self._pointing = Pointing(hidden).to(self._device)
        self._optimizer = MuonAdamW(model, self._pointing)
        if file.exists():
            state = torch.load(file, weights_only=True, map_location=self._device)
            model.load_state_dict(state["model"])
            self._pointing.load_state_dict(state["pointing"])
            self._optimizer.load(state["optimizers"])
            self.step, self.round = state["step"], state["round"]

    def save(self, number: int) -> None:
        """Everything, with the round that comes next (or goes on)."""
        parts = {"model": self.model.state_dict(), "pointing": self._pointing.state_dict(), "optimizers": self._optimizer.state()}
        save_state(self._file, {**parts, "step": self.step, "round": number})

    def learn(self, walked: Batch, asked: Batch | None, rate: float) -> float:
        """One step; returns the loss. rate: as in MuonAdamW.step.

        Raises TrainingError when the loss is not finite: the file holds the last good state.
        """
        with torch.autocast(self._device.type, torch.bfloat16):
            loss = stream_loss(self.model, walked.to(self._device), self._pointing)
            if asked is not None:
                loss = loss + QUESTION_WEIGHT * stream_loss(self.model, asked.to(self._device))
        self._optimizer.step(loss, rate)
        self.step += 1
        value = float(loss.detach())
        if not np.isfinite(value):
            raise TrainingError(f"the loss became {value} at step {self.step}; {self._file} holds the last good state")
        return value
