"""Limits that a user sets in a file, and that they hold wherever a robot is driven."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from agents.executor import Executor, ExecutorConfig
from agents.guard import GuardLimits
from agents.limits import VelocityLimits, read_limits
from agents.robots.choice import open_robot
from agents.robots.estop import press
from agents.robots.kinematic import Kinematic
from agents.robots.remote import Remote
from agents.watchdog import Watchdog
from agents.zones import read_zones
from nvila_edge.cli import main
from nvila_edge.navigation.actions import Primitive
from nvila_edge.serving.process import ServerProcess, start_process
from tests.agents.made_time import MadeTime
from tests.agents.test_remote import wait_for

SLOW = "max_velocity: [0.1, 0.0, 0.4]\nmax_accel: [0.2, 0.0, 0.8]\n"


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    path = tmp_path / "slow.yaml"
    path.write_text(SLOW)
    return path


class Told:
    """A robot that obeys within limits, as behind a watchdog, and what it was told."""

    def __init__(self, clock: MadeTime, limits: VelocityLimits) -> None:
        self._robot, self._limits, self.told = Kinematic(clock=clock), limits, [(0.0, 0.0)]
        self.odometry, self.halt = self._robot.odometry, self._robot.halt

    def command(self, linear_mps: float, angular_rps: float) -> None:
        self.told.append((linear_mps, angular_rps))
        self._robot.command(*self._limits.clamped(linear_mps, angular_rps))


def test_a_file_in_nav2s_form_is_read_and_what_it_leaves_out_is_the_default(slow: Path) -> None:
    limits = VelocityLimits(max_velocity=(0.1, 0.4), min_velocity=(0.0, -0.4), max_accel=(0.2, 0.8))
    assert read_limits(slow) == limits, "it turns right no faster than left"
    slow.write_text("max_velocity: [0.1, 0.4]\nmin_velocity: [-0.2, 0.0, -0.3]\nvelocity_timeout: 1\nsmoothing_frequency: 10\n")
    assert read_limits(slow) == VelocityLimits((0.1, 0.4), (-0.2, -0.3), velocity_timeout=1.0, smoothing_frequency=10.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_velocty: [0.1, 0.4]", "unknown key 'max_velocty'; did you mean 'max_velocity'"),
        ("feedback: OPEN_LOOP", "unknown key 'feedback'; known: max_velocity, .*smoothing_frequency"),
        ("1: 2", "unknown key 1; known"),
        ("max_velocity: [0.1, 0.2, 0.4]", "y of 0: nothing drives sideways"),
        ("max_velocity: 0.1", r"max_velocity is 0.1; it must be \[linear, angular\]"),
        ("max_velocity: [true, 1]", r"max_velocity is \[True, 1\]"),
        ("max_velocity: [fast, 1]", r"max_velocity is \['fast', 1\]"),
        ("max_velocity: [.nan, 1]", "max_velocity is .* finite"),
        ("max_accel: [0.0, 1.0]", "max_accel .* at least 0.1"),
        ("velocity_timeout: [0.3]", "velocity_timeout is .* must be a number"),
        ("velocity_timeout: 9", "from 0.05 to 2"),
        ("", "a map is needed"),
        ("[1, 2]", "a map is needed"),
        ("max_accel: [", "is no YAML"),
    ],
)
def test_a_file_that_means_nothing_is_refused_by_name(slow: Path, text: str, words: str) -> None:
    slow.write_text(text)
    with pytest.raises(ValueError, match=rf"slow\.yaml.*{words}"):
        read_limits(slow)


def test_agent_and_robots_process_refuse_such_a_file_before_anything_moves(slow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow.write_text("max_acel: [1, 1]")
    words = f"error: {slow}: unknown key 'max_acel'; did you mean 'max_accel'?"
    agent = ["agent", "--server", "tcp://127.0.0.1:9", "--camera", str(slow.parent), "--instruction", "go", "--limits"]
    assert main([*agent, str(slow)]) == 2 and words in capsys.readouterr().err
    command = [sys.executable, "-m", "agents.robots.serve", "--bind", "tcp://127.0.0.1:*", "--limits"]
    done = subprocess.run([*command, str(slow)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and words in done.stderr and done.stdout == ""
    assert main([*agent, str(slow) + ".none"]) == 2 and "slow.yaml.none" in capsys.readouterr().err


@pytest.mark.parametrize("primitive", [Primitive.FORWARD, Primitive.RIGHT])
def test_primitives_are_driven_within_the_limits_and_complete(slow: Path, primitive: Primitive) -> None:
    clock, limits = MadeTime(), read_limits(slow)
    robot = Told(clock, limits)
    motion = Executor(robot, ExecutorConfig(turn_deg=30).within(limits), clock=clock).execute(primitive)
    wanted = (0.25, 0.0) if primitive == Primitive.FORWARD else (0.0, -30.0)
    assert (motion.moved_m, motion.turned_deg) == (pytest.approx(wanted[0], abs=0.03), pytest.approx(wanted[1], abs=3.0))
    speeds = np.abs(robot.told)
    assert tuple(speeds.max(axis=0)) == pytest.approx((0.1, 0.0) if primitive == Primitive.FORWARD else (0.0, 0.4), abs=1e-9)
    assert (np.diff(speeds, axis=0).max(axis=0) <= np.array([0.2, 0.8]) / 20 + 1e-9).all(), "at 20 commands a second"


def test_what_the_deadband_would_swallow_is_not_sent() -> None:
    clock, limits = MadeTime(), VelocityLimits(deadband_velocity=(0.2, 0.4))
    robot = Told(clock, limits)
    executor = Executor(robot, ExecutorConfig().within(limits), clock=clock)
    assert executor.execute(Primitive.FORWARD).moved_m == pytest.approx(0.25, abs=0.05)
    assert executor.execute(Primitive.LEFT).turned_deg == pytest.approx(15, abs=5)


def test_the_least_limits_that_are_allowed_are_no_disobedience() -> None:
    clock = MadeTime()
    limits = VelocityLimits((0.05, 0.1), (0.0, -0.1), max_accel=(0.1, 0.1), max_decel=(-0.1, -0.1))
    executor = Executor(Told(clock, limits), ExecutorConfig().within(limits), clock=clock)
    assert executor.execute(Primitive.FORWARD).moved_m == pytest.approx(0.25, abs=0.03)
    assert executor.execute(Primitive.LEFT).turned_deg == pytest.approx(15, abs=3)


def test_a_robot_by_name_has_them_in_its_watchdog_and_its_executor(slow: Path) -> None:
    with open_robot("kinematic", limits=read_limits(slow)) as robot:
        assert isinstance(robot, Executor) and isinstance(watchdog := robot._robot, Watchdog)
        watchdog.command(0.5, -0.9)
        assert watchdog.commanded == (0.1, -0.4)
        assert robot._config.linear_mps == 0.1 and robot._config.limits.max_accel == (0.2, 0.8)


def test_a_robots_process_lets_nothing_faster_pass(slow: Path) -> None:
    command = [sys.executable, "-m", "agents.robots.serve", "--bind", "tcp://127.0.0.1:*", "--ends-with-stdin", "--limits", str(slow)]
    with start_process(command, 30) as served, Remote(served.address, patience_s=3.0) as robot:
        poses, until_s = [robot.odometry()], time.monotonic() + 1.5
        while time.monotonic() < until_s:
            robot.command(0.5, 0.0)
            poses.append(robot.odometry())
            assert robot.state.commanded[0] <= 0.1
            time.sleep(0.05)
    speeds = [(b.x_m - a.x_m) / (b.stamp_s - a.stamp_s) for a, b in zip(poses, poses[1:]) if b.stamp_s > a.stamp_s]
    assert 0.05 < max(speeds) <= 0.1 + 1e-6


def test_an_agent_heeds_its_file_with_a_robots_process_that_allows_more(
    slow: Path, images: Path, robot: ServerProcess, server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.main.ON_ROBOT", GuardLimits())  # the pixels' decisions are none too sure
    seen: list[tuple[float, float]] = []

    def watch() -> None:
        with Remote(robot.address, patience_s=3.0) as watcher:
            try:
                wait_for(lambda: seen.append(watcher.state.commanded) or sum(linear > 0 for linear, _ in seen) > 20, 20)
            finally:
                press(robot.address)  # ends the agent's episode

    watching = threading.Thread(target=watch)
    watching.start()
    command = ["agent", "--server", server.address, "--camera", str(images), "--robot", robot.address, "--instruction", "walk on"]
    with pytest.raises(SystemExit, match="1"):
        main([*command, "--limits", str(slow)])
    watching.join(25)
    linear, angular = np.abs(seen).max(axis=0)
    assert 0.03 < linear <= 0.1 + 1e-9 and angular <= 0.4 + 1e-9


def test_the_files_to_copy_are_read() -> None:
    folder = Path(__file__).parents[2] / "nvila_edge" / "recipes" / "robots"
    limits = read_limits(folder / "limits.yaml")
    assert limits == VelocityLimits((0.3, 0.8), (0.0, -0.8), (0.5, 1.6), (-1.0, -1.6)) and limits.velocity_timeout == 0.3
    room, stairs = read_zones(folder / "zones.yaml")
    assert not room.forbids(0, 0) and room.forbids(6, 0) and stairs.forbids(4, 2) and not stairs.forbids(0, 0)
