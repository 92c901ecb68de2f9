"""Pictures and videos as they come in requests: data URIs only. Nothing is ever fetched from anywhere."""

from __future__ import annotations

import base64
import binascii
import io
import tempfile
from pathlib import Path

from PIL import Image

from nvila_edge.chat import UNREADABLE, open_video, read_image
from nvila_edge.model.video import video_size

FORMATS = ("JPEG", "PNG", "WEBP")  # Pillow gives others, such as PostScript, to programs that nothing bounds
MAX_PICTURES = 64  # images and video frames of one request
MAX_PIXELS = 100_000_000  # of all pictures of a request together: 300 MB once decoded


class Pictures:
    """The media of one request, counted while they are read, before they are decoded. `frames`: how many of a video file are looked at."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._pixels = self._count = 0

    def image(self, uri: str) -> Image.Image:
        """An upright RGB image of a data URI. Raises ValueError for anything else, and beyond the limits."""
        kind, data = _data(uri, "image")
        return self._picture(data, kind)

    def video(self, uri: str) -> tuple[Image.Image, ...]:
        """Frames of a data URI: of a video file, or all of `data:video/jpeg;base64,FRAME,FRAME,...`. Raises ValueError as `image` does."""
        kind, data = _data(uri, "video")
        if kind == "video/jpeg":
            return tuple(self._picture(frame, kind) for frame in data.split(","))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "video"
            path.write_bytes(_decoded(data, kind))
            width, height = video_size(path)
            # before anything is decoded; what the header says may be a lie, so it is counted below
            if self._frames * width * height > MAX_PIXELS:
                raise ValueError(
                    f"{self._frames} frames of the video would be {self._frames * width * height / 1e6:.0f} megapixels; at most "
                    f"{MAX_PIXELS / 1e6:.0f} are allowed: send a smaller one"
                )
            try:
                frames = open_video(path, self._frames, 0.0)
            except ValueError as error:
                raise ValueError(
                    f"the {kind} of a data URI has no frame that can be read; give an MP4 file, or frames as images"
                ) from error
        for frame in frames:
            self._admit(frame.size)
        return tuple(frames)

    def _picture(self, data: str, kind: str) -> Image.Image:
        encoded = _decoded(data, kind)
        try:
            with Image.open(io.BytesIO(encoded), formats=FORMATS) as opened:
                self._admit(opened.size)
        except UNREADABLE as error:  # also PIL's refusal of a picture that says it is huge
            raise ValueError(f"a data URI of type {kind} holds no picture that can be read; expected JPEG, PNG or WebP") from error
        return read_image(io.BytesIO(encoded), "of a data URI", FORMATS)

    def _admit(self, size: tuple[int, int]) -> None:
        self._count, self._pixels = self._count + 1, self._pixels + size[0] * size[1]
        if self._count > MAX_PICTURES or self._pixels > MAX_PIXELS:
            raise ValueError(
                f"the request shows {self._count} pictures or more, {self._pixels / 1e6:.0f} megapixels so far; at most {MAX_PICTURES} and "
                f"{MAX_PIXELS / 1e6:.0f} are allowed: show fewer or smaller ones"
            )


def _data(uri: str, family: str) -> tuple[str, str]:
    """Media type and base64 text of a data URI."""
    head, comma, data = uri.partition(",")
    if not uri.startswith("data:"):
        raise ValueError(
            f"{uri[:60]!r} is not a data URI, and this server fetches nothing: send the file itself as data:{family}/...;base64,..."
        )
    if not comma or not head.endswith(";base64") or not head.startswith(f"data:{family}/"):
        raise ValueError(f"a data URI begins with {head[:60]!r}; expected data:{family}/TYPE;base64,DATA")
    return head.removeprefix("data:").partition(";")[0], data


def _decoded(data: str, kind: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"a data URI of type {kind} is not base64: {error}") from error
