"""Round-to-nearest in the number formats of a bundle. Searches that choose what to round are in smoothquant.py and awq.py."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nvila_edge.engines.weights import BlockWeight, Int8Weight

INT4_BLOCK = 128  # TensorRT and ONNX Runtime take it; AWQ's group size
INT8_MAX, INT4_MAX = 127, 7


def int8_weight(weight: np.ndarray, input_scale: float) -> Int8Weight:
    """Symmetric per output channel. weight float [out, in]; a channel of zeros gets scale 1."""
    top = np.abs(weight).max(axis=1)
    scale = np.where(top > 0, top / INT8_MAX, 1.0).astype(np.float32)
    q = np.clip(np.rint(weight / scale[:, None]), -INT8_MAX, INT8_MAX).astype(np.int8)
    return Int8Weight(q, scale, float(np.float32(input_scale)))


def block_size(inputs: int) -> int:
    """The block of a Linear with that many inputs: 128, or 64 or 32 where 128 does not divide them. Raises ValueError when none does."""
    for block in (INT4_BLOCK, 64, 32):
        if inputs % block == 0:
            return block
    raise ValueError(
        f"a Linear with {inputs} inputs cannot be quantised to INT4: the inputs must be a multiple of 32; export with --language fp16"
    )


def scales(weight_OI: Tensor, most: int, limit_OB: Tensor | None = None) -> Tensor:
    """Scales [out, blocks] with which codes up to `most` reach `limit_OB` (default: the largest weight of each block)."""
    out, inputs = weight_OI.shape
    top = weight_OI.view(out, -1, block_size(inputs)).abs().amax(2) if limit_OB is None else limit_OB
    return torch.where(top > 0, top / most, 1.0)


def codes(weight_OI: Tensor, scale_OB: Tensor, most: int) -> Tensor:
    """Integers -most-1..most [out, in], as floats."""
    blocks = weight_OI.view(*scale_OB.shape, -1)
    return (blocks / scale_OB[:, :, None]).round_().clamp_(-most - 1, most).view_as(weight_OI)


def rounded(weight_OI: Tensor, limit_OB: Tensor | None = None) -> Tensor:
    """The weight through INT4 and back."""
    scale = scales(weight_OI, INT4_MAX, limit_OB)
    return (codes(weight_OI, scale, INT4_MAX).view(*scale.shape, -1) * scale[:, :, None]).view_as(weight_OI)


def block_weight(weight: np.ndarray, bits: int) -> BlockWeight:
    """Symmetric in blocks along the inputs, in 4 or 8 bits. weight float [out, in]; some rows at a time, so that no second float copy arises."""
    most, out = 2 ** (bits - 1) - 1, weight.shape[0]
    q, scale = np.empty(weight.shape, np.int8), np.empty((out, weight.shape[1] // block_size(weight.shape[1])), np.float32)
    for start in range(0, out, 4096):
        some = torch.from_numpy(np.ascontiguousarray(weight[start : start + 4096], np.float32))
        if not torch.isfinite(some).all():
            raise ValueError("a weight holds values that are not finite; is the checkpoint damaged?")
        steps = scales(some, most)
        q[start : start + 4096] = codes(some, steps, most).numpy()
        scale[start : start + 4096] = steps.numpy()
    return BlockWeight(q, scale, bits)
