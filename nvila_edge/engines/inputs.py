"""How text and frames become the embeddings that a language model reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from nvila_edge.engines.spec import EngineSpec
from nvila_edge.engines.tree import AnswerTree
from nvila_edge.model.preprocess import pixels
from nvila_edge.model.tokens import VIDEO_MARK, ChatTokenizer, Chunk
from nvila_edge.navigation.grammar import action_trie
from nvila_edge.navigation.profiles import profile


class VisionEncoder(Protocol):
    """Anything that turns pixels into tokens."""

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """float32 [N, 3, S, S] -> float32 [N, k, H]."""
        ...


class Inputs:
    """Tokenizer, token table (float [vocab, H], fp16 in bundles), vision encoder and prompt profile of one model."""

    def __init__(self, spec: EngineSpec, tokenizer: ChatTokenizer, embedding: np.ndarray, encoder: VisionEncoder) -> None:
        self.spec = spec
        self.tokenizer = tokenizer
        self.profile = profile(spec.profile, spec.frames)
        self.tree = AnswerTree(action_trie(tokenizer.encode))
        self._embedding = embedding
        self._encoder = encoder
        self.newline = self.embed([tokenizer.newline])

    def encode(self, frames: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        """uint8 RGB [N, H, W, 3] (or N arrays of any sizes) -> float32 [N, tokens, hidden], without the line break. Raises ValueError for
        other arrays.
        """
        if len(frames) == 0:
            raise ValueError("no frames to encode; give at least one")
        return self._encoder.encode(pixels(frames, self.spec.vision.image_size))

    def embed(self, ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """float32 [n, H] of token ids."""
        return np.asarray(self._embedding[np.asarray(ids, np.int64)], np.float32)

    def prompt_ids(self, user_text: str) -> list[int]:
        """Ids of one user turn without media, and the generation prompt."""
        return [token for chunk in self.tokenizer.prompt(user_text) for token in chunk.ids]

    def fuse(self, chunks: Sequence[Chunk], images: Iterator[np.ndarray], clip: Sequence[np.ndarray] = ()) -> np.ndarray:
        """Text chunks, image tokens [k, H] from `images` and the frames of `clip` as one float32 [T, H]."""
        parts: list[np.ndarray] = []
        for chunk in chunks:
            for frame in [] if not chunk.media else clip if chunk.media == VIDEO_MARK else [next(images)]:
                parts += [frame, self.newline] if self.spec.frame_newline else [frame]
            if chunk.ids:
                parts.append(self.embed(chunk.ids))
        return np.concatenate(parts)

    @cached_property
    def black_tokens(self) -> np.ndarray:
        """Tokens [k, H] of a black frame: what pads a history shorter than the window."""
        size = self.spec.vision.image_size
        return self.encode(np.zeros((1, size, size, 3), np.uint8))[0]
