"""Features of several scales joined on the channel axis (S2 and NVILA's dynamic S2, arXiv 2412.04468), on NumPy arrays or torch tensors.

Shapes: T tiles, P patches of a tile, C channels, K scales.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nvila_edge.model.arrays import Array, as_float32, concatenated, like

if TYPE_CHECKING:
    from torch import Tensor


def stitch(tiles_TPC: Array, rows: int, columns: int) -> Array:
    """Tiles in row-major order as one map [rows * side, columns * side, C]."""
    side = math.isqrt(tiles_TPC.shape[1])
    return tiles_TPC.reshape(rows, columns, side, side, -1).swapaxes(1, 2).reshape(rows * side, columns * side, -1)


def split(map_HWC: Array, rows: int, columns: int) -> Array:
    """The reverse of `stitch`: [rows * columns, P, C]."""
    height, width = map_HWC.shape[0] // rows, map_HWC.shape[1] // columns
    return map_HWC.reshape(rows, height, columns, width, -1).swapaxes(1, 2).reshape(rows * columns, height * width, -1)


def area_resized(map_HWC: Array, height: int, width: int) -> Array:
    """Area interpolation in float32, as the published models compute it also when it enlarges: every new cell is the mean of those it touches."""
    if map_HWC.shape[:2] == (height, width):
        return map_HWC
    full = as_float32(map_HWC)
    down = like(_means(map_HWC.shape[0], height), full)
    across = like(_means(map_HWC.shape[1], width), full)
    tall = (down @ full.reshape(map_HWC.shape[0], -1)).reshape(height, map_HWC.shape[1], -1)
    resized = across @ tall
    return resized if isinstance(map_HWC, np.ndarray) else resized.to(map_HWC.dtype)


def _means(before: int, after: int) -> np.ndarray:
    """float32 [after, before]: row i averages the cells floor(i * before / after) up to ceil((i + 1) * before / after)."""
    means = np.zeros((after, before), np.float32)
    for i in range(after):
        first, stop = i * before // after, -(-(i + 1) * before // after)
        means[i, first:stop] = 1 / (stop - first)
    return means


def join_scales(tiles_TPC: Array, splits: Sequence[int], grid: tuple[int, int] | None, resize_to: int) -> Array:
    """Features of one image's tiles (all scales, small to large) -> [rows * columns, P, K * C] of the scale `resize_to`.

    splits: tiles along a side of every scale; grid (rows, columns): that of the largest scale, or None for an image of one tile, whose features are
    repeated for every scale (trap 6).
    """
    if grid is None:
        return concatenated([tiles_TPC] * len(splits), -1)
    grids = [(k, k) for k in splits[:-1]] + [grid]
    stops = np.cumsum([rows * columns for rows, columns in grids])
    maps = [stitch(tiles_TPC[stop - rows * columns : stop], rows, columns) for stop, (rows, columns) in zip(stops, grids, strict=True)]
    height, width = maps[resize_to].shape[:2]
    return split(concatenated([area_resized(one, height, width) for one in maps], -1), *grids[resize_to])


def static_s2(pixels_NCHW: Tensor, tower: Callable[[Tensor], Tensor], scales: Sequence[int], max_split_px: int, resize_to: int) -> Tensor:
    """VILA-1.5-S2: every scale is made from the normalised pixels by bicubic interpolation without antialias -> [N, P, K * C]."""
    import torch
    from torch.nn.functional import interpolate

    maps = []
    for scale in scales:
        k = math.ceil(scale / max_split_px)
        resized = interpolate(pixels_NCHW.float(), size=(scale, scale), mode="bicubic", align_corners=False).to(pixels_NCHW.dtype)
        side = scale // k
        tiles = resized.unfold(2, side, side).unfold(3, side, side).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
        features = tower(tiles)
        maps.append(torch.stack([stitch(image, k, k) for image in features.view(len(pixels_NCHW), k * k, *features.shape[1:])]))
    height, width = maps[resize_to].shape[1:3]
    return torch.stack(
        [torch.cat([area_resized(one[i], height, width) for one in maps], -1).flatten(0, 1) for i in range(len(pixels_NCHW))]
    )
