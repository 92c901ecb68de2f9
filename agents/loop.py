"""The agent's loop: capture, decide, carry out primitive by primitive. It tells what happens as events and never moves past the guard."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from agents.events import Captured, Decided, Ended, Event, Executed, RobotBack, RobotLost, ServerBack, ServerLost, Withheld
from agents.guard import Guarded, GuardLimits, Refused, allowed_primitives
from agents.policy import Policy
from agents.protocols import Camera, CameraError, HandsOff, Motion, Odometry, RecordingOver, Robot, RobotError
from nvila_edge.navigation.actions import STEPS, Action, Primitive, Steps
from nvila_edge.navigation.decision import Decision
from nvila_edge.navigation.steady import is_blocked
from nvila_edge.serving.errors import DeadlinePassed, LinkDown, ServingError
from nvila_edge.serving.link import Link, LocalLink


@dataclass(frozen=True)
class LoopConfig:
    """Bounds of an episode. 500 primitives: VLN-CE's step limit. `server_deadline_s`, `robot_deadline_s`: how long a lost
    server, or a robot that failed, is waited for.

    steps: how an action becomes primitives. crashes: an answer that is no action ends the episode at once, instead of the second in a row.
    leaks_queue: what is queued at the step limit runs first in the loop's next episode. pushes_on: the rest of an action is carried out also when one
    of its forward steps met something.
    """

    max_primitives: int = 500
    max_decisions: int = 1000
    server_deadline_s: float = 60.0
    robot_deadline_s: float = 20.0
    limits: GuardLimits = GuardLimits()
    steps: Steps = STEPS
    crashes: bool = False
    leaks_queue: bool = False
    pushes_on: bool = False


# Turns in a row that may go wrong in the same way, and the reason of the end when they do
_PATIENCE = {
    "rejected": (2, "rejected"),
    "unsure": (5, "unsure"),
    "crashed": (1, "crashed"),
    "late": (3, "server"),
    "stale": (3, "stale"),
    "lost": (10, "server"),
    "failed": (3, "robot"),
}

_REASONS = {RecordingOver: "over", CameraError: "camera", RobotError: "robot", ServingError: "error"}  # the first that fits

_HALT_EVERY_S = 0.02
_LOOK_EVERY_S, _FRESH_S, _BACK_S = 0.1, 0.3, 0.5  # a robot is back when for so long its odometry was never older than _FRESH_S

Turn = Generator[Event, None, tuple[str, str]]  # ends with ("moved" or a key of _PATIENCE, message)


class _End(Exception):
    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


class Loop:
    """Runs episodes of one policy with one camera and one robot. `link` is the client of a remote policy, LocalLink() for others.

    forced: asked once before every primitive; when it has a reason, a stop is carried out instead. `left`: what the last episode had queued when it
    reached its limit, the action and its primitives; kept only by a configuration whose queue leaks, and then carried out by the next `run`.
    pose: the robot's odometry, which tells that a robot that failed is back; without it a failure ends the episode.
    """

    def __init__(
        self,
        policy: Policy,
        camera: Camera,
        robot: Robot,
        link: Link | None = None,
        config: LoopConfig | None = None,
        forced: Callable[[], str] | None = None,
        *,
        pose: Callable[[], Odometry] | None = None,
    ) -> None:
        self._policy, self._camera, self._config = policy, camera, config or LoopConfig()
        self._link: Link = link or LocalLink()
        self._forced, self._pose = forced or (lambda: ""), pose
        self.left: tuple[Action, tuple[Primitive, ...]] | None = None
        self._robot = Guarded(robot, self._link, self._config.limits)
        self._primitives = self._decisions = self._rejections = 0
        self._cancelled = ""
        self._over = threading.Event()
        self._over.set()

    def cancel(self, reason: str, wait_s: float = 1.0) -> bool:
        """End the episode under way, from another thread: the robot is halted before this returns. Whether the episode ended within `wait_s`."""
        self._cancelled = reason or "cancelled"
        expires_s = time.monotonic() + wait_s
        self._robot.halt()
        while not self._over.wait(_HALT_EVERY_S) and time.monotonic() < expires_s:
            self._robot.halt()  # a primitive may have begun just after the halt before
        return self._over.is_set()

    def run(self, instruction: str, episode_id: str) -> Generator[Event, None, None]:
        """Follow one instruction; the last event is Ended. Closing the iterator halts the robot, and so does any exception.

        Raises ValueError for an instruction that is empty or too long, before anything moves.
        """
        self._primitives = self._decisions = self._rejections = 0
        self._policy.reset(instruction, episode_id)
        self._robot.reset()
        self._cancelled = ""
        self._over.clear()
        try:
            yield from self._follow()
        except _End as end:
            self._robot.halt()
            yield self._ended(end.reason, end.message)
        except (ServingError, CameraError, RobotError) as error:
            self._robot.halt()
            yield self._ended(next(reason for kind, reason in _REASONS.items() if isinstance(error, kind)), str(error))
        finally:
            self._robot.halt()
            self._over.set()

    def _ended(self, reason: str, message: str) -> Ended:
        return Ended(reason, message, self._primitives, self._decisions, self._rejections)

    def _follow(self) -> Iterator[Event]:
        row, last = 0, "moved"
        left, self.left = self.left, None
        yield self._capture()
        if left is not None:
            yield from self._carry_out(-1, *left)
        while True:
            outcome, message = yield from self._turn()
            row, last = (row + 1 if outcome == last else 1), outcome
            if outcome != "moved":
                patience, reason = _PATIENCE[outcome]
                if row >= patience:
                    raise _End(reason, f"{message} ({row} times in a row)")
                yield self._capture()

    def _go_on(self) -> None:
        if self._cancelled:
            raise _End("cancelled", self._cancelled)

    def _capture(self) -> Captured:
        self._go_on()
        self._frame = self._camera.capture()
        self._robot.saw(self._frame)
        self._policy.observe(self._frame)
        return Captured(self._frame)

    def _turn(self) -> Turn:
        """One decision and what comes of it."""
        if self._decisions >= self._config.max_decisions:
            raise _End("limit", f"{self._decisions} decisions")
        try:
            decision = self._decide()
        except LinkDown as error:
            return (yield from self._outage(str(error), ()))
        except DeadlinePassed as error:
            return "late", str(error)
        latency_ms = 1000 * (time.monotonic() - self._frame.captured_s)
        self._decisions += 1
        yield Decided(self._decisions - 1, self._frame.frame_id, decision, latency_ms)
        self._rejections += decision.rejected
        if decision.action is None:
            self._robot.halt()
            return "crashed" if self._config.crashes else "rejected", f"the answer {decision.text!r:.80} is no action"
        doubt = self._robot.doubt(decision)
        if doubt:
            self._robot.halt()
            yield Withheld(self._decisions - 1, doubt, allowed_primitives(decision.action, self._config.limits, self._config.steps))
            return "unsure", doubt
        allowed = allowed_primitives(decision.action, self._config.limits, self._config.steps)
        return (yield from self._carry_out(self._decisions - 1, decision.action, allowed))

    def _carry_out(self, n: int, action: Action, steps: tuple[Primitive, ...]) -> Turn:
        """The primitives `steps` of `action`, which decision `n` asked for."""
        queue, index = deque(steps), 0
        while queue:
            forced = self._forced() if queue[0] != Primitive.STOP else ""
            if forced:
                queue = deque([Primitive.STOP])
            self._go_on()
            try:
                motion = yield from self._execute(action, queue[0], last=len(queue) == 1)
            except Refused as refusal:
                if refusal.code == "server":
                    return (yield from self._outage(str(refusal), tuple(queue)))
                yield Withheld(n, str(refusal), tuple(queue))
                return "stale", str(refusal)
            except RobotError as error:
                self._broken_off(queue[0])
                return (yield from self._failure(error, n, tuple(queue)))
            primitive = queue.popleft()
            self._primitives += 1
            self._executed(action, primitive, motion)
            yield Executed(n, index, primitive, motion)
            if primitive == Primitive.STOP:
                raise _End("forced" if forced else "stop", forced)
            if self._primitives >= self._config.max_primitives:
                self.left = (action, tuple(queue)) if queue and self._config.leaks_queue else None
                raise _End("limit", f"{self._primitives} primitives")
            index += 1
            yield from self._look(primitive, motion)
            if not self._config.pushes_on and is_blocked(primitive, motion.moved_m):
                break
        return "moved", ""

    # --- what overlap.py does otherwise

    def _decide(self) -> Decision:
        """The next decision, seen from the newest frame."""
        return self._policy.decide()

    def _execute(self, action: Action, primitive: Primitive, last: bool) -> Generator[Event, None, Motion]:
        """Carry out a primitive of an action, the `last` one or another."""
        yield from ()
        return self._robot.execute(primitive)

    def _executed(self, action: Action, primitive: Primitive, motion: Motion) -> None:
        """Tell the policy."""
        self._policy.executed(action, primitive, motion)

    def _look(self, primitive: Primitive, motion: Motion) -> Iterator[Event]:
        """See what came of a primitive."""
        yield self._capture()

    def _broken_off(self, primitive: Primitive) -> None:
        """A primitive failed."""
        self._robot.halt()

    # --- waiting, the robot halted

    def _failure(self, error: RobotError, n: int, dropped: tuple[Primitive, ...]) -> Turn:
        """Say so, and wait for the robot. Raises the error when nothing tells whether it is back, or it must be left alone."""
        if self._pose is None or isinstance(error, HandsOff):
            raise error
        failed_s, wait_s = time.monotonic(), self._config.robot_deadline_s
        yield RobotLost(n, f"{error}; waiting for the robot, at most {wait_s:g} s", dropped)
        well_s = math.inf  # since when
        while time.monotonic() < well_s + _BACK_S:
            if time.monotonic() - failed_s > wait_s:
                raise _End("robot", f"{error}; it did not come back within {wait_s:g} s")
            time.sleep(_LOOK_EVERY_S)
            self._go_on()
            self._robot.halt()
            well_s = min(well_s, time.monotonic()) if self._tells_its_pose() else math.inf
        yield RobotBack(1000 * (time.monotonic() - failed_s))
        return "failed", str(error)

    def _tells_its_pose(self) -> bool:
        """Whether odometry is there, finite and of now. Raises HandsOff."""
        assert self._pose is not None
        try:
            pose = self._pose()
        except HandsOff:
            raise
        except RobotError:
            return False
        return abs(time.monotonic() - pose.stamp_s) <= _FRESH_S and all(map(math.isfinite, (pose.x_m, pose.y_m, pose.yaw_rad)))

    def _outage(self, message: str, dropped: tuple[Primitive, ...]) -> Turn:
        """Halt, say so, and wait for the server."""
        self._robot.halt()
        lost_s = time.monotonic()
        yield ServerLost(message, dropped)
        if not self._link.wait_alive(self._config.server_deadline_s):
            raise _End("server", f"{message}; it did not come back within {self._config.server_deadline_s:g} s")
        yield ServerBack(1000 * (time.monotonic() - lost_s))
        return "lost", message
