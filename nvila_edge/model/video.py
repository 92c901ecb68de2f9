"""Frames of a video: which ones are looked at, and how their tokens are pooled over time.

As NVlabs/VILA's llava/utils/media.py and llava/model/encoders/video/ do it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from nvila_edge.model.arrays import Array
from nvila_edge.model.tokens import IMAGE_MARK, VIDEO_MARK

MOST_FRAMES = 4096  # more than any published model reads
_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def frame_indices(count: int, wanted: int, video_fps: float = 0.0, fps: float = 0.0) -> list[int]:
    """Which of `count` frames are looked at: `wanted` evenly from first to last (duplicates possible), or with fps > 0 one every 1/fps s, at most `wanted`."""
    if count < 1:
        return []
    if not 1 <= wanted <= MOST_FRAMES or not 0 <= fps < math.inf:
        raise ValueError(
            f"{wanted} frames at {fps} a second are wanted of a video; expected 1 to {MOST_FRAMES} frames, and 0 or more a second"
        )
    if fps > 0 and 0 < video_fps < math.inf:
        indices = np.arange(0, count, video_fps / min(fps, video_fps)).round().astype(int).clip(0, count - 1)
        if len(indices) <= wanted:
            return indices.tolist()
    return np.linspace(0, count - 1, wanted).round().astype(int).tolist()


def read_video(path: str | Path, wanted: int, fps: float = 0.0) -> list[Image.Image]:
    """Sampled RGB frames of a video file or of a folder of images (sorted by name). Raises ValueError naming the path when nothing can be read."""
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in _IMAGES)
        frames = [_opened(files[index]) for index in frame_indices(len(files), wanted)]
        frames = [frame for frame in frames if frame is not None]
    else:
        frames = _decoded(path, wanted, fps)
    if not frames:
        raise ValueError(f"video {path} has no frame that can be read; expected a video file or a folder of {', '.join(_IMAGES)}")
    return frames


def video_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels by the header of a video file; (0, 0) when it has none."""
    import cv2

    capture = cv2.VideoCapture(str(path))
    try:
        return int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    finally:
        capture.release()


def _opened(path: Path) -> Image.Image | None:
    """The picture, or None when it is unreadable: the published loader drops such frames."""
    try:
        return Image.open(path).convert("RGB")
    except (OSError, UnidentifiedImageError, SyntaxError):
        return None


def _decoded(path: Path, wanted: int, fps: float) -> list[Image.Image]:
    import cv2

    capture = cv2.VideoCapture(str(path))
    try:
        count = _readable(capture, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        indices = frame_indices(count, wanted, capture.get(cv2.CAP_PROP_FPS), fps)
        found: dict[int, Image.Image] = {}
        for index in sorted(set(indices)):
            capture.set(cv2.CAP_PROP_POS_FRAMES, index)
            good, frame = capture.read()
            if good:
                found[index] = Image.fromarray(np.ascontiguousarray(frame[..., ::-1]))
        return [found[index] for index in indices if index in found]
    finally:
        capture.release()


def _readable(capture: Any, promised: int) -> int:
    """How many frames there are: containers promise some at the end that are not there. A file that was cut off is counted through once, as
    looking for every frame that it promises takes minutes."""
    import cv2

    for count in range(promised, max(0, promised - 8), -1):
        if _has_frame(capture, count - 1):
            return count
    capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
    count = 0
    while count < promised and capture.grab():
        count += 1
    return count


def _has_frame(capture: Any, index: int) -> bool:
    import cv2

    capture.set(cv2.CAP_PROP_POS_FRAMES, index)
    return bool(capture.grab())


def frames_as_images(prompt: str, frames: Sequence[Any]) -> tuple[str, list[Any]]:
    """The prompt and images that newer releases of VILA make of a video: one image mark a frame, so that the video encoder is bypassed (trap 2)."""
    if prompt.count(VIDEO_MARK) != 1:
        raise ValueError(f"the prompt has {prompt.count(VIDEO_MARK)} {VIDEO_MARK} marks; expected one to put the frames at")
    return prompt.replace(VIDEO_MARK, IMAGE_MARK * len(frames)), list(frames)


def pooled(frames_NKH: Array, pool: tuple[int, int, int]) -> Array:
    """Mean over groups of (frames, rows, columns) of tokens [N, K, H] on a square grid.

    Raises ValueError when a group doesn't fit: the published pooling has no remainder.
    """
    side = math.isqrt(frames_NKH.shape[1])
    sizes = (len(frames_NKH), side, side)
    if side * side != frames_NKH.shape[1] or any(size % group for size, group in zip(sizes, pool, strict=True)):
        raise ValueError(
            f"pool size {list(pool)} does not divide a video of {sizes[0]} frames with {side} x {side} tokens; give a multiple of {pool[0]} frames"
        )
    t, h, w = pool
    grouped = frames_NKH.reshape(sizes[0] // t, t, side // h, h, side // w, w, -1)
    return grouped.mean((1, 3, 5)).reshape(sizes[0] // t, (side // h) * (side // w), -1)
