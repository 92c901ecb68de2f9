"""The agent on the simulated Go2 over Unitree's SDK: within its own process, and through a process that serves the robot."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from agents.robots.remote import Remote
from nvila_edge.serving.process import start_process
from tests.agents.test_remote import wait_for
from tests.nvila_edge.pixel_engine import start_pixel_server
from tests.sim.go2.test_walk import ROOT, Lines, go2_python, simulated

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

AGENT = """
import json, sys
from agents.events import Ended, Executed
from agents.guard import GuardLimits
from agents.loop import LoopConfig
from agents.main import run_agent
out, sys.stdout = sys.stdout, sys.stderr  # the SDK prints
def tell(event):
    if isinstance(event, Executed):
        out.write(json.dumps({"primitive": event.primitive.name, **vars(event.motion)}) + "\\n")
    if isinstance(event, Ended):
        out.write(json.dumps({"reason": event.reason, "message": event.message}) + "\\n")
    out.flush()
run_agent(sys.argv[1], sys.argv[2], "walk on", robot=sys.argv[3], on_event=tell,
    config=LoopConfig(max_primitives=4, limits=GuardLimits(max_frame_age_s=5.0)))
"""


def test_an_agent_walks_the_go2_that_its_own_process_talks_to_and_sees_through() -> None:
    with simulated() as domain, start_pixel_server() as server:
        agent = Lines("-c", AGENT, server.address, f"go2:lo:{domain}", f"go2:lo:{domain}")
        try:
            told = [agent.next()]
            while "reason" not in told[-1]:
                told.append(agent.next())
            assert agent.process.wait(15) == 0
        finally:
            agent.end()
    assert told[-1]["reason"] in ("limit", "stop"), told
    moved = [row for row in told[:-1] if row["primitive"] != "STOP" and not row["collided"]]
    assert moved, told
    for row in moved:
        error = row["moved_m"] - 0.25 if row["primitive"] == "FORWARD" else abs(row["turned_deg"]) - 15
        assert abs(error) <= (0.12 if row["primitive"] == "FORWARD" else 9), row


def test_a_served_go2_stands_when_its_agent_is_killed_and_the_agent_needs_no_sdk(tmp_path: Path) -> None:
    for number in range(60):
        rgb = np.random.default_rng(number).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{number:03}.png"), rgb)
    with simulated() as domain, start_pixel_server() as server:
        serve = [
            go2_python(),
            "-m",
            "agents.robots.serve",
            "--robot",
            f"go2:lo:{domain}",
            "--bind",
            "tcp://127.0.0.1:*",
            "--ends-with-stdin",
        ]
        with start_process(serve, 60) as robot, Remote(robot.address, patience_s=3.0) as watcher:
            assert watcher.state.robot == f"go2:lo:{domain}"
            command = [sys.executable, "-c", AGENT, server.address, str(tmp_path), robot.address]
            agent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)})
            try:
                assert agent.stdout and select.select([agent.stdout], [], [], 60)[0]
                assert b"primitive" in agent.stdout.readline()
                wait_for(lambda: any(watcher.state.commanded), 20)
                agent.send_signal(signal.SIGKILL)
                killed_s = time.monotonic()
                assert wait_for(lambda: not any(watcher.state.commanded)) - killed_s <= 0.8
                time.sleep(0.6)
                before = watcher.odometry()
                time.sleep(0.6)
                after = watcher.odometry()
                assert abs(after.x_m - before.x_m) < 0.06 and abs(after.y_m - before.y_m) < 0.06
            finally:
                agent.kill()
                agent.wait(10)
                agent.stdout.close()
