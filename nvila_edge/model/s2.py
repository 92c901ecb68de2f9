"""Features of several scales joined on the channel axis (S2, facts/nvila.md sections 1.4 and 1.5).

Shapes: T tiles, P patches of a tile, C channels, K scales.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def stitch(tiles_TPC: Tensor, rows: int, columns: int) -> Tensor:
    """Tiles in row-major order as one map [rows * side, columns * side, C]."""
    side = math.isqrt(tiles_TPC.shape[1])
    return tiles_TPC.view(rows, columns, side, side, -1).permute(0, 2, 1, 3, 4).reshape(rows * side, columns * side, -1)


def split(map_HWC: Tensor, rows: int, columns: int) -> Tensor:
    """The reverse of `stitch`: [rows * columns, P, C]."""
    height, width = map_HWC.shape[0] // rows, map_HWC.shape[1] // columns
    return map_HWC.view(rows, height, columns, width, -1).transpose(1, 2).reshape(rows * columns, height * width, -1)


def area_resized(map_HWC: Tensor, height: int, width: int) -> Tensor:
    """Area interpolation in float32, as the published models compute it also when it enlarges."""
    moved = map_HWC.permute(2, 0, 1)[None].float()
    return interpolate(moved, size=(height, width), mode="area")[0].permute(1, 2, 0).to(map_HWC.dtype)


def join_scales(tiles_TPC: Tensor, splits: Sequence[int], grid: tuple[int, int] | None, resize_to: int) -> Tensor:
    """Features of one image's tiles (all scales, small to large) -> [rows * columns, P, K * C] of the scale `resize_to`.

    splits: tiles along a side of every scale; grid (rows, columns): that of the largest scale, or None for an image of one tile, whose features are
    repeated for every scale (trap 6).
    """
    if grid is None:
        return tiles_TPC.repeat(1, 1, len(splits))
    grids = [(k, k) for k in splits[:-1]] + [grid]
    parts = tiles_TPC.split([rows * columns for rows, columns in grids])
    maps = [stitch(part, *shape) for part, shape in zip(parts, grids, strict=True)]
    height, width = maps[resize_to].shape[:2]
    joined = torch.cat([area_resized(one, height, width) for one in maps], -1)
    return split(joined, *grids[resize_to])


def static_s2(pixels_NCHW: Tensor, tower: Callable[[Tensor], Tensor], scales: Sequence[int], max_split_px: int, resize_to: int) -> Tensor:
    """VILA-1.5-S2: every scale is made from the normalised pixels by bicubic interpolation without antialias -> [N, P, K * C]."""
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
