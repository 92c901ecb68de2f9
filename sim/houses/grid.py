"""Typed doors to scipy.ndimage: connected regions and distances on a boolean grid."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def islands(free: np.ndarray) -> tuple[np.ndarray, int]:
    """Regions of bool [z, x] that touch along edges: int labels [z, x] (0 where not free) and how many there are."""
    labels = np.zeros(free.shape, dtype=np.int32)
    return labels, int(ndimage.label(free, output=labels))  # type: ignore[arg-type]


def clearance(free: np.ndarray, cell_m: float) -> np.ndarray:
    """Metres [z, x] from each free cell to the nearest one that isn't."""
    distances = np.zeros(free.shape, dtype=np.float64)
    ndimage.distance_transform_edt(free, sampling=cell_m, distances=distances)
    return distances
