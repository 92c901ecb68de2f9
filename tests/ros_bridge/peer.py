"""The other side of the bridge, as a process under ROS: a point robot with camera and odometry that obeys cmd_vel, and the person who instructs it.

Reads one JSON command per line ({"do": name, ...}) and answers each with one JSON line. Times are CLOCK_MONOTONIC seconds, comparable between processes.
"""

from __future__ import annotations

import argparse
import array
import json
import math
import sys
import threading
import time

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image, LaserScan
from std_msgs.msg import String
from std_srvs.srv import Trigger


class Peer(Node):
    """Odometry at 50 Hz, pictures at 10 Hz, and a robot that does at once what it is told."""

    def __init__(self, raw: bool, stamped: bool) -> None:
        super().__init__("peer")
        self.x_m = self.y_m = self.yaw_rad = self.v = self.w = 0.0
        self.odometry_on, self.scan_m, self._raw, self._stamped = True, 5.0, raw, stamped
        self.commands: list[tuple[float, float, float]] = []  # time, linear, angular
        self.progress: list[dict] = []
        self.health: dict = {}
        group = ReentrantCallbackGroup()
        self._poses = self.create_publisher(Odometry, "odom", qos_profile_sensor_data)
        self._pictures = self.create_publisher(Image if raw else CompressedImage, "image", qos_profile_sensor_data)
        self._scans = self.create_publisher(LaserScan, "scan", qos_profile_sensor_data)
        self._instruction = self.create_publisher(String, "/nvila_edge/instruction", 10)
        kept = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.create_subscription(
            String, "/nvila_edge/progress", lambda m: self.progress.append(json.loads(m.data)), kept, callback_group=group
        )
        self.create_subscription(TwistStamped if stamped else Twist, "cmd_vel", self._command, 10, callback_group=group)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._diagnosis, 10, callback_group=group)
        self._triggers = {
            name: self.create_client(Trigger, f"/nvila_edge/{name}", callback_group=group) for name in ("start", "cancel", "estop", "reset")
        }
        self.create_timer(0.02, self._step, callback_group=group)
        self.create_timer(0.1, self._look, callback_group=group)

    def _command(self, message) -> None:
        twist = message.twist if self._stamped else message
        assert not self._stamped or message.header.frame_id == "base_link"
        self.v, self.w = twist.linear.x, twist.angular.z
        self.commands.append((time.monotonic(), self.v, self.w))

    def _diagnosis(self, message: DiagnosticArray) -> None:
        status = message.status[0]
        self.health = {"level": int.from_bytes(status.level, "little"), "message": status.message}

    def _step(self) -> None:
        self.yaw_rad += 0.02 * self.w
        self.x_m += 0.02 * self.v * math.cos(self.yaw_rad)
        self.y_m += 0.02 * self.v * math.sin(self.yaw_rad)
        if self.odometry_on:
            message = Odometry()
            message.pose.pose.position.x, message.pose.pose.position.y = self.x_m, self.y_m
            message.pose.pose.orientation.z, message.pose.pose.orientation.w = math.sin(self.yaw_rad / 2), math.cos(self.yaw_rad / 2)
            self._poses.publish(message)
        self._scans.publish(LaserScan(angle_min=-0.5, angle_max=0.5, angle_increment=0.1, ranges=[self.scan_m] * 11))

    def _look(self) -> None:
        seed = [round(1000 * abs(value)) for value in (self.x_m, self.y_m, self.yaw_rad)]
        bgr = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        if self._raw:
            message = Image(height=48, width=64, encoding="bgr8", step=192, data=array.array("B", bgr.tobytes()))
        else:
            message = CompressedImage(format="jpeg", data=array.array("B", cv2.imencode(".jpg", bgr)[1].tobytes()))
        message.header.stamp = self.get_clock().now().to_msg()
        self._pictures.publish(message)

    # --- commands

    def instruct(self, text: str) -> dict:
        """Publish an instruction, and tell whether it is followed or refused."""
        before = len(self.progress)
        self._instruction.publish(String(data=text))
        answers = lambda: [told for told in self.progress[before:] if told["state"] in ("following", "refused")]  # noqa: E731
        return self._wait(answers, 5.0) and answers()[0]

    def call(self, service: str) -> dict:
        """Call a Trigger service; `called_s` is when."""
        client = self._triggers[service]
        assert client.wait_for_service(10.0), f"no service {service}"
        called_s = time.monotonic()
        future = client.call_async(Trigger.Request())
        self._wait(future.done, 5.0)
        return {"called_s": called_s, "success": future.result().success, "message": future.result().message}

    def ready(self) -> dict:
        """Wait until the bridge listens."""
        assert self._triggers["start"].wait_for_service(20.0)
        self._wait(lambda: self._instruction.get_subscription_count() > 0 and self.health, 10.0)
        return {"health": self.health}

    def until(self, state: str, count: int = 1, timeout_s: float = 15.0) -> dict:
        """Wait until the newest goal told `state` so often; all progress so far."""
        there = self._wait(lambda: sum(told["state"] == state for told in self._newest()) >= count, timeout_s)
        return {"there": there, "progress": self._newest()}

    def until_moving(self, timeout_s: float = 15.0) -> dict:
        """Wait until the robot is told to move."""
        return {"there": self._wait(lambda: self.v != 0 or self.w != 0, timeout_s)}

    def watch(self, seconds: float) -> dict:
        """Let time pass, then tell the pose and when motion was last commanded."""
        time.sleep(seconds)
        moving = [at_s for at_s, v, w in self.commands if v or w]
        pose = {"x_m": self.x_m, "y_m": self.y_m, "yaw_rad": self.yaw_rad}
        top = [max((abs(c[i]) for c in self.commands), default=0.0) for i in (1, 2)]
        ahead = max((c[1] for c in self.commands), default=0.0)
        return {
            "last_motion_s": max(moving, default=0.0),
            "now": [self.v, self.w],
            "health": self.health,
            "top": top,
            "ahead": ahead,
            **pose,
        }

    def set(self, **values) -> dict:
        """Change the robot: odometry_on, scan_m, x_m."""
        for name, value in values.items():
            assert hasattr(self, name)
            setattr(self, name, value)
        return {}

    def _newest(self) -> list[dict]:
        goals = [told.get("goal") for told in self.progress if told.get("goal")]
        return [told for told in self.progress if goals and told.get("goal") == goals[-1]]

    def _wait(self, condition, timeout_s: float) -> bool:
        until_s = time.monotonic() + timeout_s
        while not (there := bool(condition())) and time.monotonic() < until_s:
            time.sleep(0.002)
        return there


def main() -> None:
    """Obey stdin until it closes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", action="store_true")
    parser.add_argument("--stamped", action="store_true")
    arguments = parser.parse_args()
    rclpy.init()
    peer, executor = Peer(arguments.raw, arguments.stamped), MultiThreadedExecutor(num_threads=4)
    executor.add_node(peer)

    def spin() -> None:
        try:
            executor.spin()
        except ExternalShutdownException:
            pass

    threading.Thread(target=spin, daemon=True).start()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(peer, command.pop("do"))(**command)
        except Exception as error:
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
