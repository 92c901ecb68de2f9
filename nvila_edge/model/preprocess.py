"""Frames to pixels, without torch: the same code for the model and every engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image


def checked_frame(frame: np.ndarray) -> np.ndarray:
    """The frame, when it is uint8 [H, W, 3] and not empty. Raises ValueError otherwise."""
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        found = f"{frame.dtype} {list(frame.shape)}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise ValueError(f"a frame must be a uint8 RGB array of shape [H, W, 3]; got {found}")
    return frame


def pixels(frames: Sequence[np.ndarray] | np.ndarray, size: int) -> np.ndarray:
    """uint8 RGB frames (any sizes) to float32 [N, 3, size, size] in -1..1: bicubic, aspect ratio ignored (SigLIP's `resize` mode).

    Source: NVILA's preprocessor_config (resample 3, mean and std 0.5). Raises ValueError for a frame that is not uint8 [H, W, 3].
    """
    out = np.empty((len(frames), 3, size, size), np.float32)
    for row, frame in zip(out, frames, strict=True):
        image = Image.fromarray(checked_frame(frame))
        if image.size != (size, size):
            image = image.resize((size, size), Image.Resampling.BICUBIC)
        row[:] = np.asarray(image, np.float32).transpose(2, 0, 1) / 127.5 - 1.0
    return out
