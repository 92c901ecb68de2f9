"""The e-stop from any shell: it stops a robot that somebody drives, and says only what the robot's process confirms."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from agents.protocols import RobotError
from agents.robots.estop import press, reset
from agents.robots.remote import Remote
from agents.robots.server import MAX_CLIENTS
from agents.watchdog import EStopped
from nvila_edge.serving.process import ServerProcess, start_process
from tests.agents.test_remote import wait_for


@pytest.fixture
def served() -> Iterator[ServerProcess]:
    with start_process([sys.executable, "-m", "agents.robots.serve", "--bind", "tcp://127.0.0.1:*", "--ends-with-stdin"], 30) as server:
        yield server


def shell(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "agents.robots.estop", *arguments], capture_output=True, text=True, timeout=30)


def test_pressed_it_stops_a_moving_robot_until_it_is_reset(served: ServerProcess) -> None:
    with Remote(served.address, patience_s=3.0) as robot:
        ended: list[Exception] = []

        def drive() -> None:
            try:
                while True:
                    robot.command(0.3, 0.0)
                    time.sleep(0.05)
            except RobotError as error:
                ended.append(error)

        driving = threading.Thread(target=drive)
        driving.start()
        wait_for(lambda: robot.odometry().x_m > 0.02)
        done = shell(served.address)
        assert done.returncode == 0, done.stderr  # a fault follows where the driving side was refused before this was asked
        assert done.stdout.rstrip().startswith("e-stop of kinematic: latched (pressed by hand); commanded 0 m/s, 0 rad/s")
        driving.join(5)
        assert [type(error) for error in ended] == [EStopped]
        time.sleep(0.8)  # it coasts with a time constant of 0.1 s
        stood_m = robot.odometry().x_m
        time.sleep(0.2)
        assert robot.odometry().x_m == pytest.approx(stood_m, abs=1e-3) and stood_m > 0.02
        with pytest.raises(EStopped, match="pressed by hand"):
            robot.command(0.3, 0.0)

        done = shell(served.address, "--reset")
        assert (done.returncode, done.stdout) == (0, "e-stop of kinematic: not latched; commanded 0 m/s, 0 rad/s\n"), done.stderr
        wait_for(lambda: robot.command(0.3, 0.0) or robot.odometry().x_m > stood_m + 0.05)


def test_where_nobody_answers_it_says_so_within_six_seconds() -> None:
    for order in (press, reset):
        began_s = time.monotonic()
        with pytest.raises(RobotError, match="no robot answers"):
            order("tcp://127.0.0.1:9")
        assert time.monotonic() - began_s < 4, "without the start of a Python, 0.3 s of work, which a busy machine draws out"
    done = shell("tcp://127.0.0.1:9")
    assert done.returncode == 2 and done.stdout == ""
    assert "no robot answers at tcp://127.0.0.1:9" in done.stderr and "the robot may be moving" in done.stderr
    done = shell("tcp://192.0.2.1:5600", "--reset")
    assert done.returncode == 2 and "not on this computer" in done.stderr and "may be latched still" in done.stderr


def test_a_robots_process_that_hangs_confirms_nothing(served: ServerProcess) -> None:
    os.kill(served.process.pid, signal.SIGSTOP)
    try:
        for order in (press, reset):
            began_s = time.monotonic()
            with pytest.raises(RobotError, match="no robot answers"):
                order(served.address, 0.3)
            assert time.monotonic() - began_s < 3
    finally:
        os.kill(served.process.pid, signal.SIGCONT)
    assert press(served.address).estopped == "pressed by hand"


def test_it_is_told_what_came_of_it_also_when_all_places_are_taken(served: ServerProcess) -> None:
    with ExitStack() as stack:
        watchers = [stack.enter_context(Remote(served.address, patience_s=3.0)) for _ in range(MAX_CLIENTS)]
        assert [watcher.state.estopped for watcher in watchers] == [""] * MAX_CLIENTS
        assert press(served.address).estopped == "pressed by hand"
        wait_for(lambda: watchers[-1].state.estopped == "pressed by hand")
