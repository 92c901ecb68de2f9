"""A real server process is killed, stopped and started again under a running agent."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

from agents.events import Captured, Decided, Ended, Event, Executed, ServerBack, ServerLost
from agents.guard import allowed_primitives
from agents.loop import Loop, LoopConfig
from agents.policy import RemotePolicy
from agents.robots.dry_run import DryRun
from nvila_edge.serving.client import Client
from nvila_edge.serving.process import ServerProcess
from tests.agents.support import PoseCamera, check_answers_are_those_of_an_undisturbed_server
from tests.nvila_edge.pixel_engine import start_pixel_server

STEPS, PRIMITIVE_S = 40, 0.02


class Killer:
    """Kills the server at given moments, (primitives carried out, seconds after the last of them), and starts another one on the same port
    after each; notes when."""

    def __init__(self, profile: str, moments: list[tuple[int, float]], down_s: float) -> None:
        self._profile, self._moments, self._down_s = profile, moments, down_s
        self._reached = [threading.Event() for _ in moments]
        self.server: ServerProcess = start_pixel_server(profile)
        self.address = self.server.address
        self.killed_s: list[float] = []
        self.back_s: list[float] = []
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        for reached, (_, after_s) in zip(self._reached, self._moments):
            if not reached.wait(20):
                return
            time.sleep(after_s)
            self.killed_s.append(time.monotonic())
            self.server.kill()
            time.sleep(self._down_s)
            self.back_s.append(time.monotonic())
            self.server = start_pixel_server(self._profile, self.address)

    def saw(self, primitives: int) -> None:
        for reached, (after, _) in zip(self._reached, self._moments):
            if primitives >= after:
                reached.set()

    def stop(self) -> None:
        self._thread.join(30)
        self.server.stop()


def walk(killer: Killer, steps: int = STEPS) -> tuple[list[tuple[float, Event]], DryRun, PoseCamera]:
    robot = DryRun(PRIMITIVE_S)
    camera = PoseCamera(robot)
    with Client(killer.address) as client:
        assert client.wait_alive(5)
        killer.start()
        loop = Loop(RemotePolicy(client), camera, robot, client, LoopConfig(max_primitives=steps, server_deadline_s=20))
        events: list[tuple[float, Event]] = []
        for event in loop.run("go", "e"):
            events.append((time.monotonic(), event))
            killer.saw(len(robot.begun))
    return events, robot, camera


def check_every_decision_is_carried_out_once_or_dropped(events: list[Event]) -> None:
    """In order, each from its first primitive on, none twice; what is not carried out was dropped by a lost server or the limit."""
    decided = [event for event in events if isinstance(event, Decided)]
    assert [event.n for event in decided] == list(range(len(decided)))
    for at, event in enumerate(events):
        if not isinstance(event, Decided):
            continue
        until = next((i for i in range(at + 1, len(events)) if isinstance(events[i], Decided)), len(events))
        own = events[at + 1 : until]
        done = tuple(e.primitive for e in own if isinstance(e, Executed))
        assert [(e.n, e.index) for e in own if isinstance(e, Executed)] == [(event.n, i) for i in range(len(done))]
        dropped = tuple(p for e in own if isinstance(e, ServerLost) for p in e.dropped)
        assert event.decision.action is not None
        whole = allowed_primitives(event.decision.action, LoopConfig().limits)
        assert done + dropped == whole or (isinstance(events[-1], Ended) and until == len(events) and done == whole[: len(done)])


@pytest.mark.parametrize(("profile", "seed"), [("stream", 0), ("stream", 1), ("navila", 2)])
def test_killed_at_random_moments_the_agent_stops_says_so_and_goes_on(profile: str, seed: int) -> None:
    rng = np.random.default_rng(np.random.SeedSequence([7, seed]))
    killer = Killer(
        profile, [(int(rng.integers(1, 15)), rng.uniform(0, 0.06)), (int(rng.integers(18, 30)), rng.uniform(0, 0.06))], down_s=0.3
    )
    try:
        stamped, robot, camera = walk(killer)
    finally:
        killer.stop()
    events = [event for _, event in stamped]
    assert events[-1] == Ended("limit", f"{STEPS} primitives", STEPS, sum(isinstance(e, Decided) for e in events), 0)
    lost_s = [at for at, event in stamped if isinstance(event, ServerLost)]
    assert len(lost_s) >= 2 and sum(isinstance(event, ServerBack) for event in events) == len(lost_s)
    for killed_s, back_s in zip(killer.killed_s, killer.back_s):
        after_s = [begun.at_s - killed_s for begun in robot.begun if killed_s < begun.at_s < back_s]
        assert all(late_s < 0.25 for late_s in after_s), "nothing begins once the broken connection is noticed"
        assert any(0 <= at - killed_s < 0.5 for at in lost_s), "it says so within half a second"
        assert any(killed_s < at < killed_s + 0.5 for at in robot.halts), "it halts within half a second"
    assert len(robot.begun) == STEPS
    check_every_decision_is_carried_out_once_or_dropped(events)
    if profile == "stream":
        check_answers_are_those_of_an_undisturbed_server(events, camera)


def test_a_stopped_process_counts_as_lost_within_half_a_second_and_is_used_again_when_it_goes_on() -> None:
    killer = Killer("stream", [], down_s=0.0)
    stopped_s: list[float] = []

    def stall() -> None:
        time.sleep(0.3)
        os.kill(killer.server.process.pid, signal.SIGSTOP)
        stopped_s.append(time.monotonic())
        time.sleep(1.0)
        os.kill(killer.server.process.pid, signal.SIGCONT)

    thread = threading.Thread(target=stall)
    thread.start()
    try:
        stamped, robot, camera = walk(killer)
    finally:
        thread.join()
        killer.stop()
    events = [event for _, event in stamped]
    lost_s = [at for at, event in stamped if isinstance(event, ServerLost)]
    assert len(lost_s) == 1 and 0.2 < lost_s[0] - stopped_s[0] < 0.55
    assert not [begun for begun in robot.begun if stopped_s[0] + 0.5 < begun.at_s < stopped_s[0] + 1.0]
    assert isinstance(events[-1], Ended) and events[-1].reason == "limit"
    check_every_decision_is_carried_out_once_or_dropped(events)
    check_answers_are_those_of_an_undisturbed_server(events, camera)


def test_a_shutdown_is_waited_out_and_the_next_server_takes_over() -> None:
    killer = Killer("stream", [], down_s=0.0)

    def replace() -> None:
        time.sleep(0.3)
        killer.server.stop()
        killer.server = start_pixel_server("stream", killer.address)

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        stamped, _, camera = walk(killer)
    finally:
        thread.join()
        killer.stop()
    events = [event for _, event in stamped]
    assert any(isinstance(event, ServerLost) for event in events) and isinstance(events[-1], Ended) and events[-1].reason == "limit"
    check_answers_are_those_of_an_undisturbed_server(events, camera)
    assert sum(isinstance(event, Captured) for event in events) >= STEPS
