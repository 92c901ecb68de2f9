"""The finished piece of furniture: arrays that a renderer, a GLB writer and a navmesh can use as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Model:
    """Furniture in its own frame: metres, +Y up, origin at the centre of the footprint on the floor, front towards -Z.

    position, normal float32 [V, 3] (one normal per face); uv float32 [V, 2], v = 0 is image row 0 and values beyond 0..1 repeat;
    colour float32 [V, 3] in 0..1 (sRGB) multiplies the texture; texture int32 [V] index into `texture_names`; triangles int32 [T, 3]
    counter-clockwise seen from outside; size (width x, height y, depth z) in metres. Hung things have their flat back at z = +depth / 2.
    """

    position: np.ndarray
    normal: np.ndarray
    uv: np.ndarray
    colour: np.ndarray
    texture: np.ndarray
    texture_names: tuple[str, ...]
    triangles: np.ndarray
    size: tuple[float, float, float]
