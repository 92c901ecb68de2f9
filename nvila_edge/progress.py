"""How long something has to go, in words."""

from __future__ import annotations

import time


def duration(seconds: float) -> str:
    """A short reading of a time span: "45 s", "3 min 20 s", "1 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Estimate:
    """Lines like "language: 3 of 28, 2 min 10 s to go", told from how long the steps of the same kind took so far."""

    def __init__(self) -> None:
        self._started: dict[str, tuple[int, float]] = {}

    def line(self, what: str, done: int, total: int) -> str:
        """The line for `done` of `total` steps of `what`."""
        now = time.monotonic()
        first, started = self._started.setdefault(what, (done, now))
        if done >= total:
            return f"{what}: done"
        if done == first:
            return f"{what}: {done} of {total}"
        return f"{what}: {done} of {total}, {duration((now - started) / (done - first) * (total - done))} to go"
