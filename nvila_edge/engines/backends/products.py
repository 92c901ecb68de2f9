"""Matrix products with quantised weights as torch operators: Triton kernels on CUDA (triton_kernels.py), the same in plain PyTorch on every other device.

Layouts, chosen for the kernels. M rows of input, K inputs in G blocks, N outputs:
`codes` of weights in 4 bits: uint8 [N, G, K / G / 2], codes + 8; a byte holds input j of its block in its low nibble and input j + half a block in its high
one, so that either half meets a contiguous piece of the input. In 8 bits: int8 [N, G, K / G]. `scale` [N, G].
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nvila_edge.engines.weights import BlockWeight


def packed(weight: BlockWeight) -> tuple[Tensor, Tensor]:
    """Codes and scales in the kernels' layout; an offset is the caller's business."""
    out, blocks = weight.scale.shape
    q = np.asarray(weight.q).reshape(out, blocks, weight.block)
    if weight.bits == 4:
        low, high = np.split((q + 8).astype(np.uint8), 2, axis=2)
        q = low | (high << 4)
    return torch.from_numpy(np.array(q)), torch.from_numpy(np.array(weight.scale))  # copies: mapped files are read-only


def unpacked(codes: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    """The weight [N, K]."""
    if codes.dtype == torch.uint8:
        codes = torch.cat([codes & 15, codes >> 4], 2).to(torch.int8) - 8
    return (codes.to(dtype) * scale.to(dtype)[:, :, None]).flatten(1)


@torch.library.custom_op("nvila_edge::weight_only", mutates_args=())
def weight_only(x_MK: Tensor, codes: Tensor, scale: Tensor) -> Tensor:
    """W4A16 and W8A16: x [M, K] in floats times the weight -> [M, N], accumulated in float32."""
    if x_MK.is_cuda:
        from nvila_edge.engines.backends import triton_kernels

        return triton_kernels.weight_only(x_MK, codes, scale)
    return weight_only_plain(x_MK, codes, scale)


@weight_only.register_fake
def _(x_MK: Tensor, codes: Tensor, scale: Tensor) -> Tensor:
    return x_MK.new_empty(x_MK.shape[0], codes.shape[0])


def weight_only_plain(x_MK: Tensor, codes: Tensor, scale: Tensor) -> Tensor:
    """The same in plain PyTorch."""
    return x_MK @ unpacked(codes, scale, x_MK.dtype).T


@torch.library.custom_op("nvila_edge::w8a8", mutates_args=())
def w8a8(x_MK: Tensor, x_scale: Tensor, q_NK: Tensor, scale_N: Tensor, bias_N: Tensor | None, dtype: torch.dtype) -> Tensor:
    """INT8 x INT8 -> INT32, then scaled: x int8 [M, K], x_scale float32 [1] (static) or [M] (per token), q int8 [N, K], scale float32 [N] -> dtype [M, N]."""
    if x_MK.is_cuda:
        from nvila_edge.engines.backends import triton_kernels

        return triton_kernels.w8a8(x_MK, x_scale, q_NK, scale_N, bias_N, dtype)
    return w8a8_plain(x_MK, x_scale, q_NK, scale_N, bias_N, dtype)


@w8a8.register_fake
def _(x_MK: Tensor, x_scale: Tensor, q_NK: Tensor, scale_N: Tensor, bias_N: Tensor | None, dtype: torch.dtype) -> Tensor:
    return x_MK.new_empty(x_MK.shape[0], q_NK.shape[0], dtype=dtype)


def w8a8_plain(x_MK: Tensor, x_scale: Tensor, q_NK: Tensor, scale_N: Tensor, bias_N: Tensor | None, dtype: torch.dtype) -> Tensor:
    """The same in plain PyTorch; float64 holds every sum of products of INT8 exactly."""
    sums = (x_MK.double() @ q_NK.double().T).float()
    y = sums * x_scale[:, None] * scale_N
    return (y if bias_N is None else y + bias_N).to(dtype)


def rounded_to_int8(x: Tensor, scale: Tensor) -> Tensor:
    """Symmetric INT8 of x with a scale that broadcasts against it."""
    return (x.float() / scale).round().clamp(-128, 127).to(torch.int8)
