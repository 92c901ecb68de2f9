"""Run under ROS: what messages.py makes of pictures and orientations, as JSON."""

import json
import math

import cv2
import numpy as np
from geometry_msgs.msg import Quaternion
from nvila_edge_ros.messages import compressed_rgb, raw_rgb, yaw_rad
from sensor_msgs.msg import CompressedImage, Image

RGB = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def image(encoding: str, pixels: np.ndarray, padding: int = 0, **change) -> Image:
    rows = np.pad(pixels.reshape(len(pixels), -1), ((0, 0), (0, padding)))
    fields = {"height": 2, "width": 3, "encoding": encoding, "step": rows.shape[1], "data": rows.tobytes()} | change
    return Image(**fields)


def told(call, *arguments) -> object:
    try:
        return np.asarray(call(*arguments)).tolist()
    except ValueError as error:
        return str(error)


alpha = np.dstack([RGB, np.full((2, 3), 255, np.uint8)])
png = cv2.imencode(".png", RGB[..., ::-1])[1].tobytes()
print(
    json.dumps(
        {
            "same": [
                told(raw_rgb, image("rgb8", RGB)),
                told(raw_rgb, image("rgb8", RGB, padding=5)),
                told(raw_rgb, image("bgr8", RGB[..., ::-1])),
                told(raw_rgb, image("rgba8", alpha)),
                told(raw_rgb, image("bgra8", alpha[..., [2, 1, 0, 3]])),
                told(compressed_rgb, CompressedImage(format="png", data=png)),
            ],
            "rgb": RGB.tolist(),
            "grey": told(raw_rgb, image("mono8", RGB[..., 0])),
            "depth": told(raw_rgb, image("16UC1", RGB)),
            "short": told(raw_rgb, image("rgb8", RGB, data=b"abc")),
            "empty": told(raw_rgb, image("rgb8", RGB, height=0)),
            "step": told(raw_rgb, image("rgb8", RGB, step=2)),
            "rubbish": told(compressed_rgb, CompressedImage(format="jpeg", data=b"rubbish")),
            "nothing": told(compressed_rgb, CompressedImage(format="jpeg")),
            "yaw": yaw_rad(Quaternion(z=math.sin(0.6), w=math.cos(0.6))),
            "no quaternion": math.isnan(yaw_rad(Quaternion(x=0.0, y=0.0, z=0.0, w=0.0))),
        }
    )
)
