"""Colours of furniture: what a colour's name looks like, and which names are sensible for which thing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.houses.furniture.primitives import RGB as Rgb
from sim.houses.furniture.primitives import Paint

# sRGB 0..1, far enough apart that a person (and a small vision tower) names each one without a second one beside it.
RGB: dict[str, Rgb] = {
    "red": (0.78, 0.11, 0.12),
    "blue": (0.13, 0.30, 0.76),
    "green": (0.16, 0.55, 0.22),
    "yellow": (0.95, 0.80, 0.12),
    "white": (0.98, 0.98, 0.97),
    "black": (0.11, 0.11, 0.12),
    "grey": (0.52, 0.53, 0.55),
    "brown": (0.44, 0.26, 0.13),
    "orange": (0.95, 0.49, 0.10),
    "purple": (0.48, 0.18, 0.62),
    "pink": (0.96, 0.56, 0.70),
    "beige": (0.86, 0.77, 0.60),
}
_VIVID = ("red", "blue", "green", "yellow", "orange", "purple", "pink")
_ANY = (*_VIVID, "white", "black", "grey", "brown", "beige")
_WOODEN = ("brown", "beige", "white", "black", "grey")
_SOFT = ("red", "blue", "green", "yellow", "grey", "brown", "orange", "purple", "pink", "beige", "black", "white")

COLOURS_OF: dict[str, tuple[str, ...]] = {
    "sofa": _SOFT,
    "armchair": _SOFT,
    "coffee table": (*_WOODEN, "blue", "green"),
    "dining table": _WOODEN,
    "chair": _ANY,
    "bed": _SOFT,
    "nightstand": (*_WOODEN, "blue", "green", "pink"),
    "wardrobe": (*_WOODEN, "blue", "green"),
    "dresser": (*_WOODEN, "blue", "green", "red"),
    "desk": _WOODEN,
    "office chair": ("black", "grey", "blue", "red", "green", "orange", "purple"),
    "bookshelf": (*_WOODEN, "blue", "green"),
    "television": ("black", "white", "brown"),
    "fridge": ("white", "grey", "black", "red", "yellow", "blue"),
    "stove": ("white", "grey", "black", "red"),
    "kitchen counter": ("white", "grey", "brown", "beige", "blue", "green", "red"),
    "kitchen island": ("white", "grey", "brown", "beige", "blue", "green", "black"),
    "washing machine": ("white", "grey"),
    "toilet": ("white", "pink", "blue", "green"),
    "bathtub": ("white", "blue", "pink", "green"),
    "shower": ("white", "blue", "green", "grey"),
    "washbasin": ("white", "grey", "brown", "blue"),
    "plant": ("green",),
    "floor lamp": ("white", "yellow", "red", "orange", "green", "blue", "pink"),
    "rug": _SOFT,
    "painting": ("black", "white", "brown", "yellow", "red", "blue"),
    "mirror": ("white", "black", "brown", "yellow"),
    "clock": ("white", "black", "brown", "red", "blue", "green", "yellow"),
    "piano": ("black", "brown", "white"),
    "fireplace": ("white", "grey", "red", "brown", "beige"),
    "bench": ("brown", "white", "black", "grey", "red", "blue", "green"),
    "coat rack": ("brown", "black", "white"),
    "exercise bike": ("black", "white", "red", "blue", "yellow"),
    "treadmill": ("black", "grey", "red", "blue"),
    "aquarium": ("black", "white", "brown"),
    "crib": ("white", "brown", "beige", "pink", "blue"),
    "toy chest": ("red", "blue", "yellow", "green", "orange", "purple", "pink", "white"),
    "guitar": ("brown", "red", "black", "orange", "blue"),
    "bicycle": ("red", "blue", "green", "yellow", "orange", "pink", "black", "white"),
    "pool table": ("green", "blue", "red"),
    "vase": _ANY,
    "globe": ("blue", "beige", "green"),
    "ironing board": ("blue", "red", "green", "purple", "pink", "grey"),
    "fan": ("white", "black", "grey", "blue", "red"),
}
_WOODS: tuple[Rgb, ...] = ((0.55, 0.36, 0.19), (0.68, 0.48, 0.28), (0.40, 0.24, 0.14), (0.76, 0.60, 0.40))


@dataclass(frozen=True)
class Kit:
    """What a furniture function draws with: its random source and the paints of this one piece."""

    rng: np.random.Generator
    main: Rgb
    wood_tone: Rgb

    def between(self, low: float, high: float) -> float:
        """A number of metres (or anything else) drawn between two limits."""
        return float(self.rng.uniform(low, high))

    def one_of(self, *choices):  # noqa: ANN201, ANN002 - any type
        """One of the choices."""
        return choices[int(self.rng.integers(len(choices)))]

    @property
    def fabric(self) -> Paint:
        """Woven cloth in the main colour."""
        return Paint(self.main, "weave", 0.25)

    @property
    def dark_fabric(self) -> Paint:
        """The same cloth a little darker: parts must stay apart in flat light."""
        return Paint(shade(self.main, 0.82), "weave", 0.25)

    @property
    def lacquer(self) -> Paint:
        """Wood painted or stained in the main colour."""
        return Paint(self.main, "grain", 0.7)

    @property
    def dark_lacquer(self) -> Paint:
        """The same, darker: edges, plinths, gaps."""
        return Paint(shade(self.main, 0.72), "grain", 0.7)

    @property
    def enamel(self) -> Paint:
        """Smooth paint or ceramic in the main colour."""
        return Paint(self.main)

    @property
    def wood(self) -> Paint:
        """Natural wood, for legs and frames."""
        return Paint(self.wood_tone, "grain", 0.7)


CHROME = Paint((0.78, 0.80, 0.82), "brushed")
STEEL = Paint((0.50, 0.52, 0.55), "brushed")
IRON = Paint((0.13, 0.13, 0.14))
RUBBER = Paint((0.08, 0.08, 0.08))
CERAMIC = Paint((0.96, 0.96, 0.95))
LINEN = Paint((0.95, 0.94, 0.90), "weave", 0.25)
STONE_TOP = Paint((0.86, 0.85, 0.82), "marble", 0.8)
DARK_TOP = Paint((0.25, 0.25, 0.27), "speckle", 0.5)
BRASS = Paint((0.80, 0.64, 0.28), "brushed")


def shade(colour: Rgb, factor: float) -> Rgb:
    """The colour darkened (factor < 1) or lightened towards white (factor > 1: 2 is white)."""
    if factor <= 1:
        return (colour[0] * factor, colour[1] * factor, colour[2] * factor)
    share = min(factor - 1, 1.0)
    return (colour[0] + (1 - colour[0]) * share, colour[1] + (1 - colour[1]) * share, colour[2] + (1 - colour[2]) * share)


def mixed_kit(rng: np.random.Generator, colour: str) -> Kit:
    """The kit for one piece: the named colour with slight jitter, and a wood."""
    spread = 0.01 if colour == "white" else 0.025  # a slightly tinted white is a pale pink or blue to the eye
    jitter = rng.uniform(-spread, spread, 3) + rng.uniform(-spread, spread)
    r, g, b = (float(np.clip(c + d, 0.06, 1.0)) for c, d in zip(RGB[colour], jitter))
    return Kit(rng, (r, g, b), _WOODS[int(rng.integers(len(_WOODS)))])
