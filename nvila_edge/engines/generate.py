"""Greedy free text from an engine: one user turn with its media."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from nvila_edge.engines.greedy import continued
from nvila_edge.model.tokens import IMAGE_MARK, VIDEO_MARK

if TYPE_CHECKING:
    from nvila_edge.engines.engine import Engine
    from nvila_edge.engines.inputs import Inputs

Pictures = Iterable[np.ndarray | Image.Image]  # PIL images, or uint8 [H, W, 3] RGB arrays; also one array [N, H, W, 3]


def _arrays(pictures: Pictures | None) -> list[np.ndarray]:
    return [
        np.asarray(picture.convert("RGB")) if isinstance(picture, Image.Image) else picture
        for picture in (() if pictures is None else pictures)
    ]


def fuse_prompt(engine: Inputs, prompt: str, images: Pictures | None, video: Pictures | None, system: str | None = None) -> np.ndarray:
    """The fused sequence [T, H] of one user turn and the generation prompt; `system` instead of the template's own system prompt. Raises ValueError when
    marks and media do not match, or for a picture that is neither a PIL image nor uint8 [H, W, 3]."""
    images, video = _arrays(images), _arrays(video)
    marks = prompt.count(IMAGE_MARK), prompt.count(VIDEO_MARK)
    if marks != (len(images), 1 if video else 0):
        raise ValueError(
            f"the prompt has {marks[0]} {IMAGE_MARK} and {marks[1]} {VIDEO_MARK} marks but {len(images)} images and "
            f"{1 if video else 0} videos were given; write one mark for each"
        )
    chunks = engine.tokenizer.prompt(engine.media.marks(prompt, images), system)
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
    return continued(engine, fuse_prompt(engine, prompt, images, video), max_new_tokens).text
