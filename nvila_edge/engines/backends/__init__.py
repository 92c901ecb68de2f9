"""What runs the graphs. A backend knows three calls; everything above them is written once."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from nvila_edge.engines.cache import KeyValueCache, NewKeyValues
from nvila_edge.model.media import VisionEncoder

BACKENDS = ("onnxruntime", "tensorrt", "torch")


class Backend(VisionEncoder, Protocol):
    """Three calls over a vision and a language graph; `encode` is VisionEncoder's. Shapes: H hidden, T positions, C cache slots, K asked rows."""

    def prefill(
        self, embeds: np.ndarray, positions: np.ndarray, mask: np.ndarray, past: KeyValueCache, logit_positions: np.ndarray
    ) -> tuple[np.ndarray, NewKeyValues]:
        """embeds float32 [T, H], positions int64 [T], mask float32 [T, C+T] (additive), logit_positions int64 [K] -> logits float32 [K,
        vocab] and the keys and values of the T positions."""
        ...

    def step(
        self, embeds: np.ndarray, positions: np.ndarray, mask: np.ndarray, past: KeyValueCache, logit_positions: np.ndarray
    ) -> tuple[np.ndarray, NewKeyValues]:
        """The same for one position: backends may have a faster engine for it."""
        ...

    def cache(self, capacity: int) -> KeyValueCache:
        """An empty cache of `capacity` slots."""
        ...
