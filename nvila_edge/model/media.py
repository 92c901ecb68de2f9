"""Images and frames to blocks of language tokens: tiles, tower, scales, projector, and the line breaks around them (NVlabs/VILA, llava/model/).

Written once for the model (torch tensors) and the engines (NumPy arrays, without torch).

A block is what stands for one media mark: an image, a tile (in `dynamic` mode), or a whole video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from PIL import Image

from nvila_edge.model import s2, tiling
from nvila_edge.model.arrays import concatenated
from nvila_edge.model.checkpoint import MediaEncoder, MediaRules
from nvila_edge.model.preprocess import checked_frame, pixels
from nvila_edge.model.tokens import IMAGE_MARK, VIDEO_MARK
from nvila_edge.model.video import pooled

BATCH = 16  # tiles that go through the tower at once: bounds the memory of long videos


class VisionEncoder(Protocol):
    """A tower and a projector, in torch or as a graph; arrays are NumPy's or torch's. Shapes: N tiles, P patches, C channels, k tokens, H hidden."""

    image_size: int

    def encode(self, pixels_N3SS: np.ndarray) -> Any:
        """float32 pixels in -1..1 -> tokens [N, k, H] of single tiles."""
        ...

    def features(self, pixels_N3SS: np.ndarray) -> Any:
        """float32 pixels in -1..1 -> the tower's features [N, P, C]. Needed in the `dynamic_s2` mode only."""
        ...

    def project(self, features_NPC: Any) -> Any:
        """Features of all scales [N, P, K * C] -> tokens [N, k, H]. Needed in the `dynamic_s2` mode only."""
        ...


class MediaTokens:
    """Makes blocks for one model. `embed_text` gives the embeddings [n, H] of a short text (the encoders' line breaks)."""

    def __init__(self, rules: MediaRules, encoder: VisionEncoder, embed_text: Callable[[str], Any]) -> None:
        self.rules, self.encoder, self.embed_text = rules, encoder, embed_text

    def marks(self, prompt: str, images: Sequence[Any]) -> str:
        """The prompt with one mark for every block: in `dynamic` mode a single image becomes a mark and a line break for every tile (trap 6)."""
        if self.rules.image_aspect_ratio != "dynamic" or len(images) != 1:
            return prompt
        return prompt.replace(IMAGE_MARK, f"{IMAGE_MARK}\n" * len(self._tiled(images[0], alone=True).tiles))

    def image_blocks(self, images: Sequence[Any]) -> list[Any]:
        """[k, H] for every mark. Only an image that comes alone is tiled (trap 6). Raises ValueError for what is not an 8-bit still."""
        return self.tiled_blocks(self.tiles(images))

    def tiles(self, images: Sequence[Any], every: bool = False) -> list[tiling.Tiled]:
        """The images cut for the tower. every: also those that do not come alone, as in training (trap 6)."""
        return [self._tiled(image, alone=every or len(images) == 1) for image in images]

    def tiled_blocks(self, tiled: Sequence[tiling.Tiled]) -> list[Any]:
        """[k, H] for every mark, of images that `tiles` has cut, of one prompt or several."""
        if self.rules.image_aspect_ratio == "dynamic":
            tokens = list(self.single_tiles([tile for one in tiled for tile in one.tiles]))
        elif self.rules.image_aspect_ratio == "dynamic_s2":
            tokens = [self._multi_scale(one) for one in tiled]
        else:
            tokens = list(self.single_tiles([one.tiles[0] for one in tiled]))
        return [self.image_block(block) for block in tokens]

    def video_block(self, frames: Sequence[Any]) -> Any:
        """[k, H] of a whole video: one tile a frame, pooled when the checkpoint says so. Raises ValueError when pooling does not divide it."""
        return self.video_tokens(self.single_tiles(self.video_tiles(frames)))

    def video_tiles(self, frames: Sequence[Any]) -> list[Image.Image]:
        """The frames as the tower takes them, one tile each."""
        return [self._whole(tiling.rgb_image(frame)) for frame in frames]

    def video_tokens(self, tokens: Any) -> Any:
        """[k, H] of a whole video, of its frames' tokens [N, k, H]."""
        encoder = self.rules.video_encoder
        levels = [pooled(tokens, pool) for pool in encoder.pool_sizes] or [tokens]
        separator = [self.embed_text(encoder.separator)] if encoder.separator else []
        return concatenated([part for level in levels for part in (*(self._framed(frame, encoder) for frame in level), *separator)])

    def frames(self, frames: Sequence[np.ndarray] | np.ndarray) -> Any:
        """[N, k, H] of uint8 [H, W, 3] frames, one tile each, without what stands around an image."""
        whole = [checked_frame(frame) for frame in frames]
        if self.rules.image_aspect_ratio == "pad":
            return self.single_tiles([tiling.padded(Image.fromarray(frame)) for frame in whole])
        return self.single_tiles(whole)

    def image_block(self, tokens: Any) -> Any:
        """Tokens [k, H] of one image with what stands around it."""
        return self._framed(tokens, self.rules.image_encoder)

    def single_tiles(self, tiles: Sequence[Any]) -> Any:
        """[N, k, H] of images or arrays that are one tile each, whatever the mode. Arrays must be uint8 [H, W, 3]."""
        if self.rules.image_aspect_ratio == "dynamic_s2":
            return self.encoder.project(concatenated([self._features(tiles)] * len(self.rules.scales), -1))
        size = self.rules.scales[-1] if self.rules.image_aspect_ratio == "s2" else self.encoder.image_size
        return concatenated([self.encoder.encode(self._pixels(batch, size)) for batch in _batches(tiles)])

    def _multi_scale(self, tiled: tiling.Tiled) -> Any:
        """[k, H] of one image: scales joined, every tile of the largest projected by itself, the tokens row by row over the whole image."""
        scales = self.rules.scales
        features = self._features(tiled.tiles)
        joined = s2.join_scales(features, [scale // scales[0] for scale in scales], tiled.grid, self.rules.resize_to_scale)
        tokens = self.encoder.project(joined)
        return s2.stitch(tokens, *tiled.grid).reshape(-1, tokens.shape[-1]) if tiled.grid else tokens[0]

    def _features(self, tiles: Sequence[Any]) -> Any:
        """[N, P, C] of the tower, a batch at a time."""
        return concatenated([self.encoder.features(self._pixels(batch, self.encoder.image_size)) for batch in _batches(tiles)])

    def _pixels(self, images: Sequence[Any], size: int) -> np.ndarray:
        return pixels([np.asarray(image) for image in images], size)

    def _tiled(self, image: Any, alone: bool) -> tiling.Tiled:
        image, rules, size = tiling.rgb_image(image), self.rules, self.encoder.image_size
        if alone and rules.image_aspect_ratio == "dynamic":
            return tiling.dynamic(image, size, rules.min_tiles, rules.max_tiles)
        if alone and rules.image_aspect_ratio == "dynamic_s2":
            return tiling.dynamic_s2(image, rules.scales, rules.max_tiles)
        return tiling.Tiled((self._whole(image),))

    def _whole(self, image: Any) -> Any:
        return tiling.padded(image) if self.rules.image_aspect_ratio == "pad" else image

    def _framed(self, tokens: Any, encoder: MediaEncoder) -> Any:
        start, end = encoder.start, encoder.end
        return concatenated([*([self.embed_text(start)] if start else []), tokens, *([self.embed_text(end)] if end else [])])


def _batches(tiles: Sequence[Any]) -> list[Sequence[Any]]:
    return [tiles[start : start + BATCH] for start in range(0, len(tiles), BATCH)]


def listed(media: Iterable[Any] | None, name: str) -> list[Any]:
    """The media as a list. Raises ValueError for a single picture where several are expected."""
    if isinstance(media, Image.Image) or (isinstance(media, np.ndarray) and media.ndim == 3):
        raise ValueError(f"{name} is one picture; expected a list: {name}=[picture]")
    return list(media) if media is not None else []


def check_marks(prompt: str, images: Sequence[Any], video: Sequence[Any]) -> None:
    """Raises ValueError unless the prompt is a text whose media marks are as many as the images and videos given."""
    if not isinstance(prompt, str):
        raise ValueError(f"the prompt is {type(prompt).__name__}; expected text")
    marks, given = (prompt.count(IMAGE_MARK), prompt.count(VIDEO_MARK)), (len(images), 1 if len(video) else 0)
    if marks != given:
        raise ValueError(
            f"the prompt has {marks[0]} {IMAGE_MARK} and {marks[1]} {VIDEO_MARK} marks but {given[0]} images and {given[1]} videos were given; "
            "write one mark for each"
        )
