"""Images and frames to blocks of language tokens: tiles, tower, scales, projector, and the line breaks around them (facts/nvila.md sections 1.3 to 1.6).

A block is what stands for one media mark: an image, a tile (in `dynamic` mode), or a whole video.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvila_edge.model import s2, tiling
from nvila_edge.model.checkpoint import CheckpointConfig, MediaEncoder
from nvila_edge.model.preprocess import pixels
from nvila_edge.model.projector import Projector
from nvila_edge.model.tokens import IMAGE_MARK
from nvila_edge.model.video import pooled
from nvila_edge.model.vision import VisionTower

BATCH = 16  # tiles that go through the tower at once: bounds the memory of long videos


class MediaTokens:
    """Makes blocks for one model. `embed_text` gives the embeddings [n, H] of a short text (the encoders' line breaks)."""

    def __init__(self, config: CheckpointConfig, tower: VisionTower, projector: Projector, embed_text: Callable[[str], Tensor]) -> None:
        self.config, self.tower, self.projector, self.embed_text = config, tower, projector, embed_text

    def marks(self, prompt: str, images: Sequence[Any]) -> str:
        """The prompt with one mark for every block: in `dynamic` mode a single image becomes a mark and a line break for every tile (trap 6)."""
        if self.config.image_aspect_ratio != "dynamic" or len(images) != 1:
            return prompt
        return prompt.replace(IMAGE_MARK, f"{IMAGE_MARK}\n" * len(self._tiled(images[0], alone=True).tiles))

    def image_blocks(self, images: Sequence[Any]) -> list[Tensor]:
        """[k, H] for every mark. Only an image that comes alone is tiled (trap 6). Raises ValueError for what is not an 8-bit still."""
        tiled = [self._tiled(image, alone=len(images) == 1) for image in images]
        if self.config.image_aspect_ratio == "dynamic":
            tokens = list(self.single_tiles([tile for one in tiled for tile in one.tiles]))
        elif self.config.image_aspect_ratio == "dynamic_s2":
            tokens = [self._multi_scale(one) for one in tiled]
        else:
            tokens = list(self.single_tiles([one.tiles[0] for one in tiled]))
        return [self._framed(block, self.config.image_encoder) for block in tokens]

    def video_block(self, frames: Sequence[Any]) -> Tensor:
        """[k, H] of a whole video: one tile a frame, pooled when the checkpoint says so. Raises ValueError when pooling does not divide it."""
        encoder = self.config.video_encoder
        tokens = self.single_tiles([self._whole(tiling.rgb_image(frame)) for frame in frames])
        levels = [pooled(tokens, pool) for pool in encoder.pool_sizes] or [tokens]
        separator = [self.embed_text(encoder.separator)] if encoder.separator else []
        return torch.cat([part for level in levels for part in (*(self._framed(frame, encoder) for frame in level), *separator)])

    def single_tiles(self, tiles: Sequence[Any]) -> Tensor:
        """[N, k, H] of images or arrays that are one tile each, whatever the mode. Arrays must be uint8 [H, W, 3]."""
        config, weight = self.config, next(self.tower.parameters())
        if config.image_aspect_ratio == "s2":
            inputs = self._pixels(tiles, config.scales[-1], weight)
            features = s2.static_s2(inputs, self.tower, config.scales, config.max_split_px, config.resize_to_scale)
        else:
            features = torch.cat([
                self.tower(self._pixels(tiles[start : start + BATCH], self.tower.image_size, weight)) for start in range(0, len(tiles), BATCH)
            ])  # fmt: skip
        return self.projector(features.repeat(1, 1, len(config.scales)) if config.image_aspect_ratio == "dynamic_s2" else features)

    def _multi_scale(self, tiled: tiling.Tiled) -> Tensor:
        """[k, H] of one image: scales joined, every tile of the largest projected by itself, the tokens row by row over the whole image."""
        weight = next(self.tower.parameters())
        features = torch.cat([
            self.tower(self._pixels(tiled.tiles[start : start + BATCH], self.tower.image_size, weight))
            for start in range(0, len(tiled.tiles), BATCH)
        ])  # fmt: skip
        scales = self.config.scales
        joined = s2.join_scales(features, [scale // scales[0] for scale in scales], tiled.grid, self.config.resize_to_scale)
        tokens = self.projector(joined)
        return s2.stitch(tokens, *tiled.grid).flatten(0, 1) if tiled.grid else tokens[0]

    def _pixels(self, images: Sequence[Any], size: int, like: Tensor) -> Tensor:
        return torch.from_numpy(pixels([np.asarray(image) for image in images], size)).to(like.device, like.dtype)

    def _tiled(self, image: Any, alone: bool) -> tiling.Tiled:
        image, config, size = tiling.rgb_image(image), self.config, self.tower.image_size
        if alone and config.image_aspect_ratio == "dynamic":
            return tiling.dynamic(image, size, config.min_tiles, config.max_tiles)
        if alone and config.image_aspect_ratio == "dynamic_s2":
            return tiling.dynamic_s2(image, config.scales, config.max_tiles)
        return tiling.Tiled((self._whole(image),))

    def _whole(self, image: Any) -> Any:
        return tiling.padded(image) if self.config.image_aspect_ratio == "pad" else image

    def _framed(self, tokens: Tensor, encoder: MediaEncoder) -> Tensor:
        start, end = encoder.start, encoder.end
        return torch.cat([*([self.embed_text(start)] if start else []), tokens, *([self.embed_text(end)] if end else [])])
