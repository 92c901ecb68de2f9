"""Where recorded events go: all of them into a bag, or into a ring whose last seconds become a bag when something goes wrong."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agents.events import Decided, Ended, RobotLost, ServerLost, Withheld
from agents.recording.bag import Bag
from agents.recording.messages import GUARD, Message, message, of_event

RING_BYTES = 256 * 1024 * 1024  # 30 s of 640x480 with depth at 20 Hz


@dataclass(frozen=True)
class Item:
    """What came at `at_ns`, about `of_ns` (when a frame was captured, a pose was so), both in nanoseconds of the wall clock.

    content: an event, a Dump, or a partial that makes a Message of `of_ns`; messages are made by the writer, so that they cost the robot nothing.
    """

    at_ns: int
    of_ns: int
    content: Any


@dataclass(frozen=True)
class Dump:
    """Somebody wants the ring written."""

    reason: str


def _messages(item: Item) -> list[Message]:
    if isinstance(item.content, partial):
        return [item.content(item.of_ns)]
    return of_event(item.content, item.at_ns, item.of_ns)


class Whole:
    """Everything into one bag."""

    def __init__(self, folder: Path) -> None:
        if folder.exists():
            folder.rmdir()  # empty, or it would have been refused
        self._bag, self.folders = Bag(folder), [folder]

    def write(self, item: Item) -> None:
        if not isinstance(item.content, Dump):
            for each in _messages(item):
                self._bag.write(item.at_ns, each)

    def close(self, lost: int) -> None:
        if lost:
            self._bag.write(time.time_ns(), message(GUARD, {"type": "Lost", "events": lost}))
        self._bag.close()

    def abandon(self) -> None:
        self._bag.abandon()


class Ring:
    """The last seconds in memory, as messages; a bag of them for every trigger. What follows a trigger within the same time is in the next dump or lost."""

    def __init__(self, folder: Path, last_ns: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._last_ns, self._bytes = folder, last_ns, 0
        self._kept: deque[tuple[int, list[Message]]] = deque()
        self._first: tuple[int, list[Message]] | None = None
        self.folders: list[Path] = []

    def write(self, item: Item) -> None:
        if not isinstance(item.content, Dump):
            found = _messages(item)
            self._first = self._first or (item.at_ns, found)  # the instruction, which belongs to every dump
            self._kept.append((item.at_ns, found))
            self._bytes += sum(len(each.data) for each in found)
            while self._kept and (item.at_ns - self._kept[0][0] > self._last_ns or self._bytes > RING_BYTES):
                self._bytes -= sum(len(each.data) for each in self._kept.popleft()[1])
        reason = _why(item.content)
        if reason:
            self._dump(reason)

    def close(self, lost: int) -> None:
        """Nothing went wrong since the last dump: nothing is written."""

    def abandon(self) -> None:
        """Nothing is open."""

    def _dump(self, reason: str) -> None:
        folder = self._folder / f"{len(self.folders):03}-{reason}"
        bag = Bag(folder)
        try:
            for at_ns, found in [*([self._first] if self._first and self._first not in self._kept else []), *self._kept]:
                for each in found:
                    bag.write(at_ns, each)
            bag.close()
        except OSError:
            bag.abandon()
            raise
        self.folders.append(folder)
        self._kept.clear()
        self._bytes = 0


def _why(content: Any) -> str:
    """The name of the dump that an event causes; "" for none."""
    match content:
        case Dump(reason=reason):
            return "".join(letter if letter.isalnum() else "-" for letter in reason)[:40] or "asked"
        case Decided(decision=decision) if decision.rejected:
            return "rejected"
        case Withheld():
            return "withheld"
        case ServerLost():
            return "server-lost"
        case RobotLost():
            return "robot-lost"
        case Ended() if content.fault:
            return f"fault-{content.reason}"
        case _:
            return ""
