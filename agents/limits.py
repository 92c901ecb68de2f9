"""Velocity and acceleration limits with the parameter names of nav2's velocity_smoother, and the smoother that keeps them.

Pairs are (linear m/s, angular rad/s). Like nav2's: parameters out of range and velocities that are not finite are refused. In a file, which has
all or some of them:

    max_velocity: [0.3, 0.0, 0.8]   # as nav2 writes it, x, y and theta, where y must be 0; or [0.3, 0.8]
    max_accel: [0.5, 1.6]
    max_decel: [-1.0, -1.6]
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

Pair = tuple[float, float]
_PAIRS = ("max_velocity", "min_velocity", "max_accel", "max_decel", "deadband_velocity")
_LEAST_VELOCITY, _LEAST_ACCEL = (0.05, 0.1), 0.1  # slower robots look like such that do not obey (ExecutorConfig.obey_s)


@dataclass(frozen=True)
class VelocityLimits:
    """What a command may ask for. The defaults suit a small indoor robot; nav2's own allow 0.5 m/s, 2.5 rad/s, 2.5 m/s^2 and 3.2 rad/s^2.

    deadband_velocity: below this a robot stands, so that less is sent as zero. velocity_timeout: seconds without a command until the
    watchdog stops the robot (nav2: 1.0; 0.3 leaves 0.2 s for braking where a stop is promised within 0.5 s). smoothing_frequency: commands per second.
    """

    max_velocity: Pair = (0.5, 1.0)
    min_velocity: Pair = (0.0, -1.0)  # nothing looks backwards
    max_accel: Pair = (1.0, 3.2)
    max_decel: Pair = (-1.5, -3.2)
    deadband_velocity: Pair = (0.0, 0.0)
    velocity_timeout: float = 0.3
    smoothing_frequency: float = 20.0

    def __post_init__(self) -> None:
        """Raises ValueError naming the parameter that is out of range."""
        for name in _PAIRS:
            sign = -1 if name.startswith("min") or name == "max_decel" else 1
            values = getattr(self, name)
            if len(values) != 2 or not all(math.isfinite(value) and sign * value >= 0 for value in values):
                raise ValueError(f"{name} is {values}; it must be two finite numbers, {'at most' if sign < 0 else 'at least'} 0")
        if min(*self.max_accel, -max(self.max_decel)) < _LEAST_ACCEL:
            raise ValueError(
                f"max_accel {self.max_accel} and max_decel {self.max_decel} must be at least {_LEAST_ACCEL:g} and at most -{_LEAST_ACCEL:g}"
            )
        slowest = self.max_velocity[0], min(self.max_velocity[1], -self.min_velocity[1])
        for axis, (name, least) in enumerate(zip(("ahead", "to both sides"), _LEAST_VELOCITY)):
            if slowest[axis] < max(least, self.deadband_velocity[axis]):
                raise ValueError(
                    f"max_velocity {self.max_velocity} and min_velocity {self.min_velocity} must allow {least:g} {name}, and no less than "
                    f"deadband_velocity {self.deadband_velocity}: nothing would ever move"
                )
        if not 0.05 <= self.velocity_timeout <= 2:
            raise ValueError(f"velocity_timeout is {self.velocity_timeout}; it must be from 0.05 to 2 seconds")
        if not 5 <= self.smoothing_frequency <= 200:
            raise ValueError(f"smoothing_frequency is {self.smoothing_frequency}; it must be from 5 to 200 Hz")
        if self.velocity_timeout * self.smoothing_frequency < 2:
            raise ValueError(
                f"velocity_timeout is {self.velocity_timeout} s, less than two commands at a smoothing_frequency of {self.smoothing_frequency:g} Hz"
            )

    def clamped(self, linear_mps: float, angular_rps: float) -> Pair:
        """The velocity within max_velocity and min_velocity, zero below the deadband. Raises ValueError when it is not finite."""
        if not (math.isfinite(linear_mps) and math.isfinite(angular_rps)):
            raise ValueError(f"a velocity of ({linear_mps}, {angular_rps}) is not finite; nothing was sent to the robot")
        return self._clamped(0, linear_mps), self._clamped(1, angular_rps)

    def _clamped(self, axis: int, value: float) -> float:
        value = min(self.max_velocity[axis], max(self.min_velocity[axis], value))
        return 0.0 if abs(value) < self.deadband_velocity[axis] else value


class Smoother:
    """Brings the commanded velocity to the wanted one no faster than the limits allow (open loop, as nav2's default)."""

    def __init__(self, limits: VelocityLimits) -> None:
        self._limits = limits
        self.velocity: Pair = (0.0, 0.0)  # what was sent last

    def step(self, linear_mps: float, angular_rps: float, dt_s: float) -> Pair:
        """The velocity to send `dt_s` after the last one. Raises ValueError when what is wanted is not finite."""
        wanted = self._limits.clamped(linear_mps, angular_rps)
        steps = min(max(dt_s, 0.0), 2 / self._limits.smoothing_frequency)  # a late step is no licence to leap
        self.velocity = (self._toward(0, wanted[0], steps), self._toward(1, wanted[1], steps))
        return self.velocity

    def _toward(self, axis: int, wanted: float, dt_s: float) -> float:
        now = self.velocity[axis]
        if now * wanted < 0:
            wanted = 0.0  # through zero by braking
        rate = self._limits.max_accel[axis] if abs(wanted) > abs(now) else -self._limits.max_decel[axis]
        return now + min(rate * dt_s, max(-rate * dt_s, wanted - now))

    def reset(self) -> None:
        """The robot was halted: it starts from zero again."""
        self.velocity = (0.0, 0.0)


def read_limits(path: Path) -> VelocityLimits:
    """The limits of a YAML file; what it leaves out is VelocityLimits' default, but it turns right no faster than left.

    Raises ValueError naming the file, the key and what is wrong with it, OSError when it cannot be read.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: {error}") from error
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path}: a map is needed, with keys out of {', '.join(_known())}; agents/limits.py shows one")
    try:
        values = {name: _value(name, given) for name, given in content.items()}
        if "max_velocity" in values:
            values.setdefault("min_velocity", (0.0, -values["max_velocity"][1]))
        return VelocityLimits(**values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _known() -> list[str]:
    return [field.name for field in fields(VelocityLimits)]


def _value(name: Any, given: Any) -> Any:
    """A parameter of VelocityLimits. Raises ValueError for one that there is none of, or that is no such numbers."""
    if name not in _known():
        close = difflib.get_close_matches(str(name), _known(), n=1)
        raise ValueError(f"unknown key {name!r}; " + (f"did you mean {close[0]!r}?" if close else f"known: {', '.join(_known())}"))
    numbers = given if isinstance(given, list) else [given]
    right = all(type(number) in (int, float) for number in numbers)  # True is none
    if name not in _PAIRS:
        if not right or isinstance(given, list):
            raise ValueError(f"{name} is {given!r:.80}; it must be a number")
        return float(given)
    if right and len(numbers) == 3 and numbers[1] == 0:
        numbers = [numbers[0], numbers[2]]
    if not right or len(numbers) != 2:
        raise ValueError(f"{name} is {given!r:.80}; it must be [linear, angular], or [x, y, theta] with a y of 0: nothing drives sideways")
    return float(numbers[0]), float(numbers[1])
