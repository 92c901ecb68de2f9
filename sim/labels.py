"""What can be seen where: dense labels for vision pre-training and answers for grounding questions, from the renderer's id image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.houses.categories import CATEGORIES, COLOURS, SURFACES
from sim.houses.house import House
from sim.renderer import Observation

THIRDS = ("left", "middle", "right")
VISIBLE_SHARE = 0.004  # a thing counts as seen from 0.4 % of the image on: about 14 x 14 of 224 x 224 pixels
_SAMPLES = 112  # pixels along a side that are looked at


@dataclass(frozen=True)
class Seen:
    """A thing in view: category and colour index (colour -1: none), third of the image (0 left, 1 middle, 2 right), share of the pixels."""

    category: int
    colour: int
    third: int
    share: float


@dataclass(frozen=True)
class DenseLabels:
    """Per patch (row-major grid x grid): category_counts uint8 [P, categories], colour_counts uint8 [P, colours + 1] (last: none) out of
    (112 / grid)^2 samples; depth_m float16 [P], the median."""

    category_counts: np.ndarray
    colour_counts: np.ndarray
    depth_m: np.ndarray


class Labeller:
    """Labels for one house."""

    def __init__(self, house: House, grid: int) -> None:
        self.grid = grid
        self.category_of = np.array([CATEGORIES.index(thing.category) for thing in house.things])
        self.colour_of = np.array([COLOURS.index(thing.colour) if thing.colour in COLOURS else -1 for thing in house.things])

    def _sampled(self, image: np.ndarray) -> np.ndarray:
        """[patches, samples] of a square image."""
        step = np.linspace(0, image.shape[0] - 1, _SAMPLES).astype(int)
        side = _SAMPLES // self.grid
        blocks = image[np.ix_(step, step)].reshape(self.grid, side, self.grid, side)
        return blocks.transpose(0, 2, 1, 3).reshape(self.grid**2, side * side)

    def dense(self, observation: Observation) -> DenseLabels:
        """Labels of every patch of a square observation."""
        things = self._sampled(observation.thing)
        rows = np.arange(len(things))[:, None]

        def counts(values: np.ndarray, size: int) -> np.ndarray:
            return np.bincount((rows * size + values).ravel(), minlength=len(things) * size).reshape(len(things), size).astype(np.uint8)

        colours = self.colour_of[things]
        depth = np.median(self._sampled(observation.depth_m), 1).clip(0, 20).astype(np.float16)
        return DenseLabels(
            counts(self.category_of[things], len(CATEGORIES)), counts(np.where(colours < 0, len(COLOURS), colours), len(COLOURS) + 1), depth
        )

    def seen(self, observation: Observation) -> list[Seen]:
        """Furniture and doors in view, largest first."""
        things = observation.thing[::2, ::2]
        ids, inverse, counts = np.unique(things, return_inverse=True, return_counts=True)
        columns = np.broadcast_to(np.arange(things.shape[1]), things.shape).ravel()
        centres = np.bincount(inverse.ravel(), weights=columns) / counts
        found = []
        for thing, count, centre in zip(ids, counts, centres, strict=True):
            category, share = int(self.category_of[thing]), float(count) / things.size
            named = category >= len(SURFACES) or CATEGORIES[category] == "door"
            if named and share >= VISIBLE_SHARE:
                found.append(Seen(category, int(self.colour_of[thing]), int(3 * centre / things.shape[1]), share))
        return sorted(found, key=lambda seen: -seen.share)
