"""What the inference worker does next: decisions first, in order of arrival; then waiting frames, sessions in turn, the newest first."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass

from nvila_edge.serving.errors import WireError
from nvila_edge.serving.sessions import SessionState
from nvila_edge.serving.wire import MAX_RESEND, Decide

MAX_WAITING_FRAMES = 2 * MAX_RESEND  # per session; what falls out is asked for again when it is needed


@dataclass(frozen=True)
class DecideJob:
    """A decision to make; `arrived_s` on the monotonic clock."""

    client: bytes
    state: SessionState
    request: Decide
    arrived_s: float


@dataclass(frozen=True)
class EncodeJob:
    """A frame to encode ahead of its use."""

    state: SessionState
    frame_id: int


@dataclass(frozen=True)
class Waiting:
    """A frame that came and is not encoded yet."""

    client: bytes
    request_id: int
    jpeg: bytes


class Work:
    """The queue between the I/O thread and the worker. All methods may be called from any thread.

    Bounded: one waiting decision per session (a newer one replaces it), 64 waiting frames per session (the oldest falls out).
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._decisions: deque[DecideJob] = deque()
        self._frames: OrderedDict[str, OrderedDict[int, Waiting]] = OrderedDict()
        self._states: dict[str, SessionState] = {}
        self._busy = False
        self._closed = False

    def put_frame(self, state: SessionState, frame_id: int, frame: Waiting) -> None:
        """Queue a frame for encoding."""
        with self._changed:
            waiting = self._frames.setdefault(state.name, OrderedDict())
            self._states[state.name] = state
            waiting[frame_id] = frame
            while len(waiting) > MAX_WAITING_FRAMES:
                waiting.popitem(last=False)
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

    def has_frame(self, session: str, frame_id: int) -> bool:
        """Whether that frame waits."""
        return self.peek_frame(session, frame_id) is not None

    def peek_frame(self, session: str, frame_id: int) -> Waiting | None:
        """The waiting frame of that id, which goes on waiting; None when there is none."""
        with self._changed:
            return self._frames.get(session, OrderedDict()).get(frame_id)

    def take_frame(self, session: str, frame_id: int) -> Waiting | None:
        """The waiting frame of that id, no longer waiting; None when there is none."""
        with self._changed:
            waiting = self._frames.get(session)
            return waiting.pop(frame_id, None) if waiting else None

    def forget(self, session: str) -> None:
        """Drop everything that waits for a session."""
        with self._changed:
            self._frames.pop(session, None)
            self._states.pop(session, None)
            self._decisions = deque(job for job in self._decisions if job.state.name != session)

    def next(self) -> DecideJob | EncodeJob | None:
        """The next job; waits for one. None after close()."""
        with self._changed:
            self._busy = False
            while not self._closed:
                job = self._pick()
                if job is not None:
                    self._busy = isinstance(job, DecideJob)
                    return job
                self._changed.wait()
            return None

    def _pick(self) -> DecideJob | EncodeJob | None:
        if self._decisions:
            return self._decisions.popleft()
        for session in list(self._frames):
            self._frames.move_to_end(session)
            if self._frames[session]:
                return EncodeJob(self._states[session], next(reversed(self._frames[session])))
            del self._frames[session]
        return None

    def decisions_open(self) -> bool:
        """Whether a decision waits or is being worked on."""
        with self._changed:
            return self._busy or bool(self._decisions)

    def close(self) -> None:
        """Let next() return None from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def superseded(request: Decide) -> WireError:
    """What the client of a replaced decision is told."""
    message = f"decision {request.n} was replaced by a newer request of the same session"
    return WireError("superseded", message, "wait for one answer before asking again")
