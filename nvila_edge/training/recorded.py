"""What every layout of recorded roll-outs yields: an instruction, the frames up to a decision, and the answer that is right there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image


class RecordedError(ValueError):
    """A data set, or one sample of it, cannot be used; the message names the file and the sample."""


class Picture(Protocol):
    """One frame that is decoded when it is wanted."""

    def rgb(self) -> np.ndarray:
        """uint8 [H, W, 3]. Raises RecordedError that names it when it is missing or no picture."""
        ...


@dataclass(frozen=True)
class PictureFile:
    """A frame in a file of its own."""

    path: Path

    def rgb(self) -> np.ndarray:
        """uint8 [H, W, 3]. Raises RecordedError that names the file."""
        try:
            with Image.open(self.path) as image:
                return np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for files that are no pictures
            raise RecordedError(f"{self.path}: not readable as a picture ({error}); record or download it again") from None


@dataclass(frozen=True)
class Recorded:
    """`text` is the plain instruction; `frames` are all from the first to the newest, one per primitive (a profile's history rule picks some);
    `answer` is the sentence. `name` tells people where it is from."""

    name: str
    text: str
    frames: tuple[Picture, ...]
    answer: str


class RecordedSet(Protocol):
    """A data set: samples by number, read when they are asked for."""

    def __len__(self) -> int:
        """How many."""
        ...

    def __getitem__(self, index: int) -> Recorded:
        """One of them. Raises RecordedError for what is wrong with it, IndexError beyond the last."""
        ...

    def __iter__(self) -> Iterator[Recorded]:
        """All in order."""
        ...
