"""Chairs and office chairs. Seats open towards -Z."""

from __future__ import annotations

import numpy as np

from sim.houses.furniture.palette import CHROME, IRON, Kit, Paint
from sim.houses.furniture.parts import legs, square_legs
from sim.houses.furniture.primitives import Sketch


def slat_chair(s: Sketch, k: Kit) -> None:
    """A kitchen chair: square legs, slats across the back."""
    w, d, h = k.between(0.42, 0.47), k.between(0.44, 0.5), k.between(0.86, 0.95)
    square_legs(s, w, d, 0.44, 0.04, k.lacquer)
    s.box((-w / 2, 0.43, -d / 2), (w / 2, 0.47, d / 2), k.lacquer)
    for x in (-w / 2, w / 2 - 0.04):
        s.box((x, 0.47, d / 2 - 0.04), (x + 0.04, h, d / 2), k.lacquer)
    for y in (0.58, 0.7, h - 0.1):
        s.box((-w / 2 + 0.02, y, d / 2 - 0.035), (w / 2 - 0.02, y + 0.07, d / 2 - 0.01), k.dark_lacquer)


def shell_chair(s: Sketch, k: Kit) -> None:
    """A plastic shell on splayed wooden legs."""
    w, d, h = k.between(0.45, 0.5), k.between(0.46, 0.52), k.between(0.8, 0.86)
    legs(s, w, d, 0.42, 0.022, k.wood, 0.08, 6)
    s.cushion((-w / 2, 0.41, -d / 2), (w / 2, 0.47, d / 2 - 0.06), 0.03, k.enamel)
    back = Sketch()
    back.cushion((-w / 2 + 0.01, 0, -0.03), (w / 2 - 0.01, h - 0.43, 0.03), 0.03, k.enamel)
    s.join(back, (0, 0.43, d / 2 - 0.1), pitch=12)


def padded_chair(s: Sketch, k: Kit) -> None:
    """A dining chair with an upholstered seat and a tall closed back."""
    w, d, h = k.between(0.44, 0.5), k.between(0.5, 0.56), k.between(0.95, 1.05)
    square_legs(s, w - 0.02, d - 0.02, 0.4, 0.045, k.wood)
    s.cushion((-w / 2, 0.38, -d / 2), (w / 2, 0.49, d / 2), 0.03, k.fabric)
    s.cushion((-w / 2, 0.47, d / 2 - 0.09), (w / 2, h, d / 2), 0.03, k.dark_fabric)


def windsor_chair(s: Sketch, k: Kit) -> None:
    """Spindles under a bent bow."""
    w, d, h = k.between(0.44, 0.5), 0.46, k.between(0.92, 1.02)
    legs(s, w, d, 0.43, 0.02, k.lacquer, 0.06, 6)
    s.tube((0, 0.42, 0), (0, 0.46, 0), w / 2, k.lacquer, sides=12)
    angles = np.radians(np.linspace(0, 180, 8))
    bow = [(float(np.cos(a) * w / 2), float(0.46 + (h - 0.46) * np.sin(a) ** 0.6), 0.16) for a in angles]
    for a, b in zip(bow, bow[1:]):
        s.tube(a, b, 0.017, k.dark_lacquer, sides=5)
    for x in np.linspace(-w * 0.32, w * 0.32, 5):
        s.tube((x * 0.8, 0.45, 0.15), (x, h - 0.06 - abs(x) * 0.35, 0.16), 0.011, k.lacquer, sides=4)


def cantilever_chair(s: Sketch, k: Kit) -> None:
    """Bent steel tube, no back legs, two pads."""
    w, d, h = k.between(0.46, 0.52), 0.54, k.between(0.8, 0.88)
    for x in (-w / 2, w / 2):
        path = [(x, 0.015, d / 2 - 0.05), (x, 0.015, -d / 2), (x, 0.45, -d / 2), (x, 0.45, d / 2 - 0.12), (x, h, d / 2)]
        for a, b in zip(path, path[1:]):
            s.tube(a, b, 0.014, CHROME, sides=6)
    s.tube((-w / 2, 0.015, d / 2 - 0.05), (w / 2, 0.015, d / 2 - 0.05), 0.014, CHROME, sides=6)
    s.cushion((-w / 2, 0.44, -d / 2 + 0.02), (w / 2, 0.5, d / 2 - 0.1), 0.02, k.fabric)
    back = Sketch()
    back.cushion((-w / 2, 0, -0.025), (w / 2, 0.24, 0.025), 0.02, k.fabric)
    s.join(back, (0, h - 0.26, d / 2 - 0.08), pitch=15)


def _star_base(s: Sketch, radius: float, height: float, paint: Paint) -> None:
    for angle in np.radians(np.arange(5) * 72 + 18):
        x, z = float(np.cos(angle) * radius), float(np.sin(angle) * radius)
        s.tube((0, 0.1, 0), (x, 0.075, z), 0.03, paint, 0.018, 4)
        s.sphere((x, 0.03, z), 0.032, IRON, 5, 3)
    s.tube((0, 0.08, 0), (0, height, 0), 0.03, CHROME, sides=6)


def task_office_chair(s: Sketch, k: Kit) -> None:
    """Star base, round seat edges, low back, T arms."""
    w, h = k.between(0.48, 0.54), k.between(0.92, 1.0)
    _star_base(s, 0.3, 0.44, IRON)
    s.cushion((-w / 2, 0.43, -0.25), (w / 2, 0.53, 0.22), 0.04, k.fabric)
    s.box((-0.04, 0.4, 0.2), (0.04, 0.75, 0.26), IRON)
    s.cushion((-w / 2 + 0.03, 0.6, 0.17), (w / 2 - 0.03, h, 0.25), 0.04, k.fabric)
    for x in (-w / 2 - 0.03, w / 2 - 0.01):
        s.box((x, 0.46, -0.02), (x + 0.04, 0.7, 0.04), IRON)
        s.box((x - 0.01, 0.69, -0.16), (x + 0.05, 0.73, 0.12), IRON)


def executive_office_chair(s: Sketch, k: Kit) -> None:
    """Thick leather pads, a high back."""
    w, h = k.between(0.56, 0.62), k.between(1.1, 1.2)
    leather = Paint(k.main, "leather", 0.3)
    _star_base(s, 0.32, 0.42, CHROME)
    s.cushion((-w / 2 + 0.04, 0.42, -0.28), (w / 2 - 0.04, 0.56, 0.24), 0.06, leather)
    for low, high in ((0.54, 0.78), (0.77, 0.98), (0.97, h)):
        s.cushion((-w / 2 + 0.05, low, 0.14), (w / 2 - 0.05, high, 0.28), 0.06, leather)
    for x in (-w / 2, w / 2 - 0.07):
        s.box((x + 0.01, 0.46, -0.05), (x + 0.06, 0.7, 0.0), IRON)
        s.cushion((x, 0.69, -0.2), (x + 0.07, 0.75, 0.16), 0.02, leather)


def headrest_office_chair(s: Sketch, k: Kit) -> None:
    """A mesh back with a separate headrest."""
    w, h = k.between(0.48, 0.52), k.between(1.2, 1.28)
    _star_base(s, 0.33, 0.44, CHROME)
    s.cushion((-w / 2, 0.44, -0.26), (w / 2, 0.51, 0.24), 0.03, k.fabric)
    s.slab([(-w / 2, 0.62), (w * 0.36, 0.6), (w / 2, 0.62), (w * 0.4, h - 0.28), (-w * 0.4, h - 0.28)], "z", 0.22, 0.26, k.dark_fabric)
    s.box((-0.03, 0.42, 0.25), (0.03, h - 0.1, 0.3), IRON)
    s.cushion((-0.15, h - 0.16, 0.17), (0.15, h, 0.26), 0.04, k.fabric)
    for x in (-w / 2 - 0.05, w / 2 + 0.01):
        s.tube((x + 0.02, 0.47, 0.1), (x + 0.02, 0.68, -0.02), 0.02, IRON, sides=5)
        s.box((x, 0.67, -0.16), (x + 0.05, 0.7, 0.1), IRON)


def swivel_stool_office_chair(s: Sketch, k: Kit) -> None:
    """A drafting stool: tall post, foot ring, a small back."""
    r = k.between(0.2, 0.24)
    _star_base(s, 0.3, 0.58, CHROME)
    s.ring((0, 0.28, 0), 0.2, 0.014, "y", CHROME, 12, 4)
    s.tube((-0.2, 0.28, 0), (0.2, 0.28, 0), 0.012, CHROME, sides=4)
    s.lathe((0, 0.57, 0), [(r, 0), (r + 0.02, 0.04), (r - 0.03, 0.1)], k.fabric, 12)
    s.tube((0, 0.57, 0.15), (0, 0.86, 0.27), 0.016, CHROME, sides=5)
    s.cushion((-0.2, 0.8, 0.22), (0.2, 0.98, 0.29), 0.035, k.fabric)


MODELS = {
    "chair": ((slat_chair, shell_chair, padded_chair), (windsor_chair, cantilever_chair)),
    "office chair": ((task_office_chair, executive_office_chair), (headrest_office_chair, swivel_stool_office_chair)),
}
