"""Records what an agent tells while it runs, without ever making it wait: events go through a bounded queue to a thread that writes them.

Two ways: everything, from the beginning; or a ring of the last seconds, which is written when something goes wrong (an answer that is no action, an
action withheld, a lost server, an e-stop or another fault).
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agents.events import Captured, Executed
from agents.protocols import Motion
from agents.recording import messages
from agents.recording.messages import INSTRUCTION, Message, message
from agents.recording.sinks import Dump, Item, Ring, Whole
from agents.telling import check_folder
from nvila_edge import __version__

QUEUE = 64  # events: frames of 640x480 in it are 60 MB, and a disk may stall for some seconds
_CLOSE_S = 20.0  # what the writer gets to finish


@dataclass(frozen=True)
class RecordingAbout:
    """What a recording is of: the instruction, the episode's id, the agent's name and the server's address."""

    instruction: str
    episode_id: str = "agent"
    agent: str = "ours"
    server: str = ""


class Recorder:
    """Listens to events. Nothing that it does raises or waits for a disk; `failure` says why it ended early, `lost` how many events had no place in the
    queue. Use it as a context manager; `folders` are the recordings that were written."""

    def __init__(
        self, folder: Path, about: RecordingAbout, last_s: float | None = None, trouble: Callable[[str], None] = lambda _: None
    ) -> None:
        """folder: made anew. last_s: only a ring of so many seconds, each dump in a folder of its own in `folder`. trouble: told once when it cannot go on,
        and at the end when events were lost.

        Raises ValueError when the folder holds something, or for a `last_s` that is not from 1 to 600; OSError when it cannot be made.
        """
        if last_s is not None and not 1 <= last_s <= 600:
            raise ValueError(f"last_s is {last_s}; it must be from 1 to 600 seconds")
        check_folder(folder)
        self.folder, self.folders, self.failure, self.lost = folder, [], "", 0
        self._trouble, self._last_ns = trouble, None if last_s is None else int(last_s * 1e9)
        self._offset_s, self._newest_ns = time.time() - time.monotonic(), 0  # one offset: a wall clock that jumps meanwhile is not followed
        self._pose, self._has_odometry = (0.0, 0.0, 0.0), False
        self._queue: queue.Queue[Item | None] = queue.Queue(QUEUE)
        self._lock = threading.Lock()
        self._sink: Whole | Ring = Whole(folder) if self._last_ns is None else Ring(folder, self._last_ns)
        self._writer = threading.Thread(target=self._write, name="recorder", daemon=True)
        self._writer.start()
        self._put(partial(_header, about))

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, Exception):  # a defect has no event of its own
            self.dump(f"crash-{kind.__name__}")
        self.close()

    def __call__(self, event: Any) -> None:
        """An event of the loop, or any dataclass. From what a primitive achieved the odometry is dead reckoned, if the robot tells none itself."""
        self._put(event, event.frame.captured_s if isinstance(event, Captured) else math.nan)
        if isinstance(event, Executed) and not self._has_odometry:
            self._pose = _moved(self._pose, event.motion)
            self._put(partial(messages.odometry, *self._pose))

    def velocity(self, linear_mps: float, angular_rps: float) -> None:
        """A velocity that the robot is commanded, now."""
        self._put(partial(messages.velocity, linear_mps, angular_rps))

    def odometry(self, x_m: float, y_m: float, yaw_rad: float, stamp_s: float) -> None:
        """A pose that the robot tells, of `stamp_s` on the monotonic clock."""
        self._has_odometry = True
        self._put(partial(messages.odometry, x_m, y_m, yaw_rad), stamp_s)

    def warned(self, text: str) -> None:
        """A warning that is no event."""
        self._put(partial(messages.warning, text))

    def dump(self, reason: str) -> None:
        """Write the ring now, such as on an e-stop. A recording of everything needs none."""
        self._put(Dump(reason))

    def close(self) -> None:
        """Write what is left. Waits for the writer, for at most 20 s."""
        if self._writer.is_alive():
            try:
                self._queue.put(None, timeout=_CLOSE_S)  # the end
            except queue.Full:
                return self._fail("the disk did not answer")
            self._writer.join(_CLOSE_S)
            if self.lost:
                self._trouble(f"the recording in {self.folder} lacks {self.lost} events: the disk was too slow")

    def _put(self, content: Any, of_s: float = math.nan) -> None:
        """of_s: what time the content is about, on the monotonic clock; now if it is no time."""
        if self.failure:
            return
        with self._lock:
            now_ns = self._wall_ns(time.monotonic())
            self._newest_ns = at_ns = max(self._newest_ns + 1, now_ns)  # strictly ascending: their order is that of the events
            try:
                self._queue.put_nowait(Item(at_ns, self._wall_ns(of_s) if math.isfinite(of_s) else at_ns, content))
            except queue.Full:
                self.lost += 1

    def _write(self) -> None:
        try:
            while (item := self._queue.get()) is not None:
                self._sink.write(item)
            self._sink.close(self.lost)
        except Exception as error:  # noqa: BLE001  whatever it is, the robot goes on without a recording, and is told so
            self._sink.abandon()
            self._fail(str(error))
        self.folders = [*self._sink.folders]

    def _fail(self, why: str) -> None:
        if self.failure:
            return
        self.failure = f"recording in {self.folder} ended: {why}"
        while not self._queue.empty():  # frames need not stay in memory
            try:
                self._queue.get_nowait()
            except queue.Empty:
                break
        self._trouble(self.failure)

    def _wall_ns(self, monotonic_s: float) -> int:
        return int((monotonic_s + self._offset_s) * 1e9)


def _header(about: RecordingAbout, at_ns: int) -> Message:
    return message(INSTRUCTION, {**vars(about), "started_s": at_ns / 1e9, "version": __version__})


def _moved(pose: tuple[float, float, float], motion: Motion) -> tuple[float, float, float]:
    """x, y in metres and yaw in radians after a motion: ahead, then turned (a primitive is one of the two)."""
    x_m, y_m, yaw_rad = pose
    x_m, y_m = x_m + motion.moved_m * math.cos(yaw_rad), y_m + motion.moved_m * math.sin(yaw_rad)
    return x_m, y_m, yaw_rad + math.radians(motion.turned_deg)
