"""Whatever goes wrong, the answer is never motion."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from agents.events import Captured, Decided, Ended, Event, Executed, Withheld
from agents.guard import GuardLimits
from agents.loop import Loop, LoopConfig
from agents.overlap import Overlapped
from agents.protocols import Frame, Motion
from agents.robots.dry_run import DryRun
from nvila_edge.navigation.actions import Forward, Primitive, Stop, Turn
from nvila_edge.navigation.decision import Decision
from tests.agents.support import PoseCamera, Script


class Shows(PoseCamera):
    """A camera whose frames are what `spoil` makes of (number, time of capture)."""

    def __init__(self, robot: DryRun, spoil: Callable[[int, float], tuple[int, float]], begins: int = 0) -> None:
        super().__init__(robot)
        self._spoil, self._begins = spoil, begins

    def capture(self) -> Frame:
        frame = super().capture()
        if frame.frame_id < self._begins:
            return frame
        frame_id, captured_s = self._spoil(frame.frame_id, frame.captured_s)
        return Frame(frame_id, frame.rgb, captured_s)


START_S = time.monotonic()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda n, s: (n, s - 3),
        lambda n, s: (n, s + 60),
        lambda n, s: (n, math.nan),
        lambda n, s: (n, -math.inf),
        lambda n, s: (n, math.inf),
        lambda n, s: (n, START_S - 10),
    ],
    ids=["stale", "from the future", "nan", "never", "for ever", "frozen"],
)
def test_frames_of_a_wrong_time_move_nothing(spoil: Callable) -> None:
    robot = DryRun()
    events = list(Loop(Script([Forward(75)] * 5), Shows(robot, spoil), robot).run("go", "e"))
    assert robot.begun == [] and robot.halts
    assert isinstance(events[-1], Ended) and events[-1].reason == "stale" and sum(isinstance(e, Withheld) for e in events) == 3


@pytest.mark.parametrize("shown", [lambda n: 2, lambda n: 5 - n], ids=["again and again", "backwards"])
def test_frames_shown_again_or_out_of_order_make_nothing_fresher(shown: Callable[[int], int]) -> None:
    robot = DryRun(0.05)
    camera = Shows(robot, lambda n, s: (shown(n), s), begins=3)
    events = list(
        Loop(Script([Forward(25)] * 20), camera, robot, config=LoopConfig(limits=GuardLimits(max_frame_age_s=0.12))).run("go", "e")
    )
    assert isinstance(events[-1], Ended) and events[-1].reason == "stale" and 3 <= len(robot.begun) <= 6


class Unsure(Script):
    """Answers with these probabilities."""

    def __init__(self, probabilities: list[float]) -> None:
        super().__init__([Forward(25)] * len(probabilities) + [Stop()])
        self._probabilities = [*probabilities, 1.0]

    def decide(self) -> Decision:
        return Decision(super().decide().action, "forward", self._probabilities.pop(0))


@pytest.mark.parametrize("bad", [0.1, 0.0, math.nan, -1.0])
@pytest.mark.parametrize("kind", [Loop, Overlapped])
def test_an_unsure_answer_is_held_and_asked_again(kind: type, bad: float) -> None:
    robot, config = DryRun(), LoopConfig(limits=GuardLimits(min_probability=0.2))
    events = list(kind(Unsure([bad, 0.9, bad, bad]), PoseCamera(robot), robot, config=config).run("go", "e"))
    assert [begun.primitive for begun in robot.begun] == [Primitive.FORWARD, Primitive.STOP]
    withheld = [event for event in events if isinstance(event, Withheld)]
    assert len(withheld) == 3 and "not sure enough" in withheld[0].message and withheld[0].dropped == (Primitive.FORWARD,)
    robot = DryRun()
    ended = list(kind(Unsure([bad] * 9), PoseCamera(robot), robot, config=config).run("go", "e"))[-1]
    assert isinstance(ended, Ended) and ended.reason == "unsure" and not ended.fault and robot.begun == [] and robot.halts


class Answers(DryRun):
    """Says that it did this, whatever it was told."""

    def __init__(self, motion: Motion) -> None:
        super().__init__()
        self._motion = motion

    def execute(self, primitive: Primitive) -> Motion:
        super().execute(primitive)
        return self._motion


@pytest.mark.parametrize(
    ("motion", "begun", "words"),
    [
        (Motion(math.nan, 0.0, False), 1, "check its odometry"),
        (Motion(0.0, math.inf, False), 1, "check its odometry"),
        (Motion(40.0, 0.0, False), 1, "check its odometry"),
        (Motion(0.0, 0.0, False), 5, "does not obey"),
        (Motion(0.01, 1.0, False), 5, "does not obey"),
    ],
)
@pytest.mark.parametrize("kind", [Loop, Overlapped])
def test_a_robot_whose_motion_makes_no_sense_is_halted(kind: type, motion: Motion, begun: int, words: str) -> None:
    robot = Answers(motion)
    events = list(kind(Unsure([1.0] * 9) if begun == 1 else Turning([Turn(15)] * 9), PoseCamera(robot), robot).run("go", "e"))
    assert isinstance(events[-1], Ended) and events[-1].reason == "robot" and words in events[-1].message
    assert len(robot.begun) == begun and robot.halts


class Turning(Script):
    """A script that the overlapped loop can use too."""

    def revised(self, primitive: Primitive, motion: Motion) -> None:
        """Nothing."""


Unsure.revised = Turning.revised  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [Loop, Overlapped])
@pytest.mark.parametrize("primitive_s", [0.02, 5.0])
def test_cancelled_from_another_thread_it_stands_within_100_ms(kind: type, primitive_s: float) -> None:
    robot = DryRun(primitive_s)
    loop, took_s = kind(Turning([Forward(75)] * 500), PoseCamera(robot), robot), list[float]()
    events: list[Event] = []

    def cancel() -> None:
        time.sleep(0.3)
        asked_s = time.monotonic()
        assert loop.cancel("enough", wait_s=2.0)
        took_s.append(time.monotonic() - asked_s)

    thread = threading.Thread(target=cancel)
    thread.start()
    for event in loop.run("go", "e"):
        events.append(event)
    thread.join()
    assert isinstance(events[-1], Ended) and (events[-1].reason, events[-1].message, events[-1].fault) == ("cancelled", "enough", False)
    assert took_s[0] < 0.1 + 0.1  # the machine may be busy
    assert robot.halts[0] - (robot.begun[0].at_s) < 0.6
    assert any(isinstance(event, Executed) for event in events)
    again = loop.run("go", "again")
    assert [type(next(again)) for _ in range(2)] == [Captured, Decided], "what was cancelled is over, the next one begins"
    again.close()


def test_numbers_of_frames_may_begin_anew_with_an_episode() -> None:
    robot = DryRun()
    loop = Loop(Script([Forward(25), Stop()] * 2), PoseCamera(robot), robot, config=LoopConfig(limits=GuardLimits(max_frame_age_s=0.2)))
    assert [event.reason for event in loop.run("go", "1") if isinstance(event, Ended)] == ["stop"]
    time.sleep(0.3)
    loop._camera = PoseCamera(robot)  # its frames count from 0
    assert [event.reason for event in loop.run("go", "2") if isinstance(event, Ended)] == ["stop"]
    assert np.count_nonzero([begun.primitive == Primitive.FORWARD for begun in robot.begun]) == 2
