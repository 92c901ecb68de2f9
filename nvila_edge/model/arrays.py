"""What the media code needs beyond the methods that NumPy arrays and torch tensors share: it serves the model (torch) and the engines (no torch)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

Array = TypeVar("Array", bound=Any)  # np.ndarray or torch.Tensor


def concatenated(parts: Sequence[Array], axis: int = 0) -> Array:
    """The parts, all of one kind, along `axis`."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts, axis)  # type: ignore[return-value]
    import torch

    return torch.cat(list(parts), axis)  # type: ignore[return-value]


def as_float32(array: Array) -> Array:
    """The same in float32."""
    return array.astype(np.float32, copy=False) if isinstance(array, np.ndarray) else array.float()  # type: ignore[return-value]


def like(values: np.ndarray, other: Array) -> Array:
    """`values` as the kind, type and device of `other`."""
    if isinstance(other, np.ndarray):
        return values.astype(other.dtype, copy=False)  # type: ignore[return-value]
    import torch

    return torch.from_numpy(values).to(other.device, other.dtype)  # type: ignore[return-value]
