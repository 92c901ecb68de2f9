"""One thing said about pictures: what every talker makes and the writer writes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

IMAGE = "<image>"
VIDEO = "<vila/video>"


@dataclass(frozen=True)
class Talk:
    """A conversation about pictures.

    kind: what it teaches, such as "colour"; turns: (question, answer) pairs, in which IMAGE or VIDEO marks the media in order; pictures uint8
    [n, H, W, 3]; is_video: the pictures are the frames of one video, `fps` of them a second; key: what balance is kept over (most often the answer).
    """

    kind: str
    turns: tuple[tuple[str, str], ...]
    pictures: tuple[np.ndarray, ...]
    key: str
    is_video: bool = False
    fps: float = 1.0
