"""The live page: pictures with the decision drawn over them, for a browser on this computer, without ever holding up the loop."""

from __future__ import annotations

import time
import urllib.request

import cv2
import numpy as np

from agents.events import Captured, Decided, Ended
from agents.protocols import Frame
from agents.view import LiveView, drawn
from nvila_edge.navigation.actions import ACTIONS, SENTENCES
from nvila_edge.navigation.decision import Decision


def decision(index: int) -> Decision:
    return Decision(ACTIONS[index], SENTENCES[index], 0.87, tuple(0.1 for _ in ACTIONS), {})


def test_every_action_is_drawn_differently_and_the_picture_stays_visible():
    rgb = np.full((480, 640, 3), 90, np.uint8)
    shown = [drawn(rgb, "Go to the sofa.", decision(index)) for index in range(len(ACTIONS))]
    assert all(picture.shape == (480, 640, 3) and (picture[:300, :200] == 90).mean() > 0.9 for picture in shown)
    for i, one in enumerate(shown):
        assert not any(np.array_equal(one, other) for other in shown[:i])
    left, right = shown[4], shown[7]  # a turn to the left leads to the left half
    green = [np.argwhere((picture[:, :, 1] > 200) & (picture[:, :, 0] < 120))[:, 1].mean() for picture in (left, right)]
    assert green[0] < 320 < green[1]


def test_the_page_streams_pictures_until_the_run_ends():
    view = LiveView(0, "Go.")
    try:
        assert view.url.startswith("http://127.0.0.1:")
        page = urllib.request.urlopen(view.url, timeout=5).read()
        assert b"/live" in page
        view(Decided(0, 0, decision(4), 20.0))
        view(Captured(Frame(0, np.full((48, 64, 3), 30, np.uint8), time.monotonic())))
        with urllib.request.urlopen(f"{view.url}live", timeout=5) as stream:
            assert "multipart" in stream.headers["Content-Type"]
            assert stream.readline().strip() == b"--frame"
            stream.readline()
            size = int(stream.readline().split(b":")[1])
            stream.readline()
            picture = cv2.imdecode(np.frombuffer(stream.read(size), np.uint8), cv2.IMREAD_COLOR)
            assert picture.shape[1] == 640
    finally:
        view(Ended("stop", "", 0, 1, 0))
    started = time.monotonic()
    view.close()
    assert time.monotonic() - started < 1
