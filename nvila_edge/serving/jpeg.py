"""Frames as JPEG: RGB arrays outside, BGR only between here and cv2; dimensions are read before anything is decoded."""

from __future__ import annotations

import cv2
import numpy as np

from nvila_edge.serving.errors import WireError

JPEG_QUALITY = 90
MAX_FRAME_SIDE_PX = 4096
MAX_FRAME_BYTES = 8 * 1024 * 1024 - 65536  # leaves room for the header within a message of 8 MiB

MAX_SCANS = 64  # libjpeg's own progressive files have ten; each costs a pass over the picture
_START, _END, _SCAN = b"\xff\xd8", b"\xff\xd9", b"\xff\xda"
_HEADER_BYTES = 65536  # in which a frame header is looked for: cameras need a few hundred, one segment holds at most 64 KiB
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # ITU T.81 table B.1: SOF0-15 without DHT, JPG, DAC
_MEND_JPEG = "send a complete baseline or progressive JPEG"


def jpeg_size(data: bytes) -> tuple[int, int]:
    """(height, width) in pixels from the headers of a complete JPEG. Raises WireError: not_jpeg, truncated or frame_size."""
    if not data.startswith(_START):
        raise WireError("not_jpeg", f"the frame does not start like a JPEG: {data[:4]!r}", _MEND_JPEG)
    if not data.rstrip(b"\x00").endswith(_END):
        raise WireError("truncated", f"the JPEG of {len(data)} bytes has no end marker", _MEND_JPEG)
    height, width = _frame_header(data)
    if (scans := data.count(_SCAN)) > MAX_SCANS:
        raise WireError("not_jpeg", f"the JPEG has {scans} scans; at most {MAX_SCANS} are allowed", _MEND_JPEG)
    if not (1 <= height <= MAX_FRAME_SIDE_PX and 1 <= width <= MAX_FRAME_SIDE_PX):
        limit = f"1 to {MAX_FRAME_SIDE_PX} pixels a side are allowed"
        raise WireError("frame_size", f"the frame is {width}x{height}; {limit}", "choose a smaller camera resolution")
    return height, width


def _frame_header(data: bytes) -> tuple[int, int]:
    at, data = 2, data[: 2 * _HEADER_BYTES]
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _FRAME_MARKERS:
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        if marker < 0xC0 or 0xD0 <= marker <= 0xD9:  # table B.1: no segment follows, and decoders disagree on what does
            raise WireError("not_jpeg", f"the JPEG has the marker {marker:#x}, which has no place in a header", _MEND_JPEG)
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")  # 0xFF repeated is padding
    raise WireError("not_jpeg", "the JPEG has no frame header", _MEND_JPEG)


def decode_jpeg(data: bytes) -> np.ndarray:
    """JPEG -> uint8 [H, W, 3] RGB. Raises WireError when it has no header or end, lies about its size, or can't be decoded.

    Picture data that stop early between the two are decoded as far as they go: libjpeg fills the rest.
    """
    height, width = jpeg_size(data)
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        bgr = None
    if bgr is None or bgr.shape != (height, width, 3):
        raise WireError("not_jpeg", "the JPEG could not be decoded", _MEND_JPEG)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def encode_jpeg(rgb: np.ndarray) -> bytes:
    """uint8 [H, W, 3] RGB -> JPEG of quality 90. Raises WireError for another shape or type, or a result beyond the limits."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise WireError("frame_shape", f"a frame of shape {rgb.shape}, {rgb.dtype}", "give uint8 [height, width, 3] in RGB order")
    if not 1 <= min(rgb.shape[:2]) <= max(rgb.shape[:2]) <= MAX_FRAME_SIDE_PX:
        size = f"the frame is {rgb.shape[1]}x{rgb.shape[0]}; 1 to {MAX_FRAME_SIDE_PX} pixels a side are allowed"
        raise WireError("frame_size", size, "choose a smaller camera resolution")
    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done, "cv2 has a JPEG encoder"
    if data.nbytes > MAX_FRAME_BYTES:
        raise WireError("too_large", f"the JPEG has {data.nbytes} bytes; at most {MAX_FRAME_BYTES}", "choose a smaller camera resolution")
    return data.tobytes()
