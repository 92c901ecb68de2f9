"""A robot that fails within an episode is waited for, standing; a bounded time, and never one that must be left alone."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from agents.events import Captured, Decided, Ended, Event, Executed, RobotBack, RobotLost
from agents.executor import Executor, ExecutorConfig
from agents.loop import Loop, LoopConfig
from agents.overlap import Overlapped
from agents.protocols import Odometry, RobotError
from agents.robots.dry_run import DryRun
from agents.robots.kinematic import Kinematic
from agents.robots.remote import Remote
from agents.watchdog import Watchdog
from nvila_edge.navigation.actions import Action, Forward, Primitive, Stop
from nvila_edge.serving.process import ServerProcess, start_process
from tests.agents.support import PoseCamera
from tests.agents.test_guard import Turning

SERVE = [sys.executable, "-m", "agents.robots.serve", "--ends-with-stdin", "--bind"]
KINDS = pytest.mark.parametrize("kind", [Loop, Overlapped])


@contextmanager
def walking(
    kind: type[Loop], answers: list[Action | Exception | None], config: LoopConfig
) -> Iterator[tuple[ServerProcess, Iterator[Event], Loop]]:
    """A robot's process, the events of an episode with it, and its loop."""
    with start_process([*SERVE, "tcp://127.0.0.1:*"], 30) as served, Remote(served.address, patience_s=0.5) as robot:
        executor = Executor(robot, ExecutorConfig(linear_mps=0.3))
        loop = kind(Turning(answers), PoseCamera(DryRun()), executor, config=config, pose=executor.odometry)
        yield served, loop.run("go", "e"), loop


def after_s(delay_s: float, do: Callable[[], object]) -> None:
    threading.Timer(delay_s, do).start()


@KINDS
def test_a_robot_whose_process_died_is_waited_for_and_a_fresh_decision_follows(kind: type[Loop]) -> None:
    with walking(kind, [Forward(75), *[Forward(25)] * 5, Stop()], LoopConfig(robot_deadline_s=20)) as (served, events, _):
        told = [next(events), next(events)]
        assert isinstance(told[-1], Decided)
        after_s(0.4, served.kill)
        while not isinstance(told[-1], RobotLost):
            told.append(next(events))
        lost = told[-1]
        assert (
            lost.n == 0
            and "waiting for the robot, at most 20 s" in lost.message
            and lost.dropped
            and set(lost.dropped) == {Primitive.FORWARD}
        )
        again = subprocess.Popen([*SERVE, served.address], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            told += list(events)
        finally:
            again.kill()
            again.wait(10)
            assert again.stdin is not None
            again.stdin.close()
    after = told[told.index(lost) + 1 :]
    assert isinstance(after[0], RobotBack) and after[0].outage_ms > 500
    assert isinstance(after[1], Captured) and isinstance(after[2], Decided) and after[2].n == lost.n + 1
    done = [event for event in after if isinstance(event, Executed)]
    assert [event.n for event in done] == list(range(lost.n + 1, lost.n + 1 + len(done))), "nothing of what was decided before"
    assert done[0].motion.moved_m == pytest.approx(0.25, abs=0.05)
    assert isinstance(told[-1], Ended) and told[-1].reason == "stop"


@KINDS
def test_one_that_stays_away_ends_the_episode_at_the_deadline(kind: type[Loop]) -> None:
    with walking(kind, [Forward(75), Stop()], LoopConfig(robot_deadline_s=0.7)) as (served, events, _):
        told = [next(events), next(events)]
        after_s(0.3, served.kill)
        told += list(events)
    lost, ended = told[-2], told[-1]
    assert isinstance(lost, RobotLost) and "at most 0.7 s" in lost.message
    assert isinstance(ended, Ended) and ended.fault and ended.reason == "robot" and "did not come back within 0.7 s" in ended.message


@KINDS
def test_an_e_stop_is_not_waited_out(kind: type[Loop]) -> None:
    with walking(kind, [Forward(75)] * 3, LoopConfig()) as (served, events, _), Remote(served.address, patience_s=3.0) as person:
        after_s(0.4, lambda: person.estop("a person"))
        told = list(events)
        assert isinstance(told[-1], Ended) and told[-1].reason == "robot" and "e-stop is latched (a person)" in told[-1].message
        assert not any(isinstance(event, RobotLost) for event in told) and person.state.commanded == (0.0, 0.0)


def test_while_it_is_waited_for_it_can_be_cancelled() -> None:
    with walking(Loop, [Forward(75), Stop()], LoopConfig(robot_deadline_s=30)) as (served, events, loop):
        told = [next(events), next(events)]
        after_s(0.3, served.kill)
        while not isinstance(told[-1], RobotLost):
            told.append(next(events))
        after_s(0.3, lambda: loop.cancel("enough", wait_s=0.0))
        began_s = time.monotonic()
        ended = list(events)[-1]
        assert isinstance(ended, Ended) and ended.reason == "cancelled" and time.monotonic() - began_s < 2.0


class Trips(Kinematic):
    """Its odometry fails for 0.4 s in every primitive; notes what it is told meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.fails_until_s, self.meanwhile = 0.0, list[tuple[float, float]]()

    def command(self, linear_mps: float, angular_rps: float) -> None:
        if time.monotonic() < self.fails_until_s:
            self.meanwhile.append((linear_mps, angular_rps))
        elif linear_mps:
            self.fails_until_s = time.monotonic() + 0.4
        super().command(linear_mps, angular_rps)

    def odometry(self) -> Odometry:
        if time.monotonic() < self.fails_until_s:
            raise RobotError("tripped")
        return super().odometry()


@KINDS
@pytest.mark.parametrize("frozen", [False, True])
def test_one_that_fails_again_and_again_is_given_up_and_stands_meanwhile(kind: type[Loop], frozen: bool) -> None:
    robot = Trips()
    with Watchdog(robot) as watchdog:
        executor = Executor(watchdog)
        pose = (lambda: replace(executor.odometry(), stamp_s=time.monotonic() - 1)) if frozen else executor.odometry
        loop = kind(Turning([Forward(75)] * 9), PoseCamera(DryRun()), executor, config=LoopConfig(robot_deadline_s=1.5), pose=pose)
        told = list(loop.run("go", "e"))
    ended = told[-1]
    assert isinstance(ended, Ended) and ended.reason == "robot" and "tripped" in ended.message
    assert sum(isinstance(event, RobotLost) for event in told) == (1 if frozen else 3)
    assert ("did not come back within 1.5 s" if frozen else "3 times in a row") in ended.message
    assert robot.meanwhile and set(robot.meanwhile) == {(0.0, 0.0)} and not any(isinstance(event, Executed) for event in told)


def test_without_odometry_nothing_tells_when_it_is_back() -> None:
    class Broken(DryRun):
        def execute(self, primitive: Primitive):  # noqa: ANN201
            raise RobotError("wheel off")

    told = list(Loop(Turning([Forward(25)] * 3), PoseCamera(DryRun()), Broken()).run("go", "e"))
    assert isinstance(told[-1], Ended) and (told[-1].reason, told[-1].message) == ("robot", "wheel off")
