"""Plants, floor lamps and fans; vases have a file of their own."""

from __future__ import annotations

import numpy as np

from sim.houses.furniture import vases
from sim.houses.furniture.palette import BRASS, CHROME, IRON, STEEL, Kit, Paint, shade
from sim.houses.furniture.primitives import Sketch

_SOIL = Paint((0.22, 0.15, 0.10))
_POTS = ((0.72, 0.36, 0.22), (0.93, 0.92, 0.90), (0.25, 0.27, 0.30), (0.30, 0.45, 0.60))


def _pot(s: Sketch, k: Kit, radius: float, height: float) -> None:
    pot = Paint(_POTS[int(k.rng.integers(len(_POTS)))])
    s.lathe(
        (0, 0, 0),
        [(radius * 0.7, 0), (radius, height), (radius * 1.08, height), (radius * 1.08, height + 0.03), (radius * 0.9, height + 0.03)],
        pot,
        10,
    )
    s.lathe((0, height, 0), [(radius * 0.9, 0.02), (0.0, 0.035)], _SOIL, 10)


def _leaf(s: Sketch, base: tuple[float, float, float], angle: float, reach: float, rise: float, width: float, paint: Paint) -> None:
    """A folded leaf that arches out from `base`; doubled triangles."""
    out = np.array([np.cos(angle), 0.0, np.sin(angle)])
    side = np.array([-out[2], 0.0, out[0]]) * width / 2
    start = np.asarray(base)
    middle, tip = start + out * reach * 0.5 + (0, rise, 0), start + out * reach + (0, rise * 0.55, 0)
    for sign in (1, -1):
        s.triangle(start, middle + side * sign, middle + (0, -0.01, 0), paint, double=True)
        s.triangle(middle + (0, -0.01, 0), middle + side * sign, tip, paint, double=True)


def palm_plant(s: Sketch, k: Kit) -> None:
    """A pot, a stem and two whorls of arching leaves."""
    h = k.between(0.55, 0.85)
    _pot(s, k, k.between(0.16, 0.2), 0.3)
    s.tube((0, 0.3, 0), (0, h + 0.1, 0), 0.025, Paint((0.45, 0.33, 0.18)), 0.018, 6)
    tones = (k.main, shade(k.main, 0.75), shade(k.main, 1.2))
    for whorl, (count, reach, rise) in enumerate(((9, 0.5, 0.2), (7, 0.36, 0.45))):
        for i in range(count):
            angle = (i + whorl * 0.5) * 2 * np.pi / count + k.between(-0.15, 0.15)
            _leaf(s, (0, h, 0), angle, reach * k.between(0.85, 1.1), rise * k.between(0.8, 1.2), 0.13, Paint(tones[i % 3]))


def bush_plant(s: Sketch, k: Kit) -> None:
    """A trunk with round foliage."""
    h, r = k.between(0.95, 1.25), k.between(0.26, 0.34)
    _pot(s, k, k.between(0.17, 0.22), 0.32)
    s.tube((0, 0.3, 0), (0, h, 0), 0.03, Paint((0.40, 0.28, 0.16)), 0.02, 6)
    for i, (dx, dy, dz, scale) in enumerate(
        ((0, 0.1, 0, 1.0), (0.2, 0, 0.1, 0.7), (-0.2, 0.02, -0.08, 0.7), (0.02, 0.28, -0.05, 0.7), (0.05, -0.02, -0.2, 0.65))
    ):
        s.sphere((dx, h + dy, dz), r * scale, Paint(shade(k.main, (1.0, 0.82, 1.15, 0.9, 0.75)[i]), "leaves", 0.4), 8, 5)


def rubber_plant(s: Sketch, k: Kit) -> None:
    """Broad leaves that climb a stem."""
    h = k.between(1.0, 1.35)
    _pot(s, k, k.between(0.15, 0.19), 0.28)
    s.tube((0, 0.28, 0), (0, h, 0), 0.018, Paint((0.35, 0.28, 0.15)), 0.012, 5)
    for i, y in enumerate(np.linspace(0.42, h, 15)):
        tone = Paint(shade(k.main, (0.8, 1.0, 1.15)[i % 3]))
        _leaf(s, (0, float(y), 0), i * 2.4, 0.34 - 0.1 * float(y) / h, 0.13, 0.17, tone)


def snake_plant(s: Sketch, k: Kit) -> None:
    """Upright blades from a low pot."""
    r = k.between(0.17, 0.22)
    _pot(s, k, r, 0.26)
    for i in range(15):
        angle, spread = i * 2.4, r * 0.8 * np.sqrt((i + 1) / 15)
        x, z = float(np.cos(angle) * spread), float(np.sin(angle) * spread)
        h = k.between(0.5, 0.95)
        blade = Sketch()
        tone = Paint(shade(k.main, (0.75, 1.0, 1.2)[i % 3]))
        blade.taper((-0.035, 0, -0.008), (0.035, h * 0.7, 0.008), (1.25, 1), tone)
        blade.taper((-0.044, h * 0.7, -0.008), (0.044, h, 0.008), (0.05, 0.3), tone)
        s.join(blade, (x, 0.27, z), yaw=float(np.degrees(angle)), pitch=k.between(-12, 12), roll=k.between(-6, 6))


def cactus_plant(s: Sketch, k: Kit) -> None:
    """A tall ribbed cactus with two arms."""
    h = k.between(0.85, 1.2)
    _pot(s, k, k.between(0.18, 0.22), 0.25)
    skin = Paint(k.main, "ribs", 0.12)

    def limb(x: float, low: float, high: float, r: float) -> None:
        s.lathe((x, 0, 0), [(r * 0.9, low), (r, low + 0.08), (r, high - 0.1), (r * 0.6, high - 0.02), (0.0, high)], skin, 10)

    limb(0, 0.26, h + 0.26, 0.095)
    for side, low, high in ((1, 0.55, 0.95), (-1, 0.7, 1.1)):
        s.tube((0, low * h + 0.1, 0), (side * 0.22, low * h + 0.14, 0), 0.055, skin, sides=8)
        limb(side * 0.22, low * h + 0.06, high * h + 0.16, 0.062)


def fir_plant(s: Sketch, k: Kit) -> None:
    """A clipped cone in a square planter."""
    h, e = k.between(1.2, 1.5), 0.2
    s.taper((-e * 0.8, 0, -e * 0.8), (e * 0.8, 0.34, e * 0.8), (1.25, 1.25), Paint(_POTS[int(k.rng.integers(4))]))
    s.tube((0, 0.33, 0), (0, 0.5, 0), 0.03, Paint((0.35, 0.25, 0.15)), sides=5)
    for y, r in ((0.42, 0.32), (0.42 + (h - 0.42) * 0.3, 0.25), (0.42 + (h - 0.42) * 0.6, 0.17)):
        s.lathe((0, y, 0), [(r, 0), (r * 0.9, 0.06), (0.0, (h - 0.42) * 0.42)], Paint(k.main, "leaves", 0.4), 10)


def shade_floor_lamp(s: Sketch, k: Kit) -> None:
    """A cone shade in the main colour on a pole."""
    h, r = k.between(1.5, 1.7), k.between(0.2, 0.26)
    pole = k.one_of(IRON, BRASS, k.wood)
    s.lathe((0, 0, 0), [(0.15, 0), (0.14, 0.025), (0.02, 0.04)], pole, 12)
    s.tube((0, 0.03, 0), (0, h - 0.1, 0), 0.014, pole, sides=6)
    s.lathe((0, h - 0.34, 0), [(r, 0), (r * 0.65, 0.34), (r * 0.6, 0.34), (r * 0.94, 0.01), (r * 0.94, 0.0)], k.fabric, 14)
    s.sphere((0, h - 0.2, 0), 0.08, Paint((1.0, 0.97, 0.8)), 8, 5)


def tripod_floor_lamp(s: Sketch, k: Kit) -> None:
    """A drum shade on three wooden legs."""
    h, r = k.between(1.45, 1.6), k.between(0.2, 0.24)
    for angle in np.radians((90, 210, 330)):
        s.tube((float(np.cos(angle)) * 0.27, 0, float(np.sin(angle)) * 0.27), (0, h - 0.3, 0), 0.016, k.wood, 0.018, 6)
    s.lathe((0, h - 0.32, 0), [(r, 0), (r, 0.32), (r * 0.94, 0.32), (r * 0.94, 0.01), (r * 0.94, 0.0)], k.fabric, 14)
    s.sphere((0, h - 0.16, 0), 0.09, Paint((1.0, 0.97, 0.8)), 8, 5)


def arc_floor_lamp(s: Sketch, k: Kit) -> None:
    """A heavy foot and an arc that carries a dome."""
    h, reach = k.between(1.65, 1.8), k.between(0.7, 0.9)
    s.box((-0.14, 0, -0.1), (0.14, 0.07, 0.1), Paint((0.9, 0.9, 0.88), "marble", 0.4))
    points = [(float(reach * (1 - np.cos(a)) / 2), float(0.6 + (h - 0.6) * np.sin(a)), 0.0) for a in np.radians(np.linspace(0, 150, 8))]
    for a, b in zip([(0.0, 0.05, 0.0), *points], points):
        s.tube(a, b, 0.014, CHROME, sides=6)
    x, y, _ = points[-1]
    s.lathe((x, y - 0.2, 0), [(0.2, 0), (0.17, 0.12), (0.06, 0.2), (0.0, 0.21)], k.enamel, 14)
    s.sphere((x, y - 0.2, 0), 0.08, Paint((1.0, 0.97, 0.8)), 8, 5)


def globe_floor_lamp(s: Sketch, k: Kit) -> None:
    """Three glowing balls on one stem, in the main colour."""
    h = k.between(1.45, 1.65)
    s.tube((0, 0, 0), (0, 0.03, 0), 0.15, BRASS, sides=12)
    s.tube((0, 0.02, 0), (0, h - 0.12, 0), 0.014, BRASS, sides=6)
    for y, angle in ((h * 0.6, 0), (h * 0.77, 120), (h * 0.92, 240)):
        x, z = 0.16 * float(np.cos(np.radians(angle))), 0.16 * float(np.sin(np.radians(angle)))
        s.tube((0, y - 0.06, 0), (x, y, z), 0.01, BRASS, sides=5)
        s.sphere((x, y, z), 0.12, Paint(shade(k.main, 1.25)), 10, 7)


def paper_floor_lamp(s: Sketch, k: Kit) -> None:
    """A tall paper column with ribs and a dark foot."""
    h, e = k.between(1.2, 1.45), k.between(0.26, 0.32)
    s.box((-e / 2 - 0.02, 0, -e / 2 - 0.02), (e / 2 + 0.02, 0.1, e / 2 + 0.02), IRON)
    s.box((-e / 2, 0.1, -e / 2), (e / 2, h, e / 2), Paint(shade(k.main, 1.3)))
    for y in np.linspace(0.25, h - 0.01, 6):
        s.box((-e / 2 - 0.008, float(y), -e / 2 - 0.008), (e / 2 + 0.008, float(y) + 0.012, e / 2 + 0.008), IRON)


def _fan_head(s: Sketch, k: Kit, y: float, r: float) -> None:
    """Blades between two wire cages, motor behind."""
    s.ring((0, y, -0.08), r, 0.014, "z", k.enamel, 20, 4)
    s.ring((0, y, 0.0), r * 0.97, 0.012, "z", k.enamel, 20, 4)
    for angle in np.radians(np.arange(0, 360, 45)):
        c, d = float(np.cos(angle)), float(np.sin(angle))
        s.tube((0, y, -0.11), (c * r, y + d * r, -0.08), 0.005, k.enamel, sides=3)
    s.tube((0, y, -0.1), (0, y, -0.12), 0.05, k.enamel, sides=10)
    s.tube((0, y, -0.06), (0, y, 0.16), 0.06, k.enamel, 0.05, 8)
    for angle in np.radians((90, 210, 330)):
        blade = [
            (float(np.cos(angle + t) * r * q), float(y + np.sin(angle + t) * r * q))
            for q, t in ((0.15, -0.3), (0.88, -0.35), (0.88, 0.35), (0.15, 0.3))
        ]
        s.slab(blade, "z", -0.05, -0.04, Paint((0.55, 0.68, 0.78)))


def pedestal_fan(s: Sketch, k: Kit) -> None:
    """A round cage on a pole."""
    h, r = k.between(1.05, 1.25), k.between(0.2, 0.24)
    s.lathe((0, 0, 0.1), [(0.2, 0), (0.19, 0.03), (0.04, 0.06)], k.enamel, 12)
    s.tube((0, 0.04, 0.1), (0, h - 0.06, 0.1), 0.018, CHROME, sides=6)
    _fan_head(s, k, h, r)


def box_fan(s: Sketch, k: Kit) -> None:
    """A big ring on a low tube frame, close to the floor."""
    r = k.between(0.26, 0.3)
    y = r + 0.1
    _fan_head(s, k, y, r)
    for x in (-r - 0.03, r + 0.03):
        s.tube((x, 0.015, -0.2), (x, 0.015, 0.16), 0.015, STEEL, sides=5)
        s.tube((x, 0.015, -0.02), (x, y, -0.04), 0.015, STEEL, sides=5)
    for z in (-0.2, 0.16):
        s.tube((-r - 0.03, 0.015, z), (r + 0.03, 0.015, z), 0.015, STEEL, sides=5)


def tower_fan(s: Sketch, k: Kit) -> None:
    """A slim column with a dark grille on a round foot."""
    h = k.between(0.95, 1.1)
    s.tube((0, 0, 0), (0, 0.03, 0), 0.16, k.enamel, 0.14, 12)
    s.lathe((0, 0.03, 0), [(0.1, 0), (0.11, 0.06), (0.12, h - 0.1), (0.1, h - 0.04), (0.0, h - 0.03)], k.enamel, 12)
    grille = IRON if sum(k.main) / 3 > 0.3 else STEEL
    for i in range(12):
        y = 0.22 + i * (h - 0.36) / 12
        s.box((-0.07, y, -0.128), (0.07, y + 0.025, -0.08), grille)


MODELS = {
    "plant": ((palm_plant, bush_plant, rubber_plant), (snake_plant, cactus_plant, fir_plant)),
    "floor lamp": ((shade_floor_lamp, tripod_floor_lamp, arc_floor_lamp), (globe_floor_lamp, paper_floor_lamp)),
    "vase": vases.MODELS,
    "fan": ((pedestal_fan, box_fan), (tower_fan,)),
}
