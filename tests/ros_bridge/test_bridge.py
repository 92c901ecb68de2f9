"""The bridge over real rclpy: image topic -> decision of a real server -> cmd_vel, in separate processes."""

from __future__ import annotations

import math
import os
import signal
import time
from pathlib import Path

import pytest

from nvila_edge.navigation.actions import SENTENCES
from tests.nvila_edge.pixel_engine import start_pixel_server
from tests.ros_bridge.support import ros_pair

pytestmark = pytest.mark.ros
PATIENT = {
    "odom_timeout_s": 1.0,
    "image_timeout_s": 3.0,
    "max_frame_age_s": 3.0,
    "min_probability": 0.0,
}  # machines under load aren't wrong


def test_pictures_become_decisions_and_velocities_until_cancelled(tmp_path: Path) -> None:
    with start_pixel_server() as server, ros_pair(tmp_path / "bridge.log", server.address, PATIENT) as (_, peer):
        assert peer.ask("ready")["health"]
        assert peer.ask("instruct", text="walk to the sofa")["state"] == "following"
        told = peer.ask("until", state="executed", count=3)
        assert told["there"], (tmp_path / "bridge.log").read_text()
        decided = [t for t in told["progress"] if t["state"] == "decided"]
        assert all(t["text"] in SENTENCES and 0 < t["probability"] <= 1 and t["latency_ms"] < 5000 for t in decided)
        for t in (t for t in told["progress"] if t["state"] == "executed"):
            assert (abs(t["moved_m"] - 0.25) < 0.1) if t["primitive"] == "forward" else (5 < abs(t["turned_deg"]) < 25)
        assert peer.ask("instruct", text="another one")["state"] == "refused"

        assert peer.ask("until_moving")["there"]
        cancelled = peer.ask("call", service="cancel")
        after = peer.ask("watch", seconds=0.7)
        assert cancelled["success"] and cancelled["message"] == "cancelled"
        assert after["last_motion_s"] - cancelled["called_s"] <= 0.1 and after["now"] == [0.0, 0.0]
        assert peer.ask("until", state="ended")["progress"][-1]["reason"] == "cancelled"
        assert after["top"][0] <= 0.4 and after["top"][1] <= 0.6


def test_an_emergency_stop_holds_until_it_is_reset(tmp_path: Path) -> None:
    with (
        start_pixel_server() as server,
        ros_pair(tmp_path / "bridge.log", server.address, PATIENT | {"instruction": "'go on'"}) as (_, peer),
    ):
        peer.ask("ready")
        assert peer.ask("call", service="start")["message"] == "goal-1"
        assert peer.ask("until_moving")["there"]
        stopped = peer.ask("call", service="estop")
        assert peer.ask("watch", seconds=0.5)["last_motion_s"] - stopped["called_s"] <= 0.1
        assert peer.ask("until", state="ended")["there"]
        refused = peer.ask("call", service="start")
        assert not refused["success"] and "~/reset" in refused["message"]
        assert peer.ask("watch", seconds=1.2)["health"]["message"].startswith("emergency stop")
        assert "estop" in peer.ask("call", service="reset")["message"]
        assert peer.ask("call", service="start")["message"] == "goal-2" and peer.ask("until_moving")["there"]


def test_a_dead_server_and_lost_odometry_stop_the_robot(tmp_path: Path) -> None:
    with start_pixel_server() as server, ros_pair(tmp_path / "bridge.log", server.address, PATIENT) as (_, peer):
        peer.ask("ready")
        peer.ask("instruct", text="walk on")
        assert peer.ask("until_moving")["there"]
        peer.ask("set", odometry_on=False)
        lost_s = time.monotonic()
        ended = peer.ask("until", state="ended")["progress"][-1]
        assert (ended["reason"], ended["fault"]) == ("robot", True) and "odometry" in ended["message"]
        assert peer.ask("watch", seconds=0.3)["last_motion_s"] - lost_s <= 1.2

        peer.ask("set", odometry_on=True)
        peer.ask("instruct", text="walk on again")
        assert peer.ask("until", state="decided")["there"] and peer.ask("until_moving")["there"]
        server.process.send_signal(signal.SIGKILL)
        lost_s = time.monotonic()
        assert peer.ask("until", state="server_lost")["there"]
        quiet = peer.ask("watch", seconds=0.5)
        assert quiet["last_motion_s"] - lost_s <= 0.6 and quiet["now"] == [0.0, 0.0]  # 0.3 s of silence, a tick, and this computer's load
        with start_pixel_server(bind=server.address):
            assert peer.ask("until", state="server_back")["there"] and peer.ask("until_moving")["there"]
        assert peer.ask("until", state="server_lost", count=2)["there"]
        assert "no server" in peer.ask("watch", seconds=1.2)["health"]["message"]
        peer.ask("call", service="cancel")
        assert peer.ask("until", state="ended", timeout_s=2.0)["progress"][-1]["reason"] == "cancelled"


def test_raw_pictures_stamped_commands_and_a_scanner(tmp_path: Path) -> None:
    parameters = {"image_type": "raw", "cmd_vel_stamped": True, "use_scan": True, "scan_timeout_s": 2.0} | PATIENT
    with start_pixel_server() as server:
        pair = ros_pair(tmp_path / "bridge.log", server.address, parameters, "--raw", "--stamped")
        with pair as (bridge, peer):
            peer.ask("ready")
            peer.ask("set", scan_m=0.3)
            peer.ask("instruct", text="walk")
            told = peer.ask("until", state="executed", count=4, timeout_s=25)
            assert told["there"], (tmp_path / "bridge.log").read_text()
            forward = [t for t in told["progress"] if t["state"] == "executed" and t["primitive"] == "forward"]
            seen = peer.ask("watch", seconds=0.1)
            assert math.hypot(seen["x_m"], seen["y_m"]) < 0.02 and seen["ahead"] <= 0.0 and all(t["collided"] for t in forward)
            assert peer.ask("until_moving")["there"]
            bridge.terminate()
            assert bridge.wait(10) == 0
            assert peer.ask("watch", seconds=0.3)["now"] == [0.0, 0.0]


def test_a_parameter_that_cannot_be_is_named(tmp_path: Path) -> None:
    log = tmp_path / "bridge.log"
    with ros_pair(log, "tcp://127.0.0.1:9", {"command_timeout_s": 9.0}) as (bridge, _):
        until_s = time.monotonic() + 15
        while "command_timeout_s is 9.0; it must be from 0.1 to 0.5" not in log.read_text() and time.monotonic() < until_s:
            time.sleep(0.05)
        assert "command_timeout_s is 9.0; it must be from 0.1 to 0.5" in log.read_text()
        os.kill(bridge.pid, signal.SIGINT)
        assert bridge.wait(10) == 0
