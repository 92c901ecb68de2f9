"""How far the way ahead is free, from a depth image or a laser scan, and how fast one may drive towards what is there.

nav2's collision_monitor with its polygons simplified to one corridor ahead: the robot's width and a margin. Not certified safety.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nvila_edge.serving.link import ALIVE_S

WATCHDOG_S = ALIVE_S  # the longest that a command goes on after whoever gave it has died


@dataclass(frozen=True)
class Corridor:
    """What counts as in the way. Names as in nav2's collision_monitor where it has them.

    min_height, max_height: metres above the floor (nav2: 0.1 and 0.5; a camera robot is taller). min_points: as many make an obstacle.
    min_valid_ratio: of pixels with a depth; with fewer nothing is known. slowdown_m, slowdown_ratio: nearer than this, that share of full speed.
    max_age_s: of what the sensor saw.
    """

    width_m: float = 0.4
    margin_m: float = 0.1
    min_height: float = 0.1
    max_height: float = 0.8
    min_points: int = 4
    min_valid_ratio: float = 0.2
    slowdown_m: float = 0.6
    slowdown_ratio: float = 0.3
    max_age_s: float = 0.5


@dataclass(frozen=True)
class Clearance:
    """Free metres ahead of the sensor's frame of reference (inf: nothing in sight), seen at `stamp_s`; None: nothing is known (blind)."""

    distance_m: float | None
    stamp_s: float


@dataclass(frozen=True)
class DepthView:
    """A pinhole depth camera: focal lengths and centre in pixels, height above the floor, downward pitch; `front_m`: robot's front ahead of it."""

    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    height_m: float
    pitch_down_rad: float = 0.0
    front_m: float = 0.0
    max_range_m: float = 6.0


def from_scan(
    ranges_m: np.ndarray, angle_min_rad: float, angle_increment_rad: float, stamp_s: float, corridor: Corridor, front_m: float = 0.0
) -> Clearance:
    """Clearance from a LaserScan: ranges_m float [N], angles counter-clockwise from straight ahead. inf is "nothing there"; NaN, 0 and less are
    invalid, and when too few rays towards the corridor are valid, nothing is known."""
    ranges_m = np.asarray(ranges_m, np.float64)
    angles = angle_min_rad + angle_increment_rad * np.arange(len(ranges_m))
    ahead, valid = np.cos(angles) > math.cos(math.pi / 4), ~np.isnan(ranges_m) & (ranges_m > 0)
    if (ahead & valid).sum() < max(1.0, corridor.min_valid_ratio * ahead.sum()):
        return Clearance(None, stamp_s)
    hit = valid & np.isfinite(ranges_m)
    x_m, y_m = ranges_m[hit] * np.cos(angles[hit]), ranges_m[hit] * np.sin(angles[hit])
    inside = x_m[np.abs(y_m) <= corridor.width_m / 2 + corridor.margin_m]
    return Clearance(_nearest(inside, 1, front_m), stamp_s)  # one ray is an obstacle: a chair's leg has no more


def from_depth(depth_m: np.ndarray, view: DepthView, stamp_s: float, corridor: Corridor) -> Clearance:
    """Clearance from a depth image, float [H, W] metres along the axis; NaN, inf, 0 and less are invalid pixels. All invalid: nothing is known."""
    depth_m = np.asarray(depth_m, np.float64)
    if depth_m.ndim != 2 or not depth_m.size:
        return Clearance(None, stamp_s)
    valid = np.isfinite(depth_m) & (depth_m > 0)
    if valid.mean() < corridor.min_valid_ratio:
        return Clearance(None, stamp_s)
    v_px, u_px = np.nonzero(valid & (depth_m < view.max_range_m))
    z_m = depth_m[v_px, u_px]
    down_m, side_m = z_m * (v_px - view.cy_px) / view.fy_px, z_m * (u_px - view.cx_px) / view.fx_px
    sine, cosine = math.sin(view.pitch_down_rad), math.cos(view.pitch_down_rad)
    ahead_m, height_m = z_m * cosine - down_m * sine, view.height_m - down_m * cosine - z_m * sine
    inside = (
        (np.abs(side_m) <= corridor.width_m / 2 + corridor.margin_m) & (height_m >= corridor.min_height) & (height_m <= corridor.max_height)
    )
    return Clearance(_nearest(ahead_m[inside], corridor.min_points, view.front_m), stamp_s)


def _nearest(ahead_m: np.ndarray, points: int, front_m: float) -> float:
    """Metres from the robot's front to the `points`-th nearest of what is ahead of it."""
    ahead_m = ahead_m[ahead_m > 0]
    if len(ahead_m) < points:
        return math.inf
    return max(0.0, float(np.partition(ahead_m, points - 1)[points - 1]) - front_m)


def nearest(one: Clearance, other: Clearance) -> Clearance:
    """The lesser of both, as old as the older; nothing is known unless both know."""
    stamp_s = min(one.stamp_s, other.stamp_s)
    if one.distance_m is None or other.distance_m is None:
        return Clearance(None, stamp_s)
    return Clearance(min(one.distance_m, other.distance_m), stamp_s)


def allowed_speed(
    clearance: Clearance, now_s: float, full_mps: float, decel_mps2: float, corridor: Corridor, timeout_s: float = 0.0
) -> float | None:
    """The greatest v with distance >= v*(sensor age + watchdog) + v^2/2a + margin; less in the slow-down zone; None when nothing is known.

    decel_mps2: positive. full_mps: the speed without obstacles. timeout_s: the watchdog's, which counts when it is longer
    than WATCHDOG_S.
    """
    age_s, distance_m = now_s - clearance.stamp_s, clearance.distance_m
    if distance_m is None or math.isnan(distance_m) or not -0.05 <= age_s <= corridor.max_age_s:
        return None
    if distance_m == math.inf:
        return full_mps
    left_m, delay_s = distance_m - corridor.margin_m, max(age_s, 0.0) + max(WATCHDOG_S, timeout_s)
    if left_m <= 0:
        return 0.0
    speed = decel_mps2 * (math.sqrt(delay_s**2 + 2 * left_m / decel_mps2) - delay_s)
    return min(speed, full_mps * (corridor.slowdown_ratio if distance_m < corridor.slowdown_m else 1.0))
