"""Greedy decoding of any text: one prefill, then a step per token over the keys and values of what came before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nvila_edge.engines.cache import UNSEEN

if TYPE_CHECKING:
    from nvila_edge.engines.engine import Engine


def causal(width: int) -> np.ndarray:
    """Additive mask float32 [width, width] of a plain sequence."""
    return np.where(np.tri(width, dtype=bool), np.float32(0), UNSEEN)


def continued(engine: Engine, embeds: np.ndarray, max_new_tokens: int) -> tuple[str, float]:
    """What follows embeds float32 [T, H], until the end of turn or `max_new_tokens`: the text, and the product of its tokens' probabilities (the
    end of turn's too, where it came). Raises ValueError for fewer than one token."""
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; it must be at least 1")
    backend, length = engine.backend, len(embeds)
    empty = backend.cache(0)
    logits, new = backend.prefill(embeds, np.arange(length), causal(length), empty, np.array([length - 1]))
    cache = backend.cache(length + max_new_tokens)
    cache.write(new, list(range(length)), cache.take(length))
    mask = np.full((1, cache.capacity + 1), UNSEEN)
    mask[:, :length] = mask[:, -1] = 0
    ids: list[int] = []
    probability = 1.0
    while True:
        token = int(logits[0].argmax())
        probability *= _probability(logits[0], token)
        if token in engine.tokenizer.stops:
            break
        ids.append(token)
        if len(ids) == max_new_tokens:
            break
        logits, new = backend.step(engine.embed([token]), np.array([length]), mask, cache, np.array([0]))
        cache.write(new, [0], cache.take(1))
        mask[:, length] = 0
        length += 1
    return engine.tokenizer.decode(ids), probability


def _probability(logits: np.ndarray, token: int) -> float:
    wide = np.asarray(logits, np.float64)
    return float(1.0 / np.exp(wide - wide[token]).sum())
