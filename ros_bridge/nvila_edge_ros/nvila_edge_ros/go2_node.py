"""The node `go2`: a Unitree Go2, real or simulated, behind the bridge's topics: cmd_vel in; odom and image/compressed out. Needs the extra `go2`."""

from __future__ import annotations

import array
import math
import signal
import threading
import time

import cv2
import rclpy
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage

from agents.cameras.go2 import Go2Camera
from agents.protocols import RobotError
from agents.robots.go2 import Go2
from nvila_edge.ending import ending_signals

DEAD_MAN_S = 0.5  # without a cmd_vel for so long: StopMove
ODOMETRY_S, PICTURE_S = 0.02, 0.1
_JPEG_QUALITY = 85


class Go2Node(Node):
    """Parameters: interface, domain (of Unitree's DDS, not of ROS). Stands up when it starts. Raises RobotError or CameraError."""

    def __init__(self) -> None:
        super().__init__("go2")
        interface = self.declare_parameter("interface", "eth0").value
        domain = self.declare_parameter("domain", 0).value
        where = str(interface), int(domain or 0)
        self._go2 = Go2(*where, connect_s=15.0)
        self._go2.stand()
        self._camera = Go2Camera(*where)
        self._moving, self._told_s = False, 0.0
        self._odometry = self.create_publisher(Odometry, "odom", qos_profile_sensor_data)
        self._picture = self.create_publisher(CompressedImage, "image/compressed", qos_profile_sensor_data)
        self.create_subscription(Twist, "cmd_vel", self._obey, 1)
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=self._every, args=pair, daemon=True) for pair in ((ODOMETRY_S, self._tell), (PICTURE_S, self._look))
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """StopMove, and no more messages."""
        self._closed.set()
        for thread in self._threads:
            thread.join(2.0)
        self._go2.halt()

    def _obey(self, twist: Twist) -> None:
        self._told_s = time.monotonic()
        linear, angular = twist.linear.x, twist.angular.z
        try:
            if linear == 0.0 and angular == 0.0:
                self._moving = False
                self._go2.halt()
            else:
                self._moving = True
                self._go2.command(linear, angular)
        except RobotError as error:
            self._moving = False
            self._go2.halt()
            self.get_logger().error(str(error), throttle_duration_sec=2.0)

    def _tell(self) -> None:
        if self._moving and time.monotonic() - self._told_s > DEAD_MAN_S:
            self._moving = False
            self._go2.halt()
            self.get_logger().warning(f"no cmd_vel for {DEAD_MAN_S} s: stopped")
        pose, message = self._go2.odometry(), Odometry()
        message.header.stamp, message.header.frame_id, message.child_frame_id = self.get_clock().now().to_msg(), "odom", "base_link"
        message.pose.pose.position.x, message.pose.pose.position.y = pose.x_m, pose.y_m
        message.pose.pose.orientation.z, message.pose.pose.orientation.w = math.sin(pose.yaw_rad / 2), math.cos(pose.yaw_rad / 2)
        self._odometry.publish(message)

    def _look(self) -> None:
        stamp = self.get_clock().now().to_msg()
        frame = self._camera.capture()
        _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        message = CompressedImage(format="jpeg", data=array.array("B", jpeg.tobytes()))
        message.header.stamp, message.header.frame_id = stamp, "front_camera"
        self._picture.publish(message)

    def _every(self, period_s: float, do) -> None:  # noqa: ANN001
        while not self._closed.wait(period_s):
            try:
                do()
            except Exception as error:  # the thread that tells is the dead-man, too; silence is what the bridge stops on
                self.get_logger().error(str(error), throttle_duration_sec=2.0)


def main() -> None:
    """Spin until a signal ends it, and leave the robot standing."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    end = threading.Event()
    for number in ending_signals():
        signal.signal(number, lambda *_: end.set())
    node = Go2Node()
    executor = MultiThreadedExecutor(num_threads=2)
    executor.add_node(node)

    def spin() -> None:
        try:
            executor.spin()
        except ExternalShutdownException:
            pass
        finally:
            end.set()

    spinning = threading.Thread(target=spin, daemon=True)
    spinning.start()
    try:
        end.wait()
    finally:
        node.close()
        executor.shutdown(timeout_sec=1.0)
        spinning.join(2.0)
        node.destroy_node()
        rclpy.shutdown()


if __name__ == "__main__":
    main()
