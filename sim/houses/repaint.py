"""Domain randomisation: the same house with other wall and floor colours, so that a model learns the furniture and not the paint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sim.houses.house import House

_PAINTED = ("wall", "floor")


def repainted(house: House, rng: np.random.Generator) -> House:
    """The house with the textures of its walls and floors tinted (per channel 0.6 to 1.3) and dealt out anew among themselves."""
    painted = np.array([thing.category in _PAINTED for thing in house.things])
    on_surface = painted[house.mesh.thing]
    layers = np.setdiff1d(np.unique(house.mesh.texture[on_surface]), [0])
    layers = layers[~np.isin(layers, house.mesh.texture[~on_surface])]  # a texture shared with furniture stays
    textures = house.textures.copy()
    tint = rng.uniform(0.6, 1.3, (len(layers), 1, 1, 3))
    textures[layers] = (house.textures[rng.permutation(layers)] * tint).clip(0, 255).astype(np.uint8)
    return replace(house, textures=textures)
