"""What a robot's process and those who drive it say to each other: msgpack maps, small, checked field by field, never pickle."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import msgpack

from agents.protocols import Odometry

VERSION = 2
MAX_BYTES = 2048
KINDS = ("look", "command", "halt", "bye", "estop", "reset")


@dataclass(frozen=True)
class Order:
    """From a driver. `as_of_s`: the robot-side stamp of the newest state that it had seen, so that old orders are known as such by the robot's own
    clock. `seq` counts up in a session."""

    kind: str
    session: str
    seq: int
    as_of_s: float = 0.0
    linear_mps: float = 0.0
    angular_rps: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class State:
    """From a robot's process, all on its clock (CLOCK_MONOTONIC, which the processes of one computer share).

    `commanded`: what the robot was told last. `estopped`, `fault`: why nothing moves, or "". `driver`: the session that may command now.
    `robot`: as it was named to its process, such as go2:eth0.
    """

    now_s: float
    pose: Odometry | None
    commanded: tuple[float, float]
    estopped: str
    fault: str
    driver: str
    robot: str = ""


def pack_order(order: Order) -> bytes:
    """The message of an order."""
    return msgpack.Packer().pack({"version": VERSION, **asdict(order)})


def parse_order(data: bytes) -> Order:
    """The order in a message. Raises ValueError for anything that is none. Velocities may be NaN: refusing those is the watchdog's business."""
    fields = _fields(data)
    order = Order(**{name: _typed(fields, name, kind) for name, kind in _ORDER.items()})
    if order.kind not in KINDS or not 0 < len(order.session) <= 64 or len(order.reason) > 200 or not 0 <= order.seq < 2**53:
        raise ValueError(f"no order: {order!r:.200}")
    return order


_ORDER = {"kind": str, "session": str, "seq": int, "as_of_s": float, "linear_mps": float, "angular_rps": float, "reason": str}


def pack_state(state: State) -> bytes:
    """The message of a state."""
    return msgpack.Packer().pack({"version": VERSION, **asdict(state)})


def parse_state(data: bytes) -> State:
    """The state in a message. Raises ValueError for anything that is none."""
    fields = _fields(data)
    pose, commanded = fields.get("pose"), fields.get("commanded")
    if not isinstance(commanded, list) or len(commanded) != 2 or not all(isinstance(value, float) for value in commanded):
        raise ValueError(f"commanded is {commanded!r:.80}; it must be two numbers")
    if pose is not None:
        if not isinstance(pose, dict):
            raise ValueError(f"pose is {pose!r:.80}; it must be a map")
        pose = Odometry(**{name: _typed(pose, name, float) for name in ("x_m", "y_m", "yaw_rad", "stamp_s")})
    texts = {name: _typed(fields, name, str) for name in ("estopped", "fault", "driver", "robot")}
    now_s = _typed(fields, "now_s", float)
    if not math.isfinite(now_s):
        raise ValueError(f"now_s is {now_s}; it must be finite")
    return State(now_s, pose, (commanded[0], commanded[1]), **texts)


def _fields(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        raise ValueError(f"a message of {len(data)} bytes; at most {MAX_BYTES} are allowed")
    try:
        fields = msgpack.unpackb(data)
    except Exception as error:  # msgpack raises many kinds, RecursionError and UnicodeDecodeError among them
        raise ValueError(f"not msgpack: {error}") from error
    if not isinstance(fields, dict) or fields.get("version") != VERSION:
        raise ValueError(f"not a message of version {VERSION}: {fields!r:.80}; both sides must run the same nvila-edge")
    return fields


def _typed(fields: dict[str, Any], name: str, kind: type) -> Any:
    value = fields.get(name)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r:.80}; it must be {kind.__name__}")
    return value
