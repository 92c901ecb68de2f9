"""Where a robot may go: polygons in its odometry frame, written as nav2's collision_monitor writes its own (which are in the robot's frame).

    polygons: [room, stairs]
    room: {type: polygon, action_type: keep_in, points: [[-1, -1], [5, -1], [5, 3], [-1, 3]]}
    stairs: {type: polygon, action_type: stop, points: "[[2, 1], [3, 1], [3, 3], [2, 3]]"}

The frame begins where the robot was when its driver started: x ahead, y to the left, metres. What counts is the robot's middle, and the frame drifts
with its odometry: draw a room half a robot's length smaller, and the stairs as much larger.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agents.obstacles import Clearance
from agents.protocols import Odometry

STOP, KEEP_IN = "stop", "keep_in"  # nav2's stop: nothing drives into it; ours: nothing drives out of it
_KEYS = {"type", "action_type", "points", "enabled"}
_MOST = 100  # zones, and points of one


@dataclass(frozen=True)
class Zone:
    """A polygon of at least three (x, y), metres in the odometry frame; its edges do not cross. action_type: "stop" or "keep_in"."""

    name: str
    action_type: str
    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        """Raises ValueError naming the zone and what is wrong with it."""
        if self.action_type not in (STOP, KEEP_IN):
            raise ValueError(f"zone {self.name!r}: action_type is {self.action_type!r}; it must be {STOP} or {KEEP_IN}")
        if not 3 <= len(self.points) <= _MOST or not all(len(point) == 2 and all(map(math.isfinite, point)) for point in self.points):
            raise ValueError(f"zone {self.name!r}: points are {self.points!r:.80}; from 3 to {_MOST} pairs of finite metres are needed")

    def forbids(self, x_m: float, y_m: float) -> bool:
        """Whether a robot must not be there."""
        inside = False
        for (x0, y0), (x1, y1) in self._edges():
            if (y0 > y_m) != (y1 > y_m) and x_m < x0 + (y_m - y0) * (x1 - x0) / (y1 - y0):
                inside = not inside
        return inside == (self.action_type == STOP)

    def free_m(self, pose: Odometry) -> float:
        """Metres straight ahead to the zone's edge; inf when it is not ahead, 0 where the robot must not be."""
        if self.forbids(pose.x_m, pose.y_m):
            return 0.0
        c, s = math.cos(pose.yaw_rad), math.sin(pose.yaw_rad)
        nearest_m = math.inf
        for corners in self._edges():
            (ahead0, side0), (ahead1, side1) = (
                (c * (x - pose.x_m) + s * (y - pose.y_m), c * (y - pose.y_m) - s * (x - pose.x_m)) for x, y in corners
            )
            if (side0 > 0) != (side1 > 0):
                crossed_m = ahead0 - side0 * (ahead1 - ahead0) / (side1 - side0)
                nearest_m = min(nearest_m, crossed_m) if crossed_m >= 0 else nearest_m
        return nearest_m

    def _edges(self) -> zip[tuple[tuple[float, float], tuple[float, float]]]:
        return zip(self.points, (*self.points[1:], self.points[0]))


def zone_clearance(zones: tuple[Zone, ...], pose: Odometry) -> Clearance:
    """Free metres ahead within all zones. A pose that is not finite is none: nothing is known."""
    if not all(map(math.isfinite, (pose.x_m, pose.y_m, pose.yaw_rad))):
        return Clearance(None, pose.stamp_s)
    return Clearance(min((zone.free_m(pose) for zone in zones), default=math.inf), pose.stamp_s)


def read_zones(path: Path) -> tuple[Zone, ...]:
    """The zones of a YAML file that are enabled. Raises ValueError naming the file and what is wrong, OSError when it cannot be read."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: {error}") from error
    names = content.get("polygons") if isinstance(content, dict) else None
    if not isinstance(names, list) or not 1 <= len(names) <= _MOST or set(content) != {"polygons", *map(str, names)}:
        raise ValueError(f"{path}: a list `polygons` of the names of zones, and a map for each of them and nothing else, are needed")
    try:
        zones = [_zone(str(name), content[str(name)]) for name in names]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return tuple(zone for zone in zones if zone is not None)


def _zone(name: str, fields: Any) -> Zone | None:
    if not isinstance(fields, dict) or not {"action_type", "points"} <= set(fields) <= _KEYS or fields.get("type", "polygon") != "polygon":
        raise ValueError(f"zone {name!r} is {fields!r:.80}; it needs action_type and points, may have enabled, and its type is polygon")
    points = fields["points"]
    try:
        points = yaml.safe_load(points) if isinstance(points, str) else points  # nav2 writes them as a text
        corners = tuple((float(x), float(y)) for x, y in points)
    except (TypeError, ValueError, yaml.YAMLError) as error:
        raise ValueError(
            f"zone {name!r}: points are {points!r:.80}; pairs of metres are needed, such as [[0, 0], [4, 0], [4, 3]]"
        ) from error
    zone = Zone(name, str(fields["action_type"]), corners)
    return zone if fields.get("enabled", True) else None
