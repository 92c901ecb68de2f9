"""The three kinds of Linear weight that a bundle holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Int8Weight:
    """W8A8: q int8 [out, in], symmetric, scale float32 [out]; `input_scale` is the activations' static per-tensor scale."""

    q: np.ndarray
    scale: np.ndarray
    input_scale: float

    def dequantised(self) -> np.ndarray:
        """float32 [out, in]."""
        return self.q.astype(np.float32) * self.scale[:, None]


@dataclass(frozen=True)
class Int4Weight:
    """W4A16: q int8 [out, in] of -8..7, scale float32 [out, in / block]."""

    q: np.ndarray
    scale: np.ndarray

    @property
    def block(self) -> int:
        """How many inputs share a scale."""
        return self.q.shape[1] // self.scale.shape[1]

    def dequantised(self) -> np.ndarray:
        """float32 [out, in]."""
        return self.q.astype(np.float32) * np.repeat(self.scale, self.block, axis=1)


Weight = np.ndarray | Int8Weight | Int4Weight


def rows(weight: Weight, first: int, last: int) -> Weight:
    """Outputs first..last-1 of a Linear."""
    if isinstance(weight, Int8Weight):
        return Int8Weight(weight.q[first:last], weight.scale[first:last], weight.input_scale)
    if isinstance(weight, Int4Weight):
        return Int4Weight(weight.q[first:last], weight.scale[first:last])
    return weight[first:last]


def dequantised(weight: Weight) -> np.ndarray:
    """float32 [out, in]."""
    return np.asarray(weight, np.float32) if isinstance(weight, np.ndarray) else weight.dequantised()
