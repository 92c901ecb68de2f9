"""Coffee tables, dining tables and pool tables."""

from __future__ import annotations

import numpy as np

from sim.houses.furniture.palette import CERAMIC, IRON, LINEN, STEEL, Kit, Paint, shade
from sim.houses.furniture.parts import books_on_top, contrast, drawers, handle_paint, legs, square_legs
from sim.houses.furniture.primitives import Sketch

_GLASS = Paint((0.72, 0.84, 0.86))


def shelf_coffee_table(s: Sketch, k: Kit) -> None:
    """A low rectangle with a shelf under the top."""
    w, d, h = k.between(0.95, 1.25), k.between(0.5, 0.65), k.between(0.4, 0.46)
    square_legs(s, w, d, h - 0.05, 0.06, k.dark_lacquer)
    s.box((-w / 2, h - 0.05, -d / 2), (w / 2, h, d / 2), k.lacquer)
    s.box((-w / 2 + 0.03, 0.13, -d / 2 + 0.03), (w / 2 - 0.03, 0.16, d / 2 - 0.03), k.dark_lacquer)
    books_on_top(s, k, w * 0.2, h, 0.0)


def round_coffee_table(s: Sketch, k: Kit) -> None:
    """A round top on three splayed legs."""
    r, h = k.between(0.38, 0.48), k.between(0.4, 0.48)
    s.tube((0, h - 0.04, 0), (0, h, 0), r, k.lacquer, sides=20)
    for angle in np.radians((90, 210, 330)):
        x, z = float(np.cos(angle)), float(np.sin(angle))
        s.tube((x * r * 0.9, 0, z * r * 0.9), (x * r * 0.55, h - 0.03, z * r * 0.55), 0.02, k.wood, 0.03, 6)
    s.lathe((0, h, 0), [(0.12, 0), (0.17, 0.06), (0.13, 0.06), (0.0, 0.02)], CERAMIC, 10)


def glass_coffee_table(s: Sketch, k: Kit) -> None:
    """A glass top in a frame."""
    w, d, h = k.between(1.0, 1.2), k.between(0.55, 0.65), k.between(0.38, 0.44)
    square_legs(s, w, d, h, 0.05, k.lacquer)
    for z in (-d / 2, d / 2 - 0.05):
        s.box((-w / 2, h - 0.05, z), (w / 2, h, z + 0.05), k.lacquer)
    for x in (-w / 2, w / 2 - 0.05):
        s.box((x, h - 0.05, -d / 2), (x + 0.05, h, d / 2), k.lacquer)
    s.box((-w / 2 + 0.05, h - 0.02, -d / 2 + 0.05), (w / 2 - 0.05, h - 0.005, d / 2 - 0.05), _GLASS)
    s.box((-w / 2 + 0.03, 0.08, -d / 2 + 0.03), (w / 2 - 0.03, 0.11, d / 2 - 0.03), k.dark_lacquer)


def drum_coffee_table(s: Sketch, k: Kit) -> None:
    """A solid drum with a rim."""
    r, h = k.between(0.36, 0.44), k.between(0.36, 0.42)
    s.lathe((0, 0, 0), [(r * 0.8, 0), (r * 0.8, 0.04), (r * 0.97, 0.05), (r * 0.97, h - 0.04)], k.lacquer, 16)
    s.tube((0, h - 0.04, 0), (0, h, 0), r, k.dark_lacquer, sides=16)
    books_on_top(s, k, 0.05, h, 0.0)


def chest_coffee_table(s: Sketch, k: Kit) -> None:
    """A low cube with drawers, overhanging top."""
    w, d, h = k.between(0.85, 1.0), k.between(0.6, 0.75), k.between(0.36, 0.42)
    s.box((-w / 2 + 0.05, 0.05, -d / 2 + 0.05), (w / 2 - 0.05, h - 0.04, d / 2 - 0.05), k.lacquer)
    legs(s, w - 0.08, d - 0.08, 0.06, 0.03, IRON)
    s.box((-w / 2, h - 0.04, -d / 2), (w / 2, h, d / 2), k.dark_lacquer)
    drawers(s, (-w / 2 + 0.07, 0.07), (w / 2 - 0.07, h - 0.06), -d / 2 + 0.05, 1, 2, contrast(k), handle_paint(k))


def farm_dining_table(s: Sketch, k: Kit) -> None:
    """A long board on square legs with an apron."""
    w, d, h = k.between(1.4, 1.9), k.between(0.8, 0.95), k.between(0.73, 0.77)
    square_legs(s, w - 0.1, d - 0.1, h - 0.04, 0.08, k.dark_lacquer)
    s.box((-w / 2 + 0.08, h - 0.14, -d / 2 + 0.08), (w / 2 - 0.08, h - 0.04, d / 2 - 0.08), k.dark_lacquer)
    s.box((-w / 2, h - 0.04, -d / 2), (w / 2, h, d / 2), k.lacquer)
    s.box((-w * 0.3, h, -0.15), (w * 0.3, h + 0.006, 0.15), LINEN)
    _bowl(s, 0, h)


def _bowl(s: Sketch, x: float, y: float) -> None:
    s.lathe((x, y, 0), [(0.06, 0), (0.16, 0.08), (0.13, 0.08), (0.0, 0.03)], CERAMIC, 10)
    for dx, dz, tone in ((-0.05, 0.02, (0.85, 0.2, 0.15)), (0.05, 0.03, (0.4, 0.7, 0.2)), (0.0, -0.05, (0.95, 0.6, 0.1))):
        s.sphere((x + dx, y + 0.08, dz), 0.045, Paint(tone), 6, 4)


def round_dining_table(s: Sketch, k: Kit) -> None:
    """A round top on one turned column."""
    r, h = k.between(0.52, 0.65), k.between(0.73, 0.77)
    s.tube((0, h - 0.04, 0), (0, h, 0), r, k.lacquer, sides=22)
    s.lathe((0, 0, 0), [(0.32, 0), (0.3, 0.04), (0.08, 0.12), (0.06, 0.3), (0.1, 0.45), (0.06, 0.6), (0.16, h - 0.04)], k.dark_lacquer, 10)
    _bowl(s, 0, h)


def slim_dining_table(s: Sketch, k: Kit) -> None:
    """A thin top on round splayed legs."""
    w, d, h = k.between(1.3, 1.7), k.between(0.78, 0.9), k.between(0.73, 0.76)
    legs(s, w - 0.1, d - 0.06, h - 0.03, 0.035, k.wood, 0.12, 7)
    s.box((-w / 2, h - 0.03, -d / 2), (w / 2, h, d / 2), k.lacquer)
    s.lathe((0, h, 0), [(0.05, 0), (0.08, 0.1), (0.035, 0.18), (0.05, 0.22)], CERAMIC, 8)


def trestle_dining_table(s: Sketch, k: Kit) -> None:
    """A thick board on X-shaped ends with a stretcher."""
    w, d, h = k.between(1.6, 2.0), k.between(0.85, 0.95), 0.76
    s.box((-w / 2, h - 0.06, -d / 2), (w / 2, h, d / 2), k.lacquer)
    for x in (-w / 2 + 0.25, w / 2 - 0.25):
        for z in (-1, 1):
            s.tube((x, 0.0, z * d * 0.4), (x, h - 0.05, -z * d * 0.4), 0.05, k.dark_lacquer, sides=4)
    s.box((-w / 2 + 0.25, h / 2 - 0.04, -0.03), (w / 2 - 0.25, h / 2 + 0.04, 0.03), k.dark_lacquer)
    for x in (-0.25, 0.0, 0.25):
        s.tube((x, h, 0), (x, h + 0.2, 0), 0.025, Paint((0.96, 0.94, 0.86)), sides=6)


def oval_dining_table(s: Sketch, k: Kit) -> None:
    """An oval top on two broad columns."""
    w, d, h = k.between(1.6, 1.9), k.between(0.9, 1.0), 0.75
    s.lathe((0, h - 0.05, 0), [(0.94, 0), (1.0, 0.05)], k.lacquer, 22, (w / 2, d / 2))
    for x in (-w * 0.24, w * 0.24):
        s.taper((x - 0.14, 0.04, -d * 0.18), (x + 0.14, h - 0.05, d * 0.18), (0.7, 1.3), k.dark_lacquer)
        s.box((x - 0.2, 0, -d * 0.28), (x + 0.2, 0.05, d * 0.28), k.dark_lacquer)


def _balls_and_cue(s: Sketch, w: float, y: float) -> None:
    tones = ((0.9, 0.8, 0.1), (0.8, 0.1, 0.1), (0.1, 0.2, 0.7), (0.5, 0.1, 0.5), (0.95, 0.5, 0.1), (0.95, 0.95, 0.92))
    for i, tone in enumerate(tones):
        row, place = ((0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (-7, 0))[i]
        s.sphere((w * 0.12 + row * 0.07, y + 0.035, (place - max(row, 0) / 2) * 0.08), 0.035, Paint(tone), 5, 4)
    s.tube((-w * 0.4, y + 0.03, -0.25), (0.1, y + 0.03, -0.32), 0.014, Paint((0.85, 0.65, 0.4)), 0.008, 5)


def _pool_bed(s: Sketch, k: Kit, w: float, d: float, h: float) -> None:
    s.box((-w / 2, h - 0.22, -d / 2), (w / 2, h - 0.06, d / 2), k.wood)
    s.box((-w / 2 + 0.1, h - 0.08, -d / 2 + 0.1), (w / 2 - 0.1, h - 0.04, d / 2 - 0.1), Paint(k.main, "felt", 0.4))
    for z in (-d / 2, d / 2 - 0.13):
        s.box((-w / 2, h - 0.08, z), (w / 2, h, z + 0.13), k.wood)
    for x in (-w / 2, w / 2 - 0.13):
        s.box((x, h - 0.08, -d / 2 + 0.1), (x + 0.13, h - 0.001, d / 2 - 0.1), k.wood)
    for x in (-w / 2 + 0.1, 0, w / 2 - 0.1):
        for z in (-d / 2 + 0.1, d / 2 - 0.1):
            s.tube((x, h - 0.08, z), (x, h + 0.004, z), 0.07, IRON, sides=8)
    _balls_and_cue(s, w, h - 0.04)


def leg_pool_table(s: Sketch, k: Kit) -> None:
    """Cloth in the main colour, six pockets, four heavy legs."""
    w, d, h = k.between(2.0, 2.3), k.between(1.15, 1.25), 0.82
    for x in (-w / 2 + 0.16, w / 2 - 0.16):
        for z in (-d / 2 + 0.16, d / 2 - 0.16):
            s.lathe((x, 0, z), [(0.06, 0), (0.07, 0.06), (0.05, 0.15), (0.1, 0.4), (0.1, h - 0.2)], k.wood, 8)
    _pool_bed(s, k, w, d, h)


def cabinet_pool_table(s: Sketch, k: Kit) -> None:
    """The same on two closed pedestals."""
    w, d, h = k.between(1.9, 2.1), k.between(1.05, 1.15), 0.8
    for x in (-w * 0.27, w * 0.27):
        s.taper((x - 0.22, 0, -d * 0.3), (x + 0.22, h - 0.2, d * 0.3), (1.2, 1.3), k.wood)
    _pool_bed(s, k, w, d, h)


def modern_pool_table(s: Sketch, k: Kit) -> None:
    """Slanted metal legs, white rails."""
    w, d, h = k.between(2.0, 2.2), 1.15, 0.82
    white = Kit(k.rng, k.main, shade((0.9, 0.9, 0.9), 1))
    for x in (-1, 1):
        for z in (-1, 1):
            s.tube((x * w * 0.28, 0, z * d * 0.3), (x * w * 0.42, h - 0.2, z * d * 0.42), 0.06, STEEL, 0.09, 4)
    s.box((-w * 0.3, 0.0, -0.05), (w * 0.3, 0.05, 0.05), STEEL)
    _pool_bed(s, white, w, d, h)


MODELS = {
    "coffee table": ((shelf_coffee_table, round_coffee_table, glass_coffee_table), (drum_coffee_table, chest_coffee_table)),
    "dining table": ((farm_dining_table, round_dining_table, slim_dining_table), (trestle_dining_table, oval_dining_table)),
    "pool table": ((leg_pool_table, cabinet_pool_table), (modern_pool_table,)),
}
