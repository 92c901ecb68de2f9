"""The loop: what it tells, what it refuses, how it ends."""

from __future__ import annotations

import threading
import time

import pytest

from agents.events import Captured, Decided, Ended, Event, Executed, ServerBack, ServerLost, Withheld
from agents.guard import SIMULATION, GuardLimits
from agents.loop import Loop, LoopConfig
from agents.policy import RemotePolicy
from agents.protocols import CameraError, Motion, RobotError
from agents.robots.dry_run import DryRun
from nvila_edge.navigation.actions import Forward, Primitive, Stop, Turn
from nvila_edge.serving.client import Client
from nvila_edge.serving.errors import DeadlinePassed, LinkDown, RemoteError
from tests.agents.support import PoseCamera, Script


class SwitchedLink:
    """A link that the test switches."""

    def __init__(self) -> None:
        self.alive = True
        self.returns_after_s = 0.0

    def settle(self) -> bool:
        return self.alive

    def wait_alive(self, timeout_s: float) -> bool:
        time.sleep(min(timeout_s, self.returns_after_s))
        self.alive = self.alive or timeout_s >= self.returns_after_s
        return self.alive


def run(*answers, config: LoopConfig | None = None, delay_s: float = 0.0) -> tuple[list[Event], DryRun, Script]:
    robot, script = DryRun(), Script(answers)
    events = list(Loop(script, PoseCamera(robot, delay_s), robot, config=config).run("go", "e"))
    return events, robot, script


def test_actions_become_primitives_and_every_primitive_a_frame() -> None:
    events, robot, script = run(Forward(75), Turn(-30), Stop())
    kinds = "".join(type(event).__name__[0] for event in events)
    assert kinds == "CDECECECDECECDEE"  # Captured, Decided, Executed .. Ended
    assert [begun.primitive for begun in robot.begun] == [1, 1, 1, 3, 3, 0] == script.executed_primitives
    assert script.observed == list(range(6))
    ended = events[-1]
    assert isinstance(ended, Ended) and ended == Ended("stop", "", 6, 3, 0) and not ended.fault
    assert robot.z_m == pytest.approx(-0.75) and len(robot.halts) > 0


def test_latency_counts_from_capture() -> None:
    events, _, _ = run(Forward(25), Stop(), delay_s=0.05)
    latencies = [event.latency_ms for event in events if isinstance(event, Decided)]
    assert all(50 <= latency < 100 for latency in latencies)


def test_the_step_limit_ends_within_an_action() -> None:
    events, robot, _ = run(Forward(75), Forward(75), config=LoopConfig(max_primitives=5))
    assert len(robot.begun) == 5 and events[-1] == Ended("limit", "5 primitives", 5, 2, 0)


def test_the_decision_limit_ends() -> None:
    events, _, _ = run(*[Turn(15)] * 3, config=LoopConfig(max_decisions=2))
    assert events[-1] == Ended("limit", "2 decisions", 2, 2, 0)


def test_one_rejection_is_asked_again_with_a_fresh_frame_and_two_end() -> None:
    events, robot, script = run(None, Forward(25), Stop())
    assert events[-1] == Ended("stop", "", 2, 3, 1)
    assert script.observed == [0, 1, 2]
    events, robot, _ = run(Forward(25), None, None)
    ended = events[-1]
    assert isinstance(ended, Ended) and (ended.reason, ended.rejections, ended.fault) == ("rejected", 2, False)
    assert len(robot.begun) == 1


def test_amounts_are_cut_at_the_guards_limits() -> None:
    _, robot, _ = run(Forward(500), Turn(-360), Stop())
    assert [begun.primitive for begun in robot.begun] == [1] * 4 + [3] * 6 + [0]
    _, robot, _ = run(Forward(500), Stop(), config=LoopConfig(limits=SIMULATION))
    assert len(robot.begun) == 21


def test_a_stale_frame_withholds_the_action_and_three_in_a_row_end() -> None:
    events, robot, _ = run(*[Forward(50)] * 3, config=LoopConfig(limits=GuardLimits(max_frame_age_s=0.5)), delay_s=1.0)
    assert robot.begun == [] and robot.halts
    assert [event.dropped for event in events if isinstance(event, Withheld)] == [(Primitive.FORWARD,) * 2] * 3
    ended = events[-1]
    assert isinstance(ended, Ended) and ended.reason == "stale" and ended.fault


def test_late_answers_are_asked_again_and_three_in_a_row_end() -> None:
    events, _, script = run(DeadlinePassed("late"), Forward(25), DeadlinePassed("late"), DeadlinePassed("late"), Stop())
    assert events[-1] == Ended("stop", "", 2, 2, 0)
    events, robot, _ = run(*[DeadlinePassed("late")] * 3)
    assert isinstance(events[-1], Ended) and events[-1].reason == "server" and robot.begun == []


def test_an_error_of_the_server_ends_with_its_message() -> None:
    events, robot, _ = run(RemoteError("engine", "out of memory", "buy more"))
    assert events[-1] == Ended("error", "out of memory (engine); buy more", 0, 0, 0) and robot.halts


def test_a_server_lost_within_an_action_drops_the_queue_and_asks_anew() -> None:
    robot, link, script = DryRun(), SwitchedLink(), Script([Forward(75), Turn(15), Stop()])
    link.returns_after_s = 0.05
    seen: list[Event] = []
    for event in Loop(script, PoseCamera(robot), robot, link).run("go", "e"):
        seen.append(event)
        if isinstance(event, Executed) and (event.n, event.index) == (0, 0):
            link.alive = False
        if isinstance(event, ServerLost):
            assert robot.halts and len(robot.begun) == 1
    lost = next(event for event in seen if isinstance(event, ServerLost))
    back = next(event for event in seen if isinstance(event, ServerBack))
    assert lost.dropped == (Primitive.FORWARD, Primitive.FORWARD) and back.outage_ms >= 50
    assert [begun.primitive for begun in robot.begun] == [Primitive.FORWARD, Primitive.LEFT, Primitive.STOP]
    assert isinstance(seen[seen.index(back) + 1], Captured)


def test_a_server_lost_while_thinking_is_waited_for() -> None:
    events, robot, _ = run(LinkDown("gone"), Stop())
    assert [type(event) for event in events] == [Captured, ServerLost, ServerBack, Captured, Decided, Executed, Ended]


def test_a_server_that_stays_away_ends_the_run_cleanly() -> None:
    robot, link = DryRun(), SwitchedLink()
    link.alive, link.returns_after_s = False, 9.0
    config = LoopConfig(server_deadline_s=0.05)
    events = list(Loop(Script([Forward(25)]), PoseCamera(robot), robot, link, config).run("go", "e"))
    ended = events[-1]
    assert isinstance(ended, Ended) and ended.reason == "server" and "did not come back within 0.05 s" in ended.message
    assert robot.begun == [] and robot.halts


class Broken(DryRun):
    def execute(self, primitive: Primitive) -> Motion:
        raise RobotError("wheel off")


def test_faults_of_robot_and_camera_end_with_their_name() -> None:
    robot = Broken()
    events = list(Loop(Script([Forward(25)]), PoseCamera(robot), robot).run("go", "e"))
    assert events[-1] == Ended("robot", "wheel off", 0, 1, 0) and robot.halts

    class Dark(PoseCamera):
        def capture(self):
            raise CameraError("unplugged")

    events = list(Loop(Script([]), Dark(robot), robot).run("go", "e"))
    assert events == [Ended("camera", "unplugged", 0, 0, 0)]


def test_leaving_the_loop_halts_the_robot() -> None:
    robot = DryRun()
    iterator = Loop(Script([Forward(75)]), PoseCamera(robot), robot).run("go", "e")
    while not isinstance(next(iterator), Executed):
        pass
    before = len(robot.halts)
    iterator.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert len(robot.halts) == before + 1


@pytest.mark.parametrize("instruction", ["", "x" * 5000])
def test_a_bad_instruction_is_refused_before_anything_moves(instruction: str) -> None:
    robot = DryRun()
    with Client("tcp://127.0.0.1:9") as client, pytest.raises(ValueError, match="instruction"):
        next(Loop(RemotePolicy(client), PoseCamera(robot), robot, client).run(instruction, "e"))
    assert robot.begun == []


def test_a_halt_from_another_thread_ends_the_primitive_under_way() -> None:
    robot = DryRun(primitive_s=5)
    threading.Timer(0.1, robot.halt).start()
    started_s = time.monotonic()
    assert robot.execute(Primitive.FORWARD) == Motion(0.0, 0.0, False)
    assert time.monotonic() - started_s < 1
