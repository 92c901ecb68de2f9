"""The Triton kernels behind products.py. With TRITON_INTERPRET=1 they run on the CPU, where the tests compare them with plain PyTorch.

Sums are kept in float32: FP16 sums would overflow where an activation is an outlier, and gain nothing on server GPUs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
import triton  # type: ignore[import-not-found]  comes with CUDA builds of torch, and with the extra dev
import triton.language as tl  # type: ignore[import-not-found]
from torch import Tensor

_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def _configs(*choices: tuple[dict[str, int], int, int]) -> list[triton.Config]:
    """Tuned at the first call of every shape; nothing to choose under the interpreter. choices: (blocks, warps, stages)."""
    made = [triton.Config(blocks, num_warps=warps, num_stages=stages) for blocks, warps, stages in choices]
    return made[:1] if _INTERPRETED else made


@triton.autotune(
    _configs(
        ({"BLOCK_N": 8, "BLOCK_G": 4}, 4, 2),
        ({"BLOCK_N": 4, "BLOCK_G": 8}, 4, 2),
        ({"BLOCK_N": 16, "BLOCK_G": 4}, 4, 2),
        ({"BLOCK_N": 8, "BLOCK_G": 8}, 8, 2),
        ({"BLOCK_N": 2, "BLOCK_G": 16}, 4, 2),
    ),
    key=["N", "G"],
)
@triton.jit
def _vector(
    x_ptr, codes_ptr, scale_ptr, y_ptr, N,
    G: tl.constexpr, HALF: tl.constexpr, BITS: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_G: tl.constexpr,
):  # fmt: skip
    """One row of input: bound by reading the codes, so every program reads whole rows of them and keeps the sums in registers."""
    outputs = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    j = tl.arange(0, HALF)
    total = tl.zeros([BLOCK_N], tl.float32)
    for first in range(0, G, BLOCK_G):
        groups = first + tl.arange(0, BLOCK_G)
        x_at = x_ptr + groups[:, None] * (2 * HALF) + j[None, :]
        x_low = tl.load(x_at, mask=groups[:, None] < G, other=0.0).to(tl.float32)[None, :, :]
        x_high = tl.load(x_at + HALF, mask=groups[:, None] < G, other=0.0).to(tl.float32)[None, :, :]
        at = outputs[:, None] * G + groups[None, :]
        keep = (outputs[:, None] < N) & (groups[None, :] < G)
        if BITS == 4:
            both = tl.load(codes_ptr + at[:, :, None] * HALF + j[None, None, :], mask=keep[:, :, None], other=0)
            low, high = (both & 15).to(tl.float32) - 8.0, (both >> 4).to(tl.float32) - 8.0
        else:
            code_at = codes_ptr + at[:, :, None] * (2 * HALF) + j[None, None, :]
            low = tl.load(code_at, mask=keep[:, :, None], other=0).to(tl.float32)
            high = tl.load(code_at + HALF, mask=keep[:, :, None], other=0).to(tl.float32)
        scale = tl.load(scale_ptr + at, mask=keep, other=0.0).to(tl.float32)
        total += tl.sum(tl.sum(low * x_low + high * x_high, 2) * scale, 1)
    tl.store(y_ptr + outputs, total.to(y_ptr.dtype.element_ty), mask=outputs < N)


@triton.autotune(
    _configs(
        ({"BLOCK_M": 64, "BLOCK_N": 64}, 4, 3),
        ({"BLOCK_M": 128, "BLOCK_N": 64}, 4, 3),
        ({"BLOCK_M": 128, "BLOCK_N": 128}, 8, 3),
        ({"BLOCK_M": 16, "BLOCK_N": 64}, 4, 3),
    ),
    key=["N", "G", "TALL"],
)
@triton.jit
def _matrix(
    x_ptr, codes_ptr, scale_ptr, y_ptr, M, N, TALL,
    G: tl.constexpr, HALF: tl.constexpr, BITS: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Many rows of input: a block of codes becomes floats in registers (small whole numbers: exact), and its sums are scaled once."""
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    outputs = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    j = tl.arange(0, HALF)
    kind = x_ptr.dtype.element_ty
    total = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    for group in range(0, G):
        x_at = x_ptr + (rows[:, None] * G + group) * (2 * HALF) + j[None, :]
        x_low = tl.load(x_at, mask=rows[:, None] < M, other=0.0)
        x_high = tl.load(x_at + HALF, mask=rows[:, None] < M, other=0.0)
        at = outputs * G + group
        if BITS == 4:
            both = tl.load(codes_ptr + at[None, :] * HALF + j[:, None], mask=outputs[None, :] < N, other=0)
            low, high = ((both & 15).to(tl.int8) - 8).to(kind), ((both >> 4).to(tl.int8) - 8).to(kind)
        else:
            code_at = codes_ptr + at[None, :] * (2 * HALF) + j[:, None]
            low = tl.load(code_at, mask=outputs[None, :] < N, other=0).to(kind)
            high = tl.load(code_at + HALF, mask=outputs[None, :] < N, other=0).to(kind)
        part = tl.dot(x_high, high, tl.dot(x_low, low))
        total += part * tl.load(scale_ptr + at, mask=outputs < N, other=0.0).to(tl.float32)[None, :]
    keep = (rows[:, None] < M) & (outputs[None, :] < N)
    tl.store(y_ptr + rows[:, None] * N + outputs[None, :], total.to(kind), mask=keep)


@triton.autotune(
    _configs(
        ({"BLOCK_M": 128, "BLOCK_N": 128, "BLOCK_K": 64}, 8, 3),
        ({"BLOCK_M": 128, "BLOCK_N": 128, "BLOCK_K": 128}, 8, 3),
        ({"BLOCK_M": 128, "BLOCK_N": 256, "BLOCK_K": 64}, 8, 3),
        ({"BLOCK_M": 64, "BLOCK_N": 64, "BLOCK_K": 64}, 4, 4),
    ),
    key=["N", "K", "TALL"],
)
@triton.jit
def _int8(
    x_ptr, q_ptr, x_scale_ptr, scale_ptr, bias_ptr, y_ptr, M, N, TALL,
    K: tl.constexpr, PER_ROW: tl.constexpr, BIASED: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    outputs = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    total = tl.zeros([BLOCK_M, BLOCK_N], tl.int32)
    for first in range(0, K, BLOCK_K):
        k = first + tl.arange(0, BLOCK_K)
        x = tl.load(x_ptr + rows[:, None] * K + k[None, :], mask=(rows[:, None] < M) & (k[None, :] < K), other=0)
        q = tl.load(q_ptr + outputs[None, :] * K + k[:, None], mask=(outputs[None, :] < N) & (k[:, None] < K), other=0)
        total += tl.dot(x, q, out_dtype=tl.int32)
    x_scale = tl.load(x_scale_ptr + rows * PER_ROW, mask=rows < M, other=0.0)
    y = total.to(tl.float32) * x_scale[:, None] * tl.load(scale_ptr + outputs, mask=outputs < N, other=0.0)[None, :]
    if BIASED:
        y += tl.load(bias_ptr + outputs, mask=outputs < N, other=0.0).to(tl.float32)[None, :]
    keep = (rows[:, None] < M) & (outputs[None, :] < N)
    tl.store(y_ptr + rows[:, None] * N + outputs[None, :], y.to(y_ptr.dtype.element_ty), mask=keep)


def weight_only(x_MK: Tensor, codes: Tensor, scale: Tensor) -> Tensor:
    """See products.weight_only."""
    (m, _), (n, groups) = x_MK.shape, scale.shape
    bits = 4 if codes.dtype == torch.uint8 else 8
    half = codes.shape[2] if bits == 4 else codes.shape[2] // 2
    x_MK, y = x_MK.contiguous(), x_MK.new_empty(m, n)
    if m == 1:
        _launch(_vector, lambda meta: (triton.cdiv(n, meta["BLOCK_N"]),), x_MK, codes, scale, y, n, groups, half, bits)
    else:
        _launch(_matrix, _tiles(m, n), x_MK, codes, scale, y, m, n, _tall(m), groups, half, bits)
    return y


def w8a8(x_MK: Tensor, x_scale: Tensor, q_NK: Tensor, scale_N: Tensor, bias_N: Tensor | None, dtype: torch.dtype) -> Tensor:
    """See products.w8a8."""
    (m, k), n = x_MK.shape, len(q_NK)
    y = torch.empty(m, n, dtype=dtype, device=x_MK.device)
    bias = scale_N if bias_N is None else bias_N  # never read where there is none
    per_row = int(len(x_scale) > 1)
    _launch(_int8, _tiles(m, n), x_MK.contiguous(), q_NK, x_scale, scale_N, bias, y, m, n, _tall(m), k, per_row, bias_N is not None)
    return y


def _launch(kernel: Any, grid: Callable[[dict[str, int]], tuple[int, ...]], *arguments: object) -> None:
    kernel[grid](*arguments)


def _tiles(m: int, n: int) -> Callable[[dict[str, int]], tuple[int, ...]]:
    return lambda meta: (triton.cdiv(m, meta["BLOCK_M"]), triton.cdiv(n, meta["BLOCK_N"]))


def _tall(rows: int) -> int:
    """Shapes within a power of two share a tuning."""
    return rows.bit_length()
