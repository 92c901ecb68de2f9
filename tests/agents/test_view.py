"""The live page: pictures with the decision drawn over them, for a browser on this computer, without ever holding up the loop."""

from __future__ import annotations

import time
import urllib.error
import urllib.request

import cv2
import numpy as np
import pytest

from agents.events import Captured, Decided, Ended
from agents.protocols import Frame
from agents.view import LiveView, drawn
from nvila_edge.navigation.actions import ACTIONS, SENTENCES
from nvila_edge.navigation.decision import Decision
from nvila_edge.serving.errors import ServerStartError


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


def test_the_page_streams_pictures_also_of_the_next_instruction_until_it_is_closed():
    view = LiveView(0, "Go.")
    try:
        assert view.url.startswith("http://127.0.0.1:")
        page = urllib.request.urlopen(view.url, timeout=5).read()
        assert b"/live" in page
        view(Decided(0, 0, decision(4), 20.0))
        view(Captured(Frame(0, np.full((48, 64, 3), 30, np.uint8), time.monotonic())))
        view(Ended("cancelled", "a new instruction came", 0, 1, 0))
        with urllib.request.urlopen(f"{view.url}live", timeout=5) as stream:
            assert "multipart" in stream.headers["Content-Type"]
            assert stream.readline().strip() == b"--frame"
            stream.readline()
            size = int(stream.readline().split(b":")[1])
            stream.readline()
            picture = cv2.imdecode(np.frombuffer(stream.read(size), np.uint8), cv2.IMREAD_COLOR)
            assert picture.shape[1] == 640
            view(Captured(Frame(1, np.full((48, 64, 3), 60, np.uint8), time.monotonic())))
            assert stream.readline().strip() == b"" and stream.readline().strip() == b"--frame"
            started = time.monotonic()
            view.close()
            stream.read()
            assert time.monotonic() - started < 3, "the stream ends with it"
    finally:
        view.close()


def test_pages_of_other_sites_do_not_see_the_camera_and_ports_are_checked():
    view = LiveView(0, "Go.")
    try:
        for path in ("", "live"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(urllib.request.Request(f"{view.url}{path}", headers={"Host": "evil.example"}), timeout=5)
            assert refused.value.code == 403
        with pytest.raises(ServerStartError, match="--view 0 picks a free one"):
            LiveView(int(view.url.rstrip("/").rpartition(":")[2]), "Go.")
    finally:
        view.close()
    for port in (70000, -1):
        with pytest.raises(ValueError, match=f"--view {port}: expected a port"):
            LiveView(port, "Go.")
