"""Desks, nightstands and ironing boards."""

from __future__ import annotations

import numpy as np

from sim.houses.furniture.palette import CHROME, IRON, Kit, Paint
from sim.houses.furniture.parts import books_on_top, contrast, drawers, front_panel, handle_paint, legs, square_legs
from sim.houses.furniture.primitives import Sketch

_GLASS = Paint((0.72, 0.84, 0.86))


def _computer(s: Sketch, k: Kit, y: float, depth: float) -> None:
    black = Paint((0.10, 0.10, 0.11))
    s.box((-0.28, y + 0.12, depth / 2 - 0.2), (0.28, y + 0.46, depth / 2 - 0.16), black, {"-z": Paint((1, 1, 1), "screen", 0)})
    s.box((-0.03, y, depth / 2 - 0.17), (0.03, y + 0.2, depth / 2 - 0.13), black)
    s.box((-0.12, y, depth / 2 - 0.25), (0.12, y + 0.015, depth / 2 - 0.08), black)
    s.box((-0.22, y, -depth / 2 + 0.1), (0.2, y + 0.02, -depth / 2 + 0.24), Paint((0.85, 0.85, 0.86)))


def pedestal_desk(s: Sketch, k: Kit) -> None:
    """A desk with a chest of drawers at one side and a screen."""
    w, d, h = k.between(1.2, 1.5), k.between(0.6, 0.72), k.between(0.72, 0.76)
    side = k.one_of(-1, 1)
    s.box((-w / 2, h - 0.035, -d / 2), (w / 2, h, d / 2), k.lacquer)
    a, b = sorted((side * (w / 2 - 0.02), side * (w / 2 - 0.42)))
    s.box((a, 0.02, -d / 2 + 0.03), (b, h - 0.035, d / 2 - 0.02), k.dark_lacquer)
    drawers(s, (a, 0.04), (b, h - 0.05), -d / 2 + 0.03, 3, 1, contrast(k), handle_paint(k))
    x = sorted((-side * w / 2, -side * (w / 2 - 0.04)))
    s.box((x[0], 0, -d / 2 + 0.03), (x[1], h - 0.035, d / 2 - 0.02), k.lacquer)
    s.box((-w / 2 + 0.02, 0.35, d / 2 - 0.04), (w / 2 - 0.02, h - 0.035, d / 2 - 0.02), k.lacquer)
    _computer(s, k, h, d)


def frame_desk(s: Sketch, k: Kit) -> None:
    """A board on a steel frame with a lamp and a screen."""
    w, d, h = k.between(1.2, 1.6), k.between(0.62, 0.75), 0.74
    for x in (-w / 2 + 0.03, w / 2 - 0.08):
        for z in (-d / 2 + 0.03, d / 2 - 0.08):
            s.box((x, 0, z), (x + 0.05, h - 0.03, z + 0.05), IRON)
        s.box((x, 0, -d / 2 + 0.03), (x + 0.05, 0.05, d / 2 - 0.03), IRON)
    s.box((-w / 2, h - 0.03, -d / 2), (w / 2, h, d / 2), k.lacquer)
    _computer(s, k, h, d)
    x = k.one_of(-1, 1) * (w / 2 - 0.16)
    s.tube((x, h, 0.1), (x, h + 0.02, 0.1), 0.08, IRON, sides=8)
    s.tube((x, h, 0.1), (x, h + 0.36, 0.18), 0.012, IRON, sides=4)
    s.tube((x, h + 0.27, 0.0), (x, h + 0.38, 0.14), 0.08, Paint((0.9, 0.3, 0.15)), 0.04, 8)


def secretary_desk(s: Sketch, k: Kit) -> None:
    """A writing desk with a tier of pigeonholes and thin legs."""
    w, d, h = k.between(0.95, 1.15), 0.58, 0.75
    legs(s, w - 0.04, d - 0.04, h - 0.14, 0.03, k.dark_lacquer, 0.02)
    s.box((-w / 2, h - 0.15, -d / 2), (w / 2, h, d / 2), k.lacquer)
    drawers(s, (-w / 2, h - 0.14), (w / 2, h - 0.02), -d / 2, 1, 2, contrast(k), handle_paint(k))
    z, top = d / 2 - 0.24, h + 0.38
    s.box((-w / 2, h, d / 2 - 0.02), (w / 2, top, d / 2), k.dark_lacquer)
    s.box((-w / 2, top, z - 0.02), (w / 2, top + 0.03, d / 2), k.lacquer)
    for x in np.linspace(-w / 2, w / 2 - 0.02, 5):
        s.box((x, h, z), (x + 0.02, top, d / 2), k.lacquer)
    s.box((-w / 2, h + 0.19, z), (w / 2, h + 0.21, d / 2), k.lacquer)


def corner_desk(s: Sketch, k: Kit) -> None:
    """A curved top on two slab sides, two screens."""
    w, d, h = k.between(1.5, 1.75), 0.85, 0.73
    outline = [
        (-d / 2, -w / 2),
        (-d / 2, -w / 2 + 0.4),
        (-d / 2 + 0.22, 0),
        (-d / 2, w / 2 - 0.4),
        (-d / 2, w / 2),
        (d / 2, w / 2),
        (d / 2, -w / 2),
    ]
    s.slab(outline, "y", h - 0.04, h, k.lacquer)
    for x in (-w / 2 + 0.04, w / 2 - 0.09):
        s.box((x, 0, -d / 2 + 0.06), (x + 0.05, h - 0.04, d / 2 - 0.04), k.dark_lacquer)
    s.box((-w / 2 + 0.06, 0.3, d / 2 - 0.06), (w / 2 - 0.06, h - 0.04, d / 2 - 0.04), k.dark_lacquer)
    for x, yaw in ((-0.33, 14), (0.33, -14)):
        screen = Sketch()
        screen.box((-0.3, 0.1, -0.02), (0.3, 0.46, 0.02), Paint((0.1, 0.1, 0.11)), {"-z": Paint((1, 1, 1), "screen", 0)})
        screen.box((-0.03, 0, 0), (0.03, 0.15, 0.03), IRON)
        screen.box((-0.1, 0, -0.08), (0.1, 0.015, 0.08), IRON)
        s.join(screen, (x, h, d / 2 - 0.25), yaw=yaw)


def _table_lamp(s: Sketch, x: float, y: float, z: float) -> None:
    s.lathe((x, y, z), [(0.07, 0), (0.03, 0.05), (0.02, 0.16)], Paint((0.75, 0.6, 0.35), "brushed"), 8)
    s.lathe((x, y + 0.14, z), [(0.12, 0), (0.07, 0.16)], Paint((1.0, 0.94, 0.78)), 10)


def drawer_nightstand(s: Sketch, k: Kit) -> None:
    """Two drawers and a lamp."""
    w, d, h = k.between(0.42, 0.52), k.between(0.36, 0.42), k.between(0.48, 0.56)
    s.box((-w / 2, 0.08, -d / 2 + 0.02), (w / 2, h, d / 2), k.lacquer)
    legs(s, w, d, 0.1, 0.025, k.wood)
    drawers(s, (-w / 2 + 0.01, 0.1), (w / 2 - 0.01, h - 0.03), -d / 2 + 0.02, 2, 1, contrast(k), handle_paint(k))
    _table_lamp(s, 0, h, 0.03)


def open_nightstand(s: Sketch, k: Kit) -> None:
    """A drawer above an open shelf with books, and a lamp."""
    w, d, h = k.between(0.4, 0.48), 0.38, k.between(0.52, 0.6)
    square_legs(s, w, d, h, 0.035, k.dark_lacquer)
    s.box((-w / 2, h - 0.18, -d / 2 + 0.02), (w / 2, h, d / 2), k.lacquer)
    front_panel(s, (-w / 2, h - 0.17), (w / 2, h - 0.02), -d / 2 + 0.02, contrast(k), handle_paint(k))
    s.box((-w / 2 + 0.01, 0.12, -d / 2 + 0.01), (w / 2 - 0.01, 0.15, d / 2 - 0.01), k.lacquer)
    books_on_top(s, k, 0, 0.15, 0)
    _table_lamp(s, 0, h, 0.03)


def drum_nightstand(s: Sketch, k: Kit) -> None:
    """A round column with a lamp."""
    r, h = k.between(0.2, 0.25), k.between(0.5, 0.58)
    s.lathe((0, 0, 0), [(r * 0.9, 0), (r, 0.03), (r, h - 0.03), (r * 0.95, h)], k.lacquer, 12)
    for y in (h * 0.35, h * 0.68):
        s.ring((0, y, 0), r + 0.002, 0.012, "y", k.dark_lacquer, 12, 4)
    _table_lamp(s, 0, h, 0)


def cube_nightstand(s: Sketch, k: Kit) -> None:
    """A box open to the front on hairpin legs, with an alarm clock."""
    w, d, h = k.between(0.44, 0.52), 0.38, k.between(0.52, 0.6)
    legs(s, w, d, 0.24, 0.014, IRON, 0.03, 4)
    for low, high in (
        ((-w / 2, 0.24), (w / 2, 0.26)),
        ((-w / 2, h - 0.02), (w / 2, h)),
        ((-w / 2, 0.24), (-w / 2 + 0.02, h)),
        ((w / 2 - 0.02, 0.24), (w / 2, h)),
    ):
        s.box((*low, -d / 2), (*high, d / 2), k.lacquer)
    s.box((-w / 2, 0.24, d / 2 - 0.02), (w / 2, h, d / 2), k.dark_lacquer)
    s.box((-0.1, h, -0.06), (0.1, h + 0.12, 0.02), IRON, {"-z": Paint((1, 1, 1), "clock_round", 0)})


def _board(s: Sketch, k: Kit, length: float, y: float, width: float) -> None:
    half = width / 2
    nose = [(float(length / 2 - 0.3 + 0.3 * np.cos(a)), float(half * np.sin(a))) for a in np.radians(np.linspace(-90, 90, 7))]
    outline = [(-length / 2, -half), *nose, (-length / 2, half)]
    s.slab([(z, x) for x, z in outline][::-1], "y", y - 0.035, y, k.fabric)


def classic_ironing_board(s: Sketch, k: Kit) -> None:
    """A pointed board on crossed legs with an iron on it."""
    length, h, half = k.between(1.2, 1.35), k.between(0.86, 0.92), 0.19
    _board(s, k, length, h, 2 * half)
    for z in (-0.1, 0.1):
        s.tube((-0.42, 0, z * 1.6), (0.36, h - 0.03, z * 0.6), 0.016, CHROME, sides=5)
        s.tube((0.42, 0, z), (-0.36, h - 0.03, z), 0.016, CHROME, sides=5)
    for x, z in ((-0.42, 0.22), (0.42, 0.2)):
        s.tube((x, 0.015, -z), (x, 0.015, z), 0.016, CHROME, sides=5)
    _iron(s, -length / 2 + 0.2, h)


def _iron(s: Sketch, x: float, y: float) -> None:
    s.slab(
        [(-0.06, x - 0.1), (-0.05, x + 0.06), (0, x + 0.14), (0.05, x + 0.06), (0.06, x - 0.1)], "y", y, y + 0.05, Paint((0.9, 0.9, 0.92))
    )
    s.box((x - 0.1, y + 0.05, -0.02), (x + 0.08, y + 0.09, 0.02), Paint((0.9, 0.35, 0.2)))
    s.box((x - 0.1, y + 0.11, -0.018), (x + 0.06, y + 0.135, 0.018), IRON)
    s.box((x - 0.1, y + 0.08, -0.018), (x - 0.07, y + 0.12, 0.018), IRON)


def station_ironing_board(s: Sketch, k: Kit) -> None:
    """A wide board on two A-shaped ends with a steam tank and a lower rack."""
    length, h = k.between(1.25, 1.4), 0.92
    _board(s, k, length, h, 0.46)
    for x in (-0.42, 0.3):
        for z in (-1, 1):
            s.tube((x, 0, z * 0.26), (x, h - 0.03, z * 0.06), 0.02, Paint((0.92, 0.92, 0.92)), sides=5)
        s.box((x - 0.02, 0.34, -0.2), (x + 0.02, 0.37, 0.2), Paint((0.92, 0.92, 0.92)))
    s.box((-0.42, 0.34, -0.17), (0.3, 0.36, 0.17), Paint((0.85, 0.85, 0.86)))
    s.cushion((-length / 2 - 0.05, h, -0.13), (-length / 2 + 0.25, h + 0.16, 0.13), 0.04, Paint((0.92, 0.92, 0.94)))
    _iron(s, -length / 2 + 0.1, h + 0.16)


MODELS = {
    "desk": ((pedestal_desk, frame_desk), (secretary_desk, corner_desk)),
    "nightstand": ((drawer_nightstand, open_nightstand), (drum_nightstand, cube_nightstand)),
    "ironing board": ((classic_ironing_board,), (station_ironing_board,)),
}
