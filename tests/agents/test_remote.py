"""A robot in a process of its own: whoever dies, it stands within 600 ms."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import msgpack
import pytest
import zmq

from agents.executor import Executor
from agents.protocols import RobotError
from agents.robots.remote import Remote
from agents.robots.wire import VERSION, Order, parse_order
from agents.watchdog import EStopped
from nvila_edge.navigation.actions import Primitive
from nvila_edge.serving.process import ServerProcess, start_process

DRIVER = """
import sys, time
from agents.robots.remote import Remote
robot = Remote(sys.argv[1], patience_s=3.0)  # the machine may be busy
print("driving", flush=True)
while True:
    robot.command(0.4, 0.1)
    time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def shared() -> Iterator[ServerProcess]:
    with start_process([sys.executable, "-m", "agents.robots.serve", "--bind", "tcp://127.0.0.1:*", "--ends-with-stdin"], 30) as server:
        yield server


@pytest.fixture
def served() -> Iterator[ServerProcess]:
    with start_process([sys.executable, "-m", "agents.robots.serve", "--bind", "tcp://127.0.0.1:*", "--ends-with-stdin"], 30) as server:
        yield server


def wait_for(condition, timeout_s: float = 5.0) -> float:
    """The moment when it first held."""
    expires_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < expires_s, "it never came so"
        time.sleep(0.005)
    return time.monotonic()


def kill_the_driver(watcher: Remote, address: str, after_s: float, signum: int = signal.SIGKILL) -> float:
    """Seconds from the signal to a commanded velocity of zero."""
    wait_for(lambda: watcher.state.driver == "")  # the one before, killed, keeps the wheel for a second
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, address], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.getcwd()})
    try:
        assert driver.stdout is not None and driver.stdout.readline() == b"driving\n"
        wait_for(lambda: watcher.state.commanded[0] > 0)
        time.sleep(after_s)
        os.kill(driver.pid, signum)
        killed_s = time.monotonic()
        zero_s = wait_for(lambda: watcher.state.commanded == (0.0, 0.0))
        time.sleep(0.2)
        assert watcher.state.commanded == (0.0, 0.0), "and it stays so"
        return zero_s - killed_s
    finally:
        driver.kill()
        driver.wait(10)
        assert driver.stdout is not None
        driver.stdout.close()


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_agent_leaves_a_robot_that_stands_within_600_ms(shared: ServerProcess, times: int) -> None:
    with Remote(shared.address, patience_s=3.0) as watcher:
        took_s = [kill_the_driver(watcher, shared.address, random.Random(seed).uniform(0.1, 0.4)) for seed in range(times)]
    assert max(took_s) < 0.6, took_s


def test_a_stopped_agent_leaves_a_robot_that_stands(shared: ServerProcess) -> None:
    with Remote(shared.address, patience_s=3.0) as watcher:
        assert kill_the_driver(watcher, shared.address, 0.2, signal.SIGSTOP) < 0.6


def test_primitives_are_carried_out_over_the_wire(served: ServerProcess) -> None:
    with Remote(served.address) as robot:
        motion = Executor(robot).execute(Primitive.FORWARD)
        assert motion.moved_m == pytest.approx(0.25, abs=0.06) and robot.state.commanded == (0.0, 0.0)
        assert robot.odometry().x_m == pytest.approx(motion.moved_m, abs=0.03)


def test_the_e_stop_is_everybodys_and_latches(shared: ServerProcess) -> None:
    with Remote(shared.address, patience_s=3.0) as driver, Remote(shared.address, patience_s=3.0) as other:
        driver.command(0.3, 0.0)
        with pytest.raises(RobotError, match="another client drives"):
            wait_for(lambda: other.state.driver != "")
            other.command(0.3, 0.0)
        other.estop("a person")
        wait_for(lambda: driver.state.estopped == "a person")
        with pytest.raises(EStopped, match="a person"):
            driver.command(0.3, 0.0)
        assert driver.state.commanded == (0.0, 0.0)
        driver.reset()
        driver.command(0.3, 0.0)
        wait_for(lambda: driver.state.commanded[0] > 0)


def test_a_robot_process_that_dies_is_an_error_and_another_one_is_used_when_it_comes(served: ServerProcess) -> None:
    with Remote(served.address) as robot:
        robot.command(0.2, 0.0)
        served.kill()
        with pytest.raises(RobotError, match="no robot answers at .*python -m agents.robots.serve|does not take commands"):
            for _ in range(50):
                robot.command(0.2, 0.0)
                time.sleep(0.02)
        robot.halt()  # never raises
        with start_process([sys.executable, "-m", "agents.robots.serve", "--bind", served.address, "--ends-with-stdin"], 30):
            wait_for(lambda: answers(robot))
            assert robot.state.commanded == (0.0, 0.0), "nothing was queued for it"


def test_a_driver_that_leaves_halts_and_lets_others_drive(served: ServerProcess) -> None:
    with Remote(served.address, patience_s=3.0) as watcher:
        with Remote(served.address, patience_s=3.0) as driver:
            driver.command(0.3, 0.0)
            wait_for(lambda: watcher.state.commanded[0] > 0)
        left_s = time.monotonic()
        assert wait_for(lambda: watcher.state.commanded == (0.0, 0.0) and watcher.state.driver == "") - left_s < 0.25


def answers(robot: Remote) -> bool:
    try:
        return robot.state.now_s > 0
    except RobotError:
        return False


def raw(kind: str, seq: int, as_of_s: float, **more: object) -> bytes:
    fields = {
        "version": VERSION,
        "kind": kind,
        "session": "raw",
        "seq": seq,
        "as_of_s": as_of_s,
        "linear_mps": 0.3,
        "angular_rps": 0.0,
        "reason": "",
    }
    return msgpack.packb(fields | more)


def test_late_repeated_and_malformed_orders_move_nothing(shared: ServerProcess) -> None:
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.connect(shared.address)
    try:
        with Remote(shared.address, patience_s=3.0) as watcher:
            now_s = watcher.state.now_s
            orders = [raw("command", 5, now_s - 2), raw("command", 6, now_s + 60), raw("halt", 9, now_s), raw("command", 8, now_s)]
            orders += [
                raw("command", 10, float("nan")),
                raw("command", 11, now_s, linear_mps=float("nan")),
                raw("command", 12, now_s, version=7),
            ]
            orders += [
                b"",
                b"\xc1",
                b"x" * 2000,
                msgpack.packb([1, 2]),
                raw("fly", 13, now_s),
                raw("command", 14, now_s, linear_mps="fast"),
            ]
            for order in orders:
                dealer.send(order)
            dealer.send_multipart([b"two", b"parts"])
            for _ in range(10):
                assert watcher.state.commanded == (0.0, 0.0)
                time.sleep(0.02)
            seq = itertools.count(99)
            wait_for(lambda: dealer.send(raw("command", next(seq), watcher.state.now_s)) or watcher.state.commanded == (0.3, 0.0))
    finally:
        dealer.close(0)
        context.term()


def test_an_order_that_cannot_even_be_quoted_is_refused(shared: ServerProcess) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 100)
        dealer.connect(shared.address)
        dealer.send(b"\x91" * 1015 + b"\x90")
        time.sleep(0.2)
    with Remote(shared.address) as watcher:
        assert watcher.state.now_s > 0 and shared.alive


def test_a_dropped_ssh_session_ends_the_robots_process_in_order() -> None:
    command = [sys.executable, "-m", "agents.robots.serve", "--bind", "tcp://127.0.0.1:*", "--ends-with-stdin"]
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests under nohup ignore it, and so would their children
    try:
        served = start_process(command, 30)
    finally:
        signal.signal(signal.SIGHUP, before)
    with served, Remote(served.address, patience_s=3.0) as robot:
        robot.command(0.4, 0.0)
        os.kill(served.process.pid, signal.SIGHUP)
        assert served.process.wait(5) == 0


def test_orders_are_checked_field_by_field() -> None:
    assert parse_order(raw("halt", 1, 2.5)) == Order("halt", "raw", 1, 2.5, 0.3, 0.0, "")
    for bad in ({"seq": -1}, {"seq": True}, {"session": ""}, {"session": "x" * 65}, {"reason": "x" * 201}, {"as_of_s": None}, {"kind": 3}):
        with pytest.raises(ValueError, match=r"must be|no order"):
            parse_order(raw("halt", 1, 0.0) if not bad else msgpack.packb(msgpack.unpackb(raw("halt", 1, 0.0)) | bad))


def test_terminating_the_robots_process_is_clean_and_bad_addresses_are_refused() -> None:
    server = start_process([sys.executable, "-m", "agents.robots.serve", "--bind", "tcp://127.0.0.1:*"], 30)
    assert server.stop() == 0
    done = subprocess.run(
        [sys.executable, "-m", "agents.robots.serve", "--bind", "tcp://0.0.0.0:7"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2 and "reachable from other computers" in done.stderr
    with pytest.raises(ValueError, match="not on this computer"):
        Remote("tcp://192.0.2.1:5")
    with pytest.raises(RobotError, match="no robot answers"):
        Remote("tcp://127.0.0.1:9", timeout_s=0.2)
