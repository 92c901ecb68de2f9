"""Greedy decoding of any text: one prefill, then a step per token over the keys and values of what came before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nvila_edge.engines.cache import UNSEEN

if TYPE_CHECKING:
    from nvila_edge.engines.engine import Engine


def causal(width: int) -> np.ndarray:
    """Additive mask float32 [width, width] of a plain sequence."""
    return np.where(np.tri(width, dtype=bool), np.float32(0), UNSEEN)


@dataclass(frozen=True)
class Continuation:
    """A greedy text; `probability` is the product of its tokens' (the end of turn's too, where it came). Milliseconds of the first pass, up to and with
    the first token, and of the steps after it."""

    text: str
    probability: float
    prefill_ms: float
    decode_ms: float


@dataclass(frozen=True)
class Chosen:
    """A token that the model chose, and its probability. `end`: it ends the turn, and is no part of the text."""

    token: int
    probability: float
    end: bool


def tokens_after(engine: Engine, embeds: np.ndarray, max_new_tokens: int) -> Iterator[Chosen]:
    """The greedy tokens that follow embeds float32 [T, H], until the end of turn (which is the last) or `max_new_tokens`. Between two of them nothing of
    the backend is in use but the cache, so that others may use it. Raises ValueError for fewer than one token."""
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; it must be at least 1")
    backend, length = engine.backend, len(embeds)
    empty = backend.cache(0)
    logits, new = backend.prefill(embeds, np.arange(length), causal(length), empty, np.array([length - 1]))
    cache = backend.cache(length + max_new_tokens)
    cache.write(new, list(range(length)), cache.take(length))
    mask = np.full((1, cache.capacity + 1), UNSEEN)
    mask[:, :length] = mask[:, -1] = 0
    for left in range(max_new_tokens - 1, -1, -1):
        token = int(logits[0].argmax())
        end = token in engine.tokenizer.stops
        yield Chosen(token, _probability(logits[0], token), end)
        if end or left == 0:
            return
        logits, new = backend.step(engine.embed([token]), np.array([length]), mask, cache, np.array([0]))
        cache.write(new, [0], cache.take(1))
        mask[:, length] = 0
        length += 1


def continued(engine: Engine, embeds: np.ndarray, max_new_tokens: int) -> Continuation:
    """What follows embeds float32 [T, H], until the end of turn or `max_new_tokens`. Raises ValueError for fewer than one token."""
    started_s, ids, probability, first_s = time.perf_counter(), [], 1.0, 0.0
    for chosen in tokens_after(engine, embeds, max_new_tokens):
        first_s = first_s or time.perf_counter()
        probability *= chosen.probability
        ids += [] if chosen.end else [chosen.token]
    done_s = time.perf_counter()
    return Continuation(engine.tokenizer.decode(ids), probability, 1000 * (first_s - started_s), 1000 * (done_s - first_s))


def _probability(logits: np.ndarray, token: int) -> float:
    wide = np.asarray(logits, np.float64)
    return float(1.0 / np.exp(wide - wide[token]).sum())
