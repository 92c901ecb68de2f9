"""A training sample: questions and answers about images or a video. Every reader of a data set's layout yields these; pictures are read late."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from nvila_edge.model.tokens import IMAGE_MARK, VIDEO_MARK
from nvila_edge.training import recorded

Picture = Path | np.ndarray | recorded.Picture  # a file, uint8 [H, W, 3] RGB, or what gives one
LISTED = 20  # faults that are told in full; the others are counted


class SampleError(ValueError):
    """A sample that cannot be trained on; the message says what is wrong with it. The run goes on without it."""


@dataclass(frozen=True)
class Exchange:
    """A question and the answer that is taught. Marks (<image>, <vila/video>) stand in questions only."""

    question: str
    answer: str


@dataclass(frozen=True)
class Sample:
    """One conversation. The marks in its questions stand for `images` in order and for `video`: frames in order, or one file (or folder of frames) that
    is sampled when it is read. `duration_s` of the video is needed where texts name times; system_prompt False leaves the system turn empty (VILA's
    `no_system_prompt`). tiled False: its images are one tile each, whatever the model's image mode, as the frames of a robot are."""

    id: str
    subset: str
    exchanges: tuple[Exchange, ...]
    images: tuple[Picture, ...] = ()
    video: tuple[Picture, ...] | Path | None = None
    duration_s: float | None = None
    system_prompt: bool = True
    tiled: bool = True

    def __post_init__(self) -> None:
        """Raises SampleError when there is nothing to teach, or the marks are not as many as the media."""
        if not self.exchanges or not all(one.answer for one in self.exchanges):
            raise SampleError("has no answer to learn")
        if any(mark in one.answer for one in self.exchanges for mark in (IMAGE_MARK, VIDEO_MARK)):
            raise SampleError("has a media mark in an answer; expected them in questions")
        text = "".join(one.question for one in self.exchanges)
        marks, media = (text.count(IMAGE_MARK), text.count(VIDEO_MARK)), (len(self.images), 0 if self.video is None else 1)
        if marks != media:
            raise SampleError(
                f"has {marks[0]} {IMAGE_MARK} and {marks[1]} {VIDEO_MARK} marks for {media[0]} images and {media[1]} videos; expected as many"
            )


@dataclass
class Faults:
    """Samples that were left out: counted by subset, the first LISTED told in full."""

    counts: dict[str, int] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)

    def add(self, subset: str, sample_id: str, reason: str) -> None:
        """One more."""
        self.counts[subset] = self.counts.get(subset, 0) + 1
        if len(self.listed) < LISTED:
            self.listed.append(f"{subset}/{sample_id}: {reason}")

    @property
    def total(self) -> int:
        """How many."""
        return sum(self.counts.values())

    def text(self) -> str:
        """Counts and the first ones, on lines."""
        more = [f"... and {self.total - len(self.listed)} more"] if self.total > len(self.listed) else []
        counted = ", ".join(f"{count} of {subset}" for subset, count in sorted(self.counts.items()))
        return "\n".join([f"{self.total} samples left out ({counted})", *(f"  {line}" for line in self.listed + more)])


@dataclass(frozen=True)
class Source:
    """Where a data set lies: `path` of its annotations (llava) or its folder (navila, lerobot); `media`: the folder that the names of a llava set's
    pictures are relative to; `frames`: how many of its history a navigation sample shows."""

    name: str
    path: Path
    media: Path
    format: str = "llava"
    system_prompt: bool = True
    frames: int = 8


Reader = Callable[[Source, Faults], Iterator[Sample]]
READERS: dict[str, Reader] = {}


def reader(name: str) -> Callable[[Reader], Reader]:
    """Registers a function that reads a layout: it yields samples, and adds to the faults what is none. Raises ValueError for a file that is no such layout."""

    def register(function: Reader) -> Reader:
        READERS[name] = function
        return function

    return register


def opened_picture(picture: Picture) -> Image.Image:
    """The picture. Raises SampleError when it can't be read."""
    try:
        if not isinstance(picture, Path):
            return Image.fromarray(picture if isinstance(picture, np.ndarray) else picture.rgb())
        with Image.open(picture) as image:
            image.load()
            return image
    except recorded.RecordedError as error:  # says which one
        raise SampleError(str(error)) from error
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise SampleError(f"{picture} cannot be read: {error}") from error


def inside(folder: Path, name: Any) -> Path:
    """A file under a data set's media folder. Raises SampleError for a name that leads out of it."""
    if not isinstance(name, str) or not name:
        raise SampleError(f"names a file as {name!r}; expected text")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise SampleError(f"names the file {name}, which lies outside of its media folder")
    return folder / name


def marked(question: str, images: int, video: bool) -> str:
    """The question with one mark for each medium in front, and none elsewhere (NVlabs/VILA, llava/data/dataset_impl/llava.py)."""
    bare = question.replace(IMAGE_MARK, "").replace(VIDEO_MARK, "").strip()
    return IMAGE_MARK * images + (VIDEO_MARK if video else "") + bare


def listed(value: Any) -> Sequence[Any]:
    """A list of one thing or several."""
    return () if value is None else value if isinstance(value, list) else (value,)
