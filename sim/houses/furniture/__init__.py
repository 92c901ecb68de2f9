"""Parametric furniture: `build_furniture("sofa", rng, "train", "red")` gives closed, textured meshes in metres."""

from __future__ import annotations

import numpy as np

from sim.houses.categories import COLOURS, FURNITURE
from sim.houses.furniture import bathroom, chairs, decor, desks, kitchen, leisure, plants, seating, sleeping, sport, storage, tables, wall
from sim.houses.furniture.model import Model
from sim.houses.furniture.palette import COLOURS_OF, RGB, mixed_kit
from sim.houses.furniture.primitives import Sketch

FAMILIES = ("train", "unseen")
_GROUPS = (bathroom, chairs, decor, desks, kitchen, leisure, plants, seating, sleeping, sport, storage, tables, wall)
_MODELS = {category: shapes for group in _GROUPS for category, shapes in group.MODELS.items()}

__all__ = ["COLOURS_OF", "FAMILIES", "RGB", "Model", "build_furniture", "variants"]


def variants(category: str, family: str) -> tuple[str, ...]:
    """Names of the shapes that a family ("train" or "unseen") has of a category; no shape is in both families."""
    return tuple(shape.__name__ for shape in _MODELS[category][FAMILIES.index(family)])


def build_furniture(category: str, rng: np.random.Generator, family: str, colour: str) -> Model:
    """One piece of furniture, its shape and proportions drawn from `rng`; front towards -Z, centred on its footprint, y = 0 at the bottom.

    category is one of FURNITURE, family "train" or "unseen" (shapes of their own), colour one of COLOURS
    (COLOURS_OF lists the sensible ones). Raises ValueError on any other name.
    """
    for value, allowed, what in ((category, FURNITURE, "category"), (family, FAMILIES, "family"), (colour, COLOURS, "colour")):
        if value not in allowed:
            raise ValueError(f"furniture {what} {value!r} is unknown; use one of: {', '.join(allowed)}")
    kit = mixed_kit(rng, colour)
    shapes = _MODELS[category][FAMILIES.index(family)]
    sketch = Sketch()
    shapes[int(rng.integers(len(shapes)))](sketch, kit)
    return sketch.model()
