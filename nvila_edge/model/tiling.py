"""Cuts images into square tiles for the tower (NVlabs/VILA, llava/mm_utils.py). PIL only, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

_MODES = ("RGB", "L", "P", "RGBA", "LA", "1")  # 8 bits a channel and convertible without a colour profile
_PAD_COLOUR = (127, 127, 127)  # SigLIP's mean 0.5, as an integer


@dataclass(frozen=True)
class Tiled:
    """Tiles in the order in which they are encoded, all S x S. `grid` (rows, columns) of the largest scale for dynamic_s2; None: a single tile."""

    tiles: tuple[Image.Image, ...]
    grid: tuple[int, int] | None = None


def rgb_image(image: Any) -> Image.Image:
    """An RGB image of a PIL image or a uint8 [H, W, 3] array.

    Raises ValueError for an animation, CMYK, more than 8 bits a channel, or less than 2 x 2 pixels: what they should look like is a guess.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"an image array must be uint8 [H, W, 3] RGB; got {image.dtype} {list(image.shape)}")
        image = Image.fromarray(image)
    elif not isinstance(image, Image.Image):
        raise ValueError(f"an image must be a PIL image or a uint8 [H, W, 3] array; got {type(image).__name__}")
    name = f"image {getattr(image, 'filename', '') or ''}".strip()
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:  # MPO: a camera's still with a second view or a preview
        raise ValueError(f"{name} is an animation of {image.n_frames} frames; expected a still: give its frames as a video")  # type: ignore[attr-defined]
    if image.mode not in _MODES:
        raise ValueError(f"{name} has mode {image.mode}; expected 8-bit colour or grey ({', '.join(_MODES)}): convert it to RGB first")
    if min(image.size) < 2:
        raise ValueError(f"{name} is {image.width} x {image.height} pixels; expected at least 2 x 2")
    try:
        return image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:  # PIL raises SyntaxError for broken PNG chunks
        raise ValueError(f"{name} cannot be decoded: {error}") from error


def resized(image: Image.Image, width: int, height: int) -> Image.Image:
    """Bicubic, aspect ratio ignored."""
    return image if image.size == (width, height) else image.resize((width, height), Image.Resampling.BICUBIC)


def padded(image: Image.Image) -> Image.Image:
    """Centred on a grey square (the `pad` mode)."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), _PAD_COLOUR)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def best_grid(width: int, height: int, tile_px: int, minimum: int, maximum: int) -> tuple[int, int]:
    """(columns, rows) with minimum <= columns * rows <= maximum whose aspect ratio is nearest to the image's (section 1.3).

    Of two that are equally near, the larger one wins when the image has more than half of its pixels.
    """
    if not 1 <= minimum <= maximum:
        raise ValueError(f"tile counts {minimum}..{maximum} are not a range; expected 1 <= min_tiles <= max_tiles")
    grids = {(i, j) for i in range(1, maximum + 1) for j in range(1, maximum // i + 1) if minimum <= i * j}
    best, smallest = (1, 1), float("inf")
    for columns, rows in sorted(grids, key=lambda grid: (grid[0] * grid[1], grid)):
        difference = abs(width / height - columns / rows)
        if difference < smallest:
            best, smallest = (columns, rows), difference
        elif difference == smallest and width * height > 0.5 * tile_px * tile_px * columns * rows:
            best = (columns, rows)
    return best


def cut(image: Image.Image, columns: int, rows: int, tile_px: int) -> list[Image.Image]:
    """The image resized to columns x rows tiles, cut row by row."""
    whole = resized(image, columns * tile_px, rows * tile_px)
    corners = [(column * tile_px, row * tile_px) for row in range(rows) for column in range(columns)]
    return [whole.crop((x, y, x + tile_px, y + tile_px)) for x, y in corners]


def dynamic(image: Image.Image, tile_px: int, minimum: int, maximum: int) -> Tiled:
    """NVILA-Lite's tiles; when there is more than one, the whole image follows as a thumbnail."""
    columns, rows = best_grid(*image.size, tile_px, minimum, maximum)
    tiles = cut(image, columns, rows, tile_px)
    return Tiled((*tiles, resized(image, tile_px, tile_px)) if len(tiles) > 1 else tuple(tiles))


def dynamic_s2(image: Image.Image, scales: Sequence[int], maximum: int) -> Tiled:
    """Square grids of the smaller scales, then the largest scale's best grid: NVILA-8B's tiles, scale by scale, no thumbnail."""
    tile_px, splits = scales[0], [scale // scales[0] for scale in scales]
    tiles = [tile for k in splits[:-1] for tile in cut(image, k, k, tile_px)]
    columns, rows = best_grid(*image.size, tile_px, splits[-1] ** 2, max(maximum, splits[-1] ** 2))
    return Tiled((*tiles, *cut(image, columns, rows, tile_px)), (rows, columns))
