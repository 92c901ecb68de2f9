"""A camera behind an image topic: the newest picture, decoded when it is asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from agents.protocols import CameraError, Frame

Decode = Callable[[], np.ndarray]  # gives uint8 [H, W, 3] RGB; raises ValueError


class TopicCamera:
    """Keeps one picture. `saw` comes from the subscription, `capture` from the loop."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._fresh = threading.Condition()
        self._newest: tuple[Decode, float] | None = None
        self._seen_s = float("-inf")
        self._count = 0

    def saw(self, decode: Decode, age_s: float) -> None:
        """A picture came that was taken `age_s` ago."""
        with self._fresh:
            self._seen_s = time.monotonic()
            self._newest = decode, self._seen_s - age_s
            self._fresh.notify_all()

    def begin(self) -> None:
        """A new episode: ids count from 0, and what was seen before it is forgotten."""
        with self._fresh:
            self._newest, self._count = None, 0

    def capture(self) -> Frame:
        """A picture that no capture has had yet. Raises CameraError when none comes in time or it cannot be decoded."""
        with self._fresh:
            if not self._fresh.wait_for(lambda: self._newest is not None, self._timeout_s):
                raise CameraError(
                    f"no picture came for {self._timeout_s:g} s; is the topic remapped rightly, and of the type that image_type says?"
                )
            assert self._newest is not None
            (decode, captured_s), self._newest = self._newest, None
            self._count += 1
        try:
            return Frame(self._count - 1, decode(), captured_s)
        except ValueError as error:
            raise CameraError(str(error)) from error

    @property
    def age_s(self) -> float:
        """Since the last picture came; inf before the first."""
        return time.monotonic() - self._seen_s
