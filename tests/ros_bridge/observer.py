"""The peer without its robot: it only instructs, and listens to cmd_vel and odom of others."""

from __future__ import annotations

from nav_msgs.msg import Odometry
from rclpy.qos import qos_profile_sensor_data

from tests.ros_bridge import peer


class Observer(peer.Peer):
    """Where the robot is comes from odom."""

    def __init__(self, raw: bool, stamped: bool) -> None:
        super().__init__(raw, stamped)
        for timer in list(self.timers):
            self.destroy_timer(timer)
        self.create_subscription(Odometry, "odom", self._pose, qos_profile_sensor_data)

    def _pose(self, message: Odometry) -> None:
        self.x_m, self.y_m = message.pose.pose.position.x, message.pose.pose.position.y


if __name__ == "__main__":
    peer.Peer = Observer
    peer.main()
