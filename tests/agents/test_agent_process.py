"""The agent as a process: instructions from files and lines, and what a signal leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents.instructions import Lines, instruction_text
from agents.robots.remote import Remote
from nvila_edge.serving.process import ServerProcess
from tests.agents.test_remote import wait_for

AGENT = """
import sys
from agents.guard import GuardLimits
from agents.loop import LoopConfig
from agents.main import run_agent
sys.stdout.write(run_agent(sys.argv[1], sys.argv[2], "walk on", robot=sys.argv[3], overlap=sys.argv[4] == "1",
    on_event=lambda event: None, config=LoopConfig(limits=GuardLimits())).reason)
"""


SLOW = [pytest.param(signal.SIGINT, 0, marks=pytest.mark.slow), pytest.param(signal.SIGKILL, 1, marks=pytest.mark.slow)]
SIGNALS = [(signal.SIGINT, 1), (signal.SIGTERM, 0), *SLOW]


@pytest.mark.parametrize(("signum", "overlap"), SIGNALS)
def test_a_signal_leaves_a_robot_that_stands(images: Path, robot: ServerProcess, server: ServerProcess, signum: int, overlap: int) -> None:
    with Remote(robot.address, patience_s=3.0) as watcher:
        wait_for(lambda: watcher.state.driver == "")
        command = [sys.executable, "-c", AGENT, server.address, str(images), robot.address, str(overlap)]
        agent = subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.getcwd()})
        try:
            wait_for(lambda: watcher.state.commanded[0] > 0.1 or agent.poll() is not None, 20)
            assert agent.poll() is None, agent.stderr and agent.stderr.read()
            agent.send_signal(signum)
            sent_s = time.monotonic()
            zero_s = wait_for(lambda: watcher.state.commanded == (0.0, 0.0))
            assert zero_s - sent_s < (0.6 if signum == signal.SIGKILL else 0.3), "0.1 on a machine that is not busy"
            agent.wait(15)
            assert watcher.state.commanded == (0.0, 0.0)
            assert agent.returncode == {signal.SIGINT: -2, signal.SIGTERM: 143, signal.SIGKILL: -9}[signal.Signals(signum)]
        finally:
            agent.kill()
            agent.wait(10)
            assert agent.stderr is not None
            agent.stderr.close()


def test_lines_from_standard_input_are_followed_and_a_new_one_cancels_the_one_under_way(
    images: Path, robot: ServerProcess, server: ServerProcess
) -> None:
    command = [sys.executable, "-m", "nvila_edge.cli", "agent", "--server", server.address, "--camera", str(images)]
    command += ["--robot", robot.address, "--instruction", "-", "--overlap"]
    environment = os.environ | {"PYTHONPATH": os.getcwd(), "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    agent = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=environment)
    try:
        assert agent.stdin is not None and agent.stdout is not None
        agent.stdin.write("mumble\n")  # rejected twice
        agent.stdin.flush()
        assert "ended: rejected" in agent.stdout.readline() + agent.stdout.readline() + agent.stdout.readline()
        agent.stdin.write("walk on\n")
        agent.stdin.flush()
        first = agent.stdout.readline()
        agent.stdin.write("\n")
        agent.stdin.flush()
        said = [first]
        while "ended" not in said[-1] and agent.poll() is None:
            said.append(agent.stdout.readline())
        assert "ended: cancelled" in said[-1] or "ended: unsure" in said[-1], said
        agent.stdin.close()
        assert agent.wait(15) == 0
    finally:
        agent.kill()
        agent.wait(10)
        assert agent.stdout is not None
        agent.stdout.close()


def test_an_instruction_is_words_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "go.txt").write_text("Walk to\n  the sofa.\n")
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    assert instruction_text("Walk on.") == "Walk on." and instruction_text(f"@{tmp_path / 'go.txt'}") == "Walk to the sofa."
    for bad, words in [
        ("", "empty"),
        ("@nowhere.txt", "nowhere.txt"),
        (f"@{tmp_path / 'empty.txt'}", "empty"),
        (f"@{tmp_path / 'bytes.txt'}", "UTF-8"),
    ]:
        with pytest.raises(ValueError, match=words):
            instruction_text(bad)


def test_the_newest_line_counts_and_the_end_is_told() -> None:
    came: list[int] = []
    lines = Lines(iter(["one\n", " two \n"]), lambda: came.append(1))
    wait_for(lambda: len(came) == 2)
    assert lines.waiting and lines.take() == "two" and not lines.waiting and lines.take() is None
