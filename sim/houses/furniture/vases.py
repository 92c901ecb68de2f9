"""Vases for the floor and for tables."""

from __future__ import annotations

import numpy as np

from sim.houses.furniture.palette import Kit, Paint, shade
from sim.houses.furniture.primitives import Sketch


def _flowers(s: Sketch, k: Kit, y: float, count: int) -> None:
    tones = ((0.95, 0.35, 0.45), (0.98, 0.85, 0.3), (0.95, 0.95, 0.92), (0.7, 0.45, 0.85))
    tone = Paint(tones[int(k.rng.integers(4))])
    for i in range(count):
        angle, lean = i * 2.4, 0.06 + 0.012 * i
        x, z, top = float(np.cos(angle) * lean * 1.6), float(np.sin(angle) * lean * 1.6), y + k.between(0.22, 0.34)
        s.tube((0, y - 0.05, 0), (x, top, z), 0.006, Paint((0.2, 0.5, 0.2)), sides=3)
        s.sphere((x, top, z), 0.05, tone, 6, 4)


def belly_vase(s: Sketch, k: Kit) -> None:
    """A floor vase with a round belly and flowers."""
    h, r = k.between(0.5, 0.7), k.between(0.17, 0.22)
    s.lathe(
        (0, 0, 0),
        [(r * 0.5, 0), (r * 0.95, h * 0.25), (r, h * 0.42), (r * 0.6, h * 0.75), (r * 0.4, h * 0.86), (r * 0.55, h), (r * 0.45, h)],
        k.enamel,
        14,
    )
    s.ring((0, h * 0.42, 0), r, 0.012, "y", Paint(shade(k.main, 1.5)), 14, 4)
    _flowers(s, k, h, 7)


def cylinder_vase(s: Sketch, k: Kit) -> None:
    """A tall cylinder with branches."""
    h, r = k.between(0.6, 0.8), k.between(0.12, 0.15)
    s.lathe((0, 0, 0), [(r * 0.9, 0), (r, 0.03), (r, h), (r * 0.85, h), (r * 0.85, h - 0.02)], k.enamel, 12)
    for y in (h * 0.3, h * 0.36):
        s.ring((0, y, 0), r, 0.01, "y", Paint(shade(k.main, 0.6)), 12, 4)
    for i in range(6):
        angle = i * 2.4
        x, z = float(np.cos(angle) * 0.18), float(np.sin(angle) * 0.18)
        s.tube((0, h - 0.05, 0), (x, h + k.between(0.35, 0.55), z), 0.006, Paint((0.45, 0.32, 0.2)), 0.004, 3)
        s.sphere((x * 0.8, h + 0.3, z * 0.8), 0.035, Paint((0.93, 0.90, 0.82)), 5, 4)


def table_vase(s: Sketch, k: Kit) -> None:
    """A small vase for a table, with a few flowers."""
    h, r = k.between(0.22, 0.28), k.between(0.07, 0.09)
    s.lathe((0, 0, 0), [(r * 0.6, 0), (r, h * 0.35), (r * 0.85, h * 0.6), (r * 0.45, h * 0.85), (r * 0.65, h), (r * 0.5, h)], k.enamel, 12)
    tone = Paint(k.one_of((0.95, 0.35, 0.45), (0.98, 0.85, 0.3), (0.95, 0.95, 0.92)))
    for i in range(5):
        x, z, top = float(np.cos(i * 1.257) * 0.07), float(np.sin(i * 1.257) * 0.07), h + k.between(0.1, 0.2)
        s.tube((0, h - 0.03, 0), (x, top, z), 0.005, Paint((0.2, 0.5, 0.2)), sides=3)
        s.sphere((x, top, z), 0.04, tone, 6, 4)


def bottle_vase(s: Sketch, k: Kit) -> None:
    """A round bottle with a long thin neck, for a table."""
    h, r = k.between(0.4, 0.5), k.between(0.1, 0.13)
    profile = [
        (r * 0.6, 0),
        (r, h * 0.14),
        (r * 0.95, h * 0.3),
        (r * 0.4, h * 0.45),
        (r * 0.22, h * 0.55),
        (r * 0.22, h * 0.94),
        (r * 0.4, h),
    ]
    s.lathe((0, 0, 0), profile, k.enamel, 14)
    s.ring((0, h * 0.5, 0), r * 0.33, 0.012, "y", Paint(shade(k.main, 0.55)), 10, 4)


def amphora_vase(s: Sketch, k: Kit) -> None:
    """Pointed foot, wide shoulder, two handles."""
    h, r = k.between(0.65, 0.8), k.between(0.17, 0.21)
    s.lathe(
        (0, 0, 0),
        [
            (r * 0.6, 0),
            (r * 0.35, 0.05),
            (r * 0.7, h * 0.35),
            (r, h * 0.62),
            (r * 0.75, h * 0.74),
            (r * 0.35, h * 0.82),
            (r * 0.5, h),
            (r * 0.4, h),
        ],
        k.enamel,
        14,
    )
    for side in (-1, 1):
        path = [(side * r * 0.4, h * 0.94, 0), (side * r * 0.95, h * 0.92, 0), (side * r * 0.95, h * 0.72, 0)]
        for a, b in zip(path, path[1:]):
            s.tube(a, b, 0.018, Paint(shade(k.main, 0.7)), sides=6)
    for y in (h * 0.5, h * 0.66):
        s.ring((0, y, 0), r * 0.92, 0.012, "y", Paint(shade(k.main, 0.55)), 14, 4)


def twisted_vase(s: Sketch, k: Kit) -> None:
    """A square body that narrows and widens in steps, dry grass in it."""
    h, e = k.between(0.55, 0.7), k.between(0.15, 0.18)
    for i in range(5):
        level = Sketch()
        level.taper((-e, 0, -e), (e, h / 5, e), (0.7, 0.7), k.enamel if i % 2 == 0 else Paint(shade(k.main, 0.75)))
        s.join(level, (0, i * h / 5, 0), yaw=i * 18)
    for i in range(7):
        angle = i * 2.4
        s.tube(
            (0, h - 0.03, 0), (float(np.cos(angle)) * 0.16, h + 0.4, float(np.sin(angle)) * 0.16), 0.004, Paint((0.85, 0.75, 0.5)), 0.016, 4
        )


MODELS = ((belly_vase, cylinder_vase, table_vase), (amphora_vase, twisted_vase, bottle_vase))
