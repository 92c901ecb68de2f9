"""Kitchen and laundry: fridge, stove, counter, island, washing machine. Fronts face -Z."""

from __future__ import annotations

import numpy as np

from sim.houses.furniture.palette import CERAMIC, CHROME, DARK_TOP, IRON, STEEL, STONE_TOP, Kit, Paint, shade
from sim.houses.furniture.parts import contrast, doors, drawers, handle_paint
from sim.houses.furniture.primitives import Sketch

_GLASS = Paint((0.10, 0.11, 0.13))


def _fridge_handle(s: Sketch, x: float, low: float, high: float, z: float, paint: Paint) -> None:
    s.box((x - 0.015, low, z - 0.05), (x + 0.015, high, z - 0.03), paint)
    for y in (low, high - 0.03):
        s.box((x - 0.015, y, z - 0.03), (x + 0.015, y + 0.03, z), paint)


def two_door_fridge(s: Sketch, k: Kit) -> None:
    """A freezer door over a taller fridge door, upright handles."""
    w, d, h = k.between(0.6, 0.7), k.between(0.62, 0.7), k.between(1.7, 1.9)
    cut = h * k.one_of(0.36, 0.64)
    s.box((-w / 2, 0.0, -d / 2 + 0.06), (w / 2, h, d / 2), Paint(shade(k.main, 0.85)))
    for low, high in ((0.08, cut - 0.01), (cut + 0.01, h)):
        s.cushion((-w / 2, low, -d / 2), (w / 2, high, -d / 2 + 0.07), 0.025, k.enamel)
    x = k.one_of(-1, 1) * (w / 2 - 0.07)
    _fridge_handle(s, x, cut + 0.06, min(cut + 0.5, h - 0.08), -d / 2, handle_paint(k))
    _fridge_handle(s, x, max(cut - 0.5, 0.12), cut - 0.06, -d / 2, handle_paint(k))
    for tone, a, b in (((0.9, 0.2, 0.2), -0.1, 0.12), ((0.2, 0.5, 0.9), 0.03, 0.02), ((0.95, 0.8, 0.2), -0.04, -0.1)):
        s.box((a - 0.03, h * 0.82 + b - 0.03, -d / 2 - 0.01), (a + 0.03, h * 0.82 + b + 0.03, -d / 2), Paint(tone))


def side_by_side_fridge(s: Sketch, k: Kit) -> None:
    """A wide American fridge: two tall doors and a water dispenser."""
    w, d, h = k.between(0.86, 0.94), k.between(0.68, 0.75), k.between(1.72, 1.82)
    s.box((-w / 2, 0, -d / 2 + 0.06), (w / 2, h, d / 2), Paint(shade(k.main, 0.8)))
    for x0, x1 in ((-w / 2, -0.005), (0.005, w / 2)):
        s.cushion((x0, 0.08, -d / 2), (x1, h, -d / 2 + 0.07), 0.02, k.enamel)
    for x in (-0.05, 0.05):
        _fridge_handle(s, x, h * 0.3, h * 0.8, -d / 2, handle_paint(k))
    s.box((0.12, h * 0.5, -d / 2 - 0.008), (0.36, h * 0.74, -d / 2 + 0.01), _GLASS)
    s.box((0.15, h * 0.67, -d / 2 - 0.014), (0.33, h * 0.71, -d / 2), Paint((0.35, 0.75, 0.95)))


def retro_fridge(s: Sketch, k: Kit) -> None:
    """Round shoulders, one big door with a lever and a badge, on feet."""
    w, d, h = k.between(0.6, 0.66), k.between(0.62, 0.7), k.between(1.45, 1.6)
    s.cushion((-w / 2, 0.1, -d / 2 + 0.09), (w / 2, h, d / 2), 0.12, k.enamel)
    s.cushion((-w / 2 + 0.01, 0.13, -d / 2), (w / 2 - 0.01, h - 0.02, -d / 2 + 0.14), 0.09, k.enamel)
    for x in (-w / 2 + 0.1, w / 2 - 0.1):
        for z in (-d / 2 + 0.16, d / 2 - 0.12):
            s.tube((x, 0, z), (x, 0.14, z), 0.03, CHROME, sides=6)
    s.box((-w / 2 + 0.1, h * 0.66, -d / 2 - 0.01), (w / 2 - 0.1, h * 0.675, -d / 2 + 0.02), CHROME)
    s.box((w / 2 - 0.18, h * 0.55, -d / 2 - 0.06), (w / 2 - 0.13, h * 0.55 + 0.22, -d / 2), CHROME)
    s.box((-0.12, h * 0.82, -d / 2 - 0.012), (0.12, h * 0.86, -d / 2 + 0.02), CHROME)


def drawer_fridge(s: Sketch, k: Kit) -> None:
    """French doors over a wide freezer drawer."""
    w, d, h = k.between(0.8, 0.9), k.between(0.66, 0.72), k.between(1.75, 1.85)
    cut = h * 0.38
    s.box((-w / 2, 0.0, -d / 2 + 0.06), (w / 2, h, d / 2), Paint(shade(k.main, 0.8)))
    s.cushion((-w / 2, 0.06, -d / 2), (w / 2, cut, -d / 2 + 0.07), 0.02, k.enamel)
    for x0, x1 in ((-w / 2, -0.005), (0.005, w / 2)):
        s.cushion((x0, cut + 0.015, -d / 2), (x1, h, -d / 2 + 0.07), 0.02, k.enamel)
    for x in (-0.05, 0.05):
        _fridge_handle(s, x, cut + 0.1, cut + 0.6, -d / 2, handle_paint(k))
    s.box((-w * 0.38, cut - 0.1, -d / 2 - 0.05), (w * 0.38, cut - 0.07, -d / 2), handle_paint(k))


def _oven_front(s: Sketch, k: Kit, w: float, d: float, low: float, high: float) -> None:
    s.box((-w / 2 + 0.02, low, -d / 2 - 0.02), (w / 2 - 0.02, high, -d / 2 + 0.02), Paint(shade(k.main, 0.9)))
    s.box((-w * 0.34, low + 0.08, -d / 2 - 0.03), (w * 0.34, high - 0.14, -d / 2), _GLASS)
    s.box((-w * 0.4, high - 0.08, -d / 2 - 0.07), (w * 0.4, high - 0.05, -d / 2 - 0.04), CHROME)
    for x in (-w * 0.38, w * 0.36):
        s.box((x, high - 0.08, -d / 2 - 0.05), (x + 0.02, high - 0.05, -d / 2), CHROME)


def _knobs(s: Sketch, w: float, d: float, y: float, count: int = 5) -> None:
    for x in np.linspace(-w * 0.38, w * 0.38, count):
        s.tube((float(x), y, -d / 2), (float(x), y, -d / 2 - 0.04), 0.026, IRON, sides=6)


def _pot(s: Sketch, x: float, y: float, z: float, paint: Paint) -> None:
    s.lathe((x, y, z), [(0.1, 0), (0.11, 0.13), (0.09, 0.15), (0.0, 0.16)], paint, 10)
    s.box((x - 0.16, y + 0.09, z - 0.015), (x + 0.16, y + 0.11, z + 0.015), IRON)


def gas_stove(s: Sketch, k: Kit) -> None:
    """Oven with a window, knobs, four black grates and a back rail."""
    w, d, h = k.between(0.6, 0.75), 0.62, k.between(0.88, 0.92)
    s.box((-w / 2, 0.04, -d / 2), (w / 2, h, d / 2), k.enamel)
    s.box((-w / 2 + 0.03, 0, -d / 2 + 0.04), (w / 2 - 0.03, 0.04, d / 2), IRON)
    _oven_front(s, k, w, d, 0.2, 0.74)
    _knobs(s, w, d, 0.81)
    s.box((-w / 2, h, d / 2 - 0.06), (w / 2, h + 0.12, d / 2), k.enamel)
    for x in (-w * 0.24, w * 0.24):
        for z in (-d * 0.2, d * 0.2):
            s.box((x - 0.11, h, z - 0.015), (x + 0.11, h + 0.025, z + 0.015), IRON)
            s.box((x - 0.015, h, z - 0.11), (x + 0.015, h + 0.025, z + 0.11), IRON)
            s.tube((x, h, z), (x, h + 0.012, z), 0.06, IRON, sides=8)
    _pot(s, w * 0.24, h + 0.025, d * 0.18, k.one_of(STEEL, Paint((0.75, 0.15, 0.12))))


def glass_stove(s: Sketch, k: Kit) -> None:
    """A glass hob with rings, a hood above on a flue."""
    w, d, h = k.between(0.6, 0.7), 0.62, 0.9
    s.box((-w / 2, 0, -d / 2), (w / 2, h - 0.02, d / 2), k.enamel)
    s.box((-w / 2, h - 0.02, -d / 2), (w / 2, h, d / 2), _GLASS)
    for x in (-w * 0.23, w * 0.23):
        for z in (-d * 0.2, d * 0.2):
            s.tube((x, h, z), (x, h + 0.004, z), 0.09, Paint((0.55, 0.12, 0.08)), sides=12)
            s.tube((x, h + 0.002, z), (x, h + 0.006, z), 0.065, _GLASS, sides=12)
    _oven_front(s, k, w, d, 0.16, 0.72)
    _knobs(s, w, d, 0.79, 4)
    s.box((-w / 2, h, d / 2 - 0.02), (w / 2, 1.55, d / 2), STEEL)
    s.taper((-w / 2, 1.55, -d / 2 + 0.1), (w / 2, 1.75, d / 2), (0.4, 0.5), STEEL)
    s.box((-0.12, 1.7, 0.0), (0.12, 2.2, 0.24), STEEL)


def range_stove(s: Sketch, k: Kit) -> None:
    """A wide cast range: two ovens, towel bar, two round plates under chrome lids."""
    w, d, h = k.between(0.95, 1.1), 0.64, 0.9
    s.cushion((-w / 2, 0.08, -d / 2), (w / 2, h, d / 2), 0.03, k.enamel)
    s.box((-w / 2 + 0.03, 0, -d / 2 + 0.05), (w / 2 - 0.03, 0.1, d / 2), IRON)
    for x in (-w / 4, w / 4):
        for low, high in ((0.14, 0.42), (0.45, 0.72)):
            s.cushion((x - w * 0.22, low, -d / 2 - 0.03), (x + w * 0.22, high, -d / 2 + 0.02), 0.02, k.enamel)
            s.box((x - 0.06, high - 0.07, -d / 2 - 0.05), (x + 0.06, high - 0.045, -d / 2 - 0.03), CHROME)
        s.lathe((x, h, 0), [(0.18, 0), (0.18, 0.03), (0.12, 0.07), (0.0, 0.09)], CHROME, 12)
    s.tube((-w / 2 + 0.04, 0.8, -d / 2 - 0.06), (w / 2 - 0.04, 0.8, -d / 2 - 0.06), 0.014, CHROME, sides=6)
    s.box((w * 0.1, 0.48, -d / 2 - 0.085), (w * 0.32, 0.82, -d / 2 - 0.065), Paint((0.8, 0.25, 0.2), "weave", 0.15))
    s.box((-w / 2, h, d / 2 - 0.04), (w / 2, h + 0.25, d / 2), k.enamel)


def _sink(s: Sketch, x: float, y: float, depth: float) -> None:
    """A steel rim with a dark bowl and an arched tap."""
    s.box((x - 0.3, y, -depth * 0.32), (x + 0.3, y + 0.012, depth * 0.3), CHROME)
    s.box((x - 0.26, y + 0.006, -depth * 0.26), (x + 0.26, y + 0.014, depth * 0.2), Paint((0.36, 0.38, 0.40)))
    z = depth * 0.26
    s.tube((x, y, z), (x, y + 0.3, z), 0.018, CHROME, sides=6)
    s.tube((x, y + 0.29, z + 0.015), (x, y + 0.29, z - 0.18), 0.016, CHROME, sides=6)
    s.tube((x, y + 0.3, z - 0.17), (x, y + 0.22, z - 0.17), 0.015, CHROME, sides=6)


def sink_kitchen_counter(s: Sketch, k: Kit) -> None:
    """Cabinets, worktop with sink, wall cupboards above a tiled back."""
    w, d, h = k.between(1.5, 2.2), k.between(0.58, 0.64), 0.9
    count = int(round(w / 0.5))
    s.box((-w / 2, 0.1, -d / 2 + 0.04), (w / 2, h - 0.04, d / 2), k.lacquer)
    s.box((-w / 2, 0, -d / 2 + 0.09), (w / 2, 0.1, d / 2), IRON)
    s.box((-w / 2 - 0.01, h - 0.04, -d / 2), (w / 2 + 0.01, h, d / 2), k.one_of(STONE_TOP, DARK_TOP, k.wood))
    doors(s, (-w / 2, 0.11), (w / 2, h - 0.05), -d / 2 + 0.04, count, contrast(k), handle_paint(k))
    s.box((-w / 2, h, d / 2 - 0.02), (w / 2, 1.42, d / 2), Paint((0.95, 0.95, 0.93), "small_tiles", 0.4))
    s.box((-w / 2, 1.42, d / 2 - 0.34), (w / 2, 2.1, d / 2), k.lacquer)
    doors(s, (-w / 2, 1.42), (w / 2, 2.1), d / 2 - 0.34, count, contrast(k), handle_paint(k))
    _sink(s, k.one_of(-1, 1) * w * 0.18, h, d)


def drawer_kitchen_counter(s: Sketch, k: Kit) -> None:
    """Drawers and doors, things on the worktop, no cupboards above."""
    w, d, h = k.between(1.4, 2.0), 0.6, 0.9
    s.box((-w / 2, 0.08, -d / 2 + 0.04), (w / 2, h - 0.04, d / 2), k.lacquer)
    s.box((-w / 2, 0, -d / 2 + 0.09), (w / 2, 0.08, d / 2), IRON)
    s.box((-w / 2 - 0.01, h - 0.04, -d / 2), (w / 2 + 0.01, h, d / 2), k.one_of(STONE_TOP, DARK_TOP, k.wood))
    third = w / 3
    drawers(s, (-w / 2, 0.09), (-w / 2 + third, h - 0.05), -d / 2 + 0.04, 3, 1, contrast(k), handle_paint(k))
    doors(s, (-w / 2 + third, 0.09), (w / 2, h - 0.05), -d / 2 + 0.04, 2, contrast(k), handle_paint(k))
    s.box((-w / 2, h, d / 2 - 0.02), (w / 2, h + 0.12, d / 2), STONE_TOP)
    _sink(s, w / 6, h, d)
    s.cushion((-w / 2 + 0.1, h, 0.0), (-w / 2 + 0.5, h + 0.26, 0.26), 0.03, STEEL)
    s.box((-w / 2 + 0.13, h + 0.04, -0.008), (-w / 2 + 0.38, h + 0.22, 0.01), _GLASS)


def shelf_kitchen_counter(s: Sketch, k: Kit) -> None:
    """Slab fronts without handles, thick top, open shelf with jars above."""
    w, d, h = k.between(1.5, 2.1), 0.64, 0.92
    s.box((-w / 2, 0.06, -d / 2 + 0.03), (w / 2, h - 0.08, d / 2), k.dark_lacquer)
    for i in range(4):
        x = -w / 2 + i * w / 4
        s.box((x + 0.01, 0.08, -d / 2 + 0.005), (x + w / 4 - 0.01, h - 0.12, -d / 2 + 0.04), k.lacquer)
    s.box((-w / 2 - 0.02, h - 0.08, -d / 2 - 0.01), (w / 2 + 0.02, h, d / 2), k.wood)
    s.box((-w / 2, 0, -d / 2 + 0.1), (w / 2, 0.07, d / 2), IRON)
    _sink(s, -w * 0.2, h, d)
    s.box((-w / 2, h, d / 2 - 0.02), (w / 2, 1.5, d / 2), Paint((0.55, 0.70, 0.68), "small_tiles", 0.3))
    s.box((-w / 2, 1.5, d / 2 - 0.26), (w / 2, 1.54, d / 2), k.wood)
    tones = ((0.8, 0.35, 0.2), (0.9, 0.85, 0.7), (0.35, 0.5, 0.35), (0.25, 0.35, 0.55), (0.85, 0.7, 0.3))
    for i, x in enumerate(np.linspace(-w * 0.4, w * 0.4, 5)):
        s.tube((float(x), 1.54, d / 2 - 0.13), (float(x), 1.54 + 0.14 + 0.04 * (i % 2), d / 2 - 0.13), 0.06, Paint(tones[i]), sides=8)


def panel_kitchen_island(s: Sketch, k: Kit) -> None:
    """A free block: cabinets on one side, overhang on the other."""
    w, d, h = k.between(1.3, 1.8), k.between(0.8, 0.95), k.between(0.9, 0.94)
    s.box((-w / 2 + 0.05, 0.08, -d / 2 + 0.06), (w / 2 - 0.05, h - 0.05, d / 2 - 0.2), k.lacquer)
    s.box((-w / 2 + 0.1, 0, -d / 2 + 0.1), (w / 2 - 0.1, 0.08, d / 2 - 0.25), IRON)
    s.box((-w / 2, h - 0.05, -d / 2), (w / 2, h, d / 2), k.one_of(STONE_TOP, DARK_TOP, k.wood))
    doors(s, (-w / 2 + 0.06, 0.1), (w / 2 - 0.06, h - 0.28), -d / 2 + 0.06, 4, contrast(k), handle_paint(k))
    drawers(s, (-w / 2 + 0.06, h - 0.27), (w / 2 - 0.06, h - 0.06), -d / 2 + 0.06, 1, 4, contrast(k), handle_paint(k))
    _fruit(s, 0.2, h)


def _fruit(s: Sketch, x: float, y: float) -> None:
    s.lathe((x, y, 0), [(0.07, 0), (0.17, 0.08), (0.14, 0.08), (0.0, 0.04)], CERAMIC, 10)
    for dx, dz, tone in ((-0.05, 0.03, (0.85, 0.15, 0.1)), (0.06, 0.02, (0.95, 0.6, 0.1)), (0.0, -0.06, (0.5, 0.75, 0.2))):
        s.sphere((x + dx, y + 0.09, dz), 0.05, Paint(tone), 6, 4)


def butcher_kitchen_island(s: Sketch, k: Kit) -> None:
    """A work table: thick wooden top, open shelf with pots."""
    w, d, h = k.between(1.2, 1.5), k.between(0.65, 0.75), 0.92
    for x in (-w / 2 + 0.03, w / 2 - 0.12):
        for z in (-d / 2 + 0.03, d / 2 - 0.12):
            s.box((x, 0, z), (x + 0.09, h - 0.08, z + 0.09), k.lacquer)
    s.box((-w / 2, h - 0.08, -d / 2), (w / 2, h, d / 2), k.wood)
    s.box((-w / 2 + 0.04, h - 0.28, -d / 2 + 0.05), (w / 2 - 0.04, h - 0.08, d / 2 - 0.05), k.lacquer)
    drawers(s, (-w / 2 + 0.12, h - 0.27), (w / 2 - 0.12, h - 0.1), -d / 2 + 0.05, 1, 2, contrast(k), handle_paint(k))
    s.box((-w / 2 + 0.04, 0.2, -d / 2 + 0.04), (w / 2 - 0.04, 0.24, d / 2 - 0.04), k.wood)
    _pot(s, -w * 0.22, 0.24, 0, STEEL)
    _pot(s, w * 0.2, 0.24, 0, Paint((0.75, 0.2, 0.12)))
    _fruit(s, 0, h)


def waterfall_kitchen_island(s: Sketch, k: Kit) -> None:
    """Stone runs over the top and down both ends; hob in the top."""
    w, d, h = k.between(1.6, 2.0), 0.9, 0.94
    s.box((-w / 2, h - 0.06, -d / 2), (w / 2, h, d / 2), STONE_TOP)
    for x in (-w / 2, w / 2 - 0.06):
        s.box((x, 0, -d / 2), (x + 0.06, h - 0.06, d / 2), STONE_TOP)
    s.box((-w / 2 + 0.06, 0.04, -d / 2 + 0.05), (w / 2 - 0.06, h - 0.06, d / 2 - 0.05), k.lacquer)
    for x in np.linspace(-w / 2 + 0.06, w / 2 - 0.06, 5)[1:-1]:
        for z in (-d / 2 + 0.045, d / 2 - 0.06):
            s.box((x - 0.008, 0.06, z), (x + 0.008, h - 0.08, z + 0.015), IRON)
    s.box((-0.36, h, -0.22), (0.24, h + 0.006, 0.22), _GLASS)
    _pot(s, -0.2, h + 0.006, 0.05, STEEL)


def front_washing_machine(s: Sketch, k: Kit) -> None:
    """A front loader: round glass door, control strip."""
    w, d, h = 0.6, k.between(0.55, 0.62), k.between(0.83, 0.87)
    s.cushion((-w / 2, 0.02, -d / 2), (w / 2, h, d / 2), 0.02, k.enamel)
    _porthole(s, 0, h * 0.44, -d / 2, 0.2)
    s.box((-w / 2 + 0.02, h - 0.13, -d / 2 - 0.008), (w / 2 - 0.02, h - 0.02, -d / 2 + 0.02), Paint((0.80, 0.81, 0.83)))
    s.tube((-0.02, h - 0.075, -d / 2), (-0.02, h - 0.075, -d / 2 - 0.035), 0.04, CHROME, sides=8)
    s.box((-w * 0.43, h - 0.11, -d / 2 - 0.014), (-w * 0.16, h - 0.04, -d / 2), Paint((0.93, 0.93, 0.94)))
    s.box((w * 0.14, h - 0.1, -d / 2 - 0.014), (w * 0.4, h - 0.05, -d / 2), Paint((0.1, 0.25, 0.3)))


def _porthole(s: Sketch, x: float, y: float, z: float, radius: float) -> None:
    s.tube((x, y, z + 0.01), (x, y, z - 0.025), radius, CHROME, radius * 0.95, 16)
    s.tube((x, y, z - 0.02), (x, y, z - 0.04), radius * 0.76, Paint((0.16, 0.20, 0.26)), radius * 0.6, 14)


def stacked_washing_machine(s: Sketch, k: Kit) -> None:
    """A washer with a dryer on top of it."""
    w, d = 0.6, 0.6
    for low in (0.0, 0.86):
        s.cushion((-w / 2, low, -d / 2), (w / 2, low + 0.85, d / 2), 0.02, k.enamel)
        _porthole(s, 0, low + 0.38, -d / 2, 0.19)
        s.box((-w / 2 + 0.02, low + 0.7, -d / 2 - 0.008), (w / 2 - 0.02, low + 0.82, -d / 2 + 0.02), Paint((0.78, 0.79, 0.81)))
        s.tube((0.12, low + 0.76, -d / 2), (0.12, low + 0.76, -d / 2 - 0.03), 0.035, CHROME, sides=8)


def top_washing_machine(s: Sketch, k: Kit) -> None:
    """A top loader: lid, raised console at the back, basket of washing."""
    w, d, h = k.between(0.66, 0.7), 0.66, 0.92
    s.cushion((-w / 2, 0.03, -d / 2), (w / 2, h, d / 2), 0.03, k.enamel)
    s.cushion((-w * 0.4, h - 0.01, -d * 0.44), (w * 0.4, h + 0.025, d * 0.22), 0.015, Paint((0.55, 0.62, 0.68)))
    s.taper((-w / 2, h - 0.01, d / 2 - 0.2), (w / 2, h + 0.2, d / 2), (1.0, 0.7), k.enamel)
    for x in (-0.2, 0.0, 0.2):
        s.tube((x, h + 0.1, d / 2 - 0.18), (x, h + 0.1, d / 2 - 0.22), 0.035, IRON, sides=8)
    s.box((-w / 2 + 0.05, 0.25, -d / 2 - 0.006), (w / 2 - 0.05, 0.26, -d / 2 + 0.01), STEEL)


MODELS = {
    "fridge": ((two_door_fridge, side_by_side_fridge), (retro_fridge, drawer_fridge)),
    "stove": ((gas_stove, glass_stove), (range_stove,)),
    "kitchen counter": ((sink_kitchen_counter, drawer_kitchen_counter), (shelf_kitchen_counter,)),
    "kitchen island": ((panel_kitchen_island, butcher_kitchen_island), (waterfall_kitchen_island,)),
    "washing machine": ((front_washing_machine, stacked_washing_machine), (top_washing_machine,)),
}
