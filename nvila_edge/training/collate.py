"""Samples to sequences of embeddings: what can be done on other threads (reading, tiling, tokens), then what the model does (tower, projector, fusion).

Shapes: T positions, H hidden, k tokens of a medium.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from nvila_edge.model.checkpoint import MediaEncoder
from nvila_edge.model.nvila import NVILA
from nvila_edge.model.projector_layout import projector_layout, tokens_of
from nvila_edge.model.tiling import Tiled
from nvila_edge.model.tokens import IMAGE_MARK
from nvila_edge.model.video import read_video
from nvila_edge.training.labels import IGNORED, Piece, conversation, with_tiles
from nvila_edge.training.samples import Exchange, Sample, SampleError, opened_picture
from nvila_edge.training.time_tokens import names_times, times_as_tokens


@dataclass(frozen=True)
class Prepared:
    """A sample, ready for the model: `length` positions with its media, `learned` of them labels."""

    name: str
    pieces: tuple[Piece, ...]
    tiled: tuple[Tiled, ...]
    frames: tuple[Image.Image, ...]
    length: int
    learned: int


class Preparer:
    """Reads and cuts media and makes tokens, for one model. max_length in positions."""

    def __init__(self, model: NVILA, max_length: int) -> None:
        assert model.tokenizer is not None
        self._rules, self._media, self._tokenizer = model.config, model.media, model.tokenizer
        self._rows, self._times = int(model.llm.config.vocab_size), int(model.config.raw.get("num_time_tokens") or 0)  # type: ignore[arg-type]
        self._max_length, self._tower = max_length, model.vision_tower
        self._patch = int(model.vision_tower.config.patch_size)  # type: ignore[arg-type]

    def prepare(self, sample: Sample) -> Prepared:
        """Raises SampleError for media that cannot be read, a sample that is too long, and text that the model has no tokens for."""
        try:
            return self._prepared(sample)
        except SampleError:
            raise
        except ValueError as error:
            raise SampleError(str(error)) from error

    def _prepared(self, sample: Sample) -> Prepared:
        images = [opened_picture(image) for image in sample.images]
        tiled = self._media.tiles(images, every=True) if sample.tiled else [Tiled((tile,)) for tile in self._media.video_tiles(images)]
        frames = tuple(self._media.video_tiles(self._frames(sample)))
        exchanges = self._timed(sample)
        if self._rules.image_aspect_ratio == "dynamic" and sample.tiled:
            exchanges = with_tiles(exchanges, (len(one.tiles) for one in tiled))
        pieces = tuple(conversation(self._tokenizer, exchanges, sample.system_prompt))
        length = sum(len(piece.ids) for piece in pieces) + sum(map(self._image_length, tiled)) + self._video_length(len(frames))
        if length > self._max_length:
            raise SampleError(f"has {length} positions with its media; the recipe's max_length is {self._max_length}")
        largest = max(max(piece.ids, default=0) for piece in pieces)
        if largest >= self._rows:
            raise SampleError(f"becomes token {largest}, the model's vocabulary has {self._rows} rows; does its text hold a media token?")
        learned = sum(len(piece.ids) for piece in pieces if piece.learned)
        return Prepared(f"{sample.subset}/{sample.id}", pieces, tuple(tiled), frames, length, learned)

    def _frames(self, sample: Sample) -> list[Image.Image]:
        if sample.video is None:
            return []
        if isinstance(sample.video, tuple):
            return [opened_picture(frame) for frame in sample.video]
        return read_video(sample.video, self._rules.num_video_frames, self._rules.fps)

    def _timed(self, sample: Sample) -> list[Exchange]:
        if not self._times or not any(names_times(one.question + one.answer) for one in sample.exchanges):
            return list(sample.exchanges)
        duration = sample.duration_s
        if duration is None:
            raise SampleError('names times but has no "duration" of its video in seconds')
        texts = [(one.question, one.answer) for one in sample.exchanges]
        return [Exchange(*(times_as_tokens(text, duration, self._times) for text in pair)) for pair in texts]

    def _tile_tokens(self) -> int:
        """Tokens of one tile; in the static `s2` mode of a whole image, at the scale that the others are resized to."""
        side = self._tower.image_size
        if self._rules.image_aspect_ratio == "s2":
            side = self._rules.scales[self._rules.resize_to_scale]
        return tokens_of(projector_layout(self._rules.projector, 12, 12), (side // self._patch) ** 2)

    def _around(self, encoder: MediaEncoder) -> int:
        return len(self._tokenizer.encode(encoder.start)) + len(self._tokenizer.encode(encoder.end))

    def _image_length(self, tiled: Tiled) -> int:
        around = self._around(self._rules.image_encoder)
        if self._rules.image_aspect_ratio == "dynamic":
            return len(tiled.tiles) * (self._tile_tokens() + around)
        rows, columns = tiled.grid or (1, 1)
        return rows * columns * self._tile_tokens() + around

    def _video_length(self, frames: int) -> int:
        if not frames:
            return 0
        encoder, tokens = self._rules.video_encoder, self._tile_tokens()
        around, separator = self._around(encoder), len(self._tokenizer.encode(encoder.separator))
        pools = encoder.pool_sizes or ((1, 1, 1),)
        uneven = [t for t, _, _ in pools if frames % t]
        if uneven:
            raise SampleError(f"has {frames} video frames; pooling over time takes a multiple of {uneven[0]}")
        return sum(frames // t * (tokens // (h * w) + around) + separator for t, h, w in pools)


def fused(model: NVILA, batch: Sequence[Prepared]) -> tuple[list[Tensor], list[Tensor]]:
    """Embeddings [T, H] and labels int64 [T] of every sample. The tower sees the media of all at once; gradients flow where parameters want them."""
    images, videos = _encoded(model, batch)
    ids = [token for one in batch for piece in one.pieces for token in piece.ids]
    texts = iter(
        model.llm.get_input_embeddings()(torch.tensor(ids, device=model.device)).split([len(p.ids) for one in batch for p in one.pieces])
    )
    embeds, labels = [], []
    for one, video in zip(batch, videos, strict=True):
        parts, goals = [], []
        for piece in one.pieces:
            text = next(texts)
            part = text if not piece.media else next(images) if piece.media == IMAGE_MARK else video
            parts.append(part.to(text.dtype))
            goals += piece.ids if piece.learned else [IGNORED] * len(part)
        embeds.append(torch.cat(parts))
        labels.append(torch.tensor(goals, device=model.device))
        assert len(goals) == one.length, f"{one.name}: {len(goals)} positions, {one.length} were expected"
    return embeds, labels


def _encoded(model: NVILA, batch: Sequence[Prepared]) -> tuple[Iterator[Tensor], list[Tensor]]:
    """The blocks of all images in order, and the tokens of every sample's video (empty: it has none)."""
    media = model.media
    tiled = [one for prepared in batch for one in prepared.tiled]
    frames = [frame for prepared in batch for frame in prepared.frames]
    images = iter(media.tiled_blocks(tiled) if tiled else ())
    if not frames:
        return images, [torch.empty(0)] * len(batch)
    tokens: tuple[Tensor, ...] = media.single_tiles(frames).split([len(prepared.frames) for prepared in batch])
    return images, [media.video_tokens(own) if len(own) else own for own in tokens]


def untaught_media(model: NVILA) -> Tensor:
    """A zero that depends on tower and projector, to be added to the embeddings of a batch without media: with FSDP every process must have gradients
    for the same parameters and pass through the layers in the same order, which also hangs on whether their input takes one."""
    grey = Image.new("RGB", (model.vision_tower.image_size, model.vision_tower.image_size))
    return model.media.single_tiles([grey]).sum() * 0
