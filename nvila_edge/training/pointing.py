"""Which part of the instruction is being followed: a read-out half-way up the decoder that only training has.

Without it a small decoder learns how people walk through houses and leaves the words alone (benchmarks/results/builtin-training.md): words pay late
and little there. Half-way up, so that later layers, and through them later decisions, can use what was found.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTH = 64
WEIGHT = 0.2


class Pointing(nn.Module):
    """A decision points at the tokens of the text that say what to do there, by the product of two linear maps of the hidden states."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.decision, self.text = nn.Linear(hidden, WIDTH), nn.Linear(hidden, WIDTH)

    def forward(self, hidden_BTH: Tensor, pointers_M5: Tensor) -> Tensor:
        """WEIGHT times the mean of -log(the share of attention within the right part); pointers as in Batch."""
        share = self.shares(hidden_BTH, pointers_M5)
        return -WEIGHT * (share + 1e-6).log().mean()

    def shares(self, hidden_BTH: Tensor, pointers_M5: Tensor) -> Tensor:
        """How much of each decision's attention to the text lies in the right part, [M]."""
        row, column, first, last, end = pointers_M5.unbind(1)
        width = int(end.max())
        normed = self.norm(hidden_BTH.float())
        text = self.text(normed[:, :width])
        scores = torch.einsum("mw,mtw->mt", self.decision(normed[row, column]), text[row]) * WIDTH**-0.5
        at = torch.arange(width, device=row.device)
        scores = scores.masked_fill(at >= end[:, None], float("-inf"))
        inside = (at >= first[:, None]) & (at < last[:, None])
        return (scores.softmax(-1) * inside).sum(-1)
