"""Cameras of an evaluation: frames drawn only when somebody looks, black ones, and timed ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property

import numpy as np

from agents.protocols import Camera, Frame
from nvila_edge.navigation.agent_profiles import CameraSetup
from sim.stopwatch import Stopwatch


class LazyFrame(Frame):
    """A frame whose picture is drawn when it is first looked at, of what there was to see when it was captured.

    The `stream` profile sees one frame per decision, so that of a 75 cm step two out of three frames are never drawn.
    `captured_s` is when it was drawn, if it was: a decision's latency starts at a picture that is there, as with a real camera.
    """

    def __init__(self, frame_id: int, draw: Callable[[], np.ndarray]) -> None:
        """draw: gives uint8 [H, W, 3] RGB."""
        vars(self).update(frame_id=frame_id, captured_s=time.monotonic(), _draw=draw)  # Frame is frozen

    @cached_property
    def rgb(self) -> np.ndarray:  # type: ignore[override]
        """The picture, drawn now if this is the first look."""
        picture = vars(self)["_draw"]()
        vars(self)["captured_s"] = time.monotonic()
        return picture


class DarkCamera:
    """Black frames: for `--frames black`, and for policies that do not look (nothing needs to be rendered)."""

    def __init__(self, setup: CameraSetup) -> None:
        self._shape, self._count = (setup.height_px, setup.width_px, 3), 0

    def capture(self) -> Frame:
        """A black frame with the next id."""
        self._count += 1
        return Frame(self._count - 1, np.zeros(self._shape, np.uint8), time.monotonic())


class TimedCamera:
    """A camera whose capturing and drawing counts as "render"."""

    def __init__(self, camera: Camera, watch: Stopwatch) -> None:
        self._camera, self._watch = camera, watch

    def capture(self) -> Frame:
        """The camera's frame; one that is drawn when it is looked at stays so."""
        with self._watch.span("render"):
            frame = self._camera.capture()
        return LazyFrame(frame.frame_id, lambda: self._looked_at(frame))

    def _looked_at(self, frame: Frame) -> np.ndarray:
        with self._watch.span("render"):
            return frame.rgb
