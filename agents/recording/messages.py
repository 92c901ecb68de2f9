"""Events as ROS 2 messages. What has no message type of its own is JSON in a std_msgs/String, one topic per kind."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, is_dataclass
from enum import Enum
from typing import Any

import cv2
import numpy as np
from rosbags.typesys import Stores, get_typestore  # pyright: ignore[reportMissingImports]

from agents.events import Captured, Decided, Ended, Executed, RobotBack, RobotLost, ServerBack, ServerLost, Withheld
from agents.protocols import Frame
from nvila_edge.finite import finite
from nvila_edge.navigation.actions import ACTIONS, SENTENCES, Action
from nvila_edge.serving.jpeg import encode_jpeg

IMAGE, DEPTH, ODOMETRY, VELOCITY, DIAGNOSTICS = "/camera/image/compressed", "/camera/depth/compressed", "/odom", "/cmd_vel", "/diagnostics"
INSTRUCTION, FRAME, DECISION, MOTION, GUARD, ENDED = (
    f"/nvila/{kind}" for kind in ("instruction", "frame", "decision", "motion", "guard", "ended")
)
TYPES = {
    IMAGE: "sensor_msgs/msg/CompressedImage", DEPTH: "sensor_msgs/msg/CompressedImage", ODOMETRY: "nav_msgs/msg/Odometry",
    VELOCITY: "geometry_msgs/msg/TwistStamped", DIAGNOSTICS: "diagnostic_msgs/msg/DiagnosticArray",
} | dict.fromkeys((INSTRUCTION, FRAME, DECISION, MOTION, GUARD, ENDED), "std_msgs/msg/String")  # fmt: skip
STORE = get_typestore(Stores.ROS2_JAZZY)  # the long-term release; these messages have been the same since Foxy
_T: Any = STORE.types
_OK, _WARN, _ERROR = 0, 1, 2  # diagnostic_msgs/DiagnosticStatus


@dataclass(frozen=True)
class Message:
    """A message in CDR, ready to be written, for a topic of TYPES."""

    topic: str
    data: bytes


def message(topic: str, content: Any) -> Message:
    """A message of that topic's type; `content` is a rosbags message, or for a String anything that becomes JSON."""
    if TYPES[topic] == "std_msgs/msg/String":
        content = _T["std_msgs/msg/String"](json.dumps(plain(content), ensure_ascii=False))
    return Message(topic, bytes(STORE.serialize_cdr(content, TYPES[topic])))


def plain(value: Any) -> Any:
    """As JSON holds it: numbers that are not finite as "inf", "-inf", "nan"; arrays (pictures) are left out; enums by name."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        kept = ((field.name, getattr(value, field.name)) for field in fields(value))
        return {"type": type(value).__name__} | {name: plain(item) for name, item in kept if not isinstance(item, np.ndarray)}
    return finite(value) if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def of_event(event: Any, at_ns: int, image_ns: int) -> list[Message]:
    """The messages of an event at `at_ns` (wall clock). `image_ns`: when the frame of a Captured was captured, on the same clock."""
    match event:
        case Captured(frame=frame):
            return [*_pictures(frame, image_ns), message(FRAME, _frame(frame, image_ns)), *_camera_state(frame, at_ns)]
        case Decided(decision=decision):
            status = (_WARN, f"rejected: {decision.text}") if decision.rejected else (_OK, decision.text)
            values = {"latency_ms": event.latency_ms, "probability": decision.probability, **decision.timing_ms}
            return [message(DECISION, _decision(event)), _state("policy", *status, values, at_ns)]
        case Executed():
            return [message(MOTION, plain(event) | {"motion": asdict(event.motion)})]
        case Withheld() | ServerLost() | RobotLost():
            return [message(GUARD, event), _state("guard", _WARN if isinstance(event, Withheld) else _ERROR, event.message, {}, at_ns)]
        case ServerBack() | RobotBack():
            who = "server" if isinstance(event, ServerBack) else "robot"
            return [message(GUARD, event), _state("guard", _OK, f"the {who} is back", {"outage_ms": event.outage_ms}, at_ns)]
        case Ended():
            return [
                message(ENDED, plain(event) | {"fault": event.fault}),
                _state("agent", 2 * event.fault, f"{event.reason} {event.message}", {}, at_ns),
            ]
        case _:  # what other parts of the agent tell, such as their guards
            return [message(GUARD, event)]


def _pictures(frame: Frame, image_ns: int) -> list[Message]:
    """The JPEG is, byte for byte, the one that the server is sent: what is replayed is what was seen."""
    found = [message(IMAGE, _image(encode_jpeg(frame.rgb), "rgb8; jpeg compressed bgr8", image_ns))]
    if frame.depth_m is not None:
        millimetres = np.clip(np.round(1000 * frame.depth_m), 0, 65535).astype(np.uint16)
        done, png = cv2.imencode(".png", millimetres, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        assert done, "cv2 has a PNG encoder"
        found.append(message(DEPTH, _image(png.tobytes(), "16UC1; png compressed", image_ns)))
    return found


def _image(data: bytes, coding: str, image_ns: int) -> Any:
    return _T["sensor_msgs/msg/CompressedImage"](_header("camera", image_ns), coding, np.frombuffer(data, np.uint8))


def _frame(frame: Frame, image_ns: int) -> dict[str, Any]:
    return {"frame_id": frame.frame_id, "image_ns": image_ns, "depth": frame.depth_m is not None, "quality": frame.quality}


def _decision(event: Decided) -> dict[str, Any]:
    decision = event.decision
    return {
        "n": event.n, "frame_id": event.frame_id, "action": action_json(decision.action), "text": decision.text, "probability": decision.probability,
        "candidates": dict(zip(SENTENCES, decision.candidates)), "latency_ms": event.latency_ms, "timing_ms": decision.timing_ms,
        "rejected": decision.rejected, "instead": decision.instead,
    }  # fmt: skip


def action_json(action: Action | None) -> dict[str, Any] | None:
    """{"type": "Forward", "distance_cm": 25} and the like; `index` is its place in ACTIONS, if it has one."""
    if action is None:
        return None
    return plain(action) | ({"index": ACTIONS.index(action)} if action in ACTIONS else {})


def _camera_state(frame: Frame, at_ns: int) -> Iterable[Message]:
    if frame.quality is not None:
        yield _state("camera", _OK, "", asdict(frame.quality), at_ns)


def _state(name: str, level: int, text: str, values: dict[str, float], at_ns: int) -> Message:
    pairs = [_T["diagnostic_msgs/msg/KeyValue"](key, f"{value:.6g}") for key, value in values.items()]
    status = _T["diagnostic_msgs/msg/DiagnosticStatus"](level, f"nvila_edge: {name}", text, "", pairs)
    return message(DIAGNOSTICS, _T["diagnostic_msgs/msg/DiagnosticArray"](_header("", at_ns), [status]))


def warning(text: str, at_ns: int) -> Message:
    """A warning that is no event, such as of a camera that is mounted too low."""
    return _state("camera", _WARN, text, {}, at_ns)


def velocity(linear_mps: float, angular_rps: float, at_ns: int) -> Message:
    """A commanded velocity in the robot's frame (REP 103)."""
    return message(VELOCITY, _T["geometry_msgs/msg/TwistStamped"](_header("base_link", at_ns), _twist(linear_mps, angular_rps)))


def odometry(x_m: float, y_m: float, yaw_rad: float, at_ns: int) -> Message:
    """A pose in the odometry frame (REP 103: x ahead, y to the left). Its covariances and velocity are not known, and 0."""
    pose = _T["geometry_msgs/msg/Pose"](
        _T["geometry_msgs/msg/Point"](x_m, y_m, 0.0),
        _T["geometry_msgs/msg/Quaternion"](0.0, 0.0, math.sin(yaw_rad / 2), math.cos(yaw_rad / 2)),
    )
    content = _T["nav_msgs/msg/Odometry"](
        _header("odom", at_ns), "base_link", _T["geometry_msgs/msg/PoseWithCovariance"](pose, np.zeros(36)),
        _T["geometry_msgs/msg/TwistWithCovariance"](_twist(0.0, 0.0), np.zeros(36)),
    )  # fmt: skip
    return message(ODOMETRY, content)


def _twist(linear_mps: float, angular_rps: float) -> Any:
    vector = _T["geometry_msgs/msg/Vector3"]
    return _T["geometry_msgs/msg/Twist"](vector(linear_mps, 0.0, 0.0), vector(0.0, 0.0, angular_rps))


def _header(frame: str, at_ns: int) -> Any:
    return _T["std_msgs/msg/Header"](_T["builtin_interfaces/msg/Time"](at_ns // 10**9, at_ns % 10**9), frame)
