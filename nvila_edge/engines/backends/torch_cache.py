"""Keys and values as tensors: where, and in the type that, a torch model works in, so that a pass copies and converts none of them."""

from __future__ import annotations

import torch
from torch import Tensor

from nvila_edge.engines.cache import Slots
from nvila_edge.engines.spec import LanguageSpec


class TensorCache(Slots):
    """Keys and values [L, KV, capacity, D] on the device and in the type of `like`."""

    def __init__(self, spec: LanguageSpec, capacity: int, like: Tensor) -> None:
        super().__init__(capacity)
        self.keys = like.new_zeros(spec.layers, spec.kv_heads, capacity, spec.head_dim)
        self.values = torch.zeros_like(self.keys)

    def write(self, new: tuple[Tensor, Tensor], rows: list[int], slots: list[int]) -> None:
        """Keep positions `rows` of a pass, keys and values [L, KV, T, D], in `slots`."""
        assert len(rows) == len(slots)
        source, target = (torch.tensor(which, device=self.keys.device) for which in (rows, slots))
        for kept, given in zip((self.keys, self.values), new, strict=True):
            kept.index_copy_(2, target, given.index_select(2, source))
