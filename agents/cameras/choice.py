"""Which camera a word on the command line means."""

from __future__ import annotations

import re
from pathlib import Path

from agents.cameras.go2 import Go2Camera
from agents.cameras.images import open_recording
from agents.cameras.webcam import Webcam
from agents.protocols import OpenCamera

_WEBCAM = re.compile(r"webcam(?::(\d{1,2}))?")
_GO2 = re.compile(r"go2:([\w.-]+)(?::(\d{1,3}))?")
_REALSENSE = re.compile(r"realsense(?::(.+))?")


def open_camera(name: str | Path) -> OpenCamera:
    """ "webcam" or "webcam:N", a device such as /dev/video0, a folder of images, an image or a video; "realsense", "realsense:SERIAL" or
    "realsense:FILE.db3"; "go2:INTERFACE" or "go2:INTERFACE:DOMAIN", a Go2's own. Raises ValueError naming what is allowed, ModuleNotFoundError for a
    RealSense without its extra, CameraError for a Go2 that cannot be reached."""
    webcam, realsense = _WEBCAM.fullmatch(str(name)), _REALSENSE.fullmatch(str(name))
    if webcam:
        return Webcam(int(webcam[1] or 0))
    if realsense:
        from agents.cameras.realsense import open_realsense  # needs pyrealsense2, which few have

        return open_realsense(realsense[1] or "")
    if go2 := _GO2.fullmatch(str(name)):
        return Go2Camera(go2[1], int(go2[2] or 0))
    if str(name).startswith("/dev/"):
        return Webcam(str(name))
    return open_recording(Path(name))
