"""What layers each projector type has (NVlabs/VILA, llava/model/multimodal_projector/), for the torch modules and the exported graphs alike. No torch."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

_MLP_GELU = re.compile(r"mlp(\d{1,2})x_gelu")


@dataclass(frozen=True)
class Layer:
    """One entry of `layers`; its place in the tuple is the index in the published weights.

    kind and sizes: "downsample" (rows, columns of a block of patches), "norm" (width), "linear" (inputs, outputs), "gelu" (), "identity" (),
    "token_learner" and "perceiver_resampler" (tokens, channels).
    """

    kind: str
    sizes: tuple[int, ...] = ()


def _mlp(widths: list[int], norms: bool) -> list[Layer]:
    """Linear layers through these widths with GELU between, and (norms) a LayerNorm before every one but the last."""
    layers: list[Layer] = []
    last = len(widths) - 2
    for index, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
        if norms and index < last:
            layers.append(Layer("norm", (before,)))
        layers.append(Layer("linear", (before, after)))
        if index < last:
            layers.append(Layer("gelu"))
    return layers


def _downsample(rows: int, columns: int, widths: Callable[[int, int], list[int]]) -> Callable[[int, int], list[Layer]]:
    return lambda c, h: [Layer("downsample", (rows, columns)), *_mlp([rows * columns * c, *widths(c, h)], norms=True)]


def _resampled(kind: str, tokens: int) -> Callable[[int, int], list[Layer]]:
    return lambda c, h: [Layer(kind, (tokens, c)), Layer("norm", (c,)), *_mlp([c, h, h], norms=False)]


# type -> (channels, hidden) -> layers. Table 1 of the paper compares mlp_downsample with TokenLearner and the Perceiver Resampler at the same number
# of tokens: 16 x 16 for a 448 pixel tile. mlp_downsample_8x2 is ours: of an 8 x 8 grid it leaves four column tokens, each a bearing.
PROJECTORS: dict[str, Callable[[int, int], list[Layer]]] = {
    "identity": lambda _c, _h: [Layer("identity")],
    "linear": lambda c, h: [Layer("linear", (c, h))],
    "mlp_downsample": _downsample(2, 2, lambda _c, h: [h, h]),
    "mlp_downsample_2x2_fix": _downsample(2, 2, lambda _c, h: [h, h]),
    "mlp_downsample_3x3_fix": _downsample(3, 3, lambda c, h: [3 * c, h, h]),
    "mlp_downsample_3x3_s2": _downsample(3, 3, lambda c, h: [3 * c, c, c // 3, h, h]),
    "mlp_downsample_3x3_s2_new": _downsample(3, 3, lambda c, h: [4 * c, 2 * c, c, c // 3, h, h]),
    "mlp_downsample_8x2": _downsample(8, 2, lambda _c, h: [h, h]),
    "token_learner": _resampled("token_learner", 256),
    "perceiver_resampler": _resampled("perceiver_resampler", 256),
}
COLUMN_MAJOR = "mlp_downsample"  # the only type whose older generation emits its tokens column by column (trap 1)


def projector_layout(kind: str, channels: int, hidden: int) -> tuple[Layer, ...]:
    """The layers of a projector type from `channels` features to `hidden`. Raises ValueError for an unknown one."""
    depth = _MLP_GELU.fullmatch(kind) if isinstance(kind, str) else None
    if depth and int(depth[1]) >= 1:
        return tuple(_mlp([channels, *[hidden] * int(depth[1])], norms=False))
    if not isinstance(kind, str) or kind not in PROJECTORS:
        raise ValueError(f"unknown projector type {kind!r}; known: {', '.join(sorted(PROJECTORS))}, mlpNx_gelu")
    return tuple(PROJECTORS[kind](channels, hidden))


def tokens_of(layout: tuple[Layer, ...], patches: int) -> int:
    """How many tokens a square grid of `patches` becomes."""
    first, side = layout[0], math.isqrt(patches)
    if first.kind == "downsample":
        return -(-side // first.sizes[0]) * -(-side // first.sizes[1])
    return first.sizes[0] if first.kind in ("token_learner", "perceiver_resampler") else patches
