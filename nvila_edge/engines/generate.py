"""Greedy free text from an engine: one user turn, prefill, then a step per token."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from nvila_edge.engines.cache import UNSEEN
from nvila_edge.engines.session import causal
from nvila_edge.model.tokens import IMAGE_MARK, VIDEO_MARK

if TYPE_CHECKING:
    from nvila_edge.engines.engine import Engine

Pictures = Iterable[np.ndarray | Image.Image]  # PIL images, or uint8 [H, W, 3] RGB arrays; also one array [N, H, W, 3]


def _arrays(pictures: Pictures | None) -> list[np.ndarray]:
    return [
        np.asarray(picture.convert("RGB")) if isinstance(picture, Image.Image) else picture
        for picture in (() if pictures is None else pictures)
    ]


def fuse_prompt(engine: Engine, prompt: str, images: Pictures | None, video: Pictures | None) -> np.ndarray:
    """The fused sequence [T, H] of one user turn and the generation prompt. Raises ValueError when marks and media do not match, or for a
    picture that is neither a PIL image nor uint8 [H, W, 3]."""
    images, video = _arrays(images), _arrays(video)
    marks = prompt.count(IMAGE_MARK), prompt.count(VIDEO_MARK)
    if marks != (len(images), 1 if video else 0):
        raise ValueError(
            f"the prompt has {marks[0]} {IMAGE_MARK} and {marks[1]} {VIDEO_MARK} marks but {len(images)} images and "
            f"{1 if video else 0} videos were given; write one mark for each"
        )
    chunks = engine.tokenizer.prompt(engine.media.marks(prompt, images))
    blocks = iter(engine.media.image_blocks(images) if images else ())
    return engine.fuse(chunks, blocks, engine.media.video_block(video) if video else None)


def generate(
    engine: Engine,
    prompt: str,
    images: Pictures | None = None,
    video: Pictures | None = None,
    max_new_tokens: int = 64,
) -> str:
    """The greedy answer, until the end of turn or `max_new_tokens`. Raises ValueError for fewer than one token; media as `fuse_prompt`."""
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
        if token in engine.tokenizer.stops:
            break
        ids.append(token)
        if len(ids) == max_new_tokens:
            break
        logits, new = backend.step(engine.embed([token]), np.array([length]), mask, cache, np.array([0]))
        cache.write(new, [0], cache.take(1))
        mask[:, length] = 0
        length += 1
    return engine.tokenizer.decode(ids)
