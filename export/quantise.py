"""Round-to-nearest in the two number formats of a bundle. Searches that choose what to round are in smoothquant.py and awq.py."""

from __future__ import annotations

import numpy as np

from nvila_edge.engines.weights import Int4Weight, Int8Weight

INT4_BLOCK = 128  # TensorRT and ONNX Runtime take it; AWQ's group size
INT8_MAX, INT4_MAX = 127, 7


def int8_weight(weight: np.ndarray, input_scale: float) -> Int8Weight:
    """Symmetric per output channel. weight float [out, in]; a channel of zeros gets scale 1."""
    top = np.abs(weight).max(axis=1)
    scale = np.where(top > 0, top / INT8_MAX, 1.0).astype(np.float32)
    q = np.clip(np.rint(weight / scale[:, None]), -INT8_MAX, INT8_MAX).astype(np.int8)
    return Int8Weight(q, scale, float(np.float32(input_scale)))


def block_size(inputs: int) -> int:
    """The INT4 block of a Linear with that many inputs: 128, or 64 or 32 where 128 does not divide them. Raises ValueError when none
    does.
    """
    for block in (INT4_BLOCK, 64, 32):
        if inputs % block == 0:
            return block
    raise ValueError(
        f"a Linear with {inputs} inputs cannot be quantised to INT4: the inputs must be a multiple of 32; export with --language fp16"
    )


def int4_weight(weight: np.ndarray, limit: np.ndarray | None = None) -> Int4Weight:
    """Symmetric in blocks along the inputs. weight float [out, in]; limit float [out, in / block]: the largest value to represent
    (default: all).
    """
    out, inputs = weight.shape
    block = block_size(inputs)
    blocks = weight.reshape(out, inputs // block, block)
    top = np.abs(blocks).max(axis=2) if limit is None else limit
    scale = np.where(top > 0, top / INT4_MAX, 1.0).astype(np.float32)
    q = np.clip(np.rint(blocks / scale[:, :, None]), -INT4_MAX - 1, INT4_MAX)
    return Int4Weight(q.astype(np.int8).reshape(out, inputs), scale)
