"""What the loop tells: events that evaluators, videos, recorders and progress displays listen to."""

from __future__ import annotations

from dataclasses import dataclass

from agents.protocols import Frame, Motion
from nvila_edge.navigation.actions import Primitive
from nvila_edge.navigation.decision import Decision


@dataclass(frozen=True)
class Captured:
    """A frame was captured and shown to the policy."""

    frame: Frame


@dataclass(frozen=True)
class Decided:
    """Decision `n` (from 0) came, seen from `frame_id`; `latency_ms` from capture to here. `decision.rejected` tells whether it was understood."""

    n: int
    frame_id: int
    decision: Decision
    latency_ms: float


@dataclass(frozen=True)
class Executed:
    """Primitive number `index` of decision `n` was carried out; `n` is -1 for what an agent with a leaking queue had left from the episode before."""

    n: int
    index: int
    primitive: Primitive
    motion: Motion


@dataclass(frozen=True)
class Withheld:
    """Decision `n` was not begun, or was broken off, because the newest frame was too old or the answer not sure enough; `dropped` is what was left
    of it."""

    n: int
    message: str
    dropped: tuple[Primitive, ...]


@dataclass(frozen=True)
class ServerLost:
    """The server is gone: the robot is halted, and `dropped`, the rest of the queue, will not be carried out."""

    message: str
    dropped: tuple[Primitive, ...]


@dataclass(frozen=True)
class ServerBack:
    """The server answers again after `outage_ms`; a fresh frame and a fresh decision follow."""

    outage_ms: float


@dataclass(frozen=True)
class RobotLost:
    """A primitive of decision `n` failed: the robot is halted, and `dropped`, the rest of the queue, will not be carried out. `message` says why, and
    how long the robot is waited for."""

    n: int
    message: str
    dropped: tuple[Primitive, ...]


@dataclass(frozen=True)
class RobotBack:
    """The robot tells its odometry again, `outage_ms` after it failed; a fresh frame and a fresh decision follow."""

    outage_ms: float


@dataclass(frozen=True)
class Ended:
    """The episode is over and the robot halted.

    reason: "stop" (the policy said so), "forced" (the agent's rule for hopeless episodes stopped it), "limit" (of primitives or decisions),
    "cancelled" (somebody wanted so), "unsure" (five answers in a row of too low a probability), "rejected" (two answers in a row not understood),
    "crashed" (one answer not understood, by an agent whose program dies of it), "over" (the recording that served as a camera was shown to its
    end); or a fault: "server" (gone or late for too long), "stale" (frames too old), "camera", "robot", "error". `message` tells more.
    """

    reason: str
    message: str
    primitives: int
    decisions: int
    rejections: int

    @property
    def fault(self) -> bool:
        """Whether it ended for want of something other than the policy, so that its figures say nothing about the policy."""
        return self.reason not in ("stop", "forced", "limit", "cancelled", "unsure", "rejected", "crashed", "over")


Event = Captured | Decided | Executed | Withheld | ServerLost | ServerBack | RobotLost | RobotBack | Ended
