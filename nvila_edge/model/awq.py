"""llm-awq's version 2 of 4-bit weights: one torch file of packed Linear layers (facts/nvila.md section 2.1).

N output rows, K input columns, groups of 128 along K; w = q * scale + scaled_zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

GROUP = 128


def is_awq(found: Mapping[str, Any]) -> bool:
    """Whether these are packed weights. Raises ValueError for the older packing, which has `qzeros`."""
    if any(name.endswith(".qzeros") for name in found):
        raise ValueError("these AWQ weights are packed the old way (qzeros); expected version 2, a file *-awq-v2.pt")
    return any(name.endswith(".qweight") for name in found)


def unpacked(found: Mapping[str, Any]) -> dict[str, tuple[tuple[int, ...], str, Callable[[], Tensor] | None]]:
    """name -> (shape, origin, what unpacks it); None where the tensor is stored as it is."""
    result: dict[str, tuple[tuple[int, ...], str, Callable[[], Tensor] | None]] = {}
    for name, value in found.items():
        layer, _, kind = name.rpartition(".")
        if kind == "qweight":
            parts = [found.get(f"{layer}.{part}") for part in ("scales", "scaled_zeros")]
            if None in parts:
                raise ValueError(f"{value.origin}: expected {layer}.scales and {layer}.scaled_zeros beside it")
            shape = (value.shape[0] * 4, value.shape[1])
            result[f"{layer}.weight"] = (shape, value.origin, partial(_weight, value, *parts))
        elif kind not in ("scales", "scaled_zeros"):
            result[name] = (value.shape, value.origin, None)
    return result


def _weight(qweight: Any, scales: Any, scaled_zeros: Any) -> Tensor:
    return dequantised(qweight.load(None), scales.load(None), scaled_zeros.load(None))


def unpack_int4(qweight: Tensor) -> Tensor:
    """Codes 0..15, uint8 [N, K], of int16 [N/4, K]."""
    rows, columns = qweight.shape
    nibbles = torch.stack([(qweight.int() >> shift) & 15 for shift in (0, 4, 8, 12)], -1).to(torch.uint8)  # [N/4, K, 4]
    codes = nibbles.view(rows, columns // 64, 4, 64).transpose(1, 2).reshape(rows * 4, columns)
    codes = codes.view(-1, columns // 8, 2, 4).transpose(2, 3).reshape(-1, columns)
    return codes.view(-1, columns // 32, 4, 4, 2).transpose(2, 3).reshape(-1, columns)


def dequantised(qweight: Tensor, scales: Tensor, scaled_zeros: Tensor) -> Tensor:
    """float16 [N, K]; scales and scaled_zeros [R, N] with R >= K / 128 rows, the rest is padding."""
    codes = unpack_int4(qweight)
    rows, columns = codes.shape
    groups = columns // GROUP
    grouped = codes.view(rows, groups, GROUP).to(scales.dtype)
    weight = grouped * scales[:groups].T[..., None] + scaled_zeros[:groups].T[..., None]
    return weight.reshape(rows, columns)
