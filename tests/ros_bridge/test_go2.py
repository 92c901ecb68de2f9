"""Everything at once: the simulated Go2 behind Unitree's SDK, its ROS node, the bridge, a real server; an instruction moves it, a cancel stops it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from tests.nvila_edge.pixel_engine import start_pixel_server
from tests.ros_bridge.support import PACKAGE, ROOT, Process, ros_python
from tests.sim.go2.test_walk import simulated

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(240)]
PARAMETERS = {"odom_timeout_s": 1.0, "image_timeout_s": 3.0, "max_frame_age_s": 3.0, "min_probability": 0.0, "autostart": True}


def _arguments(values: dict[str, object]) -> list[str]:
    return ["--ros-args", *(item for name, value in values.items() for item in ("-p", f"{name}:={value}"))]


def test_an_instruction_over_ros_walks_the_simulated_go2(tmp_path: Path) -> None:
    python, log = ros_python(), tmp_path / "log"
    if subprocess.run([python, "-c", "import unitree_sdk2py"], capture_output=True).returncode:
        pytest.skip("no Unitree SDK in the ROS environment: make it anew with scripts/ros_venv.sh")
    own = {"ROS_DOMAIN_ID": str(random.SystemRandom().randint(1, 100)), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    environment = os.environ | own | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(PACKAGE)])}
    with simulated() as domain, start_pixel_server() as server, log.open("w") as said:
        start = {"env": environment, "stderr": said}
        go2 = [python, "-m", "nvila_edge_ros.go2_node", *_arguments({"interface": "lo", "domain": domain})]
        remap = ["-r", "image:=/image/compressed"]
        bridge = [python, "-m", "nvila_edge_ros.node", *_arguments({"server": server.address, **PARAMETERS}), *remap]
        observer = [python, str(Path(__file__).with_name("observer.py"))]
        processes = [subprocess.Popen(command, stdout=said, **start) for command in (go2, bridge)]
        watching = subprocess.Popen(observer, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **start)
        try:
            peer = Process(watching)
            peer.ask("ready")
            peer.ask("instruct", text="walk on")
            told = peer.ask("until", state="executed", count=3, timeout_s=25)
            assert told["there"], log.read_text() + json.dumps(told)
            executed = [row for row in told["progress"] if row["state"] == "executed"]
            assert any(row["moved_m"] > 0.1 or abs(row["turned_deg"]) > 5 for row in executed)
            cancelled = peer.ask("call", service="cancel")
            time.sleep(1.0)
            before, after = peer.ask("watch", seconds=0.0), peer.ask("watch", seconds=1.0)
            assert cancelled["success"] and after["last_motion_s"] - cancelled["called_s"] <= 0.1
            assert max(abs(after[axis] - before[axis]) for axis in ("x_m", "y_m")) < 0.08
        finally:
            for process in (*processes, watching):
                process.kill()
                process.wait(10)
