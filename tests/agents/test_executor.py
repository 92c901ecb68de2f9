"""Primitives on a robot that takes velocities: how exact they are, and that whatever is wrong ends with zero velocity."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from agents.executor import ErrorCode, Executor, ExecutorConfig, PrimitiveFailed
from agents.obstacles import Clearance
from agents.protocols import Motion, Odometry, RobotError
from agents.robots.kinematic import Body, Kinematic
from nvila_edge.navigation.actions import Primitive
from tests.agents.made_time import MadeTime

F, L, R = Primitive.FORWARD, Primitive.LEFT, Primitive.RIGHT
BODIES = {
    "quick": Body(),
    "late": Body(lag_s=0.15, response_s=0.2, coast_s=0.25),
    "too fast": Body(lag_s=0.2, coast_s=0.3, gain=(1.3, 1.2)),  # a walking Go2 goes 20 to 35 % further than told
    "too slow": Body(gain=(0.8, 0.75), coast_s=0.2),
    "swaying": Body(sway_deg=3, coast_s=0.2),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_primitives_are_exact_to_3_cm_and_3_degrees_and_told_as_achieved(body: Body) -> None:
    clock = MadeTime()
    robot = Kinematic(body, clock)
    executor = Executor(robot, clock=clock)
    for primitive in (F, F, F, L, L, R, R, R, F, L):
        x_m, y_m, yaw_rad = robot.pose
        motion = executor.execute(primitive)
        clock.wait(threading.Event(), 2.0)  # whatever it still coasts counts
        now = robot.pose
        moved_m, turned_deg = math.hypot(now[0] - x_m, now[1] - y_m), math.degrees(now[2] - yaw_rad)
        assert moved_m == pytest.approx(0.25 * (primitive == F), abs=0.03)
        assert turned_deg == pytest.approx({F: 0, L: 15, R: -15}[primitive], abs=3)
        assert motion.moved_m == pytest.approx(moved_m, abs=0.015) and motion.turned_deg == pytest.approx(turned_deg, abs=1.5)
        assert not motion.collided and robot.velocity == pytest.approx((0, 0), abs=1e-3)


def test_stop_moves_nothing() -> None:
    robot = Kinematic(clock=MadeTime())
    assert Executor(robot).execute(Primitive.STOP) == Motion(0.0, 0.0, False) and robot.pose == (0, 0, 0)


class Faulty(Kinematic):
    """From 0.3 s after its first motion on, its odometry is what `spoil` makes of it, or raises what that raises."""

    def __init__(self, clock: MadeTime, spoil: Callable[[Odometry], Odometry]) -> None:
        super().__init__(Body(), clock)
        self._spoil, self._begun_s, self._time = spoil, math.inf, clock
        self.told: list[tuple[float, float]] = []

    def command(self, linear_mps: float, angular_rps: float) -> None:
        self.told.append((linear_mps, angular_rps))
        self._begun_s = min(self._begun_s, self._time.now())
        super().command(linear_mps, angular_rps)

    def odometry(self) -> Odometry:
        pose = super().odometry()
        return self._spoil(pose) if self._time.now() > self._begun_s + 0.3 else pose


def unplugged(pose: Odometry) -> Odometry:
    raise RobotError("unplugged")


BAD = {
    "nan": (lambda pose: replace(pose, x_m=math.nan), ErrorCode.NO_ODOMETRY),
    "nan stamp": (lambda pose: replace(pose, stamp_s=math.nan), ErrorCode.NO_ODOMETRY),
    "infinite yaw": (lambda pose: replace(pose, yaw_rad=math.inf), ErrorCode.NO_ODOMETRY),
    "jump": (lambda pose: replace(pose, x_m=pose.x_m + 2), ErrorCode.NO_ODOMETRY),
    "yaw jump": (lambda pose: replace(pose, yaw_rad=pose.yaw_rad + 1.5), ErrorCode.NO_ODOMETRY),
    "freeze": (lambda pose: replace(pose, x_m=0.01, yaw_rad=0.01, stamp_s=100.0), ErrorCode.NO_ODOMETRY),
    "frozen with new stamps": (lambda pose: replace(pose, x_m=0.05, yaw_rad=0.05), ErrorCode.TIMEOUT),
    "from the future": (lambda pose: replace(pose, stamp_s=pose.stamp_s + 5), ErrorCode.NO_ODOMETRY),
    "unplugged": (unplugged, None),
}


@pytest.mark.parametrize("primitive", [F, R])
@pytest.mark.parametrize(("spoil", "code"), BAD.values(), ids=BAD.keys())
def test_bad_odometry_ends_with_zero_velocity_and_a_code(spoil: Callable, code: ErrorCode | None, primitive: Primitive) -> None:
    clock = MadeTime()
    robot = Faulty(clock, spoil)
    with pytest.raises(RobotError) as caught:
        Executor(robot, clock=clock).execute(primitive)
    assert robot.told[-1] == (0.0, 0.0) and any(pair != (0, 0) for pair in robot.told)
    assert (caught.value.code if isinstance(caught.value, PrimitiveFailed) else None) == code


@pytest.mark.parametrize("name", ["nan", "nan stamp", "infinite yaw", "freeze", "from the future", "unplugged"])
def test_with_odometry_that_stays_bad_nothing_begins(name: str) -> None:
    clock = MadeTime()
    robot = Faulty(clock, BAD[name][0])
    robot._begun_s = -math.inf
    clock.wait(threading.Event(), 1.0)
    with pytest.raises(RobotError):
        Executor(robot, clock=clock).execute(F)
    assert set(robot.told) <= {(0.0, 0.0)} and robot.pose == (0, 0, 0)


def test_a_clock_that_jumps_stops_the_robot() -> None:
    clock = MadeTime()
    robot = Faulty(clock, lambda pose: replace(pose, stamp_s=pose.stamp_s - 60))
    with pytest.raises(PrimitiveFailed, match="60.* s old"):
        Executor(robot, clock=clock).execute(F)
    assert robot.told[-1] == (0.0, 0.0)


@pytest.mark.parametrize("primitive", [F, L])
def test_a_robot_that_does_not_obey_is_named_and_no_longer_commanded(primitive: Primitive) -> None:
    clock = MadeTime()
    robot = Kinematic(Body(gain=(0.0, 0.0)), clock)
    with pytest.raises(PrimitiveFailed, match="does not obey.*TIMEOUT 721") as caught:
        Executor(robot, clock=clock).execute(primitive)
    assert clock.now() - 100 < 2.0 and caught.value.motion.moved_m == 0
    clock.wait(threading.Event(), 0.2)
    assert robot.velocity == (0, 0)


def test_a_wall_that_nobody_saw_is_told_as_a_collision_and_a_third_push_is_a_fault() -> None:
    clock = MadeTime()
    robot = Kinematic(Body(wall_m=0.4, sway_deg=1), clock)
    executor = Executor(robot, clock=clock)
    motions = [executor.execute(F) for _ in range(3)]
    assert [motion.collided for motion in motions] == [False, True, True]
    assert motions[0].moved_m == pytest.approx(0.25, abs=0.03) and sum(motion.moved_m for motion in motions) == pytest.approx(0.4, abs=0.03)
    with pytest.raises(PrimitiveFailed, match="does not obey"):
        executor.execute(F)
    assert [executor.execute(turn).turned_deg for turn in (L, R)] == pytest.approx([15, -15], abs=3)
    assert executor.execute(F).collided, "having obeyed, it may push again"


def test_a_robot_that_drifts_is_held_on_its_heading() -> None:
    class Drifts(Kinematic):
        def command(self, linear_mps: float, angular_rps: float) -> None:
            super().command(linear_mps, angular_rps + 0.4 * linear_mps)

    def turned_deg(steering: float) -> float:
        clock = MadeTime()
        robot = Drifts(clock=clock)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("agents.executor._STEER_RPS", steering)
            for _ in range(4):
                Executor(robot, clock=clock).execute(F)
        return math.degrees(robot.pose[2])

    assert turned_deg(0.0) > 18 and turned_deg(0.3) < 12, "of which each primitive's first quarter metre is the most"


def test_what_is_in_the_way_stops_it_before_it_is_met() -> None:
    clock = MadeTime()
    robot = Kinematic(Body(wall_m=1.0), clock)
    executor = Executor(robot, clearance=lambda: Clearance(1.0 - robot.pose[0], clock.now() - 0.1), clock=clock)
    motions = [executor.execute(F) for _ in range(5)]
    assert motions[0].moved_m == pytest.approx(0.25, abs=0.03) and not motions[0].collided
    assert motions[-1].collided and motions[-1].moved_m < 0.05
    assert 0.5 < robot.pose[0] < 0.95, "a margin of 10 cm is left"
    assert executor.execute(L).turned_deg == pytest.approx(15, abs=3), "it may still turn away"


@pytest.mark.parametrize(
    "seen", [Clearance(None, math.inf), Clearance(2.0, 0.0), Clearance(math.nan, math.inf)], ids=["invalid", "stale", "nan"]
)
def test_a_blind_robot_does_not_go_ahead(seen: Clearance) -> None:
    clock = MadeTime()
    robot = Kinematic(clock=clock)
    executor = Executor(robot, clearance=lambda: replace(seen, stamp_s=min(seen.stamp_s, clock.now())), clock=clock)
    with pytest.raises(PrimitiveFailed, match="nothing is known of the way ahead.*COLLISION_AHEAD 723"):
        executor.execute(F)
    assert robot.pose == (0, 0, 0)


def test_a_sensor_that_fails_on_the_way_stops_it_and_may_come_back() -> None:
    clock = MadeTime()
    robot = Kinematic(clock=clock)
    executor = Executor(robot, clearance=lambda: Clearance(None if 100.3 < clock.now() < 100.9 else math.inf, clock.now()), clock=clock)
    assert executor.execute(F).moved_m == pytest.approx(0.25, abs=0.03)


def test_halt_from_another_thread_ends_the_primitive_at_once_and_tells_what_was_achieved() -> None:
    robot = Kinematic(Body(response_s=0.02, coast_s=0.02, lag_s=0))
    executor, halted_s = Executor(robot, ExecutorConfig(linear_mps=0.2)), [0.0]

    def halt() -> None:
        executor.halt()
        halted_s[0] = time.monotonic()

    threading.Timer(0.5, halt).start()
    motion = executor.execute(F)
    assert time.monotonic() - halted_s[0] < 0.3 and 0.01 < motion.moved_m < 0.15 and not motion.collided
    time.sleep(0.2)
    assert robot.velocity == pytest.approx((0, 0), abs=1e-3)


def test_an_interrupt_leaves_zero_velocity() -> None:
    clock = MadeTime()

    class Interrupted(Faulty):
        def odometry(self) -> Odometry:
            if len(self.told) > 5 and self.told[-1] != (0, 0):
                raise KeyboardInterrupt
            return super().odometry()

    robot = Interrupted(clock, lambda pose: pose)
    with pytest.raises(KeyboardInterrupt):
        Executor(robot, clock=clock).execute(F)
    assert robot.told[-1] == (0.0, 0.0)
