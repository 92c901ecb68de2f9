"""What a camera on the simulated Go2 sees, drawn by our own renderer (MuJoCo's own takes 50 ms a picture without a GPU)."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from agents.protocols import Frame
from sim.geometry import Pose
from sim.go2.walker import Walker
from sim.houses.house import House
from sim.renderer import CAMERA_HEIGHT_M, Renderer

NOSE_AHEAD_M, NOSE_HEIGHT_M = 0.327, 0.36  # the Go2's front camera: 0.043 m above a trunk that walks at 0.32 m (the wheel's configuration)
MAST_HEIGHT_M = CAMERA_HEIGHT_M  # what the built-in model was trained with: VLN-CE's camera


class Go2Camera:
    """Pitch 0, ahead: the trunk's sway turns the picture but does not tilt it. Draws in a thread of its own, because a GL context belongs to one.

    ahead_m, height_m: of the camera, before the trunk's middle and above the floor.
    """

    def __init__(self, house: House, walker: Walker, ahead_m: float, height_m: float, renderer: Callable[[], Renderer] = Renderer) -> None:
        self._walker, self._ahead_m, self._drop_m = walker, ahead_m, height_m - CAMERA_HEIGHT_M
        self._count = 0
        self._painter = ThreadPoolExecutor(1, "painter")
        self._renderer = self._painter.submit(renderer).result(60)
        self._painter.submit(self._renderer.load, house).result(60)

    def capture(self) -> Frame:
        """The view now."""
        self._count += 1
        captured_s = time.monotonic()
        return Frame(self._count - 1, self.view(), captured_s)

    def view(self) -> np.ndarray:
        """uint8 [H, W, 3] RGB from where the dog is now."""
        return self._painter.submit(self._draw).result(5.0)

    def _draw(self) -> np.ndarray:
        pose = self._walker.newest.pose
        x_m, _, z_m = np.array(pose.position_m) + self._ahead_m * pose.heading
        return self._renderer.rgb(Pose((float(x_m), self._drop_m, float(z_m)), pose.yaw_rad))

    def close(self) -> None:
        """Give the GL memory back."""
        self._painter.submit(self._renderer.close).result(5.0)
        self._painter.shutdown()
