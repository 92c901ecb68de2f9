"""The lifecycle node `nvila_edge`: image, odometry (and scan) in, cmd_vel out; ~/instruction, ~/start, ~/cancel, ~/estop, ~/reset; ~/progress, /diagnostics."""

from __future__ import annotations

import json
import signal
import threading
from dataclasses import fields
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image, LaserScan
from std_msgs.msg import String
from std_srvs.srv import Trigger

from nvila_edge.ending import ending_signals
from nvila_edge_ros import messages
from nvila_edge_ros.base import TopicBase
from nvila_edge_ros.camera import TopicCamera
from nvila_edge_ros.diagnosis import diagnosis
from nvila_edge_ros.follower import Busy, Follower
from nvila_edge_ros.settings import Settings

_KEPT = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)  # who comes late still hears how the last goal ended


class Bridge(LifecycleNode):
    """unconfigured -> (configure: topics, connection) -> inactive -> (activate: instructions are followed) -> active."""

    def __init__(self) -> None:
        super().__init__("nvila_edge")
        for field in fields(Settings):
            self.declare_parameter(field.name, field.default)
        self._urgent = ReentrantCallbackGroup()  # cancel and e-stop wait for nothing
        self._images = MutuallyExclusiveCallbackGroup()
        self._parts: list[tuple[Any, Any]] = []  # what on_cleanup destroys, and how
        self._settings: Settings | None = None
        self._base: TopicBase | None = None
        self._camera: TopicCamera | None = None
        self._follower: Follower | None = None
        self._active = False

    @property
    def autostart(self) -> bool:
        """Whether to configure and activate without being told."""
        return bool(self.get_parameter("autostart").value)

    # --- lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Topics, services and the connection to the server; fails on a parameter that cannot be, naming it."""
        try:
            self._settings = Settings.read(lambda name: self.get_parameter(name).value)
            self._base = TopicBase(self._velocity_publisher(self._settings), self._settings)
            self._camera = TopicCamera(self._settings.image_timeout_s)
            self._progress = self._keep(self.create_publisher(String, "~/progress", _KEPT), self.destroy_publisher)
            self._follower = Follower(self._settings, self._camera, self._base, self._tell)
        except ValueError as error:
            self.get_logger().error(str(error))
            self._release()
            return TransitionCallbackReturn.FAILURE
        self._subscribe(self._settings)
        self._serve()
        self._health = self._keep(self.create_publisher(DiagnosticArray, "/diagnostics", 10), self.destroy_publisher)
        self._keep(self.create_timer(1.0, self._diagnose), self.destroy_timer)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """From now on instructions are followed."""
        self._active = True
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Zero velocity; no instruction is followed."""
        self._active = False
        if self._follower is not None:
            self._follower.cancel("the node was deactivated")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Everything that on_configure made is gone."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """As cleaning up."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """As cleaning up."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def _release(self) -> None:
        self._active = False
        if self._follower is not None:
            self._follower.close()
        if self._base is not None:
            self._base.close()
        self._follower = self._base = self._camera = None
        while self._parts:
            part, destroy = self._parts.pop()
            destroy(part)

    def stop(self) -> None:
        """Zero velocity on the way out."""
        self._release()

    # --- topics

    def _keep(self, part: Any, destroy: Any) -> Any:
        self._parts.append((part, destroy))
        return part

    def _velocity_publisher(self, settings: Settings) -> Any:
        # Ordinary publishers: a lifecycle publisher is mute when inactive, and zero velocity must pass at any time.
        kind = TwistStamped if settings.cmd_vel_stamped else Twist
        publisher = self._keep(self.create_publisher(kind, "cmd_vel", 1), self.destroy_publisher)
        if settings.cmd_vel_stamped:
            return lambda v, w: publisher.publish(messages.twist_stamped(v, w, settings.base_frame_id, self.get_clock()))
        return lambda v, w: publisher.publish(messages.twist(v, w))

    def _subscribe(self, settings: Settings) -> None:
        sensor, raw = qos_profile_sensor_data, settings.image_type == "raw"
        kind, decode = (Image, messages.raw_rgb) if raw else (CompressedImage, messages.compressed_rgb)

        def image(message: Any) -> None:
            if self._camera is not None:
                self._camera.saw(lambda: decode(message), messages.age_s(message.header.stamp, self.get_clock()))

        def odometry(message: Odometry) -> None:
            if self._base is not None:
                position, orientation = message.pose.pose.position, message.pose.pose.orientation
                self._base.saw_odometry(position.x, position.y, messages.yaw_rad(orientation))

        def scan(message: LaserScan) -> None:
            if self._base is not None:
                self._base.saw_scan(list(message.ranges), message.angle_min, message.angle_increment)

        def subscribe(kind: Any, topic: str, callback: Any, qos: Any, group: Any) -> None:
            self._keep(self.create_subscription(kind, topic, callback, qos, callback_group=group), self.destroy_subscription)

        subscribe(kind, "image", image, sensor, self._images)
        subscribe(Odometry, "odom", odometry, sensor, MutuallyExclusiveCallbackGroup())
        subscribe(String, "~/instruction", lambda message: self._begin(message.data), 10, self._urgent)
        if settings.use_scan:
            subscribe(LaserScan, "scan", scan, sensor, MutuallyExclusiveCallbackGroup())

    # --- services

    def _serve(self) -> None:
        for name, callback in (("start", self._start), ("cancel", self._cancel), ("estop", self._estop), ("reset", self._reset)):
            self._keep(self.create_service(Trigger, f"~/{name}", callback, callback_group=self._urgent), self.destroy_service)

    def _start(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = self._begin(self.get_parameter("instruction").value)
        return response

    def _cancel(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        was = self._follower is not None and self._follower.cancel("cancelled by ~/cancel")
        response.success, response.message = True, "cancelled" if was else "nothing was being followed; zero velocity sent"
        return response

    def _estop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._base is None or self._follower is None:
            response.success, response.message = False, "the node is not configured: it commands nothing"
            return response
        self._base.block("estop", "emergency stop; call ~/reset to release it")
        self._follower.cancel("emergency stop")
        response.success, response.message = True, "stopped until ~/reset"
        return response

    def _reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._base is None or self._follower is None or self._follower.busy:
            response.success, response.message = False, "an instruction is still being left; call ~/cancel and try again"
            return response
        released = [kind for kind in self._base.blocks if kind != "cancel"]
        for kind in released:
            self._base.unblock(kind)
        response.success, response.message = True, f"released: {', '.join(released) or 'nothing was blocked'}"
        return response

    def _begin(self, instruction: str) -> tuple[bool, str]:
        """(whether it is followed, its goal id or why not)."""
        try:
            if self._follower is None or not self._active:
                raise Busy("the node is not active: ros2 lifecycle set /nvila_edge activate")
            return True, self._follower.begin(instruction, lambda: self._active)
        except (Busy, ValueError) as error:
            self._tell({"state": "refused", "instruction": instruction[:200], "message": str(error)})
            return False, str(error)

    # --- what is told

    def _tell(self, progress: dict[str, Any]) -> None:
        if rclpy.ok():
            self._progress.publish(String(data=json.dumps(progress, allow_nan=False)))
        self.get_logger().info(" ".join(f"{key}={value}" for key, value in progress.items()))

    def _diagnose(self) -> None:
        if self._follower is not None and self._base is not None and self._camera is not None and self._settings is not None:
            status = diagnosis(self._settings, self._follower, self._base, self._camera, self._active)
            message = DiagnosticArray(status=[status])
            message.header.stamp = self.get_clock().now().to_msg()
            self._health.publish(message)


def main() -> None:
    """Spin until a signal ends it, and leave with zero velocity."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # ours: rclpy's would close the context before zero velocity is sent
    end = threading.Event()
    for number in ending_signals():
        signal.signal(number, lambda *_: end.set())
    node = Bridge()
    executor = MultiThreadedExecutor(num_threads=4)
    executor.add_node(node)
    spinning = threading.Thread(target=_spin, args=(executor, end), daemon=True)
    spinning.start()
    try:
        if node.autostart and node.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            node.trigger_activate()
        end.wait()
    finally:
        node.stop()  # first: zero velocity must not wait for anything
        executor.shutdown(timeout_sec=1.0)
        spinning.join(2.0)
        node.destroy_node()
        rclpy.shutdown()


def _spin(executor: MultiThreadedExecutor, end: threading.Event) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        pass
    finally:  # also when a callback failed: a node that hears nothing must not go on
        end.set()


if __name__ == "__main__":
    main()
