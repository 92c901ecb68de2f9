"""Velocity and acceleration limits with the parameter names of nav2's velocity_smoother, and the smoother that keeps them.

Pairs are (linear m/s, angular rad/s). Like nav2's: parameters out of range and velocities that are not finite are refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Pair = tuple[float, float]


@dataclass(frozen=True)
class VelocityLimits:
    """What a command may ask for. The defaults suit a small indoor robot; nav2's own allow 0.5 m/s, 2.5 rad/s, 2.5 m/s^2 and 3.2 rad/s^2.

    deadband_velocity: below this a robot stands, so that less is sent as zero. velocity_timeout: seconds without a command until the
    watchdog stops the robot (issue 7: 0.3; nav2: 1.0). smoothing_frequency: commands per second.
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
        for name in ("max_velocity", "min_velocity", "max_accel", "max_decel", "deadband_velocity"):
            sign = -1 if name.startswith("min") or name == "max_decel" else 1
            values = getattr(self, name)
            if len(values) != 2 or not all(math.isfinite(value) and sign * value >= 0 for value in values):
                raise ValueError(f"{name} is {values}; it must be two finite numbers, {'at most' if sign < 0 else 'at least'} 0")
        if 0 in self.max_accel or 0 in self.max_decel:
            raise ValueError(f"max_accel {self.max_accel} and max_decel {self.max_decel} must not be 0: nothing would ever start or stop")
        if not 0.05 <= self.velocity_timeout <= 2:
            raise ValueError(f"velocity_timeout is {self.velocity_timeout}; it must be from 0.05 to 2 seconds")
        if not 5 <= self.smoothing_frequency <= 200:
            raise ValueError(f"smoothing_frequency is {self.smoothing_frequency}; it must be from 5 to 200 Hz")

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
