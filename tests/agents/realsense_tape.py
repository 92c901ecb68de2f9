"""Recordings of a RealSense that nobody has: pyrealsense2's software device, recorded by its own recorder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyrealsense2 as rs

WIDTH, HEIGHT, FOCAL_PX = 160, 120, 100.0


def _stream(kind: rs.stream, uid: int, pixel_format: rs.format, pixel_bytes: int) -> rs.video_stream:
    lens = rs.intrinsics()
    lens.width, lens.height, lens.fx, lens.fy = WIDTH, HEIGHT, FOCAL_PX, FOCAL_PX
    lens.ppx, lens.ppy, lens.model, lens.coeffs = WIDTH / 2, HEIGHT / 2, rs.distortion.none, [0.0] * 5
    stream = rs.video_stream()
    stream.type, stream.index, stream.uid, stream.width, stream.height = kind, 0, uid, WIDTH, HEIGHT
    stream.fps, stream.bpp, stream.fmt, stream.intrinsics = 30, pixel_bytes, pixel_format, lens
    return stream


def record_tape(path: Path, pictures: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """pictures: rgb uint8 [120, 160, 3] and depth uint16 [120, 160] in mm. A recording loses its first pair, on a busy machine a few more."""
    device = rs.software_device()
    sensors = device.add_sensor("Depth"), device.add_sensor("Color")
    depth = sensors[0].add_video_stream(_stream(rs.stream.depth, 0, rs.format.z16, 2))
    colour = sensors[1].add_video_stream(_stream(rs.stream.color, 1, rs.format.rgb8, 3))
    sensors[0].add_read_only_option(rs.option.depth_units, 0.001)
    still = rs.extrinsics()
    still.rotation, still.translation = [1, 0, 0, 0, 1, 0, 0, 0, 1], [0, 0, 0]
    depth.register_extrinsics_to(colour, still)
    device.create_matcher(rs.matchers.default)
    recorder = rs.recorder(str(path), device)
    synced = rs.syncer()
    opened = recorder.query_sensors()
    for sensor in opened:
        sensor.open(sensor.get_stream_profiles()[0])
        sensor.start(synced)
    for number, (rgb, millimetres) in enumerate(pictures):
        for sensor, profile, pixels, size in ((sensors[0], depth, millimetres, 2), (sensors[1], colour, rgb, 3)):
            frame = rs.software_video_frame()
            frame.pixels, frame.stride, frame.bpp = np.ascontiguousarray(pixels), WIDTH * size, size
            frame.timestamp, frame.frame_number = 1000 + 33.3 * number, number
            frame.domain, frame.profile = rs.timestamp_domain.hardware_clock, profile.as_video_stream_profile()
            sensor.on_video_frame(frame)
        time.sleep(0.02)  # the recorder's own thread takes them
    for sensor in opened:
        sensor.stop()
        sensor.close()
    recorder.pause()


def floor_depth(height_m: float, pitch_deg: float) -> np.ndarray:
    """uint16 [120, 160] mm: what a camera that high above a floor sees of it, looking down by so much; 0 above the horizon and beyond 10 m."""
    v, _ = np.mgrid[0:HEIGHT, 0:WIDTH]
    down = (v - HEIGHT / 2) / FOCAL_PX
    pitch = np.radians(pitch_deg)
    denominator = down * np.cos(pitch) + np.sin(pitch)  # of the ray (x, down, 1) along the floor's normal
    depth = np.where(denominator > 1e-3, height_m / np.maximum(denominator, 1e-3), 0)
    return np.where(depth < 10, 1000 * depth, 0).astype(np.uint16)
