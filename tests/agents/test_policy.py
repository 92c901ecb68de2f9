"""The policy that asks a server: what it sends, when, and that it asks as the server wants to be asked."""

from __future__ import annotations

from typing import Any

import pytest

from agents.events import Executed
from agents.loop import Loop
from agents.policy import RemotePolicy
from agents.protocols import Motion
from agents.robots.dry_run import DryRun
from nvila_edge.navigation.actions import Action, Forward, Primitive, Stop, Turn
from nvila_edge.navigation.decision import Decision
from nvila_edge.serving import wire
from nvila_edge.serving.client import ServerInfo
from tests.agents.support import PoseCamera


class NotedClient:
    """In place of a Client: notes what is said, answers a list of actions."""

    def __init__(self, info: ServerInfo, answers: list[Action]) -> None:
        self._info, self._answers = info, answers
        self.said: list[Any] = []
        self.blocked: list[bool] = []

    def hello(self, timeout_s: float) -> ServerInfo:
        return self._info

    def send_frame(self, session: str, frame_id: int, jpeg: bytes, captured_s: float | None = None) -> None:
        self.said.append(frame_id)

    def request(self, kind: str, session: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        self.said.append(fields["frames"])
        self.blocked.append(fields["blocked"])
        decision = Decision(self._answers.pop(0), "as told", 1.0)
        return wire.header_of([wire.pack("decision", 1, session, **wire.decision_fields(decision))])

    def bye(self, session: str) -> None:
        pass


def follow(profile: str, window: int, answers: list[Action]) -> list[Any]:
    robot, client = DryRun(), NotedClient(ServerInfo("boot", profile, window), answers)
    policy = RemotePolicy(client)  # pyright: ignore[reportArgumentType]
    camera, observe = PoseCamera(robot), policy.observe

    def observed(frame) -> None:
        observe(frame)
        client.said.append(f"saw {frame.frame_id}")

    policy.observe = observed
    list(Loop(policy, camera, robot).run("go", "e"))
    return client.said


def test_a_stream_frame_that_a_decision_follows_is_sent_when_it_is_captured_and_no_other() -> None:
    said = follow("stream", 8, [Forward(75), Turn(15), Stop()])
    assert said == ["saw 0", 0, (0,), "saw 1", "saw 2", 3, "saw 3", (3,), 4, "saw 4", (4,)]


class WalledIn(DryRun):
    """A robot whose second and later forward steps do not move it."""

    steps = 0

    def execute(self, primitive: Primitive) -> Motion:
        motion = super().execute(primitive)
        self.steps += primitive == Primitive.FORWARD
        return Motion(0.01, 0.0, True) if primitive == Primitive.FORWARD and self.steps > 1 else motion


def test_a_blocked_step_ends_its_action_and_the_server_is_told() -> None:
    client = NotedClient(ServerInfo("boot", "stream", 8), [Forward(75), Turn(15), Stop()])
    robot = WalledIn()
    events = list(Loop(RemotePolicy(client), PoseCamera(robot), robot).run("go", "e"))  # pyright: ignore[reportArgumentType]
    assert [event.primitive for event in events if isinstance(event, Executed)] == [1, 1, 2, 0]
    assert client.blocked == [False, True, False] and client.said == [0, (0,), 2, (2,), 3, (3,)]


def test_navila_frames_are_all_sent_when_they_are_captured_and_the_window_is_the_servers() -> None:
    said = follow("navila", 3, [Forward(75), Stop()])
    assert said == ["saw 0", 0, (0,), 1, "saw 1", 2, "saw 2", 3, "saw 3", (0, 1, 3)]


def test_a_profile_that_this_version_does_not_know_is_named() -> None:
    policy = RemotePolicy(NotedClient(ServerInfo("boot", "straem", 8), []))  # pyright: ignore[reportArgumentType]
    policy.reset("go", "e")
    policy.observe(PoseCamera(DryRun()).capture())
    with pytest.raises(ValueError, match="did you mean 'stream'"):
        policy.decide()
