"""A signal halts the robot also while the main thread is in C code, where no handler of Python runs."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import hashlib, signal, sys, time
from agents.overlap import Overlapped
from agents.loop import LoopConfig
from agents.guard import GuardLimits
from agents.main import follow
from agents.robots.dry_run import DryRun
from agents.signals import ending_on_signals, halting_on_signals
from nvila_edge.navigation.actions import Forward, Primitive
from tests.agents.support import PoseCamera
from tests.agents.test_guard import Turning

class Decoder(PoseCamera):
    def capture(self):
        frame = super().capture()
        if frame.frame_id == 1:  # while the robot is moving: the second decision is asked ahead
            print("in C", flush=True)
            try:
                hashlib.pbkdf2_hmac("sha256", b"", b"", rounds)  # gives the lock of the interpreter back, and knows nothing of signals
            finally:
                print("out", time.monotonic(), flush=True)
        return frame

class Notes(DryRun):
    def halt(self):
        super().halt()
        if len(self.begun) == 1 and not self.noted:
            self.noted = True
            print("halted", time.monotonic(), flush=True)
    noted = False

began, rounds = time.monotonic(), 200_000
hashlib.pbkdf2_hmac("sha256", b"", b"", rounds)
rounds = int(rounds * 2.0 / (time.monotonic() - began))  # about two seconds of it
robot = Notes(3.0)
loop = Overlapped(Turning([Forward(25)] * 9), Decoder(robot), robot, config=LoopConfig(limits=GuardLimits(max_frame_age_s=60)))
loop._shortest_s = dict.fromkeys(Primitive, 0.3)
with ending_on_signals(), halting_on_signals(loop.cancel):
    follow(loop, "go", lambda event: None)
"""


@pytest.mark.parametrize(
    ("signum", "shell"),
    [(signal.SIGINT, []), (signal.SIGTERM, []), (signal.SIGINT, ["sh", "-c", 'trap "" INT; exec "$@"', "sh"])],
    ids=["SIGINT", "SIGTERM", "SIGINT in the background"],
)
def test_a_robot_that_moves_while_the_main_thread_is_in_c_is_halted_at_once(signum: int, shell: list[str]) -> None:
    agent = subprocess.Popen([*shell, sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        assert agent.stdout is not None and select.select([agent.stdout], [], [], 60)[0]
        assert agent.stdout.readline() == "in C\n"
        time.sleep(0.3)  # the call itself begins a moment after the line is printed
        agent.send_signal(signum)
        rest = agent.stdout.read()
        agent.wait(30)
    finally:
        agent.kill()
        agent.wait(10)
        agent.stdout.close()
    told = dict(line.split() for line in rest.splitlines())
    assert float(told["out"]) - float(told["halted"]) > 0.8, "before the main thread came back"
    assert agent.returncode == (-2 if signum == signal.SIGINT else 143)
