"""The lowest layer before the robot: command watchdog, velocity limits and the latched e-stop. It lives in the process that talks to the robot."""

from __future__ import annotations

import logging
import math
import threading

from agents.clock import Clock, RealClock
from agents.limits import Pair, VelocityLimits
from agents.protocols import HandsOff, Odometry, RobotError, VelocityRobot

_LOG = logging.getLogger(__name__)
_PERIOD_S = 0.02  # of looking at the clock
_BACK_S = 0.05  # a command may be given while the clock is looked at; a clock that goes back further has jumped
_REPEAT_S, _REPEATED_S = 0.1, 2.0  # zeros are said again, for as long as nav2's stop_pub_timeout, then it is silent


class EStopped(HandsOff):
    """The e-stop is latched: nothing moves until somebody resets it."""


class Watchdog:
    """A VelocityRobot that stops its robot when no command comes for `velocity_timeout`, whoever died, on a thread and clock of its own.

    estop() latches: zero velocity at once, and every later command raises EStopped until reset(). Use it as a context manager.
    """

    def __init__(self, robot: VelocityRobot, limits: VelocityLimits | None = None, clock: Clock | None = None) -> None:
        self._robot, self._limits, self._clock = robot, limits or VelocityLimits(), clock or RealClock()
        self._lock = threading.Lock()
        self._commanded_s = self._stopped_s = self._said_s = -math.inf
        self.commanded: Pair = (0.0, 0.0)  # what the robot was told last
        self.estopped = ""  # why, while it is latched
        self.timeouts = 0  # how often a command ran out
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def command(self, linear_mps: float, angular_rps: float) -> None:
        """Within the limits, to the robot. Raises EStopped, and RobotError for a velocity that is not finite: the robot is halted then."""
        try:
            pair = self._limits.clamped(linear_mps, angular_rps)
        except ValueError as error:
            self.halt()
            raise RobotError(str(error)) from error
        with self._lock:
            if self.estopped:
                raise EStopped(f"the e-stop is latched ({self.estopped}); reset it when it is safe")
            self._commanded_s = self._clock.now()
            self.commanded = pair
            self._robot.command(*pair)

    def odometry(self) -> Odometry:
        """The robot's."""
        return self._robot.odometry()

    def halt(self) -> None:
        """Zero velocity, now, also when a command hangs in the robot's driver."""
        taken = self._lock.acquire(timeout=_PERIOD_S)
        try:
            self.commanded, self._stopped_s = (0.0, 0.0), self._clock.now()
            self._say_zero()
        finally:
            if taken:
                self._lock.release()

    def estop(self, reason: str) -> None:
        """Latch, and zero velocity. Never raises; the first reason stays."""
        self.estopped = self.estopped or reason or "no reason given"
        self.halt()
        _LOG.warning("e-stop: %s", self.estopped)

    def reset(self) -> None:
        """Unlatch the e-stop; the robot stands until the next command."""
        self.halt()
        self.estopped = ""

    def close(self) -> None:
        """Halt the robot and end the thread."""
        self._closing.set()
        self._thread.join(1.0)
        self.halt()

    def __enter__(self) -> Watchdog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """One look at the clock: halt when the command ran out, or when the clock went back; say zero again for a while, and while e-stopped."""
        now_s = self._clock.now()
        if self.commanded != (0.0, 0.0) and not -_BACK_S <= now_s - self._commanded_s <= self._limits.velocity_timeout:
            self.timeouts += 1
            self.halt()
        elif (self.estopped or now_s - self._stopped_s < _REPEATED_S) and self.commanded == (0.0, 0.0):
            if not 0 <= now_s - self._said_s < _REPEAT_S:
                self._say_zero()

    def _say_zero(self) -> None:
        self._said_s = self._clock.now()
        self._robot.halt()

    def _watch(self) -> None:
        while not self._closing.wait(_PERIOD_S):
            try:
                self.check()
            except Exception:  # a driver that breaks its promise: go on trying to halt
                _LOG.exception("the robot's driver failed to halt")
