"""The Go2's front camera over Unitree's SDK (extra `go2`); the simulated Go2 answers the same call."""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np

from agents.cameras.picture import make_frame
from agents.protocols import CameraError, Frame, RobotError
from agents.robots.go2 import connect

_CALL_S = 1.0  # the longest that a picture may take
_TRIES = 2


class Go2Camera:
    """interface and domain: as of the robot (agents/robots/go2.py), whose connection it shares within one process."""

    def __init__(self, interface: str, domain: int = 0) -> None:
        """Raises CameraError, saying what to do, without the SDK or that interface."""
        try:
            connect(interface, domain)
        except RobotError as error:
            raise CameraError(str(error)) from error
        from unitree_sdk2py.go2.video.video_client import VideoClient  # type: ignore[import-not-found]

        self._video: Any = VideoClient()
        self._video.SetTimeout(_CALL_S)
        self._video.Init()
        self._count = 0

    def capture(self) -> Frame:
        """A picture; it counts as taken when it was asked for. Raises CameraError when none comes or it cannot be decoded."""
        code = 0
        for _ in range(_TRIES):
            captured_s = time.monotonic()
            code, data = self._video.GetImageSample()
            if code == 0 and data:
                return self._frame(bytes(data), captured_s)
        raise CameraError(
            f"the Go2's camera gave no picture (code {code}): is its video service running (restart the robot), and the app closed?"
        )

    def close(self) -> None:
        """Nothing to give back."""

    def _frame(self, jpeg: bytes, captured_s: float) -> Frame:
        bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise CameraError(f"the Go2's camera sent {len(jpeg)} bytes that are no JPEG")
        self._count += 1
        return make_frame(self._count - 1, bgr, captured_s, bgr=True)
