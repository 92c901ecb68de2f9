"""The server: an I/O thread that answers pings at once, and one inference worker that encodes frames as they come and decides.

Nothing that a client sends stops it: whatever breaks the protocol, or fails in the engine, gets a typed error reply.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FuturesTimeout
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from nvila_edge.serving import wire
from nvila_edge.serving.address import DEFAULT_BIND
from nvila_edge.serving.errors import DeadlinePassed, ServerStartError, ServingError, WireError
from nvila_edge.serving.frames import SessionFrames
from nvila_edge.serving.jpeg import jpeg_size
from nvila_edge.serving.keys import ServerKeys
from nvila_edge.serving.metrics import Metrics
from nvila_edge.serving.router import Router
from nvila_edge.serving.sessions import ServedEngine, SessionLimits, Sessions, answer
from nvila_edge.serving.work import DecideJob, EncodeJob, TaskJob, Waiting, Work, superseded

_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerLimits:
    """Bounds of a server: sessions, and seconds that a drain may take."""

    sessions: SessionLimits = SessionLimits()
    drain_s: float = 5.0


class Server:
    """Serves one engine on one address. run() blocks until stop() is called (from any thread or a signal handler) and the drain is done."""

    def __init__(
        self, engine: ServedEngine, bind: str = DEFAULT_BIND, limits: ServerLimits | None = None, keys: ServerKeys | None = None
    ) -> None:
        """Binds at once. Raises ValueError for an address beyond loopback without keys, ServerStartError when it is taken."""
        self._router = Router(bind, keys)
        self.address = self._router.address
        self._engine, self._limits = engine, limits or ServerLimits()
        self._work, self.metrics = Work(), Metrics()
        self._sessions = Sessions(self._limits.sessions, self._work.forget, self._router.hung_up)
        self._boot = uuid.uuid4().hex
        self._stopping = threading.Event()
        self._worker = threading.Thread(target=self._infer, name="inference", daemon=True)
        self._replies: deque[tuple[bytes, bytes]] = deque(maxlen=4096)

    def warm_up(self) -> None:
        """One encode and one decision, so that the first client does not wait for lazy initialisation. Raises ServerStartError."""
        try:
            tokens = self._engine.encode(np.zeros((1, 224, 224, 3), np.uint8))
            self._engine.session("walk forward and stop").decide(tokens)
        except Exception as error:
            said = (str(error).strip().splitlines() or [""])[0]
            message = f"a first decision failed ({type(error).__name__}: {said}): the model's files do not fit together"
            raise ServerStartError(message, "export the bundle again, or reinstall nvila-edge if it is the built-in one") from error

    def info(self) -> dict[str, Any]:
        """What hello answers."""
        engine, profile = self._engine, self._engine.profile
        return {
            "boot": self._boot, "profile": profile.name, "window": profile.frames, "agent": engine.agent, "runs_on": engine.runs_on,
            "address": self.address,
        }  # fmt: skip

    @property
    def health(self) -> str:
        """ "ok", or why it answers nothing: "starting", "draining", "failed" (the inference thread ended)."""
        if self._stopping.is_set():
            return "draining"
        return "ok" if self._worker.is_alive() else "starting" if self._worker.ident is None else "failed"

    def gauges(self) -> dict[str, float]:
        """What the metrics need to know at the moment of asking."""
        return {"sessions": len(self._sessions), "waiting": len(self._work), "busy_seconds": self._work.busy_s()}

    def run_task(self, call: Callable[[], _T], timeout_s: float) -> _T:
        """Have the inference thread do a short piece of work once no robot waits. Raises DeadlinePassed, ServingError "draining", or what it raises."""
        done = self._work.put_task(call)
        try:
            return done.result(timeout_s)
        except CancelledError as error:
            raise ServingError("draining", "the server is shutting down", "ask again when it is back") from error
        except FuturesTimeout as error:
            if not done.cancel() and done.done():
                raise  # its own, not ours
            raise DeadlinePassed(
                f"the model had no time for this within {timeout_s:.0f} s", "ask again when robots need it less"
            ) from error

    def stop(self) -> None:
        """Finish what was asked, answer it, and return from run()."""
        self._stopping.set()
        self._router.wake()

    def run(self) -> None:
        """Serve until stop()."""
        try:
            self._serve()
        finally:
            self.close()

    def _serve(self) -> None:
        self._worker.start()
        drain_until_s = float("inf")
        while time.monotonic() < drain_until_s:
            self._router.wait()
            self._receive()
            self._send_replies()
            self._sessions.expire()
            if self._stopping.is_set():
                drain_until_s = min(drain_until_s, time.monotonic() + self._limits.drain_s)
                if not self._work.decisions_open() and not self._replies:
                    break
        self._work.close()
        self._worker.join(timeout=max(0.0, drain_until_s - time.monotonic()))
        self._send_replies()

    def close(self) -> None:
        """Give the address back; for a server that does not run, or no longer. Twice does no harm."""
        self._work.close()
        self._router.close()

    # --- I/O thread

    def _receive(self) -> None:
        for client, parts, received in self._router.receive():
            self.metrics.count("received_bytes_total", received)
            self._handle(client, parts)

    def _send_replies(self) -> None:
        while self._replies:
            client, reply = self._replies.popleft()
            self._send(client, reply)

    def _send(self, client: bytes, reply: bytes) -> None:
        if self._router.send(client, reply):
            self.metrics.count("sent_bytes_total", len(reply))

    def _handle(self, client: bytes, parts: list[bytes]) -> None:
        try:
            self._dispatch(client, wire.parse_request(parts))
        except ServingError as error:
            request_id, session, known = _echo(parts)
            self._send(client, self._error(error, request_id, session, **known))
        except Exception as error:  # whatever a client sends: nesting a thousand deep, for one, cannot even be quoted
            _LOG.warning("a message could not be read: %s", type(error).__name__)
            unread = WireError("malformed", "the message cannot be read", "use the client of the same nvila-edge version")
            self._send(client, self._error(unread, None, ""))

    def _dispatch(self, client: bytes, request: wire.Request) -> None:
        self.metrics.count("requests_total", type=type(request).__name__.lower())
        match request:
            case wire.Hello():
                self._send(client, wire.pack("info", request.id, **self.info()))
            case wire.Ping():
                self._sessions.touch(request.session, client)
                self._send(client, wire.pack("pong", request.id, boot=self._boot, draining=self._stopping.is_set()))
            case wire.Bye():
                self._sessions.drop(request.session)
            case wire.PutFrame():
                jpeg_size(request.jpeg)
                state = self._sessions.open(request.session, client)
                state.stamp(request.frame_id, request.captured_s)
                if request.frame_id not in state.tokens:
                    self._work.put_frame(state, request.frame_id, Waiting(client, request.id, request.jpeg))
            case wire.Decide():
                if self._stopping.is_set():
                    raise ServingError("draining", "the server is shutting down", "ask again when it is back")
                replaced = self._work.put_decision(client, self._sessions.open(request.session, client), request)
                if replaced is not None:
                    self._send(replaced.client, self._error(superseded(replaced.request), replaced.request.id, request.session))

    def _error(self, error: ServingError, request_id: int | None, session: str, **fields: Any) -> bytes:
        self.metrics.count("errors_total", code=error.code)
        return wire.pack("error", request_id, session, code=error.code, message=error.message, mend=error.mend, **fields)

    # --- inference thread

    def _reply(self, client: bytes, reply: bytes) -> None:
        self._replies.append((client, reply))
        self._router.wake()

    def _infer(self) -> None:
        while (job := self._work.next()) is not None:
            if isinstance(job, DecideJob):
                self._reply(job.client, self._answer(job))
            elif isinstance(job, TaskJob):
                job.run()
            else:
                self._encode(job)
        self._router.wake()

    def _encode(self, job: EncodeJob) -> None:
        try:
            SessionFrames(self._engine, job.state, self._work, self.metrics).encode(job.frame_id, job.frame.jpeg)
        except Exception as error:  # whatever an engine raises, the server stays up
            self._reply(job.frame.client, self._error(_typed(error), job.frame.request_id, job.state.name, frame_id=job.frame_id))

    def _answer(self, job: DecideJob) -> bytes:
        request, frames = job.request, SessionFrames(self._engine, job.state, self._work, self.metrics)
        queue = {"queue": 1000 * (time.monotonic() - job.arrived_s)}
        try:
            kind, fields = answer(self._engine, job.state, request, frames, job.arrived_s + request.deadline_ms / 1000)
        except Exception as error:
            return self._error(_typed(error), request.id, request.session, timing_ms=queue)
        timing_ms = fields.get("timing_ms", {}) | queue
        if kind == "decision":
            self.metrics.count("decisions_total")
            for stage in ("queue", "prefill", "decode"):
                self.metrics.observe(stage, timing_ms[stage] / 1000)
            self.metrics.observe("answer", time.monotonic() - job.arrived_s)
        return wire.pack(kind, request.id, request.session, n=request.n, **fields | {"timing_ms": timing_ms})


def _typed(error: Exception) -> ServingError:
    if isinstance(error, ServingError):
        return error
    _LOG.error("the engine failed", exc_info=error)
    return ServingError("engine", f"the engine failed: {type(error).__name__}: {error!s:.300}", "see the server's log; ask again")


def _echo(parts: list[bytes]) -> tuple[int | None, str, dict[str, int]]:
    """Request id, session and, of a frame, frame_id of a message that was refused, as far as they can be read."""
    try:
        header = wire.header_of(parts[:1])
        frame_id = header.get("frame_id")
        known = {"frame_id": frame_id} if type(frame_id) is int else {}
        return wire.integer(header, "id"), wire.text(header, "session", 0, wire.MAX_SESSION_CHARS), known
    except ServingError:
        return None, "", {}
