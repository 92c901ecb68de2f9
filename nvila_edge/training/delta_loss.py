"""DeltaLoss: how much more a large model makes of an answer than a small one, log p_large / p_small (the paper's section 2.2.1, equation 1).

Near 0 for what both know or neither does, below for what only the small one holds likely (wrong labels), above for what a model can learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from nvila_edge.model.generation import pad
from nvila_edge.model.nvila import NVILA
from nvila_edge.training.collate import Prepared, fused
from nvila_edge.training.labels import IGNORED

REDUCTIONS = ("mean", "sum")


@dataclass(frozen=True)
class Answered:
    """What a model makes of the answers of one sample: the sum of their tokens' natural log-probabilities, and how many tokens (each answer's end too)."""

    log_probability: float
    tokens: int

    @property
    def per_token(self) -> float:
        """The mean."""
        return self.log_probability / self.tokens


def delta_loss(large: Answered, small: Answered, reduce: str = "mean") -> float:
    """log p_large - log p_small: over answer tokens the "mean", or the "sum". The paper does not say which (arXiv 2412.04468, section 2.2.1); a sum puts
    long answers first. Each model counts its own tokens. Raises ValueError for another reduction."""
    if reduce not in REDUCTIONS:
        raise ValueError(f"reduce is {reduce!r}; allowed: {', '.join(REDUCTIONS)}")
    if reduce == "sum":
        return large.log_probability - small.log_probability
    return large.per_token - small.per_token


@torch.no_grad()
def answer_log_probabilities(model: NVILA, batch: Sequence[Prepared]) -> list[Answered]:
    """One pass over some samples, padded on the right; the output layer runs on answer positions only."""
    embeds, labels = fused(model, batch)
    padded = pad(embeds, "right")
    decoder = model.llm.model
    hidden_BTH = decoder(
        inputs_embeds=padded.embeds, attention_mask=padded.mask, position_ids=padded.positions, use_cache=False
    ).last_hidden_state
    found = []
    for states_TH, goals_T in zip(hidden_BTH, labels, strict=True):
        kept = goals_T[1:] != IGNORED
        goals = goals_T[1:][kept]
        logits_NV = model.llm.lm_head(states_TH[: len(goals_T) - 1][kept]).float()
        own = logits_NV.log_softmax(-1).gather(1, goals[:, None])
        found.append(Answered(float(own.double().sum()), len(goals)))
    return found
