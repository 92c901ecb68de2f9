"""One instruction at a time, followed in a thread of its own; what happens is told as small dictionaries."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.events import Captured, Decided, Ended, Event, Executed, RobotBack, RobotLost, ServerBack, ServerLost, Withheld
from agents.executor import Executor, ExecutorConfig
from agents.guard import GuardLimits, Refused
from agents.limits import VelocityLimits
from agents.loop import Loop
from agents.profiles import ForcedStop, loop_config, remote_policy
from agents.protocols import HandsOff, Motion, Odometry, RobotError
from agents.robots.go2 import DRIVEN
from nvila_edge.finite import finite
from nvila_edge.navigation.actions import Primitive
from nvila_edge.navigation.agent_profiles import agent_profile, check_prompt
from nvila_edge.navigation.profiles import checked_instruction
from nvila_edge.serving.client import Client
from nvila_edge.serving.errors import ServingError
from nvila_edge.serving.keys import client_keys
from nvila_edge_ros.base import TopicBase
from nvila_edge_ros.camera import TopicCamera
from nvila_edge_ros.settings import Settings

# how long a first connection, an answer, a lost server and odometry are waited for
CONNECT_S, DECISION_S, SERVER_S, ROBOT_S = 10.0, 5.0, 60.0, 5.0
_SILENT = "the server went silent while the robot moved"

Tell = Callable[[dict[str, Any]], None]


class Busy(RuntimeError):
    """Another instruction is being followed."""


class _Leash:
    """The client's link, gone as soon as the goal is cancelled, so that no wait for a server outlives a cancel."""

    def __init__(self, client: Client, cancelled: Callable[[], object]) -> None:
        self._client, self._cancelled = client, cancelled

    @property
    def cancelled(self) -> bool:
        """Whether the goal was cancelled."""
        return bool(self._cancelled())

    @property
    def alive(self) -> bool:
        """The server's life, and no cancel."""
        return not self._cancelled() and self._client.alive

    def settle(self) -> bool:
        """Wait until it is alive (True) or certainly gone (False)."""
        return not self._cancelled() and self._client.settle()

    def wait_alive(self, timeout_s: float) -> bool:
        """Wait until it is alive, at most that long; whether it is."""
        until_s = time.monotonic() + timeout_s
        while not self._cancelled() and time.monotonic() < until_s:
            if self._client.alive:
                return True
            time.sleep(0.02)
        return not self._cancelled() and self._client.wait_alive(0.0)  # which knows why not, and raises it


class _Held:
    """The robot, whose base stands while the server is silent: a primitive that ended of that met no obstacle; the loop waits for the server."""

    def __init__(self, robot: Executor, link: _Leash) -> None:
        self._robot, self._link = robot, link

    def execute(self, primitive: Primitive) -> Motion:
        """Carry it out. Raises Refused when the server went silent meanwhile, RobotError for what has other reasons."""
        try:
            motion = self._robot.execute(primitive)
        except HandsOff:
            raise
        except RobotError:
            if not self._is_stranded():
                raise
            raise Refused("server", _SILENT) from None
        if motion.collided and self._is_stranded():
            raise Refused("server", _SILENT)
        return motion

    def _is_stranded(self) -> bool:
        return not self._link.alive and not self._link.cancelled

    def halt(self) -> None:
        """Zero velocity, now."""
        self._robot.halt()


class Follower:
    """Keeps the connection to the server from construction to close()."""

    def __init__(self, settings: Settings, camera: TopicCamera, base: TopicBase, tell: Tell) -> None:
        """Raises ValueError for an address, keys or a profile that cannot be."""
        self._settings, self._camera, self._base, self._tell = settings, camera, base, tell
        self._agent = agent_profile(settings.profile) if settings.profile else None
        self.client = Client(settings.server, keys=client_keys(Path(settings.keys)) if settings.keys else None)
        self._goals = itertools.count(1)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._cancelled = ""

    @property
    def busy(self) -> bool:
        """Whether an instruction is being followed, or is just being left."""
        return self._thread is not None and self._thread.is_alive()

    def begin(self, instruction: str, active: Callable[[], bool] = lambda: True) -> str:
        """Follow it from now on, if the node is still active; returns its id. Raises Busy or ValueError, and then nothing has changed."""
        checked_instruction(instruction)
        with self._lock:
            if not active():
                raise Busy("the node is not active any more")
            if self.busy:
                raise Busy("another instruction is being followed; call ~/cancel first")
            if reasons := [why for kind, why in self._base.blocks.items() if kind != "cancel"]:
                raise Busy("; ".join(reasons))
            goal = f"goal-{next(self._goals)}"
            self._cancelled = ""
            self._base.unblock("cancel")
            self._thread = threading.Thread(target=self._run, args=(goal, instruction), name=goal, daemon=True)
            self._thread.start()
        return goal

    def cancel(self, reason: str) -> bool:
        """Zero velocity now; the instruction ends as soon as its thread notices. Whether there was one."""
        self._base.block("cancel", reason)  # first, and without waiting for anything
        with self._lock:  # not in the middle of a beginning, which takes the block away
            self._base.block("cancel", reason)
            if self.busy:
                self._cancelled = reason
            return self.busy

    def close(self) -> None:
        """Cancel, and let the server go."""
        self.cancel("the node is shutting down")
        self.client.close()
        if self._thread is not None:
            self._thread.join(2.0)

    def _run(self, goal: str, instruction: str) -> None:
        self._tell({"goal": goal, "state": "following", "instruction": instruction})
        reason, message, fault = "error", "", True
        try:
            for event in self._episode(instruction, goal):
                if isinstance(event, Ended):
                    reason, message, fault = event.reason, event.message, event.fault
                elif (told := _told(event)) is not None:
                    self._tell({"goal": goal, **told})
        except (ServingError, ValueError) as error:
            message = str(error)
        except Exception as error:  # a defect of ours must end the goal by name, not silently
            message = f"{type(error).__name__}: {error}"
        finally:
            self._base.halt()
        if self._cancelled:
            reason, message, fault = "cancelled", self._cancelled, False
        self._tell({"goal": goal, "state": "ended", "reason": reason, "message": message, "fault": fault})

    def _episode(self, instruction: str, goal: str) -> Iterator[Event]:
        link = _Leash(self.client, lambda: self._cancelled)
        if not link.wait_alive(CONNECT_S):
            raise ValueError(f"no server answers at {self._settings.server}: start one with nvila-edge serve --bundle DIR --bind ADDRESS")
        info = self.client.hello(DECISION_S)
        agent = self._agent or agent_profile(info.agent)
        check_prompt(agent, info.profile)
        limits = GuardLimits(max_frame_age_s=self._settings.max_frame_age_s, min_probability=self._settings.min_probability)
        robot = _Held(
            Executor(self._base, self._driven(agent.steps.turn_deg), self._base.clearance if self._settings.use_scan else None), link
        )
        self._base.permitted = lambda: link.alive
        self._camera.begin()
        policy = remote_policy(agent, self.client, DECISION_S)
        config = replace(loop_config(agent, limits, SERVER_S), robot_deadline_s=ROBOT_S)
        forced = ForcedStop(agent.privileged_stop) if agent.privileged_stop else None
        yield from Loop(policy, self._camera, robot, link, config, forced, pose=self._pose).run(instruction, goal)

    def _pose(self) -> Odometry:
        if reasons := self._base.blocks.values():
            raise HandsOff("; ".join(reasons))
        return self._base.odometry()

    def _driven(self, turn_deg: int) -> ExecutorConfig:
        """As a Go2 is driven, at the node's own speeds and within its limits."""
        its = self._settings
        limits = VelocityLimits(
            max_velocity=(its.max_linear_mps, its.max_angular_rps),
            min_velocity=(0.0, -its.max_angular_rps),
            max_accel=(its.max_linear_accel_mps2, its.max_angular_accel_rps2),
            max_decel=(-its.max_linear_decel_mps2, -its.max_angular_decel_rps2),
            velocity_timeout=its.command_timeout_s,
        )
        own = {"odom_timeout_s": its.odom_timeout_s, "linear_mps": its.max_linear_mps, "angular_rps": its.max_angular_rps}
        return replace(DRIVEN, **own, turn_deg=turn_deg, corridor=self._base.corridor).within(limits)


def _told(event: Event) -> dict[str, Any] | None:
    """An event as progress; None for what is not worth a message."""
    match event:
        case Decided(n=n, decision=decision, latency_ms=latency_ms):
            what = {"text": decision.text, "probability": finite(round(decision.probability, 4)), "latency_ms": round(latency_ms, 1)}
            return {"state": "decided", "decision": n, "rejected": decision.rejected, **what}
        case Executed(n=n, primitive=primitive, motion=motion):
            what = {"moved_m": round(motion.moved_m, 3), "turned_deg": round(motion.turned_deg, 1), "collided": motion.collided}
            return {"state": "executed", "decision": n, "primitive": primitive.name.lower(), **what}
        case Withheld(message=message):
            return {"state": "withheld", "message": message}
        case ServerLost(message=message):
            return {"state": "server_lost", "message": message}
        case ServerBack(outage_ms=outage_ms):
            return {"state": "server_back", "outage_ms": round(outage_ms)}
        case RobotLost(message=message):
            return {"state": "robot_lost", "message": message}
        case RobotBack(outage_ms=outage_ms):
            return {"state": "robot_back", "outage_ms": round(outage_ms)}
        case Captured() | Ended():
            return None
