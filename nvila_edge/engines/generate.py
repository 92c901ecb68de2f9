"""Greedy free text from an engine: one user turn, prefill, then a step per token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nvila_edge.engines.cache import UNSEEN
from nvila_edge.engines.session import causal
from nvila_edge.model.tokens import IMAGE_MARK, VIDEO_MARK

if TYPE_CHECKING:
    from nvila_edge.engines.engine import Engine


def fuse_prompt(engine: Engine, prompt: str, images: np.ndarray | list[np.ndarray] | None, video: list[np.ndarray] | None) -> np.ndarray:
    """The fused sequence [T, H] of one user turn and the generation prompt. Raises ValueError when marks and media do not match."""
    images, video = list(images if images is not None else ()), list(video if video is not None else ())
    marks = prompt.count(IMAGE_MARK), prompt.count(VIDEO_MARK)
    if marks != (len(images), 1 if video else 0):
        raise ValueError(
            f"the prompt has {marks[0]} {IMAGE_MARK} and {marks[1]} {VIDEO_MARK} marks but {len(images)} images and "
            f"{1 if video else 0} videos were given; write one mark for each"
        )
    frames = iter(engine.encode(images)) if images else iter(())
    clip = list(engine.encode(video)) if video else []
    return engine.fuse(engine.tokenizer.prompt(prompt), frames, clip)


def generate(
    engine: Engine,
    prompt: str,
    images: np.ndarray | list[np.ndarray] | None = None,
    video: list[np.ndarray] | None = None,
    max_new_tokens: int = 64,
) -> str:
    """The greedy answer, until the end of turn or `max_new_tokens`. Media are uint8 [H, W, 3] RGB; marks as in `fuse_prompt`."""
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; it must be at least 1")
    embeds = fuse_prompt(engine, prompt, images, video)
    backend, length = engine.backend, len(embeds)
    empty = backend.cache(0)
    logits, new = backend.prefill(embeds, np.arange(length), causal(length), empty, np.array([length - 1]))
    cache = backend.cache(length + max_new_tokens)
    cache.write(new, list(range(length)), cache.take(length))
    mask = np.full((1, cache.capacity + 1), UNSEEN)
    mask[:, :length] = mask[:, -1] = 0
    ids: list[int] = []
    while True:
        token = int(logits[0].argmax())
        if token == engine.tokenizer.end_of_turn:
            break
        ids.append(token)
        if len(ids) == max_new_tokens:
            break
        logits, new = backend.step(engine.embed([token]), np.array([length]), mask, cache, np.array([0]))
        cache.write(new, [0], cache.take(1))
        mask[:, length] = 0
        length += 1
    return engine.tokenizer.decode(ids)
