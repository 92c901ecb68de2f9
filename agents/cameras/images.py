"""Cameras without a camera: a folder of images or a video file, one image per capture."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np

from agents.cameras.picture import make_frame
from agents.protocols import CameraError, Frame, OpenCamera, RecordingOver

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm")


class ImageFolder:
    """The images of a folder (or one image), in the order of their names; stamped when read."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError when there is no image."""
        found = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        if not found:
            raise ValueError(f"{path} holds no image; put files named *{', *'.join(IMAGE_SUFFIXES)} there")
        self._paths, self._next = found, 0

    def capture(self) -> Frame:
        """The next image. Raises RecordingOver after the last one, CameraError when one cannot be read."""
        if self._next >= len(self._paths):
            raise RecordingOver(f"all {len(self._paths)} images of {self._paths[0].parent} were shown")
        path, self._next = self._paths[self._next], self._next + 1
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is None:
            raise CameraError(f"{path} is no readable image")
        return make_frame(self._next - 1, bgr, time.monotonic(), bgr=True)

    def close(self) -> None:
        """Nothing to give back."""


class VideoFile:
    """Every `stride`-th frame of a video; stamped when read."""

    def __init__(self, path: Path, stride: int = 1) -> None:
        """Raises ValueError when the video cannot be opened or the stride is below 1."""
        if stride < 1:
            raise ValueError(f"stride is {stride}; it must be at least 1")
        self._path, self._stride, self._count = path, stride, 0
        self._video = cv2.VideoCapture(str(path))
        if not self._video.isOpened():
            raise ValueError(f"{path} is no readable video; allowed are {', '.join(VIDEO_SUFFIXES)} files that OpenCV can decode")

    def capture(self) -> Frame:
        """The next frame. Raises RecordingOver at the end, CameraError when not even the first can be decoded."""
        bgr = self._read()
        for _ in range(self._stride - 1 if self._count else 0):
            bgr = self._read()
        self._count += 1
        return make_frame(self._count - 1, bgr, time.monotonic(), bgr=True)

    def close(self) -> None:
        """Closes the file."""
        self._video.release()

    def _read(self) -> np.ndarray:
        there, bgr = self._video.read()
        if not there:
            kind = RecordingOver if self._count else CameraError
            raise kind(f"the video {self._path} is over after {self._count} frames")
        return bgr


def open_recording(path: Path) -> OpenCamera:
    """The camera of a folder of images, an image or a video. Raises ValueError naming what is allowed."""
    if path.is_dir() or (path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES):
        return ImageFolder(path)
    if path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES:
        return VideoFile(path)
    files = f"a folder of images, an image ({', '.join(IMAGE_SUFFIXES)}) or a video ({', '.join(VIDEO_SUFFIXES)})"
    allowed = f"webcam, webcam:N, /dev/videoN, {files}, realsense, realsense:SERIAL, realsense:FILE.db3 or go2:INTERFACE[:DOMAIN]"
    raise ValueError(f"camera {str(path)!r} is neither of: {allowed}")
