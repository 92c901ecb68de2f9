"""Where instructions come from: words, a file, or lines that somebody types while the robot walks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from nvila_edge.navigation.profiles import checked_instruction

STDIN = "-"
_LOG = logging.getLogger(__name__)


def instruction_text(given: str) -> str:
    """The instruction: `given` itself, or the text of FILE for "@FILE", its lines joined. Raises ValueError for one that cannot be followed."""
    if not given.startswith("@"):
        checked_instruction(given)
        return given
    path = Path(given[1:])
    try:
        with path.open("rb") as file:
            text = file.read(1 << 16).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"no readable instruction in {str(path)!r} ({error}); give a text file in UTF-8, or the words themselves"
        ) from error
    text = " ".join(text.split())
    checked_instruction(text)
    return text


class Lines:
    """The newest line that somebody typed, read on a thread; lines that nobody took yet are replaced by newer ones.

    came: called on that thread for every line. An empty line is one too: it means "stand still".
    """

    def __init__(self, source: Iterable[str], came: Callable[[], object] = lambda: None) -> None:
        self._changed, self._over, self._came = threading.Condition(), False, came
        self._newest: str | None = None
        threading.Thread(target=self._read, args=(source,), name="instructions", daemon=True).start()

    def _read(self, source: Iterable[str]) -> None:
        try:
            for line in source:
                with self._changed:
                    self._newest = line.strip()
                    self._changed.notify_all()
                self._came()
        except (OSError, ValueError) as error:  # text that cannot be read, such as no UTF-8: nobody can say "stand still" any more
            _LOG.error("no more instructions can be read: %s", error)
            self._came()
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    @property
    def waiting(self) -> bool:
        """Whether there is a line that nobody took."""
        with self._changed:
            return self._newest is not None

    def take(self) -> str | None:
        """The newest line, waited for; None when no more come."""
        with self._changed:
            while self._newest is None and not self._over:
                self._changed.wait(1.0)  # with a bound, so that signals are handled
            line, self._newest = self._newest, None
            return line
