"""The node's parameters: names, defaults, what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

# What each number may be; names as nav2's velocity_smoother and collision_monitor use them where they have one.
_RANGES = {
    "max_linear_mps": (0.05, 2.0),
    "max_angular_rps": (0.1, 3.0),
    "max_linear_accel_mps2": (0.1, 5.0),
    "max_angular_accel_rps2": (0.1, 10.0),
    "max_linear_decel_mps2": (0.1, 5.0),
    "max_angular_decel_rps2": (0.1, 10.0),
    "command_timeout_s": (0.1, 0.5),
    "odom_timeout_s": (0.1, 2.0),
    "image_timeout_s": (0.1, 10.0),
    "max_frame_age_s": (0.1, 10.0),
    "min_probability": (0.0, 1.0),
    "scan_timeout_s": (0.1, 2.0),
    "stop_distance_m": (0.1, 5.0),
    "corridor_width_m": (0.1, 3.0),
}
IMAGE_TYPES = ("compressed", "raw")


@dataclass(frozen=True)
class Settings:
    """All parameters; config/bridge.yaml says what each does."""

    server: str = "tcp://127.0.0.1:5555"
    keys: str = ""
    profile: str = ""
    instruction: str = ""
    autostart: bool = True
    image_type: str = "compressed"
    cmd_vel_stamped: bool = False
    base_frame_id: str = "base_link"
    max_linear_mps: float = 0.4
    max_angular_rps: float = 0.6
    max_linear_accel_mps2: float = 1.0
    max_angular_accel_rps2: float = 3.2
    max_linear_decel_mps2: float = 1.5
    max_angular_decel_rps2: float = 3.2
    command_timeout_s: float = 0.3
    odom_timeout_s: float = 0.3
    image_timeout_s: float = 1.0
    max_frame_age_s: float = 1.0
    min_probability: float = 0.167
    use_scan: bool = False
    scan_timeout_s: float = 0.5
    stop_distance_m: float = 0.45
    corridor_width_m: float = 0.5

    def __post_init__(self) -> None:
        """Raises ValueError naming the parameter, its value and what is allowed."""
        for name, (low, high) in _RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"parameter {name} is {getattr(self, name)}; it must be from {low} to {high}")
        if self.image_type not in IMAGE_TYPES:
            raise ValueError(f"parameter image_type is {self.image_type!r}; it must be one of {', '.join(IMAGE_TYPES)}")

    @staticmethod
    def read(value_of: Callable[[str], Any]) -> Settings:
        """From a node's parameters. Raises ValueError as above."""
        return Settings(**{field.name: value_of(field.name) for field in fields(Settings)})
