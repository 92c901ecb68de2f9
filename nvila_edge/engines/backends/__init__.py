"""What runs the graphs. A backend knows three calls; everything above them is written once."""

from __future__ import annotations

from typing import Any, Protocol, get_args

import numpy as np

from nvila_edge.engines.cache import Cache
from nvila_edge.model.media import VisionEncoder
from nvila_edge.options.backend import BackendName

BACKENDS: tuple[str, ...] = get_args(BackendName)


class Backend(VisionEncoder, Protocol):
    """Three calls over a vision and a language graph; `encode` is VisionEncoder's. Shapes: H hidden, T positions, C cache slots, K asked rows."""

    runs_on: str  # for people: the library, and what of the machine it works on

    def prefill(
        self, embeds: np.ndarray, positions: np.ndarray, mask: np.ndarray, past: Any, logit_positions: np.ndarray
    ) -> tuple[np.ndarray, Any]:
        """embeds float32 [T, H], positions int64 [T], mask float32 [T, C+T] (additive), logit_positions int64 [K] -> logits float32 [K,
        vocab] and the keys and values of the T positions."""
        ...

    def step(
        self, embeds: np.ndarray, positions: np.ndarray, mask: np.ndarray, past: Any, logit_positions: np.ndarray
    ) -> tuple[np.ndarray, Any]:
        """The same for one position: backends may have a faster engine for it."""
        ...

    def cache(self, capacity: int) -> Cache:
        """An empty cache of `capacity` slots."""
        ...
