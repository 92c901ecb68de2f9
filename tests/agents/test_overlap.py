"""Thinking while moving: the robot waits less, what is too old is asked anew, and what the policy and the server are told stays in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from agents import overlap
from agents.events import Captured, Decided, Ended, Event, Executed
from agents.loop import Loop, LoopConfig
from agents.overlap import OverlapConfig, Overlapped
from agents.policy import RemotePolicy
from agents.protocols import Frame, Motion, RobotError
from agents.robots.dry_run import DryRun
from nvila_edge.navigation.actions import Action, Forward, Primitive, Stop, Turn
from nvila_edge.navigation.decision import Decision
from nvila_edge.serving.client import Client
from tests.agents.support import PoseCamera, Script, check_answers_are_those_of_an_undisturbed_server
from tests.nvila_edge.pixel_engine import start_pixel_server

THINKS_S, MOVES_S = 0.08, 0.25
WIDE = OverlapConfig(max_ahead_m=0.2, max_ahead_deg=12)  # a dry run has no odometry: time tells how far it still goes


class Thinker(Script):
    """A script that takes its time, notes everything in order, and whether two threads were ever in it at once."""

    def __init__(self, answers: Sequence[Action | Exception | None], thinks_s: float = THINKS_S) -> None:
        super().__init__(answers)
        self.notes: list[str] = []
        self._thinks_s, self._inside, self.overlapped = thinks_s, threading.Lock(), False

    def _note(self, note: str) -> None:
        self.overlapped |= not self._inside.acquire(blocking=False)
        self.notes.append(note)
        self._inside.release()

    def observe(self, frame: Frame) -> None:
        self._note(f"saw {frame.frame_id}")

    def executed(self, action: Action, primitive: Primitive, motion: Motion) -> None:
        self._note(f"did {primitive.name}")

    def revised(self, primitive: Primitive, motion: Motion) -> None:
        self._note(f"revised {primitive.name} {motion.moved_m:g}")

    def decide(self) -> Decision:
        self._inside.acquire()
        try:
            time.sleep(self._thinks_s)
            self.notes.append("decided")
            return super().decide()
        finally:
            self._inside.release()


def run(
    answers: Sequence[Action], robot: DryRun | None = None, bounds: OverlapConfig = WIDE, limit: int = 500
) -> tuple[list[Event], Thinker, Overlapped]:
    robot, script = robot or DryRun(MOVES_S), Thinker([*answers, Stop()])
    loop = Overlapped(script, PoseCamera(robot), robot, config=LoopConfig(max_primitives=limit), overlap=bounds)
    return list(loop.run("go", "e")), script, loop


def test_the_robot_hardly_waits_and_the_order_told_is_that_of_the_loop() -> None:
    answers = [Forward(50), Turn(15), Forward(25), Turn(15), Forward(75), Turn(15), Forward(25)]
    began_s = time.monotonic()
    events, script, loop = run(answers)
    took_s = time.monotonic() - began_s
    moving_s = MOVES_S * 10
    assert loop.account.handed_over >= 4 and not script.overlapped
    assert took_s - moving_s < 0.75 * THINKS_S * (len(answers) + 1), "a loop without overlap waits for all decisions"
    plain = Thinker([*answers, Stop()], 0.0)
    robot = DryRun()
    list(Loop(plain, PoseCamera(robot), robot).run("go", "e"))
    assert script.notes == plain.notes, "the policy cannot tell the difference"
    executed = [event.primitive for event in events if isinstance(event, Executed)]
    assert executed == [b.primitive for b in robot.begun] and isinstance(events[-1], Ended) and events[-1].reason == "stop"
    assert [event.n for event in events if isinstance(event, Decided)] == list(range(8))


def test_an_answer_from_too_far_back_is_asked_anew() -> None:
    _, script, loop = run([Forward(25)] * 12, bounds=OverlapConfig(max_ahead_m=0.01), limit=5)
    assert loop.account.revised >= 2 and loop.account.handed_over == 0 and "revised FORWARD 0.25" in script.notes
    at = script.notes.index("revised FORWARD 0.25")
    assert script.notes[at - 3] == "did FORWARD" and script.notes[at - 1] == "decided" and script.notes[at + 1].startswith("saw")


class Wall(DryRun):
    """Its third and later steps ahead meet something."""

    def execute(self, primitive: Primitive) -> Motion:
        motion = super().execute(primitive)
        met = primitive == Primitive.FORWARD and len(self.begun) >= 3
        return Motion(0.02, 0.0, True) if met else motion


def test_a_step_that_met_something_is_told_and_asked_about_anew() -> None:
    _, script, loop = run([Forward(25)] * 12, Wall(MOVES_S), limit=5)
    assert loop.account.revised >= 1 and "revised FORWARD 0.02" in script.notes


class Broken(DryRun):
    def execute(self, primitive: Primitive) -> Motion:
        if len(self.begun) >= 2:
            raise RobotError("wheel off")
        return super().execute(primitive)


def test_faults_end_it_halted_and_leave_no_thread_at_work() -> None:
    robot = Broken(MOVES_S)
    events, _, _ = run([Forward(25)] * 4, robot)
    assert isinstance(events[-1], Ended) and (events[-1].reason, events[-1].message) == ("robot", "wheel off") and robot.halts


class Lost(Thinker):
    """Its third answer, the first that is asked ahead, takes long."""

    def decide(self) -> Decision:
        self._thinks_s = 1.5 if len(self._answers) == 7 else 0.0
        return super().decide()


def test_a_policy_or_robot_that_never_answers_ends_it_halted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "_MOTION_S", 0.3)
    robot = DryRun(primitive_s=20)
    events, _, _ = run([Forward(25)], robot)
    assert isinstance(events[-1], Ended) and events[-1].reason == "robot" and "has not ended FORWARD within 0.3 s" in events[-1].message
    assert robot.halts
    monkeypatch.setattr(overlap, "_THOUGHT_S", 0.3)
    monkeypatch.setattr(overlap, "_MOTION_S", 10.0)
    for wide in (WIDE, OverlapConfig(max_ahead_m=0.01)):  # one answer is handed over, the other asked anew
        robot = DryRun(MOVES_S)
        last = list(Overlapped(Lost([Forward(25)] * 9), PoseCamera(robot), robot, overlap=wide).run("go", "e"))[-1]
        assert isinstance(last, Ended) and last.reason == "robot" and "has not answered for 0.3 s" in last.message and robot.halts


@pytest.mark.parametrize("after", [Captured, Decided, Executed])
def test_leaving_it_anywhere_ends_the_motion(after: type) -> None:
    robot = DryRun(primitive_s=5)
    loop = Overlapped(Thinker([Forward(75)] * 3), PoseCamera(robot), robot)
    iterator = loop.run("go", "e")
    threading.Timer(0.3, robot.halt).start()  # ends the first primitive early, so that something is executed
    while not isinstance(next(iterator), after):
        pass
    iterator.close()
    begun = len(robot.begun)
    time.sleep(0.1)
    assert len(robot.begun) == begun and robot.halts and (loop._moving is None or loop._moving.done())


def test_the_server_is_told_what_was_executed_so_that_any_server_would_answer_the_same() -> None:
    robot = DryRun(0.1)
    camera = PoseCamera(robot)
    with start_pixel_server("stream", delay_s=0.03) as server, Client(server.address) as client:
        assert client.wait_alive(5)
        tight = OverlapConfig(max_ahead_m=0.12, max_ahead_deg=8)
        loop = Overlapped(RemotePolicy(client), camera, robot, client, LoopConfig(max_primitives=30), overlap=tight)
        events = list(loop.run("go", "e"))
    assert loop.account.handed_over + loop.account.revised >= 4
    assert check_answers_are_those_of_an_undisturbed_server(events, camera) > 5
