"""The obstacle stop, fed by the depth of a RealSense through the real pipeline of pyrealsense2."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyrealsense2", reason="needs the extra realsense and the system library libusb-1.0-0")

from agents.cameras.ranging import Ranging  # noqa: E402
from agents.cameras.realsense import RealSense, RealSenseSettings, Tape  # noqa: E402
from agents.executor import Executor, ExecutorConfig, PrimitiveFailed  # noqa: E402
from agents.obstacles import Corridor  # noqa: E402
from agents.robots.kinematic import Kinematic  # noqa: E402
from nvila_edge.navigation.actions import Primitive  # noqa: E402
from nvila_edge.navigation.agent_profiles import CameraSetup  # noqa: E402
from tests.agents.realsense_tape import HEIGHT, WIDTH, floor_depth, record_tape  # noqa: E402

PATIENT = ExecutorConfig(corridor=Corridor(max_age_s=3.0), blocked_s=3.0)  # the machine may be busy
GREY = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)


@contextmanager
def looking_at(tape: Path, depth_mm: np.ndarray) -> Iterator[Ranging]:
    """A camera that sees this for ever: its plug is pulled at the end of the tape, and put in again."""
    record_tape(tape, [(GREY, depth_mm)] * 40)
    camera = RealSense(Tape(tape, unplugs=True), RealSenseSettings(wait_s=1.0, reopen_s=5.0))
    with closing(Ranging(camera, CameraSetup(WIDTH, HEIGHT, height_m=0.4))) as ranging:
        yield ranging


def known(ranging: Ranging, timeout_s: float = 10.0) -> float | None:
    """The clearance as soon as it is known."""
    expires_s = time.monotonic() + timeout_s
    while (found := ranging.clearance()).distance_m is None and time.monotonic() < expires_s:
        time.sleep(0.02)
    return found.distance_m


def test_the_way_ahead_is_looked_at_while_nobody_captures(tmp_path: Path) -> None:
    wall = floor_depth(0.4, 0.0)
    wall[(wall == 0) | (wall > 1200)] = 1200
    with looking_at(tmp_path / "wall.db3", wall) as ranging:
        assert known(ranging) == pytest.approx(1.2, abs=0.05), "the floor before it is none"
        first = ranging.clearance().stamp_s
        expires_s = time.monotonic() + 10
        while ranging.clearance().stamp_s == first and time.monotonic() < expires_s:
            time.sleep(0.02)
        assert ranging.clearance().stamp_s > first
        frame = ranging.capture()
        assert frame.depth_m is not None and ranging.clearance().stamp_s >= frame.captured_s
    with looking_at(tmp_path / "floor.db3", floor_depth(0.6, 10.0)) as ranging:  # mounted otherwise than wanted: measured by the floor
        assert known(ranging) == math.inf


@pytest.mark.parametrize(("distance_mm", "collided"), [(60, True), (3000, False)])
def test_a_robot_stops_before_what_is_near(tmp_path: Path, distance_mm: int, collided: bool) -> None:
    with looking_at(tmp_path / "wall.db3", np.full((HEIGHT, WIDTH), distance_mm, np.uint16)) as ranging:
        assert known(ranging) == pytest.approx(distance_mm / 1000, abs=0.01)
        robot = Kinematic()
        motion = Executor(robot, PATIENT, ranging.clearance).execute(Primitive.FORWARD)
        assert motion.collided == collided and robot.pose[0] == pytest.approx(0.0 if collided else 0.25, abs=0.05)


def test_without_depth_nothing_goes_ahead(tmp_path: Path) -> None:
    with looking_at(tmp_path / "blind.db3", np.zeros((HEIGHT, WIDTH), np.uint16)) as ranging:
        robot = Kinematic()
        with pytest.raises(PrimitiveFailed, match="nothing is known of the way ahead"):
            Executor(robot, clearance=ranging.clearance).execute(Primitive.FORWARD)
        assert robot.pose == (0, 0, 0)
