"""A robot in another process of this computer: `Remote(address)` has the same interface as the robot itself."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from typing import Any

import zmq

from agents.protocols import HandsOff, Odometry, RobotError
from agents.robots.wire import MAX_BYTES, Order, State, pack_order, parse_state
from agents.watchdog import EStopped
from nvila_edge.serving.address import checked_server

FRESH_S = 0.1  # five states; an older one is not commanded on
LOOK_EVERY_S = 0.2  # the other side tells its state for 1 s after it heard from us
WAIT_S = 0.25  # for a fresh one, after a silence of our own


class Remote:
    """A VelocityRobot behind `python -m agents.robots.serve`. No thread of its own: every call sends what it has to and reads what came.

    Nothing is queued for later: while the other process is away, command() raises. Use it as a context manager.
    """

    def __init__(self, address: str, timeout_s: float = 5.0, patience_s: float = WAIT_S, press: str = "") -> None:
        """Connects and waits `timeout_s` for the robot's first state, later at most `patience_s` for a fresh one.

        press: latch the e-stop for this reason as the first thing that is said, before anything is known of the robot.
        Raises ValueError for an address beyond loopback, RobotError when nobody answers.
        """
        self.address = checked_server(address)
        self._context = zmq.Context()
        self._dealer = self._context.socket(zmq.DEALER)
        options = {zmq.LINGER: 0, zmq.IMMEDIATE: 1, zmq.SNDHWM: 8, zmq.RCVHWM: 64, zmq.RECONNECT_IVL: 20, zmq.RECONNECT_IVL_MAX: 200}
        for option, value in options.items():
            self._dealer.setsockopt(option, value)
        self._dealer.setsockopt(zmq.MAXMSGSIZE, MAX_BYTES)
        self._dealer.setsockopt(zmq.IPV6, int("[" in address))
        self._dealer.connect(address)
        self._session, self._seq, self._lock = uuid.uuid4().hex, itertools.count(), threading.RLock()
        self._state: State | None = None
        self._looked_s, self._patience_s, self._press = float("-inf"), patience_s, press
        try:
            self._fresh(timeout_s)
        except RobotError:
            self.close()
            raise

    def command(self, linear_mps: float, angular_rps: float) -> None:
        """Send it. Raises EStopped, HandsOff when somebody else drives it, and RobotError when the robot's process is away or says a fault."""
        with self._lock:
            state = self._fresh(self._patience_s)
            if state.estopped:
                raise EStopped(f"the e-stop is latched ({state.estopped}); reset it when it is safe")
            if state.driver not in ("", self._session):
                raise HandsOff(f"another client drives the robot at {self.address}; end it first")
            if state.fault:
                raise RobotError(state.fault)
            if not self._send("command", linear_mps=linear_mps, angular_rps=angular_rps):
                raise RobotError(f"the robot's process at {self.address} does not take commands")

    def odometry(self) -> Odometry:
        """The newest. Raises RobotError when there is none."""
        state = self._fresh(self._patience_s)
        if state.pose is None:
            raise RobotError(state.fault or "the robot tells no odometry")
        return state.pose

    def halt(self) -> None:
        """Send zero velocity; without a connection the watchdog on the other side has halted already, or is about to."""
        with self._lock:
            if not self._dealer.closed:
                self._send("halt")

    def estop(self, reason: str) -> None:
        """Latch the e-stop; anybody may."""
        with self._lock:
            self._send("estop", reason=reason[:200])

    def reset(self) -> None:
        """Unlatch the e-stop. Raises RobotError when it stays latched."""
        with self._lock:
            expires_s = time.monotonic() + max(1.0, self._patience_s)
            while self._fresh(self._patience_s).estopped:
                self._send("reset")
                self._dealer.poll(50)
                if time.monotonic() > expires_s:
                    raise RobotError(f"the e-stop of the robot at {self.address} stays latched")

    @property
    def state(self) -> State:
        """The newest state. Raises RobotError when there is none."""
        return self._fresh(self._patience_s)

    @property
    def estopped(self) -> str:
        """Why the e-stop is latched, by the newest state that came; "" when it is not."""
        return "" if self._state is None else self._state.estopped

    def close(self) -> None:
        """Halt, let others drive, and end the connection."""
        with self._lock:
            if not self._dealer.closed:
                self._send("bye")
                self._dealer.close(50)  # ms for the goodbye
                self._context.term()

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, kind: str, **more: Any) -> bool:
        self._looked_s = time.monotonic()
        as_of_s = 0.0 if self._state is None else self._state.now_s
        try:
            self._dealer.send(pack_order(Order(kind, self._session, next(self._seq), as_of_s, **more)), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def _fresh(self, timeout_s: float) -> State:
        """The newest state, waited for when it is old. Raises RobotError."""
        with self._lock:
            expires_s = time.monotonic() + timeout_s
            self._read()
            while self._state is None or time.monotonic() - self._state.now_s > FRESH_S:
                if time.monotonic() > expires_s:
                    age = "" if self._state is None else f"; its last word is {time.monotonic() - self._state.now_s:.1f} s old"
                    raise RobotError(
                        f"no robot answers at {self.address}{age}; start one: python -m agents.robots.serve --bind {self.address}"
                    )
                if self._press and self._state is None:
                    self.estop(self._press)
                else:
                    self._send("look")
                self._dealer.poll(20)
                self._read()
            if time.monotonic() - self._looked_s > LOOK_EVERY_S:
                self._send("look")
            return self._state

    def _read(self) -> None:
        while True:
            try:
                data = self._dealer.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                state = parse_state(data)
            except (ValueError, RecursionError) as error:
                raise RobotError(f"the robot's process at {self.address} speaks nonsense: {error}") from error
            if self._state is None or state.now_s > self._state.now_s:
                self._state = state
