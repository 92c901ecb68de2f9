"""Where an episode's wall time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Seconds by name. A span within a span counts for itself alone, so the names together sum to the outermost span."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._open: list[str] = []
        self._since_s = 0.0

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Count what happens in the block under `name`; the same name may come again."""
        self._turn()
        self._open.append(name)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def _turn(self) -> None:
        """Give the time since the last turn to the innermost open span."""
        now_s = time.monotonic()
        if self._open:
            self.seconds[self._open[-1]] = self.seconds.get(self._open[-1], 0.0) + now_s - self._since_s
        self._since_s = now_s
