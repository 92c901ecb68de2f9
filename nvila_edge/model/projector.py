"""Projectors: patches to language tokens, mostly space-to-channel compression and an MLP (facts/nvila.md section 1.2).

Shapes: N frames or tiles, P patches, C channels, H hidden. `layers.K` is the index in the published weights.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


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


def _mlp(widths: list[int], norms: bool) -> list[nn.Module]:
    """Linear layers through these widths with GELU between, and (norms) a LayerNorm before every one but the last."""
    layers: list[nn.Module] = []
    last = len(widths) - 2
    for index, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
        if norms and index < last:
            layers.append(nn.LayerNorm(before))
        layers.append(nn.Linear(before, after))
        if index < last:
            layers.append(nn.GELU())
    return layers


def _downsample_2x2(channels: int, hidden: int, column_major: bool) -> list[nn.Module]:
    return [SpaceToChannel(2, 2, column_major), *_mlp([4 * channels, hidden, hidden], norms=True)]


def _downsample_3x3(widths: Callable[[int, int], list[int]]) -> Callable[[int, int, bool], list[nn.Module]]:
    return lambda channels, hidden, _: [SpaceToChannel(3, 3), *_mlp([9 * channels, *widths(channels, hidden)], norms=True)]


def _resampled(kind: type[TokenLearner] | type[PerceiverResampler], tokens: int) -> Callable[[int, int, bool], list[nn.Module]]:
    return lambda channels, hidden, _: [kind(tokens, channels), nn.LayerNorm(channels), *_mlp([channels, hidden, hidden], norms=False)]


# type -> (channels, hidden, column_major) -> layers. Table 1 of the paper compares mlp_downsample with TokenLearner and the Perceiver Resampler at
# the same number of tokens: 16 x 16 for a 448 pixel tile. mlp_downsample_8x2 is ours: of an 8 x 8 grid it leaves four column tokens, each a bearing.
PROJECTORS: dict[str, Callable[[int, int, bool], list[nn.Module]]] = {
    "identity": lambda channels, hidden, _: [nn.Identity()],
    "linear": lambda channels, hidden, _: [nn.Linear(channels, hidden)],
    "mlp_downsample": _downsample_2x2,
    "mlp_downsample_2x2_fix": lambda channels, hidden, _: _downsample_2x2(channels, hidden, column_major=False),
    "mlp_downsample_3x3_fix": _downsample_3x3(lambda c, h: [3 * c, h, h]),
    "mlp_downsample_3x3_s2": _downsample_3x3(lambda c, h: [3 * c, c, c // 3, h, h]),
    "mlp_downsample_3x3_s2_new": _downsample_3x3(lambda c, h: [4 * c, 2 * c, c, c // 3, h, h]),
    "mlp_downsample_8x2": lambda channels, hidden, _: [SpaceToChannel(8, 2), *_mlp([16 * channels, hidden, hidden], norms=True)],
    "token_learner": _resampled(TokenLearner, 256),
    "perceiver_resampler": _resampled(PerceiverResampler, 256),
}
_MLP_GELU = re.compile(r"mlp(\d+)x_gelu")


def projector_layers(kind: str, channels: int, hidden: int, column_major: bool) -> nn.Sequential:
    """The layers of a projector type. Raises ValueError for an unknown one."""
    depth = _MLP_GELU.fullmatch(kind)
    if depth and int(depth[1]) >= 1:
        return nn.Sequential(*_mlp([channels, *[hidden] * int(depth[1])], norms=False))
    if kind not in PROJECTORS:
        raise ValueError(f"unknown projector type {kind!r}; known: {', '.join(sorted(PROJECTORS))}, mlpNx_gelu")
    return nn.Sequential(*PROJECTORS[kind](channels, hidden, column_major))


class Projector(nn.Module):
    """The projector of that type: [N, patches, channels] -> [N, tokens, hidden]. Raises ValueError for an unknown type."""

    def __init__(self, kind: str, channels: int, hidden: int, column_major: bool = False) -> None:
        super().__init__()
        self.kind = kind
        self.layers = projector_layers(kind, channels, hidden, column_major)

    def forward(self, x_NPC: Tensor) -> Tensor:
        return self.layers(x_NPC)
