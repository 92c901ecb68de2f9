"""From ROS messages to arrays and back."""

from __future__ import annotations

import math

import cv2
import numpy as np
from builtin_interfaces.msg import Time as Stamp
from geometry_msgs.msg import Twist, TwistStamped
from rclpy.clock import Clock
from sensor_msgs.msg import CompressedImage, Image

_MAX_PIXELS = 4096 * 4096
_CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
_TO_RGB = {"bgr8": cv2.COLOR_BGR2RGB, "rgba8": cv2.COLOR_RGBA2RGB, "bgra8": cv2.COLOR_BGRA2RGB, "mono8": cv2.COLOR_GRAY2RGB}


def age_s(stamp: Stamp, clock: Clock) -> float:
    """How old a message is by its own stamp; 0 when it has none or its clock is ahead of ours. One from long ago is long ago: it must not pass as new."""
    stamp_ns = stamp.sec * 10**9 + stamp.nanosec  # not by rclpy's Time, which refuses negative seconds
    return 0.0 if stamp_ns == 0 else max(0.0, (clock.now().nanoseconds - stamp_ns) / 1e9)


def compressed_rgb(message: CompressedImage) -> np.ndarray:
    """uint8 [H, W, 3] RGB. Raises ValueError for what is no picture (a depth stream, for example)."""
    if not message.data:
        raise ValueError("an image message without data")
    bgr = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError(f"a picture of format {message.format!r} that cannot be decoded; a JPEG or PNG colour stream is needed")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def raw_rgb(message: Image) -> np.ndarray:
    """uint8 [H, W, 3] RGB. Raises ValueError for another encoding or a size that the data doesn't have."""
    channels = _CHANNELS.get(message.encoding)
    if channels is None:
        raise ValueError(f"image encoding {message.encoding!r}; allowed are {', '.join(_CHANNELS)}")
    height, width, step = message.height, message.width, message.step
    if not 0 < height * width <= _MAX_PIXELS or step < width * channels or len(message.data) < height * step:
        raise ValueError(
            f"an image of {width}x{height} with rows of {step} bytes and {len(message.data)} bytes in all does not fit together"
        )
    rows = np.frombuffer(message.data, np.uint8, height * step).reshape(height, step)[:, : width * channels]
    pixels = rows.reshape(height, width, channels)
    return np.ascontiguousarray(pixels) if message.encoding == "rgb8" else cv2.cvtColor(pixels, _TO_RGB[message.encoding])


def yaw_rad(orientation) -> float:  # noqa: ANN001  geometry_msgs/Quaternion
    """Yaw of a quaternion; NaN for one that is none."""
    x, y, z, w = orientation.x, orientation.y, orientation.z, orientation.w
    if not abs(x * x + y * y + z * z + w * w - 1.0) < 0.1:
        return math.nan
    return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def twist(linear_mps: float, angular_rps: float) -> Twist:
    """Ahead and left."""
    message = Twist()
    message.linear.x, message.angular.z = float(linear_mps), float(angular_rps)
    return message


def twist_stamped(linear_mps: float, angular_rps: float, frame_id: str, clock: Clock) -> TwistStamped:
    """The same with time and frame."""
    message = TwistStamped()
    message.header.stamp, message.header.frame_id = clock.now().to_msg(), frame_id
    message.twist = twist(linear_mps, angular_rps)
    return message
