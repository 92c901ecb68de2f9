"""What the loop knows of the world: a camera that captures and a robot that executes primitives. Simulators implement both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nvila_edge.navigation.actions import Primitive


@dataclass(frozen=True)
class Quality:
    """How good a picture is. sharpness: variance of the Laplacian of its grey values at 320 pixels width (blurred ones have less); dark, bright: shares
    of its pixels that are nearly black or nearly white."""

    sharpness: float
    dark: float
    bright: float


@dataclass(frozen=True)
class Frame:
    """One camera image: rgb uint8 [H, W, 3]; `captured_s` on the local monotonic clock; `frame_id` counts up within an episode.

    depth_m: float32 [H, W], metres along the optical axis, pixel for pixel as rgb, 0 where it is unknown; None from a camera without depth.
    quality: None where nobody measured it, as in a simulator.
    """

    frame_id: int
    rgb: np.ndarray
    captured_s: float
    depth_m: np.ndarray | None = None
    quality: Quality | None = None


@dataclass(frozen=True)
class Motion:
    """What a primitive achieved, by odometry: metres moved, degrees turned (left positive), whether something was hit."""

    moved_m: float
    turned_deg: float
    collided: bool


class Camera(Protocol):
    """A forward-looking RGB camera."""

    def capture(self) -> Frame:
        """The newest image. Raises CameraError when none can be had in time, RecordingOver after the last one of a recording."""
        ...


class OpenCamera(Camera, Protocol):
    """A camera of this computer, which must be given back."""

    def close(self) -> None:
        """Gives the device or file back."""
        ...


@dataclass(frozen=True)
class Lens:
    """A pinhole camera, in pixels of its frames: focal lengths and the middle."""

    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float


class Robot(Protocol):
    """Something that moves in primitives."""

    def execute(self, primitive: Primitive) -> Motion:
        """Carry out one primitive and return when it has ended. Raises RobotError when it could not be carried out."""
        ...

    def halt(self) -> None:
        """Zero velocity, now. Never raises."""
        ...


@dataclass(frozen=True)
class Odometry:
    """Where a robot believes to be, in its odometry frame (REP 103: x ahead, y to the left, yaw counter-clockwise; metres, radians).

    `stamp_s`: when that was so, on the local monotonic clock.
    """

    x_m: float
    y_m: float
    yaw_rad: float
    stamp_s: float


class VelocityRobot(Protocol):
    """A robot that takes velocities and tells its odometry; agents/executor.py makes a Robot of it. Methods may be called from any thread."""

    def command(self, linear_mps: float, angular_rps: float) -> None:
        """Move like this until the next command, or for the robot's own dead-man time. Does not wait. Raises RobotError when it cannot."""
        ...

    def odometry(self) -> Odometry:
        """The newest odometry. Does not wait. Raises RobotError when there is none."""
        ...

    def halt(self) -> None:
        """Zero velocity, now. Never raises."""
        ...


class CameraError(RuntimeError):
    """No usable frame could be had."""


class RecordingOver(CameraError):
    """A recording that serves as a camera has been shown to its end."""


class RobotError(RuntimeError):
    """A primitive could not be carried out."""


class HandsOff(RobotError):
    """The robot must be left alone until somebody has looked: nothing tries again by itself."""
