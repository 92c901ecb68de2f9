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
class BlockWeight:
    """W4A16 (bits 4, codes -8..7) or, for the output Linear, W8A16 (bits 8): q int8 [out, in], scale float32 [out, in / block].

    offset float32 [out, in / block] is added to every weight of a block: what published AWQ weights have instead of zero points.
    """

    q: np.ndarray
    scale: np.ndarray
    bits: int = 4
    offset: np.ndarray | None = None

    @property
    def block(self) -> int:
        """How many inputs share a scale."""
        return self.q.shape[1] // self.scale.shape[1]

    def dequantised(self) -> np.ndarray:
        """float32 [out, in]."""
        out, inputs = self.q.shape
        weight = (self.q.reshape(out, -1, self.block) * self.scale[:, :, None]).astype(np.float32, copy=False)
        if self.offset is not None:
            weight += self.offset[:, :, None]
        return weight.reshape(out, inputs)


Weight = np.ndarray | Int8Weight | BlockWeight


def rows(weight: Weight, first: int, last: int) -> Weight:
    """Outputs first..last-1 of a Linear."""
    if isinstance(weight, Int8Weight):
        return Int8Weight(weight.q[first:last], weight.scale[first:last], weight.input_scale)
    if isinstance(weight, BlockWeight):
        offset = None if weight.offset is None else weight.offset[first:last]
        return BlockWeight(weight.q[first:last], weight.scale[first:last], weight.bits, offset)
    return weight[first:last]


def dequantised(weight: Weight) -> np.ndarray:
    """float32 [out, in]."""
    return np.asarray(weight, np.float32) if isinstance(weight, np.ndarray) else weight.dequantised()
