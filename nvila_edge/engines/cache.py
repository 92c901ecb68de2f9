"""Keys and values in slots. Which slot holds what is the session's business: rings and trees are masks and slot lists, nothing is moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

UNSEEN = np.float32(-1e9)  # additive mask: finite, so that a row that sees nothing does not become NaN


@dataclass(frozen=True)
class NewKeyValues:
    """Keys and values of one pass, float32 [layers][1, KV, T, D]."""

    keys: list[np.ndarray]
    values: list[np.ndarray]


class Cache(Protocol):
    """What a session needs of a backend's cache; `new` is what the same backend's pass gave."""

    capacity: int

    def take(self, count: int) -> list[int]:
        """Slots to write to."""
        ...

    def release(self, slots: list[int]) -> None:
        """Give slots back; what they hold must no longer be seen by any mask."""
        ...

    def write(self, new: Any, rows: list[int], slots: list[int]) -> None:
        """Keep positions `rows` of a pass in `slots`."""
        ...


class Slots:
    """Which of `capacity` places are free. Where keys and values lie is a backend's business."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._free = list(range(capacity - 1, -1, -1))

    def take(self, count: int) -> list[int]:
        """Slots to write to. The session sizes the cache, so running out is our mistake."""
        assert count <= len(self._free), f"{count} slots wanted, {len(self._free)} of {self.capacity} free"
        return [self._free.pop() for _ in range(count)]

    def release(self, slots: list[int]) -> None:
        """Give slots back; what they hold must no longer be seen by any mask."""
        self._free.extend(reversed(slots))


class KeyValueCache(Slots):
    """Keys and values float32 [layers, 1, KV, capacity, D] in host memory; unused slots hold zeros and must be masked."""

    def __init__(self, layers: int, kv_heads: int, head_dim: int, capacity: int) -> None:
        super().__init__(capacity)
        self.keys = np.zeros((layers, 1, kv_heads, capacity, head_dim), np.float32)
        self.values = np.zeros_like(self.keys)

    def write(self, new: NewKeyValues, rows: list[int], slots: list[int]) -> None:
        """Keep positions `rows` of a pass in `slots`."""
        assert len(rows) == len(slots)
        source, target = _places(rows), _places(slots)
        for layer, (key, value) in enumerate(zip(new.keys, new.values, strict=True)):
            self.keys[layer, 0][:, target] = key[0][:, source]
            self.values[layer, 0][:, target] = value[0][:, source]


def _places(indices: list[int]) -> slice | list[int]:
    """A slice where each index follows the one before: NumPy copies it several times faster than a list, which is felt in every decoded token."""
    whole = bool(indices) and indices == list(range(indices[0], indices[0] + len(indices)))
    return slice(indices[0], indices[0] + len(indices)) if whole else indices
