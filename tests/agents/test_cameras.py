"""Folders of images and video files as cameras."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agents.cameras.choice import open_camera
from agents.cameras.webcam import Webcam
from agents.protocols import CameraError, RecordingOver


def test_a_folder_shows_its_images_in_order_in_rgb_and_then_ends(tmp_path: Path) -> None:
    for name, bgr in (("b.png", (0, 0, 255)), ("a.png", (255, 0, 0))):
        cv2.imwrite(str(tmp_path / name), np.full((4, 6, 3), bgr, np.uint8))
    camera = open_camera(tmp_path)
    first, second = camera.capture(), camera.capture()
    assert (first.frame_id, second.frame_id) == (0, 1) and first.rgb.shape == (4, 6, 3)
    assert tuple(first.rgb[0, 0]) == (0, 0, 255) and tuple(second.rgb[0, 0]) == (255, 0, 0)
    with pytest.raises(RecordingOver, match="all 2 images"):
        camera.capture()


def test_a_video_shows_its_frames_and_then_ends(tmp_path: Path) -> None:
    path = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for value in (40, 120, 200):
        writer.write(np.full((48, 64, 3), (value, 0, 0), np.uint8))
    writer.release()
    camera = open_camera(path)
    blues = [int(camera.capture().rgb[24, 32, 2]) for _ in range(3)]
    assert np.abs(np.array(blues) - (40, 120, 200)).max() < 12
    with pytest.raises(RecordingOver, match="over after 3 frames"):
        camera.capture()


def test_what_is_no_camera_is_refused_with_what_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"no video")
    for path, words in [(tmp_path / "none", "a folder of images"), (tmp_path / "x.mp4", "no readable video"), (tmp_path, "holds no image")]:
        with pytest.raises(ValueError, match=words):
            open_camera(path)


def test_an_unreadable_image_is_a_camera_error_not_a_black_frame(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no jpeg")
    with pytest.raises(CameraError, match="no readable image") as caught:
        open_camera(tmp_path).capture()
    assert not isinstance(caught.value, RecordingOver)


def test_a_webcam_gives_the_newest_picture_once_and_says_when_none_comes(tmp_path: Path):
    path = tmp_path / "clip.avi"  # OpenCV opens a file as it opens a device; its pictures come as fast as they are read
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for value in range(0, 250, 25):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    camera = Webcam(str(path), wait_s=0.3)
    frame = camera.capture()
    assert frame.frame_id == 0 and frame.rgb.shape == (48, 64, 3) and time.monotonic() - frame.captured_s < 5
    with pytest.raises(CameraError, match=r"gave no picture for 0\.3 s"):  # noqa: PT012  how many pictures come first is a race
        for _ in range(12):
            camera.capture()
    camera.close()


class Stuck:
    """A device whose driver takes its time for a read."""

    def __init__(self, _: object) -> None:
        self.reading, self.go_on, self.released_within = threading.Event(), threading.Event(), list[bool]()

    def isOpened(self) -> bool:  # noqa: N802  OpenCV's name
        return True

    def set(self, *_: object) -> None:
        pass

    def read(self) -> tuple[bool, None]:
        self.reading.set()
        self.go_on.wait(10)
        self.reading.clear()
        return False, None

    def release(self) -> None:
        self.released_within.append(self.reading.is_set())


def test_a_webcam_is_not_released_within_a_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Stuck)
    camera = Webcam(0, wait_s=0.1)
    device: Any = camera._video
    assert device.reading.wait(5)
    camera.close()
    assert device.released_within == []
    device.go_on.set()
    camera._reader.join(5)
    assert device.released_within == [False]


def test_a_missing_webcam_is_named_with_those_that_are_there():
    with pytest.raises(ValueError, match="'/dev/video77' cannot be opened; cameras of this machine"):
        open_camera("/dev/video77")
    with pytest.raises(ValueError, match="webcam, webcam:N, /dev/videoN, a folder"):
        open_camera("webcamera")
