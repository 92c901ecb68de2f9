"""Greedy free text from an engine: one user turn with its media."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from nvila_edge.engines.greedy import continued
from nvila_edge.model.media import check_marks, listed

if TYPE_CHECKING:
    from nvila_edge.engines.engine import Engine
    from nvila_edge.engines.inputs import Inputs

Pictures = Iterable[np.ndarray | Image.Image]  # PIL images, or uint8 [H, W, 3] RGB arrays; also one array [N, H, W, 3]


class PromptTooLong(ValueError):
    """A prompt with more positions than are allowed."""


def fuse_prompt(
    engine: Inputs, prompt: str, images: Pictures | None, video: Pictures | None, system: str | None = None, most: int | None = None
) -> np.ndarray:
    """The fused sequence [T, H] of one user turn and the generation prompt; `system` instead of the template's own system prompt. Raises ValueError when
    marks and media do not match, for a picture that is neither an 8-bit PIL still nor uint8 [H, W, 3]; PromptTooLong beyond the model's
    positions, or beyond `most`."""
    images, video = listed(images, "images"), listed(video, "video")
    check_marks(prompt, images, video)
    chunks = engine.tokenizer.prompt(engine.media.marks(prompt, images), system)
    limit = min(engine.spec.language.positions, most or engine.spec.language.positions)
    _check_length(sum(len(chunk.ids) for chunk in chunks), limit)  # before anything is encoded, which can take minutes
    blocks = iter(engine.media.image_blocks(images) if images else ())
    fused = engine.fuse(chunks, blocks, engine.media.video_block(video) if video else None)
    _check_length(len(fused), limit)
    return fused


def _check_length(length: int, limit: int) -> None:
    if length > limit:
        raise PromptTooLong(
            f"the prompt has {length} positions with its media; at most {limit} are allowed: give fewer images or frames, or less text"
        )


def generate(
    engine: Engine,
    prompt: str,
    images: Pictures | None = None,
    video: Pictures | None = None,
    max_new_tokens: int = 64,
) -> str:
    """The greedy answer, until the end of turn or `max_new_tokens`. Raises ValueError for fewer than one token; media as `fuse_prompt`."""
    return continued(engine, fuse_prompt(engine, prompt, images, video), max_new_tokens).text
