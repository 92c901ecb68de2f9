"""A USB or built-in camera through OpenCV. A thread reads it all the time, so that a capture is never a picture that waited in the driver's queue."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import cv2
import numpy as np

from agents.cameras.picture import make_frame
from agents.protocols import CameraError, Frame

WAIT_S = 2.0  # the longest that a capture waits for a new picture


class Webcam:
    """device: a number as OpenCV counts cameras, or a path such as /dev/video0 (or a stream that OpenCV opens)."""

    def __init__(self, device: int | str, wait_s: float = WAIT_S) -> None:
        """Raises ValueError when there is no such camera."""
        self._device, self._wait_s = device, wait_s
        self._video = cv2.VideoCapture(device)
        if not self._video.isOpened():
            there = ", ".join(sorted(str(path) for path in Path("/dev").glob("video*"))) or "none"
            raise ValueError(f"camera {device!r} cannot be opened; cameras of this machine: {there}. Is another program using it?")
        self._video.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self._fresh = threading.Condition()
        self._newest: tuple[np.ndarray, float] | None = None
        self._count, self._closed = 0, False
        self._reader = threading.Thread(target=self._read, name="webcam", daemon=True)
        self._reader.start()

    def capture(self) -> Frame:
        """A picture that no capture has had yet. Raises CameraError when none comes within `wait_s`."""
        with self._fresh:
            if not self._fresh.wait_for(lambda: self._newest is not None, self._wait_s):
                raise CameraError(f"camera {self._device!r} gave no picture for {self._wait_s:g} s; is it still plugged in?")
            assert self._newest is not None
            (bgr, captured_s), self._newest = self._newest, None
            self._count += 1
        return make_frame(self._count - 1, bgr, captured_s, bgr=True)

    def close(self) -> None:
        """Gives the device back, as soon as a read that is under way has ended."""
        self._closed = True
        self._reader.join(self._wait_s)

    def _read(self) -> None:
        """Until this is closed; the thread that reads also releases the device, so never within a read, however long a driver takes for one."""
        try:
            while not self._closed:
                there, bgr = self._video.read()
                if not there:
                    time.sleep(0.05)  # unplugged, or a picture was lost: captures run into their deadline
                    continue
                with self._fresh:
                    self._newest = bgr, time.monotonic()
                    self._fresh.notify_all()
        finally:
            self._video.release()
