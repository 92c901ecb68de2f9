"""The node's health as diagnostic_msgs/DiagnosticStatus."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from nvila_edge_ros.base import TopicBase
from nvila_edge_ros.camera import TopicCamera
from nvila_edge_ros.follower import Follower
from nvila_edge_ros.settings import Settings


def diagnosis(settings: Settings, follower: Follower, base: TopicBase, camera: TopicCamera, active: bool) -> DiagnosticStatus:
    """ERROR when something keeps the robot from moving, WARN when the node is not active, OK otherwise; the values say what."""
    troubles = [why for kind, why in base.blocks.items() if kind != "cancel"]
    if not follower.client.alive:
        troubles.append(f"no server answers at {settings.server}")
    if camera.age_s > settings.image_timeout_s:
        troubles.append("no pictures")
    if base.odometry_age_s > settings.odom_timeout_s:
        troubles.append("no odometry")
    level = DiagnosticStatus.ERROR if troubles else DiagnosticStatus.OK if active else DiagnosticStatus.WARN
    values = {
        "server": settings.server,
        "server alive": follower.client.alive,
        "image age (s)": f"{camera.age_s:.2f}",
        "odometry age (s)": f"{base.odometry_age_s:.2f}",
        "following": follower.busy,
        "active": active,
    }
    message = "; ".join(troubles) or ("well" if active else "not active")
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return DiagnosticStatus(level=level, name="nvila_edge", message=message, hardware_id=settings.server, values=pairs)
