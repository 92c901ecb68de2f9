"""What a robot was commanded is in an agent's recording, and an e-stop has its dump."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="needs the extra record: rosbags")

from agents.guard import GuardLimits  # noqa: E402
from agents.loop import LoopConfig  # noqa: E402
from agents.main import run_agent  # noqa: E402
from agents.protocols import HandsOff  # noqa: E402
from agents.recording.robot import Recorded  # noqa: E402
from agents.robots.kinematic import Kinematic  # noqa: E402
from agents.robots.remote import Remote  # noqa: E402
from agents.telling import Record  # noqa: E402
from agents.watchdog import Watchdog  # noqa: E402
from nvila_edge.serving.process import ServerProcess  # noqa: E402
from tests.agents.test_recorder import messages  # noqa: E402

CONFIG = LoopConfig(max_primitives=3, limits=GuardLimits(max_frame_age_s=5.0))


@pytest.mark.parametrize("overlap", [False, True])
def test_velocities_and_the_robots_own_odometry_are_in_the_recording(
    tmp_path: Path, images: Path, server: ServerProcess, overlap: bool
) -> None:
    options = {"robot": "kinematic", "config": CONFIG, "overlap": overlap, "record": Record(tmp_path / "run")}
    ended = run_agent(server.address, images, "walk on", on_event=lambda _: None, **options)
    assert ended.primitives >= 1 and not ended.fault
    found = messages(tmp_path / "run")
    twists = np.array([(row[1].twist.linear.x, row[1].twist.angular.z) for row in found["/cmd_vel"]])
    poses = np.array([(row[1].pose.pose.position.x, row[1].pose.pose.position.y) for row in found["/odom"]])
    assert len(twists) > 10 and abs(twists).max() > 0.1 and (twists[-1] == 0).all() and abs(twists[:, 0]).max() <= 0.5
    assert len(poses) > 10 and len(np.unique([row[1].header.stamp.nanosec for row in found["/odom"]])) > 10
    seconds = (found["/odom"][-1][0] - found["/odom"][0][0]) / 1e9
    assert 0 < seconds < 120


def test_an_e_stop_while_it_moves_is_dumped_and_ends_the_episode(
    tmp_path: Path, images: Path, robot: ServerProcess, server: ServerProcess
) -> None:
    with Remote(robot.address, patience_s=3.0) as person:
        stop = threading.Timer(1.5, lambda: person.estop("a person"))

        def tell(_: object) -> None:
            if not stop.is_alive() and not stop.finished.is_set():
                stop.start()

        options = {"robot": robot.address, "config": LoopConfig(limits=CONFIG.limits), "record": Record(tmp_path / "ring", last_s=30)}
        try:
            ended = run_agent(server.address, images, "walk on", on_event=tell, **options)
        finally:
            stop.join(10)
            person.reset()
    if ended.reason in ("unsure", "rejected", "over", "stop"):
        pytest.skip(f"the policy ended before the e-stop: {ended.reason}")
    assert ended.reason == "robot" and "e-stop is latched (a person)" in ended.message
    folders = sorted(path.name for path in (tmp_path / "ring").iterdir())
    assert "e-stop" in folders[0] and len([name for name in folders if "e-stop" in name]) == 1
    assert len(messages(tmp_path / "ring" / folders[0])["/cmd_vel"]) > 3


def test_the_dump_comes_once_for_each_time_that_it_latches() -> None:
    class Notes:
        def __init__(self) -> None:
            self.dumps: list[str] = []

        def velocity(self, linear_mps: float, angular_rps: float) -> None: ...

        def odometry(self, x_m: float, y_m: float, yaw_rad: float, stamp_s: float) -> None: ...

        def dump(self, reason: str) -> None:
            self.dumps.append(reason)

    notes = Notes()
    with Watchdog(Kinematic()) as watchdog:
        recorded = Recorded(watchdog, notes)
        recorded.command(0.1, 0.0)
        for times in (1, 2):
            watchdog.estop("a person")
            for _ in range(3):
                with pytest.raises(HandsOff):
                    recorded.command(0.1, 0.0)
                recorded.odometry()
            assert notes.dumps == ["e-stop"] * times
            watchdog.reset()
            recorded.command(0.1, 0.0)
