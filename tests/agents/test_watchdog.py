"""The lowest layer: commands run out, the e-stop latches, and nothing but sane velocities pass."""

from __future__ import annotations

import math
import threading
import time

import pytest

from agents.protocols import Odometry, RobotError
from agents.robots.kinematic import Body, Kinematic
from agents.watchdog import EStopped, Watchdog
from tests.agents.made_time import MadeTime


class Noted(Kinematic):
    """Notes what it is told, and when."""

    def __init__(self) -> None:
        self.told: list[tuple[float, float, float]] = []
        super().__init__(Body(lag_s=0, response_s=0, coast_s=0, dead_man_s=60))

    def command(self, linear_mps: float, angular_rps: float) -> None:
        self.told.append((time.monotonic(), linear_mps, angular_rps))
        super().command(linear_mps, angular_rps)


def test_a_command_runs_out_after_300_ms() -> None:
    robot = Noted()
    with Watchdog(robot) as watchdog:
        watchdog.command(0.3, 0.0)
        given_s = robot.told[-1][0]
        time.sleep(0.15)
        assert robot.velocity == (0.3, 0.0)
        time.sleep(0.35)
        zero_s = next(at for at, *pair in robot.told if pair == [0, 0])
        assert 0.28 < zero_s - given_s < 0.45 and robot.velocity == (0, 0) and watchdog.timeouts == 1
        watchdog.command(0.2, 0.0)
        assert robot.velocity == (0.2, 0) or robot.told[-1][1:] == (0.2, 0)
    assert robot.told[-1][1:] == (0, 0), "closing halts"


def test_commands_that_keep_coming_keep_it_moving_within_the_limits() -> None:
    robot = Noted()
    with Watchdog(robot) as watchdog:
        for _ in range(10):
            watchdog.command(5.0, -9.0)
            time.sleep(0.05)
        assert watchdog.timeouts == 0 and {pair for _, *pair in map(tuple, robot.told) for pair in [tuple(pair)]} == {(0.5, -1.0)}


@pytest.mark.parametrize("pair", [(math.nan, 0.0), (0.0, math.inf)])
def test_a_velocity_that_is_not_finite_halts(pair: tuple[float, float]) -> None:
    robot = Noted()
    with Watchdog(robot) as watchdog:
        watchdog.command(0.3, 0.0)
        with pytest.raises(RobotError, match="not finite"):
            watchdog.command(*pair)
        assert robot.told[-1][1:] == (0, 0)


def test_the_e_stop_latches_until_it_is_reset() -> None:
    robot = Noted()
    with Watchdog(robot) as watchdog:
        watchdog.command(0.3, 0.0)
        watchdog.estop("a person")
        watchdog.estop("another")
        assert robot.told[-1][1:] == (0, 0)
        with pytest.raises(EStopped, match="a person"):
            watchdog.command(0.3, 0.0)
        time.sleep(0.1)
        assert robot.velocity == (0, 0)
        watchdog.reset()
        assert robot.told[-1][1:] == (0, 0)
        watchdog.command(0.3, 0.0)
        assert robot.told[-1][1:] == (0.3, 0)


@pytest.mark.parametrize("jump_s", [-30.0, 30.0])
def test_a_clock_that_jumps_stops_the_robot(jump_s: float) -> None:
    robot, clock = Noted(), MadeTime()
    with Watchdog(robot, clock=clock) as watchdog:
        watchdog.command(0.3, 0.0)
        clock.jump(jump_s)
        watchdog.check()
        assert robot.told[-1][1:] == (0, 0)


class Hangs(Kinematic):
    """Its driver does not come back from a command that moves it."""

    def __init__(self) -> None:
        super().__init__()
        self.zeros, self.release = 0, threading.Event()

    def command(self, linear_mps: float, angular_rps: float) -> None:
        self.release.wait(5)

    def halt(self) -> None:
        self.zeros += 1

    def odometry(self) -> Odometry:
        return super().odometry()


def test_a_driver_that_hangs_in_a_command_is_still_told_to_halt() -> None:
    robot = Hangs()
    with Watchdog(robot) as watchdog:
        thread = threading.Thread(target=watchdog.command, args=(0.3, 0.0))
        thread.start()
        time.sleep(0.6)
        assert robot.zeros >= 1 and thread.is_alive()
        robot.release.set()
        thread.join(2)
