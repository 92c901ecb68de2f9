"""Grounding: the frame tokens learn to lie near the embeddings of the names of what they show, and questions about single frames are answered.

Without it the words of an instruction stay without meaning while the model already walks (benchmarks/results/builtin-training.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nvila_edge.model.nvila import NVILA
from nvila_edge.training.muon import MuonAdamW
from nvila_edge.training.recipe import GroundingStage
from nvila_edge.training.stream import Episode, StreamLayout, stream_loss

PRESENT_SHARE = 0.01  # of a token's pixels: less is not expected to be seen
SAVED_EVERY = 200


@dataclass(frozen=True)
class GroundingData:
    """Cached frames: features float16 [N, P, C]; present bool [N, tokens, W], which of the W words' things a token's patches show; `question`
    makes a question about a row."""

    features: np.ndarray
    present: np.ndarray
    question: Callable[[int, np.random.Generator], Episode]


def presence(counts_NPK: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """bool [N, tokens, K]: which classes have a share of the pixels of each block of rows x columns patches (row-major, square grid)."""
    frames, patches, classes = counts_NPK.shape
    side = math.isqrt(patches)
    blocks = counts_NPK.reshape(frames, side // rows, rows, side // columns, columns, classes).sum((2, 4), dtype=np.int64)
    return (blocks > PRESENT_SHARE * blocks.sum(-1, keepdims=True)).reshape(frames, -1, classes)


class WordAlignment(nn.Module):
    """Whether a token shows a word's thing, read from the cosine between the token and the mean embedding of the word."""

    def __init__(self, words: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.words = [torch.tensor(word) for word in words]
        self.scale, self.bias = nn.Parameter(torch.tensor(10.0)), nn.Parameter(torch.tensor(-3.0))

    def forward(self, tokens_NKH: Tensor, embedding: Tensor, present_NKW: Tensor) -> Tensor:
        """Mean binary cross-entropy."""
        names = torch.stack([embedding[word.to(embedding.device)].mean(0) for word in self.words])
        cosine = nn.functional.normalize(tokens_NKH.float(), dim=-1) @ nn.functional.normalize(names, dim=-1).T
        return nn.functional.binary_cross_entropy_with_logits(self.scale * cosine + self.bias, present_NKW.float())


def ground(
    model: NVILA, layout: StreamLayout, alignment: WordAlignment, data: GroundingData, stage: GroundingStage, seed: int,
    optimizer: MuonAdamW, first_step: int, report: Callable[[int, float], None],
) -> Iterator[int]:  # fmt: skip
    """Trains projector and language model; yields the step every 200 steps and at the end, so that the caller can save. Same seed, same order."""
    embedding = model.llm.model.embed_tokens.weight
    for step in range(first_step, stage.steps):
        rng = np.random.default_rng([seed, step, 3])
        warm = min(1.0, (step + 1) / (0.03 * stage.steps))
        rate = stage.learning_rate * warm * (0.5 + 0.5 * math.cos(math.pi * step / stage.steps))
        asked, looked = (rng.integers(0, len(data.features), count) for count in (stage.batch_size, stage.aligned_frames))
        with torch.autocast(embedding.device.type, torch.bfloat16):
            loss = stream_loss(model, layout.collate([data.question(int(row), rng) for row in asked]).to(embedding.device))
            features = torch.from_numpy(np.stack([data.features[row] for row in looked])).to(embedding.device).float()
            present = torch.from_numpy(data.present[looked]).to(embedding.device)
            total = loss + stage.alignment_weight * alignment(model.mm_projector(features), embedding, present)
        optimizer.step(total, rate)
        if (step + 1) % SAVED_EVERY == 0 or step + 1 == stage.steps:
            report(step + 1, float(loss.detach()))
            yield step + 1
