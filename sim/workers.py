"""Worker processes that answer JSON lines over pipes: no shared memory, no pickle. They end with the process that started them.

`python -m sim.workers` plays episodes: it has one stage (houses, renderer, policy), told by the first line on stdin; episode ids follow.
`python -m sim.training_pool` makes training data.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from sim.results import Record, encode_line

_ROOT = Path(__file__).resolve().parents[1]  # importable in the child also when the package is not installed
EXIT_S = 10.0  # for a process that has closed its answers, or was killed, to be gone


class WorkerDied(RuntimeError):
    """A worker process ended on its own, or was silent for too long; the message has the end of what it wrote to stderr."""


class Worker:
    """The parent's handle of one worker. `episode` is what it plays now ("" when it is free)."""

    def __init__(self, module: str = "sim.workers", setup: Any = None) -> None:
        """Start `python -m module`. `setup`, if any, is a dataclass: the first line that the process is told."""
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))}
        self._log: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, env=environment
        )
        self._pending, self._answers = b"", deque[Record]()
        self.ready, self.episode, self.scene = False, "", ""
        self.heard_s = time.monotonic()
        if setup is not None:
            self.send(asdict(setup))

    @property
    def fd(self) -> int:
        """What to wait on for answers."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def send(self, message: Record) -> None:
        """One line to the worker; a dead worker is noticed when its answers end."""
        self.heard_s = time.monotonic()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(encode_line(message))
            self._process.stdin.flush()
        except BrokenPipeError:
            pass

    def receive(self) -> list[Record]:
        """The complete messages that have arrived; call it when `fd` is readable. Raises WorkerDied at the end of the stream."""
        data = os.read(self.fd, 1 << 20)
        if not data:
            raise self._death(f"a worker process ended with status {self._ended(EXIT_S)}")
        self.heard_s = time.monotonic()
        *lines, self._pending = (self._pending + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def answer(self, deadline_s: float) -> Record:
        """The next message. Raises WorkerDied at the end of the stream, and when none comes within the deadline."""
        while not self._answers:
            if not select.select([self.fd], [], [], deadline_s)[0]:
                raise self._death(f"a worker process was silent for {deadline_s:.0f} s")
            self._answers.extend(self.receive())
        return self._answers.popleft()

    def _death(self, what: str) -> WorkerDied:
        self._log.seek(0)
        said = self._log.read()[-2000:].decode(errors="replace").strip()
        return WorkerDied(what + (f"; it said: {said}" if said else ""))

    def _ended(self, patience_s: float) -> int | None:
        """The exit status of a process that is about to end, or is ended now; None when even that takes too long."""
        for _ in range(2):
            try:
                return self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return None

    def close(self) -> None:
        """End the process now; what it was playing is lost."""
        self._process.kill()
        self._ended(EXIT_S)
        for stream in (self._process.stdin, self._process.stdout, self._log):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:  # unsent bytes for a process that is gone
                pass


def answers() -> Callable[..., None]:
    """In a worker process: what sends a message, given as keywords. Whatever a library prints goes to the log from now on, not between them."""
    lines = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def answer(**message: object) -> None:
        lines.write(encode_line(message))
        lines.flush()

    return answer


def main() -> int:
    """The worker process of an evaluation."""
    answer = answers()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    setup = json.loads(sys.stdin.readline())
    try:
        _play_all(setup, answer)
    except BrokenPipeError:  # the evaluation is gone
        return 1
    except (ValueError, OSError, RuntimeError) as error:
        answer(type="failed", message=str(error), error=type(error).__name__)
        return 1
    return 0


def _play_all(setup: Record, answer: Callable[..., None]) -> None:
    from sim.outcome import EpisodeError, Interrupted, LeftOut
    from sim.stage import Stage, StageSetup

    with Stage(StageSetup.from_json(setup)) as stage:
        answer(type="ready")
        for line in sys.stdin:
            episode_id = json.loads(line)["episode_id"]

            def report(step: int, event: Any, episode_id: str = episode_id) -> None:
                decision = event.decision
                answer(
                    type="decided", episode_id=episode_id, step=step, text=decision.text, probability=decision.probability,
                    latency_ms=event.latency_ms,
                )  # fmt: skip

            try:
                played = stage.play(episode_id, report)
            except Interrupted as error:
                answer(type="interrupted", episode_id=episode_id, message=str(error))
            except LeftOut as error:
                answer(type="left_out", episode_id=episode_id, reason=str(error))
            except EpisodeError as error:
                answer(type="faulty", episode_id=episode_id, reason=str(error))
            else:
                answer(type="played", episode_id=episode_id, result=played.result, timing=played.timing)


if __name__ == "__main__":
    sys.exit(main())
