"""The one clock of an agent: monotonic, so that it never jumps with the time of day; tests give one whose time they make."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> float:
        """Seconds; never goes back."""
        ...

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait for the event, at most that long; whether it came."""
        ...


class RealClock:
    """The monotonic clock of this computer."""

    def now(self) -> float:
        """Seconds since some moment, the same for all processes of this computer."""
        return time.monotonic()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait in real time."""
        return event.wait(timeout_s)
