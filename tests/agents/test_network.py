"""A network that is cut, that stalls, and a server that freezes, under a running agent: it halts, comes back by itself, and does nothing stale."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from agents.events import Captured, Decided, Ended, Event, ServerBack, ServerLost
from agents.loop import Loop, LoopConfig
from agents.policy import RemotePolicy
from agents.robots.dry_run import DryRun
from nvila_edge.serving.client import Client
from nvila_edge.serving.process import ServerProcess
from tests.agents.support import PoseCamera
from tests.agents.test_kill import (
    check_answers_are_those_of_an_undisturbed_server,
    check_every_decision_is_carried_out_once_or_dropped,
)
from tests.nvila_edge.pixel_engine import start_pixel_server

STEPS, PRIMITIVE_S = 40, 0.02
HALTED_S = 0.5


class Proxy:
    """A TCP proxy to a server. "open" passes everything on; "stalled" holds everything back, to pass it on later; "cut" resets every connection
    and every new one."""

    def __init__(self, address: str) -> None:
        self._target = ("127.0.0.1", int(address.rpartition(":")[2]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open = threading.Event()
        self._open.set()
        self._cut = False
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:  # closed
                return
            far = None if self._cut else socket.create_connection(self._target, timeout=5)
            if far is None:
                near.close()
                continue
            far.settimeout(None)
            self._ends += [near, far]
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._open.wait(30)
                target.sendall(data)
        except OSError:  # cut
            pass
        for end in (source, target):
            end.close()

    def stall(self) -> None:
        """Hold everything back."""
        self._open.clear()

    def cut(self) -> None:
        """Break every connection; what is under way is lost."""
        self._cut = True
        ends, self._ends = self._ends, []
        for end in ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:  # gone already
                pass

    def mend(self) -> None:
        """Pass everything on again."""
        self._cut = False
        self._open.set()

    def close(self) -> None:
        """The end of it."""
        self._listener.close()
        self.cut()
        self._open.set()


@contextmanager
def network() -> Iterator[tuple[ServerProcess, Proxy]]:
    with start_pixel_server("stream") as server:
        proxy = Proxy(server.address)
        try:
            yield server, proxy
        finally:
            proxy.close()


def walk(proxy: Proxy, faults: list[tuple[int, float]], begin: Callable[[], None], end: Callable[[], None]) -> list[Event]:
    """40 primitives of the stream profile; `faults` are (primitives begun until it begins, seconds that it lasts). Checks what must hold whatever the
    fault, and returns the events."""
    robot, spans = DryRun(PRIMITIVE_S), list[tuple[float, float]]()
    camera, events = PoseCamera(robot), list[tuple[float, Event]]()
    trouble = [threading.Thread(target=_fault, args=(robot, after, lasts_s, begin, end, spans)) for after, lasts_s in faults]
    with Client(proxy.address) as client:
        assert client.wait_alive(10)
        for thread in trouble:
            thread.start()
        loop = Loop(RemotePolicy(client), camera, robot, client, LoopConfig(max_primitives=STEPS, server_deadline_s=20))
        for event in loop.run("go", "e"):
            events.append((time.monotonic(), event))
    for thread in trouble:
        thread.join(20)
    assert len(spans) == len(faults)
    for began_s, ended_s in spans:
        moving_s = [begun.at_s + PRIMITIVE_S - began_s for begun in robot.begun if began_s < begun.at_s < ended_s]
        assert max(moving_s, default=0.0) <= HALTED_S, "nothing moves half a second into the fault"
        lost = [at_s - began_s for at_s, event in events if isinstance(event, ServerLost) and began_s < at_s < ended_s + 1.0]
        assert lost and lost[0] < 1.0, "it says so"
    told = [event for _, event in events]
    check_every_decision_is_carried_out_once_or_dropped(told)
    check_what_follows_an_outage_was_seen_after_it(told)
    check_answers_are_those_of_an_undisturbed_server(told, camera)
    assert isinstance(told[-1], Ended) and told[-1].reason == "limit" and len(robot.begun) == STEPS, "it went on by itself"
    return told


def _fault(robot: DryRun, after: int, lasts_s: float, begin: Callable[[], None], end: Callable[[], None], spans: list) -> None:
    deadline_s = time.monotonic() + 30
    while len(robot.begun) < after and time.monotonic() < deadline_s:
        time.sleep(0.002)
    time.sleep(np.random.default_rng(after).uniform(0, PRIMITIVE_S))
    began_s = time.monotonic()
    begin()
    time.sleep(lasts_s)
    spans.append((began_s, time.monotonic()))
    end()


def check_what_follows_an_outage_was_seen_after_it(events: list[Event]) -> None:
    """No answer to a question from before an outage is carried out after it."""
    back: int | None = None
    for at, event in enumerate(events):
        if isinstance(event, ServerBack):
            back = at
        elif isinstance(event, Decided) and back is not None:
            captured = {e.frame.frame_id for e in events[back:at] if isinstance(e, Captured)}
            assert event.frame_id in captured
            assert event.decision.age_ms is not None and event.decision.age_ms < 1000 * HALTED_S, "the answer is to a fresh frame"
            back = None


@pytest.mark.parametrize("seed", [0, 1])
def test_a_cut_network_halts_the_robot_and_is_got_over(seed: int) -> None:
    rng = np.random.default_rng(np.random.SeedSequence([9, seed]))
    faults = [(int(rng.integers(1, 12)), 0.7), (int(rng.integers(18, 30)), 0.7)]
    with network() as (_, proxy):
        walk(proxy, faults, proxy.cut, proxy.mend)


def test_a_stalled_network_halts_the_robot_and_what_arrives_late_is_not_carried_out() -> None:
    with network() as (_, proxy):
        events = walk(proxy, [(9, 1.2), (25, 1.2)], proxy.stall, proxy.mend)
    assert sum(isinstance(event, ServerLost) for event in events) >= 2


def test_a_server_that_freezes_for_five_seconds_halts_the_robot_and_is_used_again() -> None:
    with network() as (server, proxy):
        pid = server.process.pid
        walk(proxy, [(12, 5.0)], lambda: os.kill(pid, signal.SIGSTOP), lambda: os.kill(pid, signal.SIGCONT))
