"""What the inference worker does next: decisions first, in order of arrival; then waiting frames, sessions in turn, the newest first; then tasks.

A task is one short piece of work that is not a robot's, such as a token of a chat: robots wait for one of them at most."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from nvila_edge.serving.errors import WireError
from nvila_edge.serving.sessions import SessionState
from nvila_edge.serving.wire import MAX_RESEND, Decide

MAX_WAITING_FRAMES = 2 * MAX_RESEND  # per session, and so the bytes; what falls out is asked for again when it is needed
MAX_WAITING_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class DecideJob:
    """A decision to make; `arrived_s` on the monotonic clock."""

    client: bytes
    state: SessionState
    request: Decide
    arrived_s: float


@dataclass(frozen=True)
class Waiting:
    """A frame that came and is not encoded yet."""

    client: bytes
    request_id: int
    jpeg: bytes


@dataclass(frozen=True)
class EncodeJob:
    """A frame to encode ahead of its use; it no longer waits."""

    state: SessionState
    frame_id: int
    frame: Waiting


@dataclass(frozen=True)
class TaskJob:
    """A piece of work and where its result goes."""

    call: Callable[[], Any]
    done: Future[Any]

    def run(self) -> None:
        """Do it, unless nobody waits for it any more."""
        if self.done.set_running_or_notify_cancel():
            try:
                self.done.set_result(self.call())
            except Exception as error:  # it is the caller's, who gets it from the future
                self.done.set_exception(error)


Job = DecideJob | EncodeJob | TaskJob


@dataclass
class _Queue:
    """The waiting frames of one session, by frame id, in order of arrival; never empty. `nbytes` sums their JPEGs."""

    state: SessionState
    frames: OrderedDict[int, Waiting] = field(default_factory=OrderedDict)
    nbytes: int = 0

    def put(self, frame_id: int, frame: Waiting) -> None:
        self.pop(frame_id)
        self.frames[frame_id] = frame
        self.nbytes += len(frame.jpeg)
        while len(self.frames) > 1 and (len(self.frames) > MAX_WAITING_FRAMES or self.nbytes > MAX_WAITING_BYTES):
            self.pop(next(iter(self.frames)))

    def pop(self, frame_id: int) -> Waiting | None:
        frame = self.frames.pop(frame_id, None)
        self.nbytes -= 0 if frame is None else len(frame.jpeg)
        return frame


class Work:
    """The queue between the I/O thread and the worker. All methods may be called from any thread.

    Bounded: one waiting decision per session (a newer one replaces it), 64 waiting frames of 64 MiB together per session (the oldest fall
    out), one task for each of the bounded HTTP connections. A session is known here only while something of it waits.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._decisions: deque[DecideJob] = deque()
        self._queues: OrderedDict[str, _Queue] = OrderedDict()
        self._tasks: deque[TaskJob] = deque()
        self._busy = False
        self._closed = False
        self._began_s: float | None = None

    def __len__(self) -> int:
        """Frames, decisions and tasks that wait."""
        with self._changed:
            return len(self._decisions) + len(self._tasks) + sum(len(queue.frames) for queue in self._queues.values())

    def put_frame(self, state: SessionState, frame_id: int, frame: Waiting) -> None:
        """Queue a frame for encoding."""
        with self._changed:
            self._queues.setdefault(state.name, _Queue(state)).put(frame_id, frame)
            self._changed.notify()

    def put_decision(self, client: bytes, state: SessionState, request: Decide) -> DecideJob | None:
        """Queue a decision; returns the one of the same session that it replaces, if any."""
        job = DecideJob(client, state, request, time.monotonic())
        with self._changed:
            replaced = next((old for old in self._decisions if old.state.name == state.name), None)
            if replaced is not None:
                self._decisions.remove(replaced)
            self._decisions.append(job)
            self._changed.notify()
        return replaced

    def put_task(self, call: Callable[[], Any]) -> Future[Any]:
        """Queue a task; cancelled at once when this is closed."""
        job = TaskJob(call, Future())
        with self._changed:
            if self._closed:
                job.done.cancel()
            else:
                self._tasks.append(job)
                self._changed.notify()
        return job.done

    def busy_s(self) -> float:
        """How long the worker has been at the present job; 0 when it waits for one."""
        began_s = self._began_s
        return 0.0 if began_s is None else time.monotonic() - began_s

    def has_frame(self, session: str, frame_id: int) -> bool:
        """Whether that frame waits."""
        with self._changed:
            return session in self._queues and frame_id in self._queues[session].frames

    def take_frame(self, session: str, frame_id: int) -> Waiting | None:
        """The waiting frame of that id, no longer waiting; None when there is none."""
        with self._changed:
            return self._take(session, frame_id)

    def _take(self, session: str, frame_id: int) -> Waiting | None:
        queue = self._queues.get(session)
        frame = queue.pop(frame_id) if queue else None
        if queue and not queue.frames:
            del self._queues[session]
        return frame

    def forget(self, session: str) -> None:
        """Drop everything that waits for a session."""
        with self._changed:
            self._queues.pop(session, None)
            self._decisions = deque(job for job in self._decisions if job.state.name != session)

    def next(self) -> Job | None:
        """The next job; waits for one. None after close()."""
        with self._changed:
            self._busy, self._began_s = False, None
            while not self._closed:
                job = self._pick()
                if job is not None:
                    self._busy, self._began_s = isinstance(job, DecideJob), time.monotonic()
                    return job
                self._changed.wait()
            return None

    def _pick(self) -> Job | None:
        if self._decisions:
            return self._decisions.popleft()
        if not self._queues:
            return self._tasks.popleft() if self._tasks else None
        session, queue = next(iter(self._queues.items()))
        self._queues.move_to_end(session)
        frame_id = next(reversed(queue.frames))
        frame = self._take(session, frame_id)
        assert frame is not None
        return EncodeJob(queue.state, frame_id, frame)

    def decisions_open(self) -> bool:
        """Whether a decision waits or is being worked on."""
        with self._changed:
            return self._busy or bool(self._decisions)

    def close(self) -> None:
        """Let next() return None from now on, and give up the tasks that wait."""
        with self._changed:
            self._closed = True
            for task in self._tasks:
                task.done.cancel()
            self._tasks.clear()
            self._changed.notify_all()


def superseded(request: Decide) -> WireError:
    """What the client of a replaced decision is told."""
    message = f"decision {request.n} was replaced by a newer request of the same session"
    return WireError("superseded", message, "wait for one answer before asking again")
