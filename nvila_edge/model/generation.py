"""Answers token by token: greedy or sampled, one prompt or a batch, with a key/value cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nvila_edge.model.language import LanguageModel


@dataclass(frozen=True)
class Sampling:
    """temperature 0 is greedy; top_p in (0, 1] keeps the smallest set of tokens with that much probability; the seed makes it reproducible."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.temperature == 0 or 1e-3 <= self.temperature <= 1e3) or not 0 < self.top_p <= 1:
            raise ValueError(
                f"temperature {self.temperature} and top_p {self.top_p}: expected temperature 0 or 0.001 to 1000, and 0 < top_p <= 1"
            )
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed {self.seed}: expected 0 to 2^63 - 1")


@dataclass(frozen=True)
class Padded:
    """Sequences as one batch: embeds [B, T, H]; mask int64 [B, T], 1 where a sequence is; positions int64 [B, T] count from its first token."""

    embeds: Tensor
    mask: Tensor
    positions: Tensor


def pad(sequences_TH: Sequence[Tensor], side: str) -> Padded:
    """Pads on the "left" (generation) or "right" (training) with zeros."""
    if side not in ("left", "right"):
        raise ValueError(f"padding side {side!r} is unknown; allowed: left, right")
    width = max(len(one) for one in sequences_TH)
    embeds = sequences_TH[0].new_zeros(len(sequences_TH), width, sequences_TH[0].shape[1])
    mask = torch.zeros(len(sequences_TH), width, dtype=torch.long, device=embeds.device)
    for row, one in enumerate(sequences_TH):
        place = slice(width - len(one), width) if side == "left" else slice(0, len(one))
        embeds[row, place], mask[row, place] = one, 1
    return Padded(embeds, mask, (mask.cumsum(1) - 1).clamp(min=0))


@torch.no_grad()
def answers(llm: LanguageModel, batch: Padded, stops: Sequence[int], max_new_tokens: int, sampling: Sampling) -> Iterator[list[int | None]]:
    """One token a row and step, None for rows that have ended; left-padded batch. Ends when every row has, after max_new_tokens, or where the model has
    no more positions.

    Raises ValueError when logits are not finite: damaged weights, or a dtype that overflows.
    """
    if not isinstance(max_new_tokens, int) or max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens!r}; it must be a whole number, at least 1")
    room = int(llm.config.max_position_embeddings) - batch.embeds.shape[1]  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(sampling.seed)
    embeds, mask, positions, cache = batch.embeds, batch.mask, batch.positions, None
    going = [True] * len(embeds)
    for _ in range(min(max_new_tokens, room + 1)):
        output = llm(
            inputs_embeds=embeds, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        cache, tokens = output.past_key_values, _choose(output.logits[:, -1].float().cpu(), sampling, generator)
        going = [alive and token not in stops for alive, token in zip(going, tokens, strict=True)]
        if not any(going):
            return
        yield [token if alive else None for token, alive in zip(tokens, going, strict=True)]
        chosen = torch.tensor(tokens, device=embeds.device)
        embeds = llm.get_input_embeddings()(chosen)[:, None]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
        positions = positions[:, -1:] + 1


def _choose(logits_BV: Tensor, sampling: Sampling, generator: torch.Generator) -> list[int]:
    if not torch.isfinite(logits_BV).all():
        raise ValueError("the model's logits are not finite: the weights are damaged, or float16 overflows (try dtype bfloat16 or float32)")
    if sampling.temperature == 0:
        return logits_BV.argmax(-1).tolist()
    probabilities = (logits_BV / sampling.temperature).softmax(-1)
    ordered, order = probabilities.sort(-1, descending=True)
    ordered[ordered.cumsum(-1) - ordered >= sampling.top_p] = 0
    picked = torch.multinomial(ordered, 1, generator=generator)
    return order.gather(-1, picked)[:, 0].tolist()
