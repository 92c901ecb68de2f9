"""Records what an agent tells while it runs, without ever making it wait: events go through a bounded queue to a thread that writes them.

Two ways: everything, from the beginning; or a ring of the last seconds, which is written when something goes wrong (an answer that is no action, an
action withheld, a lost server, an e-stop or another fault).
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from agents.events import Captured, Decided, Ended, Executed, ServerLost, Withheld
from agents.protocols import Motion
from agents.recording import messages
from agents.recording.bag import Bag
from agents.recording.messages import INSTRUCTION, Message, message, of_event
from nvila_edge import __version__

QUEUE = 64  # events: frames of 640x480 in it are 60 MB, and a disk may stall for some seconds
RING_BYTES = 256 * 1024 * 1024
_CLOSE_S = 20.0  # what the writer gets to finish


@dataclass(frozen=True)
class RecordingAbout:
    """What a recording is of: the instruction, the episode's id, the agent's name and the server's address."""

    instruction: str
    episode_id: str = "agent"
    agent: str = "ours"
    server: str = ""


@dataclass(frozen=True)
class _Item:
    at_ns: int
    image_ns: int
    content: Any  # an event, or a tuple of Messages


class Recorder:
    """Listens to events. Nothing that it does raises or waits for a disk; `failure` says why it ended early, `lost` how many events had no place in the
    queue. Use it as a context manager; `folders` are the recordings that were written."""

    def __init__(
        self, folder: Path, about: RecordingAbout, last_s: float | None = None, trouble: Callable[[str], None] = lambda _: None
    ) -> None:
        """folder: made anew. last_s: only a ring of so many seconds, each dump in a folder of its own in `folder`. trouble: told once when it cannot go on.

        Raises ValueError when the folder holds something, or for a `last_s` that is not from 1 to 600; OSError when it cannot be made.
        """
        if last_s is not None and not 1 <= last_s <= 600:
            raise ValueError(f"last_s is {last_s}; it must be from 1 to 600 seconds")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"{folder} holds something already; give a new folder for the recording")
        self.folder, self.folders, self.failure, self.lost = folder, [], "", 0
        self._about, self._trouble, self._last_ns = about, trouble, None if last_s is None else int(last_s * 1e9)
        self._offset_s, self._newest_ns = time.time() - time.monotonic(), 0  # one offset: a wall clock that jumps meanwhile is not followed
        self._pose, self._has_odometry = (0.0, 0.0, 0.0), False
        self._queue: queue.Queue[_Item | None] = queue.Queue(QUEUE)
        self._lock = threading.Lock()
        self._sink: _Whole | _Ring = _Whole(folder) if self._last_ns is None else _Ring(folder, self._last_ns)
        self._writer = threading.Thread(target=self._write, name="recorder", daemon=True)
        self._writer.start()
        self._put(self._header())

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, event: Any) -> None:
        """An event of the loop, or any dataclass. From what a primitive achieved the odometry is dead reckoned, if the robot tells none itself."""
        self._put(event, event.frame.captured_s if isinstance(event, Captured) else None)
        if isinstance(event, Executed) and not self._has_odometry:
            self._pose = _moved(self._pose, event.motion)
            self._put((messages.odometry(*self._pose, self._now_ns()),))

    def velocity(self, linear_mps: float, angular_rps: float) -> None:
        """A velocity that the robot is commanded, now."""
        self._put((messages.velocity(linear_mps, angular_rps, self._now_ns()),))

    def odometry(self, x_m: float, y_m: float, yaw_rad: float, stamp_s: float) -> None:
        """A pose that the robot tells, of `stamp_s` on the monotonic clock."""
        self._has_odometry = True
        self._put((messages.odometry(x_m, y_m, yaw_rad, self._wall_ns(stamp_s)),))

    def warned(self, text: str) -> None:
        """A warning that is no event."""
        self._put((messages.warning(text, self._now_ns()),))

    def dump(self, reason: str) -> None:
        """Write the ring now, such as on an e-stop. A recording of everything needs none."""
        self._put(_Dump(reason))

    def close(self) -> None:
        """Write what is left. Waits for the writer, for at most 20 s."""
        if self._writer.is_alive():
            try:
                self._queue.put(None, timeout=_CLOSE_S)  # the end
            except queue.Full:
                return self._fail("the disk did not answer")
            self._writer.join(_CLOSE_S)

    def _put(self, content: Any, captured_s: float | None = None) -> None:
        if self.failure:
            return
        with self._lock:
            self._newest_ns = at_ns = max(self._newest_ns + 1, self._now_ns())  # strictly ascending: their order is that of the events
            try:
                self._queue.put_nowait(_Item(at_ns, at_ns if captured_s is None else self._wall_ns(captured_s), content))
            except queue.Full:
                self.lost += 1

    def _header(self) -> tuple[Message, ...]:
        started = {"started_s": time.time(), "version": __version__}
        return (message(INSTRUCTION, {**vars(self._about), **started}),)

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
        self.failure = f"recording in {self.folder} ended: {why}"
        while not self._queue.empty():  # frames need not stay in memory
            try:
                self._queue.get_nowait()
            except queue.Empty:
                break
        self._trouble(self.failure)

    def _wall_ns(self, monotonic_s: float) -> int:
        return int((monotonic_s + self._offset_s) * 1e9)

    def _now_ns(self) -> int:
        return self._wall_ns(time.monotonic())


@dataclass(frozen=True)
class _Dump:
    reason: str


def _messages(item: _Item) -> list[Message]:
    if isinstance(item.content, tuple):
        return [*item.content]
    return of_event(item.content, item.at_ns, item.image_ns)


class _Whole:
    """Everything into one bag."""

    def __init__(self, folder: Path) -> None:
        if folder.exists():
            folder.rmdir()  # empty, or it would have been refused
        self._bag, self.folders = Bag(folder), [folder]

    def write(self, item: _Item) -> None:
        if not isinstance(item.content, _Dump):
            for each in _messages(item):
                self._bag.write(item.at_ns, each)

    def close(self, lost: int) -> None:
        if lost:
            self._bag.write(time.time_ns(), message(messages.GUARD, {"type": "Lost", "events": lost}))
        self._bag.close()

    def abandon(self) -> None:
        self._bag.abandon()


class _Ring:
    """The last seconds in memory, as messages; a bag of them for every trigger. What follows a trigger within the same time is in the next dump or lost."""

    def __init__(self, folder: Path, last_ns: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._last_ns, self._bytes = folder, last_ns, 0
        self._kept: deque[tuple[int, list[Message]]] = deque()
        self._first: tuple[int, list[Message]] | None = None
        self.folders: list[Path] = []

    def write(self, item: _Item) -> None:
        if not isinstance(item.content, _Dump):
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
        case _Dump(reason=reason):
            return "".join(letter if letter.isalnum() else "-" for letter in reason)[:40] or "asked"
        case Decided(decision=decision) if decision.rejected:
            return "rejected"
        case Withheld():
            return "withheld"
        case ServerLost():
            return "server-lost"
        case Ended() if content.fault:
            return f"fault-{content.reason}"
        case _:
            return ""


def _moved(pose: tuple[float, float, float], motion: Motion) -> tuple[float, float, float]:
    """x, y in metres and yaw in radians after a motion: ahead, then turned (a primitive is one of the two)."""
    x_m, y_m, yaw_rad = pose
    x_m, y_m = x_m + motion.moved_m * math.cos(yaw_rad), y_m + motion.moved_m * math.sin(yaw_rad)
    return x_m, y_m, yaw_rad + math.radians(motion.turned_deg)


class _Pose(Protocol):
    x_m: float
    y_m: float
    yaw_rad: float
    stamp_s: float


class _TakesVelocities(Protocol):
    def command(self, linear_mps: float, angular_rps: float) -> None: ...

    def odometry(self) -> Any: ...

    def halt(self) -> None: ...


class Recorded:
    """A robot that takes velocities, with the same interface: what it is commanded, and every new pose that it tells, is recorded."""

    def __init__(self, robot: _TakesVelocities, recorder: Recorder) -> None:
        self._robot, self._recorder, self._stamp_s = robot, recorder, -math.inf

    def command(self, linear_mps: float, angular_rps: float) -> None:
        """First the robot, then the record of it."""
        self._robot.command(linear_mps, angular_rps)
        self._recorder.velocity(linear_mps, angular_rps)

    def odometry(self) -> Any:
        """The robot's newest pose; raises what the robot raises."""
        pose: _Pose = self._robot.odometry()
        if pose.stamp_s > self._stamp_s:
            self._stamp_s = pose.stamp_s
            self._recorder.odometry(pose.x_m, pose.y_m, pose.yaw_rad, pose.stamp_s)
        return pose

    def halt(self) -> None:
        """First the robot, then the record of it."""
        self._robot.halt()
        self._recorder.velocity(0.0, 0.0)
