"""The bridge's lowest layer, without ROS: limits, blocks, watchdog, odometry, scanner, camera."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from nvila_edge_ros.base import TopicBase
from nvila_edge_ros.camera import TopicCamera
from nvila_edge_ros.follower import Follower
from nvila_edge_ros.settings import Settings

from agents.executor import Executor
from agents.protocols import CameraError, RobotError
from agents.robots.kinematic import Kinematic
from nvila_edge.navigation.actions import Primitive
from tests.agents.made_time import MadeTime


class Sent(list[tuple[float, float, float]]):
    """What went out: time, linear, angular."""

    def __call__(self, linear_mps: float, angular_rps: float) -> None:
        self.append((time.monotonic(), linear_mps, angular_rps))


@pytest.fixture
def sent() -> Sent:
    return Sent()


def test_commands_stay_within_the_limits_and_numbers(sent: Sent) -> None:
    base = TopicBase(sent, Settings(max_linear_mps=0.3, max_angular_rps=0.5))
    base.command(9.0, -9.0)
    assert sent[-1][1:] == (0.3, -0.5)
    for wrong in ((math.nan, 0.0), (0.1, math.inf)):
        with pytest.raises(RobotError, match="not finite"):
            base.command(*wrong)
        assert sent[-1][1:] == (0.0, 0.0)
    base.close()


def test_a_command_that_is_not_renewed_ends(sent: Sent) -> None:
    base = TopicBase(sent, Settings(command_timeout_s=0.2))
    base.command(0.2, 0.0)
    began_s = time.monotonic()
    while sent[-1][1] and time.monotonic() < began_s + 3:
        time.sleep(0.01)
    assert sent[-1][1:] == (0.0, 0.0) and 0.15 <= sent[-1][0] - sent[0][0] <= 0.6
    time.sleep(0.3)
    assert len(sent) == 2  # said once, then silent
    base.close()


def test_a_zero_that_could_not_be_published_is_published_again() -> None:
    sent: list[tuple[float, float]] = []

    def publish(linear_mps: float, angular_rps: float) -> None:
        sent.append((linear_mps, angular_rps))
        if len(sent) == 2:  # the watchdog's first zero
            raise RuntimeError("cannot publish data")

    base = TopicBase(publish, Settings(command_timeout_s=0.2))
    base.command(0.2, 0.0)
    expires_s = time.monotonic() + 3
    while len(sent) < 3 and time.monotonic() < expires_s:
        time.sleep(0.01)
    assert sent == [(0.2, 0.0), (0.0, 0.0), (0.0, 0.0)]
    base.close()


def test_while_blocked_only_zeros_pass(sent: Sent) -> None:
    base = TopicBase(sent, Settings())
    base.command(0.2, 0.1)
    base.block("estop", "pressed")
    base.block("cancel", "cancelled")
    assert sent[-1][1:] == (0.0, 0.0) and base.blocks == {"estop": "pressed", "cancel": "cancelled"}
    with pytest.raises(RobotError, match="pressed; cancelled"):
        base.command(0.2, 0.1)
    base.unblock("cancel")
    with pytest.raises(RobotError, match="pressed"):
        base.command(0.2, 0.1)
    base.unblock("estop")
    base.command(0.2, 0.1)
    assert sent[-1][1:] == (0.2, 0.1)
    base.close()
    assert sent[-1][1:] == (0.0, 0.0)


def test_odometry_that_is_missing_old_or_jumps_is_no_odometry(sent: Sent) -> None:
    base = TopicBase(sent, Settings(odom_timeout_s=0.2))
    with pytest.raises(RobotError, match="none came yet"):
        base.odometry()
    base.saw_odometry(1.0, 2.0, 0.5)
    base.saw_odometry(1.01, 2.0, 0.5)
    pose = base.odometry()
    assert (pose.x_m, pose.y_m, pose.yaw_rad) == (1.01, 2.0, 0.5)
    base.saw_odometry(4.0, 2.0, 0.5)
    with pytest.raises(RobotError, match="jumped by 2.99 m"):
        base.command(0.1, 0.0)
    base.unblock("odometry")
    base.saw_odometry(4.0, math.nan, 0.5)
    assert "not finite" in base.blocks["odometry"] and base.odometry().x_m == 4.0
    time.sleep(0.25)
    with pytest.raises(RobotError, match="s old, 0.2 s are allowed"):
        base.odometry()
    base.close()


@pytest.mark.parametrize(
    ("ranges_m", "ahead"),
    [
        ([5.0] * 21, 0.3),
        ([math.inf] * 21, 0.3),
        ([0.4] * 21, 0.0),
        ([math.nan] * 21, 0.0),
        ([], 0.0),
        ([0.4] + [5.0] * 20, 0.3),
        ([-1.0] * 21, 0.0),
    ],
    ids=["free", "nothing in reach", "wall", "blind", "empty", "beside the corridor", "no measurements"],
)
def test_nothing_drives_ahead_towards_what_the_scanner_sees(sent: Sent, ranges_m: list[float], ahead: float) -> None:
    base = TopicBase(sent, Settings(use_scan=True))
    base.command(0.3, 0.2)
    assert sent[-1][1:] == (0.0, 0.2)  # no scan yet; turning is allowed
    base.saw_scan(ranges_m, -1.0, 0.1)
    base.command(0.3, 0.2)
    assert sent[-1][1:] == (ahead, 0.2)
    base.close()


def test_an_old_scan_is_none(sent: Sent) -> None:
    base = TopicBase(sent, Settings(use_scan=True, scan_timeout_s=0.1))
    base.saw_scan([5.0] * 21, -1.0, 0.1)
    time.sleep(0.15)
    base.command(0.3, 0.0)
    assert sent[-1][1:] == (0.0, 0.0)
    base.close()


def test_a_picture_is_shown_once_with_its_age() -> None:
    camera = TopicCamera(0.1)
    red = np.full((4, 4, 3), (255, 0, 0), np.uint8)
    camera.saw(lambda: red, 0.5)
    frame = camera.capture()
    assert frame.frame_id == 0 and np.array_equal(frame.rgb, red) and 0.5 <= time.monotonic() - frame.captured_s < 0.7
    with pytest.raises(CameraError, match="no picture came for 0.1 s"):
        camera.capture()

    def broken() -> np.ndarray:
        raise ValueError("no JPEG")

    camera.saw(broken, 0.0)
    with pytest.raises(CameraError, match="no JPEG"):
        camera.capture()
    camera.begin()
    camera.saw(lambda: red, 0.0)
    assert camera.capture().frame_id == 0


@pytest.mark.parametrize(
    "change",
    [
        {"max_linear_mps": math.nan},
        {"max_linear_accel_mps2": 0.0},
        {"max_angular_decel_rps2": -3.2},
        {"command_timeout_s": 5.0},
        {"image_type": "h264"},
        {"stop_distance_m": -1.0},
    ],
)
def test_settings_out_of_range_are_named(change: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        Settings(**change)


def test_primitives_are_driven_within_the_nodes_speeds_and_accelerations(sent: Sent) -> None:
    settings = Settings(max_linear_mps=0.3, max_linear_accel_mps2=0.2, max_linear_decel_mps2=0.5, command_timeout_s=0.5)
    base, clock = TopicBase(sent, settings), MadeTime()
    follower = Follower(settings, TopicCamera(1.0), base, lambda told: None)
    config = follower._driven(30)
    follower.close()
    base.close()
    told: list[float] = [0.0]
    robot = Kinematic(clock=clock)
    command = robot.command
    robot.command = lambda linear, angular: (told.append(linear), command(linear, angular))[1]  # type: ignore[method-assign]
    assert Executor(robot, config, clock=clock).execute(Primitive.FORWARD).moved_m == pytest.approx(0.25, abs=0.05)
    assert 0.1 < max(told) <= 0.3 and max(np.diff(told)) <= 0.2 / 20 + 1e-9
    assert config.limits.velocity_timeout == 0.5 and config.limits.max_decel == (-0.5, -3.2) and config.turn_deg == 30
