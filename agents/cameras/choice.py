"""Which camera a word on the command line means."""

from __future__ import annotations

import re
from pathlib import Path

from agents.cameras.images import open_recording
from agents.cameras.webcam import Webcam
from agents.protocols import Camera

_WEBCAM = re.compile(r"webcam(?::(\d{1,2}))?")


def open_camera(name: str | Path) -> Camera:
    """ "webcam" or "webcam:N", a device such as /dev/video0, or a folder of images, an image or a video. Raises ValueError naming what is allowed."""
    webcam = _WEBCAM.fullmatch(str(name))
    if webcam:
        return Webcam(int(webcam[1] or 0))
    if str(name).startswith("/dev/"):
        return Webcam(str(name))
    return open_recording(Path(name))
