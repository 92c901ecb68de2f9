"""A clock whose time the test makes: waiting passes it at once."""

from __future__ import annotations

import threading


class MadeTime:
    """Starts at 100 s."""

    def __init__(self) -> None:
        self._now_s = 100.0

    def now(self) -> float:
        """Seconds."""
        return self._now_s

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Time passes at once, unless the event is there already."""
        if event.is_set():
            return True
        self._now_s += timeout_s
        return event.is_set()

    def jump(self, by_s: float) -> None:
        """What a monotonic clock never does."""
        self._now_s += by_s
