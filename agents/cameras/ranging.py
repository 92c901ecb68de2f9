"""A camera with depth that also tells how far the way ahead is free, while the robot moves and nobody else looks."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace

from agents.cameras.mounting import mounting
from agents.obstacles import Clearance, Corridor, DepthView, from_depth
from agents.protocols import CameraError, Frame, Lens, OpenCamera
from nvila_edge.navigation.agent_profiles import CameraSetup

_EVERY_S = 0.1  # a look while the robot drives; obstacles.Corridor.max_age_s is five of them
_IDLE_S = 1.0  # nobody asked for so long: it looks no more
_STRIDE = 2  # every second pixel of depth in both directions: a quarter of the work, and what matters is larger
_TRIES = 10  # frames in which the floor is looked for
_TALLER_M = 0.1  # than its camera is no robot


class Ranging:
    """The camera that it wraps, with the same interface, and `clearance()`. capture() may be called from one other thread.

    Height and tilt are measured where the floor is in view, and taken from `wanted` otherwise. Everything up to the camera's height can be met.
    Not seen: what is below the picture's lower edge, and what is nearer than the camera's least depth.
    """

    def __init__(self, camera: OpenCamera, wanted: CameraSetup, corridor: Corridor | None = None) -> None:
        self._camera, self._wanted, self._corridor = camera, wanted, corridor or Corridor()
        self._lock = threading.Lock()
        self._clearance, self._asked_s, self._tries = Clearance(None, -math.inf), -math.inf, _TRIES
        self._height_m, self._pitch_rad = wanted.height_m, 0.0
        self._asked, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ranging", daemon=True)
        self._thread.start()

    @property
    def lens(self) -> Lens | None:
        """As of the wrapped camera."""
        return getattr(self._camera, "lens", None)

    def capture(self) -> Frame:
        """As the wrapped camera."""
        with self._lock:
            frame = self._camera.capture()
            self._saw(frame)
        return frame

    def clearance(self) -> Clearance:
        """By the newest depth; does not wait. While it is asked for, a new one comes ten times a second."""
        self._asked_s = time.monotonic()
        self._asked.set()
        return self._clearance

    def close(self) -> None:
        """Gives the camera back, when the look under way has ended."""
        self._closing.set()
        self._asked.set()
        with self._lock:
            self._camera.close()
        self._thread.join(1.0)

    def _watch(self) -> None:
        while not self._closing.is_set():
            if time.monotonic() - self._asked_s > _IDLE_S:
                self._asked.clear()
                self._asked.wait()
            with self._lock:
                if not self._closing.is_set() and time.monotonic() - self._clearance.stamp_s > _EVERY_S / 2:
                    self._look()
            self._closing.wait(_EVERY_S)

    def _look(self) -> None:
        try:
            self._saw(self._camera.capture())
        except CameraError:  # the loop meets it too, and tells
            self._clearance = Clearance(None, time.monotonic())

    def _saw(self, frame: Frame) -> None:
        lens = self.lens
        if frame.depth_m is None or lens is None:
            self._clearance = Clearance(None, frame.captured_s)
            return
        if self._tries and (found := mounting(frame.depth_m, lens)) is not None:
            self._height_m, self._pitch_rad, self._tries = found.height_m, math.radians(found.pitch_deg), 1
        self._tries = max(0, self._tries - 1)
        scaled = (lens.fx_px / _STRIDE, lens.fy_px / _STRIDE, lens.cx_px / _STRIDE, lens.cy_px / _STRIDE)
        view = DepthView(*scaled, self._height_m, self._pitch_rad)
        corridor = replace(self._corridor, max_height=max(self._corridor.max_height, self._height_m + _TALLER_M))
        self._clearance = from_depth(frame.depth_m[::_STRIDE, ::_STRIDE], view, frame.captured_s, corridor)
