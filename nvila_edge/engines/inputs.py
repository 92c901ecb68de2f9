"""How text and frames become the embeddings that a language model reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from nvila_edge.engines.spec import EngineSpec
from nvila_edge.engines.tree import AnswerTree
from nvila_edge.model.media import MediaTokens, VisionEncoder
from nvila_edge.model.tokens import VIDEO_MARK, ChatTokenizer, Chunk
from nvila_edge.navigation.grammar import action_trie
from nvila_edge.navigation.profiles import profile


class Inputs:
    """Tokenizer, token table (float [vocab, H], fp16 in bundles), vision encoder and prompt profile of one model."""

    def __init__(self, spec: EngineSpec, tokenizer: ChatTokenizer, embedding: np.ndarray, encoder: VisionEncoder) -> None:
        self.spec = spec
        self.tokenizer = tokenizer
        self.profile = profile(spec.profile, spec.frames)
        self.tree = AnswerTree(action_trie(tokenizer.encode))
        self.media = MediaTokens(spec.media, encoder, lambda text: self.embed(tokenizer.encode(text)))
        self._embedding = embedding
        self.newline = self.embed([tokenizer.newline])

    def encoding_with(self, encoder: VisionEncoder) -> Inputs:
        """The same model's inputs, with another way to its vision tower."""
        return Inputs(self.spec, self.tokenizer, self._embedding, encoder)

    def encode(self, frames: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        """uint8 RGB [N, H, W, 3] (or N arrays of any sizes) -> float32 [N, tokens, hidden], one tile a frame, without what stands around an image. Raises
        ValueError for other arrays.
        """
        if len(frames) == 0:
            raise ValueError("no frames to encode; give at least one")
        return self.media.frames(frames)

    def embed(self, ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """float32 [n, H] of token ids."""
        return np.asarray(self._embedding[np.asarray(ids, np.int64)], np.float32)

    def prompt_ids(self, user_text: str) -> list[int]:
        """Ids of one user turn without media, and the generation prompt."""
        return [token for chunk in self.tokenizer.prompt(user_text) for token in chunk.ids]

    def fuse(self, chunks: Sequence[Chunk], images: Iterator[np.ndarray], video: np.ndarray | None = None) -> np.ndarray:
        """Text chunks, a block [k, H] of `images` for every image mark and the one of `video` as one float32 [T, H]."""
        parts: list[np.ndarray] = []
        for chunk in chunks:
            if chunk.media == VIDEO_MARK:
                assert video is not None
                parts.append(video)
            else:
                parts.append(next(images) if chunk.media else self.embed(chunk.ids))
        return np.concatenate(parts)

    @cached_property
    def black_tokens(self) -> np.ndarray:
        """Tokens [k, H] of a black frame: what pads a history shorter than the window."""
        size = self.spec.vision.image_size
        return self.encode(np.zeros((1, size, size, 3), np.uint8))[0]
