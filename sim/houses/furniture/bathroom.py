"""Toilets, bathtubs, showers and washbasins. Backs stand at +Z."""

from __future__ import annotations

import numpy as np

from sim.houses.furniture.palette import CERAMIC, CHROME, IRON, STONE_TOP, Kit, Paint, shade
from sim.houses.furniture.parts import contrast, doors, handle_paint, legs
from sim.houses.furniture.primitives import Sketch

_WATER = Paint((0.62, 0.80, 0.88))
_GLASS = Paint((0.74, 0.88, 0.90))
_SHADE = Paint((0.78, 0.79, 0.80))


def _bowl(s: Sketch, k: Kit, z: float, h: float) -> None:
    """An egg-shaped bowl with a seat ring and a dark opening."""
    s.lathe((0, 0, z), [(0.11, 0), (0.1, 0.12), (0.15, 0.25), (0.19, h - 0.03)], k.enamel, 12, (1.0, 1.3))
    s.lathe((0, h - 0.03, z), [(0.2, 0), (0.2, 0.035), (0.13, 0.035), (0.1, 0.01), (0.0, 0.01)], Paint(shade(k.main, 0.93)), 12, (1.0, 1.3))
    s.lathe((0, h - 0.025, z), [(0.11, 0), (0.0, 0.01)], _WATER, 10, (1.0, 1.3))


def tank_toilet(s: Sketch, k: Kit) -> None:
    """Bowl, cistern behind it, lid up."""
    h, top = k.between(0.4, 0.44), k.between(0.78, 0.86)
    _bowl(s, k, -0.08, h)
    s.box((-0.1, 0, 0.08), (0.1, h - 0.02, 0.24), k.enamel)
    s.cushion((-0.21, h - 0.04, 0.15), (0.21, top, 0.34), 0.03, k.enamel)
    s.cushion((-0.23, top - 0.01, 0.13), (0.23, top + 0.04, 0.35), 0.015, k.enamel)
    s.box((-0.18, top - 0.12, 0.11), (-0.1, top - 0.09, 0.15), CHROME)
    lid = Sketch()
    lid.slab([(0.14, 0.0), (0.2, 0.2), (0.15, 0.38), (0, 0.44), (-0.15, 0.38), (-0.2, 0.2), (-0.14, 0.0)], "z", 0.0, 0.025, k.enamel)
    s.join(lid, (0, h, 0.1), pitch=8)


def low_toilet(s: Sketch, k: Kit) -> None:
    """A skirted one-piece with the lid closed."""
    h, top = k.between(0.4, 0.43), k.between(0.66, 0.72)
    s.lathe((0, 0, -0.06), [(0.15, 0), (0.16, 0.2), (0.2, h - 0.02)], k.enamel, 12, (0.95, 1.35))
    s.lathe((0, h - 0.02, -0.06), [(0.2, 0), (0.21, 0.03), (0.17, 0.06), (0.0, 0.065)], Paint(shade(k.main, 1.35)), 12, (0.95, 1.35))
    s.cushion((-0.19, 0, 0.1), (0.19, top - 0.03, 0.34), 0.05, k.enamel)
    s.cushion((-0.21, top - 0.05, 0.08), (0.21, top, 0.35), 0.02, Paint(shade(k.main, 0.88)))
    s.tube((0, top - 0.005, 0.22), (0, top + 0.015, 0.22), 0.035, CHROME, sides=8)


def wall_toilet(s: Sketch, k: Kit) -> None:
    """A bowl that hangs on a boxed wall with a flush plate."""
    box_top, h = k.between(1.0, 1.15), 0.42
    s.box((-0.35, 0, 0.14), (0.35, box_top, 0.36), Paint((0.70, 0.76, 0.78), "small_tiles", 0.3))
    s.box((-0.37, box_top, 0.12), (0.37, box_top + 0.03, 0.36), STONE_TOP)
    s.lathe((0, 0.12, -0.1), [(0.07, 0), (0.15, 0.14), (0.19, h - 0.15)], k.enamel, 12, (1.0, 1.3))
    s.box((-0.15, 0.2, 0.0), (0.15, h - 0.02, 0.15), k.enamel)
    s.lathe((0, h - 0.03, -0.1), [(0.2, 0), (0.2, 0.03), (0.12, 0.03), (0.0, 0.005)], Paint(shade(k.main, 0.88)), 12, (1.0, 1.3))
    s.box((-0.12, 0.78, 0.125), (0.12, 0.92, 0.145), CHROME)
    s.box((-0.005, 0.78, 0.12), (0.005, 0.92, 0.13), IRON)


def chain_toilet(s: Sketch, k: Kit) -> None:
    """An old high cistern on a pipe with a chain."""
    h = 0.42
    _bowl(s, k, -0.05, h)
    s.box((-0.08, 0, 0.05), (0.08, h - 0.05, 0.26), k.enamel)
    s.tube((0, 0.3, 0.24), (0, 1.65, 0.24), 0.025, CHROME, sides=6)
    s.cushion((-0.24, 1.6, 0.1), (0.24, 1.92, 0.3), 0.02, k.enamel)
    s.tube((0.2, 1.2, 0.15), (0.2, 1.62, 0.15), 0.008, IRON, sides=4)
    s.sphere((0.2, 1.16, 0.15), 0.035, k.wood, 6, 4)


def _tap(s: Sketch, x: float, y: float, z: float, reach: float) -> None:
    s.tube((x, y, z), (x, y + 0.14, z), 0.018, CHROME, sides=6)
    s.tube((x, y + 0.13, z + 0.01), (x, y + 0.11, z - reach), 0.016, CHROME, sides=6)
    for side in (-0.1, 0.1):
        s.tube((x + side, y, z), (x + side, y + 0.06, z), 0.022, CHROME, sides=6)


def _basin(s: Sketch, outer: tuple[float, float], rim: float, h: float, floor: float, paint: Paint, water: bool) -> None:
    """A rectangular tub: four walls with a flat rim, a floor, and water in it."""
    w, d = outer
    for x in (-w / 2, w / 2 - rim):
        s.box((x, 0, -d / 2), (x + rim, h, d / 2), paint)
    for z in (-d / 2, d / 2 - rim):
        s.box((-w / 2 + rim, 0, z), (w / 2 - rim, h, z + rim), paint)
    s.box((-w / 2 + rim, 0, -d / 2 + rim), (w / 2 - rim, floor, d / 2 - rim), _WATER if water else _SHADE)


def panel_bathtub(s: Sketch, k: Kit) -> None:
    """A built-in tub with a panelled side and taps."""
    w, d, h = k.between(1.6, 1.75), k.between(0.72, 0.8), k.between(0.54, 0.6)
    _basin(s, (w, d), 0.08, h, h - 0.14, k.enamel, True)
    s.box((-w / 2 - 0.01, h - 0.04, -d / 2 - 0.015), (w / 2 + 0.01, h + 0.005, -d / 2 + 0.07), k.enamel)
    s.box((-w / 2 + 0.08, 0.08, -d / 2 - 0.01), (w / 2 - 0.08, h - 0.1, -d / 2 + 0.01), Paint(shade(k.main, 0.9)))
    tap = Sketch()
    _tap(tap, 0, 0, 0, 0.16)
    s.join(tap, (w / 2 - 0.05, h, 0), yaw=90)
    s.box((-w / 2 + 0.12, h, d / 2 - 0.07), (-w / 2 + 0.3, h + 0.09, d / 2 - 0.01), Paint((0.95, 0.75, 0.35)))


def oval_bathtub(s: Sketch, k: Kit) -> None:
    """A free-standing oval tub with a floor tap."""
    w, d, h = k.between(1.6, 1.75), k.between(0.76, 0.84), k.between(0.56, 0.62)
    s.lathe((0, 0, 0), [(0.42, 0), (0.46, 0.1), (0.5, h), (0.45, h), (0.44, h - 0.14)], k.enamel, 20, (w, d))
    s.lathe((0, h - 0.15, 0), [(0.44, 0), (0.44, 0.012)], _WATER, 20, (w, d))
    s.tube((0, 0, d / 2 + 0.06), (0, h + 0.28, d / 2 + 0.06), 0.018, CHROME, sides=6)
    s.tube((0, h + 0.27, d / 2 + 0.07), (0, h + 0.25, d / 2 - 0.15), 0.016, CHROME, sides=6)


def claw_bathtub(s: Sketch, k: Kit) -> None:
    """A slipper tub, one end high, on claw feet."""
    w, d, h = k.between(1.55, 1.7), 0.76, 0.6
    rims = [(0.62, 0.14), (0.86, 0.3), (1.0, h), (0.9, h), (0.87, h - 0.14)]
    slipper = Sketch()
    for (r0, y0), (r1, y1) in zip(rims, rims[1:]):
        _slipper_band(slipper, k.enamel, w, d, h, (r0, y0), (r1, y1))
    s.join(slipper)
    s.lathe((0, 0.13, 0), [(0.31, 0), (0.31, 0.02)], k.enamel, 18, (w, d))
    s.lathe((0, h - 0.16, 0), [(0.43, 0), (0.43, 0.01)], _WATER, 18, (w, d))
    for x in (-w * 0.3, w * 0.3):
        for z in (-d * 0.28, d * 0.28):
            s.sphere((x, 0.04, z), 0.045, IRON, 6, 4)
            s.tube((x, 0.04, z), (x * 0.85, 0.2, z * 0.85), 0.03, IRON, sides=5)
    s.tube((w / 2 - 0.1, h - 0.05, 0), (w / 2 - 0.1, h + 0.2, 0), 0.016, CHROME, sides=6)
    s.tube((w / 2 - 0.09, h + 0.19, 0), (w / 2 - 0.3, h + 0.17, 0), 0.015, CHROME, sides=6)


def _slipper_band(s: Sketch, paint: Paint, w: float, d: float, h: float, low: tuple[float, float], high: tuple[float, float]) -> None:
    """One band of the slipper's side; heights above 0.3 m rise towards -x. Doubled, for the band is a bare surface."""
    angles = np.arange(19) * 2 * np.pi / 18

    def point(r: float, y: float, a: float) -> tuple[float, float, float]:
        lift = max(0.0, (y - 0.3) / (h - 0.3)) * 0.22 * max(0.0, -float(np.cos(a))) ** 2
        return (float(np.cos(a)) * r * w / 2, y + lift, -float(np.sin(a)) * r * d / 2)

    for a, b in zip(angles, angles[1:]):
        s.triangle(point(*high, a), point(*low, a), point(*low, b), paint, double=True)
        s.triangle(point(*high, a), point(*low, b), point(*high, b), paint, double=True)


def corner_bathtub(s: Sketch, k: Kit) -> None:
    """A whirlpool with a rounded front and a step."""
    r, h = k.between(1.3, 1.4), 0.56
    arc = [(float(np.cos(a)), float(np.sin(a))) for a in np.radians(np.linspace(0, 90, 8))]
    outer = [(0.0, 0.0), *((z * r, x * r) for x, z in arc[::-1])]
    s.slab([(-z, -x) for z, x in outer], "y", 0, h - 0.12, k.enamel)
    inner = [(-0.14, -0.14), *((-(0.06 + z * (r - 0.22)), -(0.06 + x * (r - 0.22))) for x, z in arc[::-1])]
    s.slab(inner, "y", h - 0.13, h - 0.1, _WATER)
    for a, b in zip(arc, arc[1:]):
        ring = [(-p[1] * q, -p[0] * q) for p, q in ((a, r), (b, r), (b, r - 0.16), (a, r - 0.16))]
        s.slab(ring[::-1], "y", h - 0.12, h, k.enamel)
    s.box((-r, h - 0.12, -0.14), (0, h, 0), k.enamel)
    s.box((-0.14, h - 0.12, -r), (0, h, -0.14), k.enamel)
    s.box((-r * 0.95, 0, -r * 0.95), (-r * 0.55, 0.2, -r * 0.55), STONE_TOP)
    _tap(s, -0.4, h, -0.06, 0.16)


def _shower_head(s: Sketch, k: Kit, x: float, z: float, h: float) -> None:
    s.tube((x, 0.95, z), (x, h, z), 0.014, CHROME, sides=6)
    s.tube((x, h - 0.01, z), (x, h - 0.01, z - 0.28), 0.014, CHROME, sides=6)
    s.tube((x, h, z - 0.28), (x, h - 0.05, z - 0.28), 0.03, CHROME, 0.12, 12)
    s.box((x - 0.09, 1.0, z - 0.05), (x + 0.09, 1.08, z), CHROME)


def _tray(s: Sketch, w: float, d: float) -> None:
    s.box((-w / 2, 0, -d / 2), (w / 2, 0.05, d / 2), CERAMIC)
    s.box((-w / 2 + 0.06, 0.05, -d / 2 + 0.06), (w / 2 - 0.06, 0.056, d / 2 - 0.06), _SHADE)
    s.tube((0, 0.056, 0), (0, 0.062, 0), 0.06, CHROME, sides=8)


def _glass_wall(s: Sketch, low: tuple[float, float], high: tuple[float, float], top: float, h_frame: Paint) -> None:
    """A framed pane from floor point to floor point (x, z): frames are solid, the pane is left open above a frosted band."""
    dx, dz = high[0] - low[0], high[1] - low[1]
    t = 0.014

    def bar(a: float, b: float, y0: float, y1: float, paint: Paint) -> None:
        x0, x1 = sorted((low[0] + dx * a, low[0] + dx * b))
        z0, z1 = sorted((low[1] + dz * a, low[1] + dz * b))
        s.box((x0 - t, y0, z0 - t), (x1 + t, y1, z1 + t), paint)

    for share in (0.0, 1.0):
        bar(share, share, 0.05, top, h_frame)
    bar(0, 1, top - 0.03, top, h_frame)
    bar(0.0, 1.0, 0.05, 0.09, h_frame)
    bar(0.03, 0.97, 0.6, 1.3, _GLASS)


def cabin_shower(s: Sketch, k: Kit) -> None:
    """A square cabin: tray, two tiled walls, frosted glass, rain head."""
    e, h = k.between(0.85, 1.0), k.between(1.95, 2.1)
    tiles = Paint(shade(k.main, 0.97), "small_tiles", 0.35)
    _tray(s, e, e)
    s.box((-e / 2, 0.05, e / 2 - 0.03), (e / 2, h, e / 2), tiles)
    s.box((-e / 2, 0.05, -e / 2), (-e / 2 + 0.03, h, e / 2 - 0.03), tiles)
    _glass_wall(s, (-e / 2 + 0.04, -e / 2 + 0.03), (e / 2 - 0.03, -e / 2 + 0.03), h, CHROME)
    _glass_wall(s, (e / 2 - 0.03, -e / 2 + 0.03), (e / 2 - 0.03, e / 2 - 0.05), h, CHROME)
    _shower_head(s, k, 0, e / 2 - 0.05, h - 0.1)


def curtain_shower(s: Sketch, k: Kit) -> None:
    """A tray with a rail and a curtain in the main colour."""
    w, d, h = k.between(0.9, 1.1), k.between(0.8, 0.9), k.between(1.95, 2.05)
    _tray(s, w, d)
    s.box((-w / 2, 0.05, d / 2 - 0.03), (w / 2, h, d / 2), Paint((0.86, 0.92, 0.94), "small_tiles", 0.35))
    for x in (-w / 2 + 0.015, w / 2 - 0.015):
        s.tube((x, 0.04, -d / 2 + 0.02), (x, h, -d / 2 + 0.02), 0.015, CHROME, sides=6)
        s.tube((x, h - 0.02, -d / 2 + 0.02), (x, h - 0.02, d / 2), 0.014, CHROME, sides=6)
    s.tube((-w / 2, h - 0.02, -d / 2 + 0.02), (w / 2, h - 0.02, -d / 2 + 0.02), 0.016, CHROME, sides=6)
    folds = 12
    for i in range(folds):
        x0, x1 = -w / 2 + 0.03 + w * 0.52 * i / folds, -w / 2 + 0.03 + w * 0.52 * (i + 1) / folds
        paint = k.fabric if i % 2 else k.dark_fabric
        s.box((x0, 0.15, -d / 2 - 0.01 + 0.03 * (i % 2)), (x1, h - 0.03, -d / 2 + 0.03 + 0.03 * (i % 2)), paint)
    _shower_head(s, k, w * 0.15, d / 2 - 0.05, h - 0.08)


def round_shower(s: Sketch, k: Kit) -> None:
    """A quarter-round corner cabin with bars and a coloured column."""
    e, h = k.between(0.9, 1.0), 2.0
    arc = [(float(np.cos(a)), float(np.sin(a))) for a in np.radians(np.linspace(0, 90, 9))]
    plan = [(e / 2, e / 2), *((e / 2 - z * e, e / 2 - x * e) for x, z in arc[::-1])]
    s.slab(plan, "y", 0, 0.14, CERAMIC)
    for low, high in ((0.5, 1.2),):
        for a, b in zip(arc, arc[1:]):
            p, q = ((e / 2 - c[0] * e * 0.98, e / 2 - c[1] * e * 0.98) for c in (a, b))
            s.quad((p[0], high, p[1]), (p[0], low, p[1]), (q[0], low, q[1]), (q[0], high, q[1]), _GLASS, double=True)
            for y in (0.16, h):
                s.tube((p[0], y, p[1]), (q[0], y, q[1]), 0.018, CHROME, sides=4)
    for x, z in (arc[0], arc[4], arc[8]):
        s.tube((e / 2 - x * e * 0.98, 0.14, e / 2 - z * e * 0.98), (e / 2 - x * e * 0.98, h, e / 2 - z * e * 0.98), 0.018, CHROME, sides=5)
    s.box((e / 2 - 0.02, 0.14, -e / 2), (e / 2, h, e / 2), k.enamel)
    s.box((-e / 2, 0.14, e / 2 - 0.02), (e / 2, h, e / 2), k.enamel)
    _shower_head(s, k, 0.1, e / 2 - 0.04, h - 0.05)


def _round_bowl(s: Sketch, x: float, y: float, z: float, rx: float, rz: float, paint: Paint) -> None:
    s.lathe((x, y, z), [(0.6, 0), (1.0, 0.13), (0.88, 0.13), (0.6, 0.05), (0.0, 0.04)], paint, 14, (rx, rz))
    s.lathe((x, y + 0.05, z), [(0.55, 0), (0.0, 0.005)], _SHADE, 10, (rx, rz))


def pedestal_washbasin(s: Sketch, k: Kit) -> None:
    """A bowl on a column, tap at the back."""
    w, h = k.between(0.52, 0.62), k.between(0.82, 0.87)
    s.lathe((0, 0, 0.06), [(0.13, 0), (0.1, 0.05), (0.08, 0.4), (0.11, h - 0.12)], k.enamel, 10)
    _round_bowl(s, 0, h - 0.14, 0, w / 2, 0.23, k.enamel)
    s.box((-w * 0.3, h - 0.12, 0.14), (w * 0.3, h, 0.25), k.enamel)
    _tap(s, 0, h, 0.19, 0.14)


def vanity_washbasin(s: Sketch, k: Kit) -> None:
    """A cabinet with doors, stone top, bowl, and a mirror above."""
    w, d, h = k.between(0.75, 1.0), k.between(0.45, 0.52), k.between(0.82, 0.86)
    s.box((-w / 2, 0.1, -d / 2 + 0.02), (w / 2, h - 0.04, d / 2), k.lacquer)
    s.box((-w / 2 + 0.03, 0, -d / 2 + 0.06), (w / 2 - 0.03, 0.1, d / 2), IRON)
    s.box((-w / 2 - 0.01, h - 0.04, -d / 2), (w / 2 + 0.01, h, d / 2), STONE_TOP)
    doors(s, (-w / 2, 0.11), (w / 2, h - 0.05), -d / 2 + 0.02, 2, contrast(k), handle_paint(k))
    _round_bowl(s, 0, h - 0.04, -0.02, 0.24, 0.18, CERAMIC)
    _tap(s, 0, h, d / 2 - 0.07, 0.14)
    s.box((-w * 0.38, 1.15, d / 2 - 0.03), (w * 0.38, 1.85, d / 2), CHROME, {"-z": Paint((1, 1, 1), "mirror", 0)})


def trough_washbasin(s: Sketch, k: Kit) -> None:
    """A long shallow trough with two taps on slim legs."""
    w, d, h = k.between(1.0, 1.25), 0.46, 0.86
    legs(s, w - 0.06, d - 0.06, h - 0.14, 0.022, CHROME, 0, 6)
    tub = Sketch()
    _basin(tub, (w, d), 0.05, 0.16, 0.06, k.enamel, False)
    s.join(tub, (0, h - 0.16, 0))
    s.box((-w / 2 + 0.05, 0.25, -d / 2 + 0.05), (w / 2 - 0.05, 0.28, d / 2 - 0.05), k.wood)
    for x in (-w / 4, w / 4):
        _tap(s, x, h, d / 2 - 0.025, 0.14)
    for i, x in enumerate((-0.2, 0.0, 0.2)):
        s.cushion(
            (x - 0.09, 0.28, -0.12),
            (x + 0.09, 0.4, 0.12),
            0.03,
            Paint(((0.9, 0.6, 0.5), (0.95, 0.93, 0.9), (0.5, 0.7, 0.75))[i], "weave", 0.2),
        )


def bowl_washbasin(s: Sketch, k: Kit) -> None:
    """A vessel bowl on an open wooden console with towels."""
    w, d, h = k.between(0.7, 0.85), 0.46, 0.78
    for x in (-w / 2, w / 2 - 0.05):
        s.box((x, 0, -d / 2), (x + 0.05, h, d / 2), k.wood)
    for y in (0.18, h - 0.05):
        s.box((-w / 2, y, -d / 2), (w / 2, y + 0.05, d / 2), k.wood)
    s.cushion((-0.2, 0.23, -0.14), (0.2, 0.38, 0.14), 0.04, Paint((0.92, 0.9, 0.86), "weave", 0.2))
    _round_bowl(s, 0, h, -0.02, 0.21, 0.19, k.enamel)
    s.tube((0, h, d / 2 - 0.05), (0, h + 0.28, d / 2 - 0.05), 0.018, CHROME, sides=6)
    s.tube((0, h + 0.27, d / 2 - 0.04), (0, h + 0.25, d / 2 - 0.2), 0.016, CHROME, sides=6)


MODELS = {
    "toilet": ((tank_toilet, low_toilet), (wall_toilet, chain_toilet)),
    "bathtub": ((panel_bathtub, oval_bathtub), (claw_bathtub, corner_bathtub)),
    "shower": ((cabin_shower, curtain_shower), (round_shower,)),
    "washbasin": ((pedestal_washbasin, vanity_washbasin), (trough_washbasin, bowl_washbasin)),
}
