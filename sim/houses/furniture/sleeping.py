"""Beds and cribs. The head is at +Z."""

from __future__ import annotations

import numpy as np

from sim.houses.furniture.palette import IRON, LINEN, Kit, Paint, shade
from sim.houses.furniture.parts import square_legs
from sim.houses.furniture.primitives import Sketch


def _bedding(s: Sketch, k: Kit, width: float, length: float, base: float, top: float) -> None:
    """Mattress, cover in the main colour over the lower two thirds, turned-down sheet and pillows."""
    fold = length / 2 - 0.62
    s.cushion((-width / 2 + 0.02, base, -length / 2 + 0.02), (width / 2 - 0.02, top - 0.02, length / 2 - 0.02), 0.05, LINEN)
    s.cushion((-width / 2 - 0.01, base + 0.02, -length / 2 - 0.01), (width / 2 + 0.01, top + 0.03, fold), 0.06, k.fabric)
    s.box((-width / 2 - 0.012, base + 0.1, fold - 0.02), (width / 2 + 0.012, top + 0.035, fold + 0.12), LINEN)
    count = 2 if width > 1.2 else 1
    for i in range(count):
        x = (i - (count - 1) / 2) * width / 2
        half = min(0.33, width / 2 / count - 0.06)
        pillow = Paint(shade(k.main, 1.6), "weave", 0.25)
        s.cushion((x - half, top - 0.04, length / 2 - 0.48), (x + half, top + 0.11, length / 2 - 0.08), 0.07, pillow)


def _bed_size(k: Kit) -> tuple[float, float]:
    return k.one_of(0.95, 1.45, 1.65, 1.8), k.between(2.0, 2.1)


def panel_bed(s: Sketch, k: Kit) -> None:
    """A wooden frame with a plain headboard."""
    w, length = _bed_size(k)
    h = k.between(0.95, 1.15)
    square_legs(s, w + 0.08, length, 0.2, 0.07, k.wood)
    s.box((-w / 2 - 0.04, 0.18, -length / 2), (w / 2 + 0.04, 0.34, length / 2), k.wood)
    s.box((-w / 2 - 0.06, 0, length / 2), (w / 2 + 0.06, h, length / 2 + 0.06), k.wood)
    _bedding(s, k, w, length, 0.32, 0.52)


def upholstered_bed(s: Sketch, k: Kit) -> None:
    """Box base and a headboard in padded fields."""
    w, length = _bed_size(k)
    h = k.between(1.1, 1.25)
    s.cushion((-w / 2 - 0.06, 0.04, -length / 2 - 0.04), (w / 2 + 0.06, 0.34, length / 2), 0.03, k.dark_fabric)
    fields = 3 if w < 1.2 else 4
    for x in np.linspace(-w / 2 - 0.06, w / 2 + 0.06, fields + 1)[:-1]:
        s.cushion((x, 0.04, length / 2), (x + (w + 0.12) / fields, h, length / 2 + 0.12), 0.03, k.dark_fabric)
    _bedding(s, k, w, length, 0.32, 0.54)


def rail_bed(s: Sketch, k: Kit) -> None:
    """Iron rails at head and foot."""
    w, length = _bed_size(k)
    h = k.between(1.0, 1.15)
    for z, top in ((-length / 2 - 0.03, 0.75), (length / 2 + 0.03, h)):
        for x in (-w / 2 - 0.02, w / 2 + 0.02):
            s.tube((x, 0, z), (x, top, z), 0.025, IRON, sides=6)
            s.sphere((x, top + 0.03, z), 0.045, IRON, 6, 4)
        for y in (0.32, top - 0.05):
            s.box((-w / 2, y, z - 0.015), (w / 2, y + 0.03, z + 0.015), IRON)
        for x in np.linspace(-w / 2, w / 2, 7)[1:-1]:
            s.box((x - 0.01, 0.32, z - 0.01), (x + 0.01, top - 0.03, z + 0.01), IRON)
    s.box((-w / 2, 0.26, -length / 2), (w / 2, 0.33, length / 2), IRON)
    _bedding(s, k, w, length, 0.32, 0.52)


def poster_bed(s: Sketch, k: Kit) -> None:
    """Four posts that carry a frame."""
    w, length, h = k.one_of(1.45, 1.65), 2.05, k.between(1.85, 2.05)
    square_legs(s, w + 0.14, length + 0.1, h, 0.07, k.wood)
    for x in (-w / 2 - 0.07, w / 2):
        s.box((x, h - 0.06, -length / 2 - 0.05), (x + 0.07, h, length / 2 + 0.05), k.wood)
    for z in (-length / 2 - 0.05, length / 2 - 0.02):
        s.box((-w / 2, h - 0.06, z), (w / 2, h, z + 0.07), k.wood)
    s.box((-w / 2 - 0.05, 0.24, -length / 2), (w / 2 + 0.05, 0.38, length / 2), k.wood)
    s.box((-w / 2, 0.3, length / 2 - 0.02), (w / 2, 1.1, length / 2 + 0.03), k.wood)
    _bedding(s, k, w, length, 0.36, 0.58)


def sleigh_bed(s: Sketch, k: Kit) -> None:
    """Curled head and foot."""
    w, length = k.one_of(1.0, 1.45, 1.65), 2.05
    s.box((-w / 2 - 0.03, 0.08, -length / 2), (w / 2 + 0.03, 0.36, length / 2), k.wood)
    for z, h, lean in ((length / 2, k.between(0.98, 1.1), 0.14), (-length / 2, 0.68, -0.12)):
        panel = [
            (0.0, z),
            (0.0, z - 0.07),
            (h * 0.6, z - 0.07 + lean * 0.2),
            (h, z - 0.07 + lean),
            (h, z + lean),
            (h * 0.6, z + lean * 0.2),
        ]
        s.slab(panel[::-1], "x", -w / 2 - 0.06, w / 2 + 0.06, k.wood)
        s.tube((-w / 2 - 0.08, h, z - 0.03 + lean), (w / 2 + 0.08, h, z - 0.03 + lean), 0.06, k.wood, sides=8)
    _bedding(s, k, w, length - 0.12, 0.34, 0.54)


def platform_bed(s: Sketch, k: Kit) -> None:
    """A low wide platform with a shelf headboard."""
    w, length = k.one_of(1.4, 1.6, 1.8), 2.0
    s.box((-w / 2 - 0.2, 0.1, -length / 2 - 0.15), (w / 2 + 0.2, 0.2, length / 2 + 0.1), k.wood)
    s.box((-w / 2, 0, -length / 2 + 0.1), (w / 2, 0.1, length / 2), IRON)
    s.box((-w / 2 - 0.2, 0.2, length / 2), (w / 2 + 0.2, 0.72, length / 2 + 0.25), k.wood)
    _bedding(s, k, w, length, 0.2, 0.4)


def _crib_mattress(s: Sketch, k: Kit, w: float, d: float) -> None:
    s.box((-w / 2 + 0.03, 0.3, -d / 2 + 0.03), (w / 2 - 0.03, 0.46, d / 2 - 0.03), LINEN)
    s.cushion((-w / 2 + 0.2, 0.44, -d / 2 + 0.05), (w / 2 - 0.05, 0.5, d / 2 - 0.05), 0.02, Paint((0.98, 0.88, 0.55), "weave", 0.25))
    s.sphere((-w / 2 + 0.22, 0.56, 0.05), 0.1, Paint((0.62, 0.42, 0.24), "weave", 0.2), 7, 5)
    s.sphere((-w / 2 + 0.22, 0.7, 0.05), 0.075, Paint((0.62, 0.42, 0.24), "weave", 0.2), 7, 4)


def slatted_crib(s: Sketch, k: Kit) -> None:
    """Bars all round between two rails."""
    w, d, h = k.between(1.15, 1.3), k.between(0.62, 0.7), k.between(0.9, 1.0)
    square_legs(s, w, d, h, 0.05, k.lacquer)
    for z in (-d / 2 + 0.01, d / 2 - 0.04):
        for y in (0.24, h - 0.06):
            s.box((-w / 2, y, z), (w / 2, y + 0.05, z + 0.03), k.lacquer)
        for x in np.linspace(-w / 2, w / 2, 12)[1:-1]:
            s.box((x - 0.011, 0.27, z + 0.005), (x + 0.011, h - 0.04, z + 0.025), k.lacquer)
    for x in (-w / 2 + 0.01, w / 2 - 0.04):
        s.box((x, 0.24, -d / 2), (x + 0.03, h, d / 2), k.lacquer)
    _crib_mattress(s, k, w, d)


def rounded_crib(s: Sketch, k: Kit) -> None:
    """Solid curved ends with bars between them."""
    w, d, h = k.between(1.15, 1.3), 0.66, k.between(0.85, 0.95)
    arch = [(h - 0.14 + 0.14 * float(np.sin(a)), float(np.cos(a)) * d / 2) for a in np.radians(np.linspace(0, 180, 9))]
    for x in (-w / 2, w / 2 - 0.04):
        s.slab([*arch[::-1], (0.0, d / 2), (0.0, -d / 2)][::-1], "x", x, x + 0.04, k.lacquer)
    for z in (-d / 2 + 0.02, d / 2 - 0.05):
        for y in (0.26, h - 0.18):
            s.box((-w / 2, y, z), (w / 2, y + 0.05, z + 0.03), k.dark_lacquer)
        for x in np.linspace(-w / 2, w / 2, 11)[1:-1]:
            s.box((x - 0.011, 0.28, z + 0.005), (x + 0.011, h - 0.16, z + 0.025), k.lacquer)
    _crib_mattress(s, k, w, d)


def canopy_crib(s: Sketch, k: Kit) -> None:
    """A cradle of bars under a small cloth tent."""
    w, d, h = k.between(1.0, 1.15), 0.62, k.between(1.45, 1.55)
    square_legs(s, w, d, 0.88, 0.045, k.lacquer)
    for z in (-d / 2 + 0.005, d / 2 - 0.035):
        for y in (0.26, 0.83):
            s.box((-w / 2, y, z), (w / 2, y + 0.05, z + 0.03), k.lacquer)
        for x in np.linspace(-w / 2, w / 2, 9)[1:-1]:
            s.tube((x, 0.28, z + 0.015), (x, 0.86, z + 0.015), 0.013, k.lacquer, sides=4)
    for x in (-w / 2, w / 2 - 0.03):
        s.box((x, 0.26, -d / 2), (x + 0.03, 0.88, d / 2), k.dark_lacquer)
    s.tube((-w / 2 + 0.02, 0.8, d / 2 - 0.02), (-w / 2 + 0.02, h, d / 2 - 0.02), 0.015, k.lacquer, sides=5)
    ridge = (-w / 2 + 0.02, h, d / 2 - 0.02)
    corners = [(-w / 2 - 0.01, 0.88, -d / 2), (-w / 2 + 0.45, 0.88, -d / 2), (-w / 2 + 0.45, 0.88, d / 2), (-w / 2 - 0.01, 0.88, d / 2)]
    for a, b in ((0, 1), (1, 2), (3, 0)):
        s.triangle(ridge, corners[b], corners[a], Paint((0.97, 0.95, 0.93), "weave", 0.3), double=True)
    _crib_mattress(s, k, w, d)


MODELS = {
    "bed": ((panel_bed, upholstered_bed, rail_bed), (poster_bed, sleigh_bed, platform_bed)),
    "crib": ((slatted_crib, rounded_crib), (canopy_crib,)),
}
