"""What `nvila-edge chat` can be asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from tyro.conf import Positional


@dataclass(frozen=True)
class ChatOptions:
    """One question about images or a video, or a conversation."""

    model: Positional[str]
    """Checkpoint folder, hub id (owner/name) or bundle folder."""
    prompt: str | None = None
    """The question; when left out, questions are read until the end of input, "exit" or Ctrl-C."""
    image: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """An image file; may be given several times."""
    video: Path | None = None
    """A video file, or a folder of images in the order of their names."""
    max_new_tokens: int = 256
    """Longest answer."""
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Of a checkpoint's weights; as stored when left out."""
    device: str | None = None
    """Where a checkpoint runs; cuda when there is one, else cpu."""
    temperature: float = 0.0
    """0 is greedy; above it, answers of a checkpoint are sampled."""
    top_p: float = 1.0
    """Sample from the likeliest tokens with this much probability."""
    seed: int = 0
    """Of sampling."""
    frames: int | None = None
    """How many frames of the video; as the checkpoint says when left out."""
    frames_as_images: bool = False
    """Show the video's frames as single images, past the video encoder, as newer releases of VILA do."""
