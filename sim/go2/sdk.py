"""The simulated Go2 behind Unitree's own SDK: services "sport" and "videohub", and the topic rt/sportmodestate."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import Any

import cv2
import numpy as np

from sim.go2.walker import Walker

STATE_PERIOD_S = 0.02  # 50 Hz; a real Go2 sends rt/sportmodestate faster, and rt/lf/sportmodestate slower
_OK, _NOT_INIT = 0, 4202  # SPORT_ERR_SERVER_NOT_INIT
_STOOD_UP_S = 1.0  # a real one takes its time, and Move does nothing meanwhile
_JPEG_QUALITY = 80
# mode of SportModeState_ (Unitree's documentation): 1 balance stand, 3 locomotion, 5 lying, 6 joints locked
_MODES = {"lying": 5, "locked": 6, "balancing": 1, "walking": 3}


class Stance(Enum):
    """What it does with its legs. The physics always stand; a stance that is not balancing ignores Move, as the real one does."""

    LYING = "lying"
    LOCKED = "locked"  # after StandUp
    BALANCING = "balancing"


class Go2Sdk:
    """Serves until close(). `ignores_move`: as a Go2 Pro, whose Move returns 0 and does nothing. Raises ImportError without the SDK.

    interface: the network interface; "lo" for this computer only. picture: gives uint8 [H, W, 3] RGB.
    """

    def __init__(
        self, walker: Walker, picture: Callable[[], np.ndarray], interface: str = "lo", domain: int = 0, ignores_move: bool = False
    ) -> None:
        from unitree_sdk2py.core.channel import ChannelFactoryInitialize, ChannelPublisher  # type: ignore[import-not-found]
        from unitree_sdk2py.idl.default import unitree_go_msg_dds__SportModeState_  # type: ignore[import-not-found]
        from unitree_sdk2py.idl.unitree_go.msg.dds_ import SportModeState_  # type: ignore[import-not-found]
        from unitree_sdk2py.rpc.server import Server  # type: ignore[import-not-found]

        self._walker, self._picture, self._ignores_move = walker, picture, ignores_move
        self._stance, self._up_s = Stance.BALANCING, float("-inf")
        ChannelFactoryInitialize(domain, interface)
        self._state: Any = unitree_go_msg_dds__SportModeState_()
        self._publisher = ChannelPublisher("rt/sportmodestate", SportModeState_)
        self._publisher.Init()
        self._servers = [Server("sport"), Server("videohub")]
        sport, video = self._servers
        handlers = {
            1001: self._lie,
            1002: self._balance,
            1003: self._stop,
            1004: self._stand_up,
            1005: self._lie,
            1006: self._recover,
            1008: self._move,
        }
        for api_id, handler in handlers.items():
            sport._RegistHandler(api_id, handler, False)
        video._Server__apiBinarySet = set()  # type: ignore[attr-defined]  # the SDK makes a dict of it, and then calls add
        video._RegistBinaryHandler(1001, self._image, False)
        for server in self._servers:
            server.Start(False)
        self._closed = threading.Event()
        self._teller = threading.Thread(target=self._tell, name="sportmodestate", daemon=True)
        self._teller.start()

    def close(self) -> None:
        """No more state; the robot stands."""
        self._walker.halt()
        self._closed.set()
        self._teller.join(1.0)

    # --- sport: (code, data)

    def _move(self, parameter: str) -> tuple[int, str]:
        wanted = json.loads(parameter)
        if self._stance is not Stance.BALANCING or time.monotonic() - self._up_s < _STOOD_UP_S or self._ignores_move:
            return _OK, ""  # as the real one: no error, and no motion
        try:
            self._walker.move(float(wanted["x"]), float(wanted["y"]), float(wanted["z"]))
        except ValueError:
            self._walker.halt()
            return _NOT_INIT, ""
        return _OK, ""

    def _stop(self, parameter: str) -> tuple[int, str]:
        self._walker.halt()
        return _OK, ""

    def _stand_up(self, parameter: str) -> tuple[int, str]:
        return self._take(Stance.LOCKED)

    def _balance(self, parameter: str) -> tuple[int, str]:
        return self._take(Stance.BALANCING)

    def _recover(self, parameter: str) -> tuple[int, str]:
        return self._take(Stance.BALANCING)

    def _lie(self, parameter: str) -> tuple[int, str]:
        return self._take(Stance.LYING)

    def _take(self, stance: Stance) -> tuple[int, str]:
        self._walker.halt()
        if self._stance is Stance.LYING and stance is not Stance.LYING:
            self._up_s = time.monotonic()
        self._stance = stance
        return _OK, ""

    # --- videohub

    def _image(self, parameter: list[int]) -> tuple[int, list[int]]:
        done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(self._picture(), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        return (_OK, jpeg.ravel().tolist()) if done else (_NOT_INIT, [])

    # --- state

    def _tell(self) -> None:
        while not self._closed.wait(STATE_PERIOD_S):
            now, state = self._walker.newest, self._state
            state.stamp.sec, state.stamp.nanosec = int(now.stamp_s), int(1e9 * (now.stamp_s % 1))
            moving = any(self._walker.wanted)
            state.mode = _MODES["walking" if moving and self._stance is Stance.BALANCING else self._stance.value]
            state.position = list(now.base_m)
            state.body_height = now.base_m[2]
            state.velocity = [now.velocity[0], now.velocity[1], 0.0]
            state.yaw_speed = now.velocity[2]
            yaw = math.remainder(now.yaw_rad, 2 * math.pi)
            state.imu_state.quaternion = [math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)]
            state.imu_state.rpy = [0.0, 0.0, yaw]
            self._publisher.Write(state)
