"""llm-awq's version 2 of 4-bit weights: one torch file of packed Linear layers (mit-han-lab/llm-awq).

N output rows, K input columns, groups of 128 along K; w = q * scale + scaled_zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nvila_edge.model.checkpoint import CheckpointError

GROUP = 128
PARTS = ("qweight", "scales", "scaled_zeros")


def packed(found: Mapping[str, Any]) -> dict[str, tuple[tuple[int, int], Any]]:
    """Layer name -> ([N, K], its qweight), for the packed layers among these tensors (weights.StoredTensor).

    Raises CheckpointError when they are not version 2's, or do not fit each other.
    """
    layers = [name.removesuffix(".qweight") for name in found if name.endswith(".qweight")]
    return {layer: (_checked_shape(layer, found), found[f"{layer}.qweight"]) for layer in layers}


def weight(found: Mapping[str, Any], layer: str, dtype: torch.dtype | None, own: bool = True) -> Tensor:
    """Reads a packed layer's weight [N, K]; dtype None: that of its scales. Always a tensor of its own, whatever `own` says."""
    qweight, scales, zeros = (found[f"{layer}.{part}"].load(None) for part in PARTS)
    return dequantised(qweight, scales, zeros, dtype or scales.dtype)


def codes(found: Mapping[str, Any], layer: str) -> tuple[Tensor, Tensor, Tensor]:
    """Codes 0..15 uint8 [N, K], scales and scaled zeros float32 [N, K / 128] of a packed layer, as they are stored."""
    qweight, scales, zeros = (found[f"{layer}.{part}"].load(None) for part in PARTS)
    groups = qweight.shape[1] // GROUP
    return unpack_int4(qweight), scales[:groups].T.float(), zeros[:groups].T.float()


def _checked_shape(layer: str, found: Mapping[str, Any]) -> tuple[int, int]:
    qweight, scales, zeros = (found.get(f"{layer}.{part}") for part in PARTS)
    assert qweight is not None
    if f"{layer}.qzeros" in found or qweight.dtype != torch.int16:
        raise CheckpointError(
            f"{qweight.origin}: found {qweight.dtype} packed the old way; expected int16 of version 2, a file *-awq-v2.pt"
        )
    if scales is None or zeros is None:
        raise CheckpointError(f"{qweight.origin}: expected {layer}.scales and {layer}.scaled_zeros beside it")
    if len(qweight.shape) != 2 or qweight.shape[1] % GROUP:
        raise CheckpointError(f"{qweight.origin}: expected [N / 4, K] with K a multiple of {GROUP}, found {list(qweight.shape)}")
    rows, columns = qweight.shape[0] * 4, qweight.shape[1]
    for part in (scales, zeros):
        if len(part.shape) != 2 or part.shape[0] < columns // GROUP or part.shape[1] != rows:
            raise CheckpointError(f"{part.origin}: expected [{columns // GROUP} or more, {rows}], found {list(part.shape)}")
    return rows, columns


def unpack_int4(qweight: Tensor) -> Tensor:
    """Codes 0..15, uint8 [N, K], of int16 [N/4, K]."""
    rows, columns = qweight.shape
    halves = qweight.contiguous().view(torch.uint8)  # little-endian: low byte first
    nibbles = torch.stack([halves & 15, halves >> 4], -1)  # [N/4, 2 K, 2]: four codes a column
    codes = nibbles.view(rows, columns // 64, 4, 64).transpose(1, 2).reshape(rows * 4, columns)
    codes = codes.view(-1, columns // 8, 2, 4).transpose(2, 3).reshape(-1, columns)
    return codes.view(-1, columns // 32, 4, 4, 2).transpose(2, 3).reshape(-1, columns)


def dequantised(qweight: Tensor, scales: Tensor, scaled_zeros: Tensor, dtype: torch.dtype = torch.float16) -> Tensor:
    """Weights [N, K], computed in float32 and rounded once; scales and scaled_zeros [R, N] with R >= K / 128 rows, the rest is padding."""
    codes = unpack_int4(qweight)
    rows, columns = codes.shape
    groups = columns // GROUP
    result = torch.empty(rows, groups, GROUP, dtype=dtype)
    for some, part, scale, zero in zip(  # in slices: a float32 copy of a whole layer would be eight times the packed size
        result.split(1024), codes.view(rows, groups, GROUP).split(1024), scales[:groups].T.split(1024), scaled_zeros[:groups].T.split(1024)
    ):
        some.copy_(part.float() * scale.float()[..., None] + zero.float()[..., None])
    return result.view(rows, columns)
