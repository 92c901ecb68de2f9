"""A world for loop tests: a camera that shows where a dry-run robot would be, and a policy that does as it is told."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from agents.events import Decided, Event, Executed
from agents.protocols import Frame, Motion
from agents.robots.dry_run import DryRun
from nvila_edge.navigation.actions import ACTIONS, Action, Primitive
from nvila_edge.navigation.decision import Decision
from nvila_edge.navigation.profiles import PROFILES
from nvila_edge.serving.jpeg import decode_jpeg, encode_jpeg
from tests.nvila_edge.pixel_engine import PixelEngine


class PoseCamera:
    """Frames [64, 64, 3] drawn from the robot's pose, so that every step looks different and every pose always the same."""

    def __init__(self, robot: DryRun, delay_s: float = 0.0) -> None:
        self._robot, self._delay_s, self._count = robot, delay_s, 0
        self.shown: dict[int, np.ndarray] = {}

    def capture(self) -> Frame:
        """A frame of the current pose, already `delay_s` old."""
        pose = [round(1000 * abs(v)) for v in (self._robot.x_m, self._robot.z_m, self._robot.yaw_rad)]
        rgb = np.random.default_rng(np.random.SeedSequence(pose)).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        self.shown[self._count] = rgb
        self._count += 1
        return Frame(self._count - 1, rgb, time.monotonic() - self._delay_s)


class Script:
    """A policy that answers a list; an exception in it is raised, None is a rejection. Notes what it is shown."""

    def __init__(self, answers: Sequence[Action | Exception | None]) -> None:
        self._answers = list(answers)
        self.observed: list[int] = []
        self.executed_primitives: list[Primitive] = []

    def reset(self, instruction: str, episode_id: str) -> None:
        """Nothing."""

    def observe(self, frame: Frame) -> None:
        """Note the frame."""
        self.observed.append(frame.frame_id)

    def executed(self, action: Action, primitive: Primitive, motion: Motion) -> None:
        """Note the primitive."""
        self.executed_primitives.append(primitive)

    def decide(self) -> Decision:
        """The next answer."""
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Decision(answer, "as told", 1.0)


def check_answers_are_those_of_an_undisturbed_server(events: Sequence[Event], camera: PoseCamera) -> int:
    """Replay in process what was asked: the frames, and the decisions that were begun; dropped ones are not among them. Returns how many were begun."""
    engine = PixelEngine(PROFILES["stream"])
    begun: list[tuple[np.ndarray, int]] = []
    started = {event.n for event in events if isinstance(event, Executed)}
    for event in events:
        if isinstance(event, Decided):
            session = engine.session("go")
            for tokens, action in begun:
                session.replay(tokens, ACTIONS[action])
            tokens = engine.encode(decode_jpeg(encode_jpeg(camera.shown[event.frame_id]))[None])
            assert session.decide(tokens).candidates == event.decision.candidates
            if event.n in started:
                assert event.decision.action is not None
                begun.append((tokens, ACTIONS.index(event.decision.action)))
    return len(begun)
