"""Whether something stands in the strip ahead of the robot, by a laser scanner."""

from __future__ import annotations

import time

import numpy as np

from nvila_edge_ros.settings import Settings


class Corridor:
    """The scanner sits at the robot's front middle and looks ahead. A scan that is old, or without a single valid ray, counts as an obstacle."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._nearest_m, self._seen_s = 0.0, float("-inf")

    def saw(self, ranges_m: list[float], angle_min_rad: float, angle_step_rad: float) -> None:
        """ranges_m: inf for nothing in reach, NaN for no measurement (REP 117); zero and less are no measurements either."""
        rays = np.asarray(ranges_m, dtype=np.float64)
        valid = ~np.isnan(rays) & (rays > 0)
        angles = angle_min_rad + angle_step_rad * np.arange(len(rays))
        with np.errstate(invalid="ignore"):  # inf times 0
            ahead, aside = rays * np.cos(angles), rays * np.sin(angles)
            inside = valid & np.isfinite(rays) & (ahead > 0) & (np.abs(aside) <= self._settings.corridor_width_m / 2)
        self._nearest_m = float(np.min(ahead[inside], initial=np.inf)) if valid.any() else 0.0
        self._seen_s = time.monotonic()

    @property
    def in_the_way(self) -> bool:
        """Nearer than `stop_distance_m`, or not known."""
        return time.monotonic() - self._seen_s > self._settings.scan_timeout_s or self._nearest_m < self._settings.stop_distance_m
