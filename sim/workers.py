"""Worker processes: each has one stage (houses, renderer, policy) and plays what it is given. JSON lines over pipes, no shared memory.

`python -m sim.workers` reads its setup and then episode ids from stdin, and ends with it, that is, with the evaluation that started it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from sim.results import Record, encode_line

_ROOT = Path(__file__).resolve().parents[1]  # importable in the child also when the package is not installed


class WorkerDied(RuntimeError):
    """A worker process ended on its own; the message has the end of what it wrote to stderr."""


class Worker:
    """The parent's handle of one worker. `episode` is what it plays now ("" when it is free)."""

    def __init__(self, setup: Any) -> None:
        """Start the process; it answers {"type": "ready"} when its stage stands. `setup` is a StageSetup."""
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))}
        self._log: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sim.workers"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, env=environment
        )
        self._pending = b""
        self.ready, self.episode, self.scene = False, "", ""
        self.send(asdict(setup))

    @property
    def fd(self) -> int:
        """What to wait on for answers."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def send(self, message: Record) -> None:
        """One line to the worker; a dead worker is noticed when its answers end."""
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
            status = self._process.wait()
            self._log.seek(0)
            said = self._log.read()[-2000:].decode(errors="replace").strip()
            raise WorkerDied(f"a worker process ended with status {status}" + (f"; it said: {said}" if said else ""))
        *lines, self._pending = (self._pending + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """End the process now; what it was playing is lost."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:  # unsent bytes for a process that is gone
                pass


def main() -> int:
    """The worker process."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints goes to the log, not between the answers
    os.environ.setdefault("OMP_NUM_THREADS", "1")

    def answer(kind: str, **fields: object) -> None:
        answers.write(encode_line({"type": kind, **fields}))
        answers.flush()

    setup = json.loads(sys.stdin.readline())
    try:
        _play_all(setup, answer)
    except BrokenPipeError:  # the evaluation is gone
        return 1
    except (ValueError, OSError, RuntimeError) as error:
        answer("failed", message=str(error), error=type(error).__name__)
        return 1
    return 0


def _play_all(setup: Record, answer: Any) -> None:
    from sim.stage import Interrupted, Stage, StageSetup

    with Stage(StageSetup.from_json(setup)) as stage:
        answer("ready")
        for line in sys.stdin:
            episode_id = json.loads(line)["episode_id"]

            def report(step: int, event: Any, episode_id: str = episode_id) -> None:
                decision = event.decision
                answer(
                    "decided", episode_id=episode_id, step=step, text=decision.text, probability=decision.probability,
                    latency_ms=event.latency_ms,
                )  # fmt: skip

            try:
                played = stage.play(episode_id, report)
            except Interrupted as error:
                answer("interrupted", episode_id=episode_id, message=str(error))
                continue
            if played is None:
                answer("left_out", episode_id=episode_id)
            else:
                answer("played", episode_id=episode_id, result=played.result, timing=played.timing)


if __name__ == "__main__":
    sys.exit(main())
