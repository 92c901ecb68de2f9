"""From what a camera gave to a frame: RGB, three channels, of a size worth sending; never a substitute for a picture that is none."""

from __future__ import annotations

import cv2
import numpy as np

from agents.protocols import CameraError, Frame, Quality

MAX_SIDE_PX = 1344  # the longest side that NVILA's vision looks at (the largest of its S2 scales, 448, 896, 1344)
_JUDGED_PX = 320  # width at which sharpness is measured, so that the figures of two cameras can be compared
_DARK, _BRIGHT = 16, 239  # grey values: the range that video calls black and white (ITU-R BT.601: 16 to 235) and a little beyond
_MEND = "check the camera's format and cable"


def make_frame(
    frame_id: int, picture: np.ndarray, captured_s: float, depth_m: np.ndarray | None = None, *, bgr: bool, max_side_px: int = MAX_SIDE_PX
) -> Frame:
    """A frame of a picture uint8 [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], in BGR order or RGB, with depth [H, W] in metres if there is one.

    Grey becomes RGB, an alpha channel is left out; a picture with a longer side than `max_side_px` is made smaller by area, its shape kept, and its
    depth with it (nearest pixel: depths are never mixed). Depth that is not finite or not positive becomes 0, unknown.
    Raises CameraError for a picture without pixels, of another type or shape, and for depth of another size.
    """
    rgb = _rgb(picture, bgr)
    depth = None if depth_m is None else _checked_depth(depth_m, rgb.shape[:2])
    height, width = rgb.shape[:2]
    if max(height, width) > max_side_px:
        scale = max_side_px / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        depth = None if depth is None else cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST)
    return Frame(frame_id, rgb, captured_s, depth, quality(rgb))


def _rgb(picture: np.ndarray, bgr: bool) -> np.ndarray:
    """uint8 [H, W, 3], of its own memory."""
    channels = 1 if picture.ndim == 2 else picture.shape[2] if picture.ndim == 3 else 0
    if picture.size == 0 or picture.dtype != np.uint8 or channels not in (1, 3, 4):
        allowed = "uint8 with 1, 3 or 4 channels and at least one pixel is needed"
        raise CameraError(f"the camera gave a picture of shape {list(picture.shape)}, {picture.dtype}; {allowed}: {_MEND}")
    if channels == 1:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
    if bgr:
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB if channels == 3 else cv2.COLOR_BGRA2RGB)
    return np.array(picture[..., :3], order="C")


def _checked_depth(depth_m: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """float32 [H, W] with 0 for everything that is no distance."""
    if depth_m.shape != shape:
        raise CameraError(f"the depth has shape {list(depth_m.shape)}, its picture {list(shape)}: align the depth with the picture")
    depth = depth_m.astype(np.float32)
    depth[~(np.isfinite(depth) & (depth > 0))] = 0
    return depth


def quality(rgb: np.ndarray) -> Quality:
    """Sharpness and exposure of a picture uint8 [H, W, 3]."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    if grey.shape[1] > _JUDGED_PX:
        height = max(1, round(grey.shape[0] * _JUDGED_PX / grey.shape[1]))
        grey = cv2.resize(grey, (_JUDGED_PX, height), interpolation=cv2.INTER_AREA)
    sharpness = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    return Quality(round(sharpness, 2), round(float((grey < _DARK).mean()), 4), round(float((grey > _BRIGHT).mean()), 4))
