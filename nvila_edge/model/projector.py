"""Projectors: patches to language tokens, mostly space-to-channel compression and an MLP (NVlabs/VILA, llava/model/multimodal_projector/).

Shapes: N frames or tiles, P patches, C channels, H hidden. `layers.K` is the index in the published weights.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from nvila_edge.model.projector_layout import COLUMN_MAJOR, Layer, projector_layout


class SpaceToChannel(nn.Module):
    """Joins blocks of `rows` x `columns` patches into one token; the grid is zero-padded at the bottom and right to a multiple.

    x [N, P, C] with P a square number, row-major -> [N, P', rows * columns * C]; channels ordered (0,0), (0,1), (1,0) ... within a block.
    column_major: tokens are emitted column by column, as the generation before NVILA does (trap 1).
    """

    def __init__(self, rows: int, columns: int, column_major: bool = False) -> None:
        super().__init__()
        self.rows, self.columns, self.column_major = rows, columns, column_major

    def forward(self, x_NPC: Tensor) -> Tensor:
        n, patches, channels = x_NPC.shape
        side = math.isqrt(patches)
        if side * side != patches:
            raise ValueError(f"space-to-channel needs a square grid of patches; got {patches}")
        grid = x_NPC.view(n, side, side, channels)
        grid = nn.functional.pad(grid, (0, 0, 0, -side % self.columns, 0, -side % self.rows))
        height, width = grid.shape[1] // self.rows, grid.shape[2] // self.columns
        grid = grid.view(n, height, self.rows, width, self.columns, channels).transpose(2, 3)
        if self.column_major:
            grid = grid.transpose(1, 2)
        return grid.reshape(n, height * width, self.rows * self.columns * channels)


class TokenLearner(nn.Module):
    """`tokens` learned soft selections of the patches: each is a weighted mean, its weights an MLP's softmax over the patches (arXiv 2106.11297 v1.1)."""

    def __init__(self, tokens: int, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.select = nn.Sequential(nn.Linear(channels, channels // 2), nn.GELU(), nn.Linear(channels // 2, tokens))

    def forward(self, x_NPC: Tensor) -> Tensor:
        return self.select(self.norm(x_NPC)).softmax(1).transpose(1, 2) @ x_NPC


class PerceiverResampler(nn.Module):
    """`tokens` learned queries that read patches and each other in `depth` blocks of cross-attention and MLP (Flamingo, arXiv 2204.14198 figure 5)."""

    def __init__(self, tokens: int, channels: int, depth: int = 2, head_dim: int = 64) -> None:
        super().__init__()
        heads = max(1, channels // head_dim)
        heads = next(count for count in range(heads, 0, -1) if channels % count == 0)
        self.queries = nn.Parameter(torch.randn(tokens, channels) * 0.02)
        self.norms = nn.ModuleList(nn.ModuleList(nn.LayerNorm(channels) for _ in range(3)) for _ in range(depth))
        self.attention = nn.ModuleList(nn.MultiheadAttention(channels, heads, batch_first=True) for _ in range(depth))
        self.mlp = nn.ModuleList(
            nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)) for _ in range(depth)
        )

    def forward(self, x_NPC: Tensor) -> Tensor:
        tokens = self.queries.expand(len(x_NPC), -1, -1)
        norms: Any
        for norms, attention, mlp in zip(self.norms, self.attention, self.mlp, strict=True):
            query_norm, patch_norm, mlp_norm = norms
            query = query_norm(tokens)
            source = torch.cat([patch_norm(x_NPC), query], 1)
            tokens = tokens + attention(query, source, source, need_weights=False)[0]
            tokens = tokens + mlp(mlp_norm(tokens))
        return tokens


def _module(layer: Layer, column_major: bool) -> nn.Module:
    match layer.kind:
        case "downsample":
            return SpaceToChannel(*layer.sizes, column_major=column_major)
        case "norm":
            return nn.LayerNorm(layer.sizes[0])
        case "linear":
            return nn.Linear(layer.sizes[0], layer.sizes[1])
        case "gelu":
            return nn.GELU()
        case "token_learner":
            return TokenLearner(*layer.sizes)
        case "perceiver_resampler":
            return PerceiverResampler(*layer.sizes)
    return nn.Identity()


class Projector(nn.Module):
    """The projector of that type: [N, patches, channels] -> [N, tokens, hidden]. Raises ValueError for an unknown type."""

    def __init__(self, kind: str, channels: int, hidden: int, column_major: bool = False) -> None:
        super().__init__()
        self.kind = kind
        layout = projector_layout(kind, channels, hidden)
        self.layers = nn.Sequential(*(_module(layer, column_major and kind == COLUMN_MAJOR) for layer in layout))

    def forward(self, x_NPC: Tensor) -> Tensor:
        return self.layers(x_NPC)
