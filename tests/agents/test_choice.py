"""Which robot a word means, and what is said where it means none or cannot be had."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from agents.executor import ExecutorConfig
from agents.protocols import CameraError, RobotError
from agents.robots import choice
from agents.robots.choice import checked_robot, open_robot, velocity_robot
from agents.robots.kinematic import Kinematic
from agents.robots.remote import Remote
from nvila_edge.navigation.actions import Primitive
from nvila_edge.serving.process import start_process

NO_SDK = pytest.mark.skipif(importlib.util.find_spec("unitree_sdk2py") is not None, reason="the SDK is installed")


@pytest.mark.parametrize("name", ["dry-run", "kinematic", "go2:eth0", "go2:enp3s0.7:42", "tcp://127.0.0.1:5600"])
def test_what_means_a_robot(name: str) -> None:
    assert checked_robot(name) == name


@pytest.mark.parametrize("name", ["go2", "go2:", "go2:eth0:", "go2:eth0:one", "go2:eth0:1:2", "kinematic:eth0", "tank"])
def test_what_means_none_is_told_with_all_that_do(name: str) -> None:
    for refuse in (checked_robot, velocity_robot):
        with pytest.raises(ValueError, match=rf"unknown robot '{name}'; known: .*go2:INTERFACE\[:DOMAIN\].*eth0"):
            refuse(name)


@NO_SDK
def test_a_missing_sdk_is_named_with_its_extra_by_robot_camera_and_process() -> None:
    mend = r"pip install 'nvila-edge\[go2\]'"
    with pytest.raises(RobotError, match=mend):
        velocity_robot("go2:eth0")
    with pytest.raises(CameraError, match=mend):
        from agents.cameras.choice import open_camera

        open_camera("go2:eth0")
    command = [sys.executable, "-m", "agents.robots.serve", "--robot", "go2:eth0", "--bind", "tcp://127.0.0.1:*"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and done.stdout == "" and "pip install 'nvila-edge[go2]'" in done.stderr


def test_a_robot_is_driven_as_suits_it_also_when_another_process_serves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = choice.Driver("kinematic", "kinematic", Kinematic, ExecutorConfig(linear_mps=0.1, turn_deg=99))
    monkeypatch.setattr(choice, "VELOCITY_ROBOTS", (slow,))

    def top_mps(name: str) -> float:
        with open_robot(name, 30) as robot:
            told: list[float] = []
            command = robot._robot.command
            monkeypatch.setattr(robot._robot, "command", lambda linear, angular: (told.append(linear), command(linear, angular)))
            motion = robot.execute(Primitive.LEFT)
            assert motion.turned_deg == pytest.approx(30, abs=8), "the agent's own turn"
            robot.execute(Primitive.FORWARD)
            return max(told)

    command = [sys.executable, "-m", "agents.robots.serve", "--bind", "tcp://127.0.0.1:*", "--ends-with-stdin"]
    with start_process(command, 30) as served:
        with Remote(served.address) as watcher:
            assert watcher.state.robot == "kinematic"
        assert top_mps(served.address) == pytest.approx(0.1, abs=1e-6)
    assert top_mps("kinematic") == pytest.approx(0.1, abs=1e-6)
