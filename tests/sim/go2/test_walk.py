"""The simulated Go2 and Unitree's real SDK, in processes of their own: it walks, obeys, and stops when who drives it dies."""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def go2_python() -> str:
    """The Python of the Go2's environment; skips when there is none."""
    python = Path(os.environ.get("NVILA_EDGE_GO2_VENV", ROOT / ".venv-go2")) / "bin" / "python"
    if not python.exists():
        pytest.skip("no environment for the simulated Go2; make one with scripts/go2_venv.sh, or name one: NVILA_EDGE_GO2_VENV=FOLDER")
    return str(python)


class Lines:
    """A process and its JSON lines."""

    def __init__(self, *command: str) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen([go2_python(), *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._buffer = b""

    def next(self, timeout_s: float = 60.0) -> dict:
        """The next line. Fails with what the process said when it ends or takes too long."""
        assert self.process.stdout and self.process.stderr
        until_s = time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            ready = select.select([self.process.stdout], [], [], max(0.0, until_s - time.monotonic()))[0]
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                self.process.kill()
                pytest.fail(f"no line from {self.process.args}: {self.process.stderr.read().decode()[-2000:]}")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait(10)


@contextlib.contextmanager
def simulated(*flags: str) -> Iterator[str]:
    """A simulated Go2 in a DDS domain of its own; the domain."""
    domain = str(random.SystemRandom().randint(1, 100))
    sim = Lines("-m", "sim.go2", "--house", "val_unseen_0003", "--domain", domain, *flags)
    try:
        assert sim.next()["house"] == "val_unseen_0003"
        yield domain
        sim.process.send_signal(signal.SIGTERM)
        assert sim.process.wait(15) == 0
    finally:
        sim.end()


@contextlib.contextmanager
def driver(program: str, domain: str) -> Iterator[Lines]:
    """One of driver.py's programs, connected."""
    lines = Lines(str(Path(__file__).with_name("driver.py")), program, domain)
    try:
        assert lines.next().get("connected")
        yield lines
    finally:
        lines.end()


def test_the_sdk_walks_it_and_a_killed_driver_leaves_it_standing() -> None:
    with simulated() as domain:
        with driver("obey", domain) as lines:
            left, ahead = lines.next(), lines.next()
            assert left["primitive"] == "LEFT" and abs(left["turned_deg"] - 15) <= 8 and left["moved_m"] < 0.12
            assert ahead["primitive"] == "FORWARD" and abs(ahead["moved_m"] - 0.25) <= 0.10 and not ahead["collided"]
        with driver("walk", domain) as lines:
            walked = lines.next()
        assert abs(walked["moved_m"] - 0.75) <= 0.12 and walked["seconds"] < 7
        with driver("watch", domain) as watcher:
            with driver("march", domain) as marching:
                while (seen := watcher.next())["mode"] != 3:
                    pass
                walking_until_s = time.monotonic() + 0.8
                while seen["at_s"] < walking_until_s:
                    seen = watcher.next()
                marching.process.send_signal(signal.SIGKILL)
                killed_s = time.monotonic()
            track = []
            while not track or track[-1]["at_s"] < killed_s + 1.6:
                track.append(watcher.next())
        told = max(row["at_s"] for row in track if row["mode"] == 3) - killed_s
        assert told <= 0.8  # its dead-man is 0.5 s
        standing = [row for row in track if row["at_s"] >= killed_s + 0.8]
        assert max(abs(row[axis] - standing[0][axis]) for row in standing for axis in ("x_m", "y_m")) <= 0.06  # it treads and sways


def test_locked_joints_are_released_and_a_pro_is_named() -> None:
    with simulated("--ignores-move") as domain:
        with driver("legs", domain) as lines:
            assert lines.next() == {"locked": 6, "mode": 1}
        with driver("disobeyed", domain) as lines:
            said = lines.next()["error"]
    assert "Go2 Pro ignores Move" in said and "nothing moved" in said


def test_without_a_robot_it_says_where_it_looked() -> None:
    lines = Lines(str(Path(__file__).with_name("driver.py")), "walk", "101")
    try:
        said = lines.next()["error"]
    finally:
        lines.end()
    assert "no state from a Go2 within 15 s" in said and "rt/sportmodestate" in said and "'lo'" in said
