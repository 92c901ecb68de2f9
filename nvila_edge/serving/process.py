"""A server as a process of its own: started on a free loopback port, ready when it says so, stopped for certain."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from nvila_edge.serving.errors import ServerStartError

FREE_PORT = "tcp://127.0.0.1:*"
_EXIT_S = 10.0  # what a process gets to end after it was killed, or closed its output
_ROOT = Path(__file__).resolve().parents[2]  # what must be importable in the child when the package is not installed


@dataclass
class ServerProcess:
    """A running server. `info` is its ready line; `address` is where it listens. A context manager that stops it."""

    process: subprocess.Popen[bytes]
    info: dict[str, Any]
    log: IO[bytes]

    @property
    def address(self) -> str:
        """tcp://127.0.0.1:PORT."""
        return self.info["address"]

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def stop(self, timeout_s: float = 7.0) -> int:
        """SIGTERM (it drains), then SIGKILL after `timeout_s`; returns the exit status."""
        if self.alive:
            self.process.terminate()
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        return self._collect()

    def kill(self) -> int:
        """SIGKILL; returns the exit status."""
        self.process.kill()
        return self._collect()

    def _collect(self) -> int:
        status = self.process.wait(_EXIT_S)
        for stream in (self.process.stdin, self.process.stdout, self.log):
            if stream is not None:
                stream.close()
        return status

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_server(
    bundle: Path,
    bind: str = FREE_PORT,
    *,
    backend: str = "onnxruntime",
    threads: int = 1,
    timeout_s: float = 120.0,
    http: int | None = None,
) -> ServerProcess:
    """A server of a bundle, warmed up and ready. It ends with this process. `http`: see main.serve; its URL is info["http"]. Raises
    ServerStartError with what it said."""
    module = [sys.executable, "-m", "nvila_edge.serving", "--ends-with-stdin"]
    options = ["--bundle", str(bundle), "--bind", bind, "--backend", backend, "--threads", str(threads)]
    options += [] if http is None else ["--http", str(http)]
    return start_process([*module, *options], timeout_s)


def start_process(command: list[str], timeout_s: float) -> ServerProcess:
    """Start a server command and wait for its ready line on stdout (one JSON object). Its stdin closes when this process ends.

    Raises ServerStartError when it ends or stays silent for `timeout_s`, with the end of what it wrote to stderr.
    """
    log = tempfile.TemporaryFile()  # not a pipe: nobody would empty it
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment)
    server = ServerProcess(process, {}, log)
    try:
        line = _first_line(process, time.monotonic() + timeout_s)
        server.info = json.loads(line)
    except (TimeoutError, EOFError, json.JSONDecodeError) as error:
        process.kill()
        process.wait(_EXIT_S)
        said = _tail(log)
        server.kill()
        message = f"the server did not become ready: {error or type(error).__name__}" + (f"; it said: {said}" if said else "")
        raise ServerStartError(message, f"run it by hand to see more: {' '.join(command)}") from error
    except BaseException:
        server.kill()
        raise
    return server


def _first_line(process: subprocess.Popen[bytes], deadline_s: float) -> bytes:
    assert process.stdout is not None
    descriptor, line = process.stdout.fileno(), b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, deadline_s - time.monotonic())):
                raise TimeoutError("nothing was heard of it in time")
            data = os.read(descriptor, 4096)
            if not data:
                raise EOFError(_ending(process, max(0.0, deadline_s - time.monotonic())))
            line += data
    return line


def _ending(process: subprocess.Popen[bytes], timeout_s: float) -> str:
    try:
        return f"it ended with status {process.wait(min(timeout_s, _EXIT_S))}"
    except subprocess.TimeoutExpired:
        return "it closed its output without having been ready, and went on"


def _tail(log: IO[bytes]) -> str:
    log.seek(0, os.SEEK_END)
    log.seek(max(0, log.tell() - 2000))
    return log.read().decode(errors="replace").strip()
