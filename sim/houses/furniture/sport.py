"""Bicycle, exercise bike and treadmill."""

from __future__ import annotations

import numpy as np

from sim.houses.furniture.palette import CHROME, IRON, RUBBER, STEEL, Kit, Paint, shade
from sim.houses.furniture.primitives import Sketch

_BLACK = Paint((0.07, 0.07, 0.08))
_SCREEN = Paint((1, 1, 1), "tv_screen", 0)


def _wheel(s: Sketch, x: float, r: float, spokes: int = 5, tyre: float = 0.018) -> None:
    s.ring((x, r, 0), r - tyre, tyre, "z", RUBBER, 16, 4)
    for a in np.arange(spokes) * np.pi / spokes:
        dx, dy = float(np.cos(a)) * (r - 0.03), float(np.sin(a)) * (r - 0.03)
        s.tube((x - dx, r - dy, 0), (x + dx, r + dy, 0), 0.004, CHROME, sides=3)


def _cranks(s: Sketch, x: float, y: float) -> None:
    s.tube((x, y, -0.02), (x, y, -0.035), 0.09, IRON, sides=12)
    for side, dx, dy in ((-1, 0.1, -0.12), (1, -0.1, 0.12)):
        s.tube((x, y, side * 0.05), (x + dx, y + dy, side * 0.07), 0.012, CHROME, sides=4)
        s.box((x + dx - 0.05, y + dy - 0.012, side * 0.12 - 0.045), (x + dx + 0.05, y + dy + 0.012, side * 0.12 + 0.045), IRON)


def _tubes(s: Sketch, points: dict[str, tuple[float, float]], edges: str, radius: float, paint: Paint) -> None:
    for a, b in (edge.split("-") for edge in edges.split()):
        s.tube((*points[a], 0.0), (*points[b], 0.0), radius, paint, sides=6)


def road_bicycle(s: Sketch, k: Kit) -> None:
    """Diamond frame, flat bars; it stands along x."""
    r, base = k.between(0.32, 0.35), k.between(0.5, 0.54)
    points = {
        "rear": (-base, r),
        "front": (base, r),
        "crank": (-0.08, 0.28),
        "seat": (-0.22, 0.78),
        "head": (0.36, 0.8),
        "low": (0.39, 0.68),
        "saddle": (-0.25, 0.9),
        "bar": (0.33, 0.95),
    }
    _wheel(s, -base, r)
    _wheel(s, base, r)
    _tubes(s, points, "crank-seat seat-head crank-low rear-crank rear-seat head-low low-front", 0.022, k.enamel)
    _tubes(s, points, "seat-saddle head-bar", 0.014, CHROME)
    s.cushion((-0.38, 0.89, -0.07), (-0.14, 0.94, 0.07), 0.025, RUBBER)
    s.tube((0.33, 0.95, -0.28), (0.33, 0.95, 0.28), 0.014, CHROME, sides=5)
    for z in (-0.3, 0.2):
        s.tube((0.33, 0.95, z), (0.33, 0.95, z + 0.1), 0.02, RUBBER, sides=6)
    _cranks(s, -0.08, 0.28)


def city_bicycle(s: Sketch, k: Kit) -> None:
    """A low step-through frame with mudguards, carrier, basket and high bars."""
    r, base = 0.33, 0.52
    points = {
        "rear": (-base, r),
        "front": (base, r),
        "crank": (-0.06, 0.28),
        "seat": (-0.2, 0.72),
        "head": (0.36, 0.84),
        "low": (0.39, 0.62),
        "mid": (-0.14, 0.52),
        "saddle": (-0.24, 0.9),
        "bar": (0.3, 1.06),
    }
    _wheel(s, -base, r)
    _wheel(s, base, r)
    _tubes(s, points, "crank-seat mid-head crank-low rear-crank rear-seat head-low low-front", 0.024, k.enamel)
    _tubes(s, points, "seat-saddle head-bar", 0.014, CHROME)
    for x, start in ((-base, 20), (base, 40)):
        arc = [
            (x + float(np.cos(a)) * (r + 0.03), r + float(np.sin(a)) * (r + 0.03)) for a in np.radians(np.linspace(start, start + 120, 5))
        ]
        for a, b in zip(arc, arc[1:]):
            s.tube((*a, 0), (*b, 0), 0.028, k.enamel, sides=4)
    s.box((-base - 0.22, 0.72, -0.07), (-0.26, 0.74, 0.07), IRON)
    s.cushion((-0.38, 0.89, -0.1), (-0.12, 0.96, 0.1), 0.03, Paint((0.45, 0.28, 0.15)))
    s.tube((0.3, 1.06, -0.3), (0.3, 1.06, 0.3), 0.014, CHROME, sides=5)
    s.taper((0.42, 0.8, -0.17), (0.7, 1.02, 0.17), (1.2, 1.15), Paint((0.70, 0.54, 0.34), "weave", 0.15))
    _cranks(s, -0.06, 0.28)


def fat_bicycle(s: Sketch, k: Kit) -> None:
    """A small-wheeled folding bicycle: one thick beam, tall post and bars."""
    r, base = k.between(0.23, 0.26), k.between(0.46, 0.5)
    points = {
        "rear": (-base, r),
        "front": (base, r),
        "crank": (-0.12, 0.27),
        "tail": (-0.18, 0.46),
        "head": (0.38, 0.58),
        "saddle": (-0.3, 0.94),
        "bar": (0.28, 1.08),
    }
    _wheel(s, -base, r, 4, 0.034)
    _wheel(s, base, r, 4, 0.034)
    _tubes(s, points, "tail-head crank-tail rear-tail rear-crank head-front", 0.038, k.enamel)
    _tubes(s, points, "tail-saddle head-bar", 0.018, CHROME)
    s.cushion((-0.43, 0.93, -0.08), (-0.18, 0.99, 0.08), 0.03, RUBBER)
    s.tube((0.28, 1.08, -0.26), (0.28, 1.08, 0.26), 0.016, IRON, sides=5)
    _cranks(s, -0.12, 0.27)


def _console(s: Sketch, at: tuple[float, float, float], pitch: float) -> None:
    box = Sketch()
    box.box((-0.15, -0.1, -0.02), (0.15, 0.1, 0.03), _BLACK, {"+z": Paint((1, 1, 1), "screen", 0)})
    s.join(box, at, pitch=pitch)


def upright_exercise_bike(s: Sketch, k: Kit) -> None:
    """Flywheel in a housing of the main colour, saddle, bars and a screen. It is ridden towards -Z."""
    for z in (-0.48, 0.42):
        s.tube((-0.25, 0.04, z), (0.25, 0.04, z), 0.035, IRON, sides=6)
    s.box((-0.04, 0.04, -0.48), (0.04, 0.1, 0.42), STEEL)
    s.tube((-0.07, 0.36, -0.26), (0.07, 0.36, -0.26), 0.26, k.enamel, sides=16)
    s.tube((-0.085, 0.36, -0.26), (0.085, 0.36, -0.26), 0.12, STEEL, sides=12)
    s.taper((-0.06, 0.1, -0.2), (0.06, 0.5, 0.2), (1, 0.4), k.enamel)
    s.tube((0, 0.3, 0.1), (0, 0.9, 0.3), 0.03, STEEL, sides=6)
    s.cushion((-0.13, 0.88, 0.16), (0.13, 0.97, 0.44), 0.04, RUBBER)
    s.tube((0, 0.5, -0.22), (0, 1.12, -0.32), 0.035, k.enamel, sides=6)
    for x in (-0.2, 0.2):
        s.tube((0, 1.05, -0.3), (x, 1.1, -0.3), 0.016, IRON, sides=5)
        s.tube((x, 1.1, -0.32), (x, 1.14, -0.08), 0.018, RUBBER, sides=5)
        s.box((x * 0.8 - 0.05, 0.2 + x * 0.5, -0.1), (x * 0.8 + 0.05, 0.23 + x * 0.5, 0.02), IRON)
    _console(s, (0, 1.2, -0.34), -25)


def spin_exercise_bike(s: Sketch, k: Kit) -> None:
    """An open frame with a bare heavy flywheel at the front."""
    for z in (-0.5, 0.48):
        s.box((-0.27, 0, z - 0.04), (0.27, 0.07, z + 0.04), IRON)
    path = [
        ((0, 0.06, -0.48), (0, 0.62, -0.36)),
        ((0, 0.06, 0.46), (0, 0.66, 0.22)),
        ((0, 0.3, 0.34), (0, 0.62, -0.36)),
        ((0, 0.3, -0.4), (0, 0.3, 0.34)),
    ]
    for a, b in path:
        s.tube(a, b, 0.035, k.enamel, sides=6)
    s.tube((-0.035, 0.34, -0.4), (0.035, 0.34, -0.4), 0.25, STEEL, sides=18)
    s.tube((-0.04, 0.34, -0.4), (0.04, 0.34, -0.4), 0.18, k.enamel, sides=16)
    s.tube((0, 0.6, 0.24), (0, 0.98, 0.28), 0.022, CHROME, sides=6)
    s.cushion((-0.1, 0.97, 0.14), (0.1, 1.04, 0.42), 0.035, RUBBER)
    s.tube((0, 0.6, -0.36), (0, 1.05, -0.36), 0.022, CHROME, sides=6)
    s.tube((-0.24, 1.05, -0.36), (0.24, 1.05, -0.36), 0.018, RUBBER, sides=6)
    for x in (-0.22, 0.22):
        s.tube((x, 1.05, -0.34), (x, 1.12, -0.56), 0.018, RUBBER, sides=5)
    for side, dy in ((-1, -0.1), (1, 0.1)):
        s.box((side * 0.13 - 0.05, 0.28 + dy, -0.02), (side * 0.13 + 0.05, 0.31 + dy, 0.09), IRON)


def recumbent_exercise_bike(s: Sketch, k: Kit) -> None:
    """A bucket seat with a back, pedals in front, a console on a mast."""
    for z in (-0.6, 0.6):
        s.tube((-0.26, 0.04, z), (0.26, 0.04, z), 0.035, IRON, sides=6)
    s.box((-0.05, 0.05, -0.6), (0.05, 0.15, 0.62), STEEL)
    s.cushion((-0.1, 0.1, -0.62), (0.1, 0.68, -0.1), 0.06, k.enamel)
    s.tube((0, 0.6, -0.4), (0, 1.08, -0.46), 0.03, k.enamel, sides=6)
    _console(s, (0, 1.14, -0.46), -20)
    s.cushion((-0.22, 0.42, 0.16), (0.22, 0.5, 0.55), 0.03, RUBBER)
    back = Sketch()
    back.cushion((-0.22, 0, -0.04), (0.22, 0.55, 0.04), 0.03, RUBBER)
    s.join(back, (0, 0.48, 0.58), pitch=12)
    s.box((-0.05, 0.1, 0.28), (0.05, 0.44, 0.42), STEEL)
    for side, dy in ((-1, -0.1), (1, 0.1)):
        s.box((side * 0.17 - 0.05, 0.36 + dy, -0.42), (side * 0.17 + 0.05, 0.39 + dy, -0.3), IRON)
        s.tube((side * 0.28, 0.4, 0.3), (side * 0.28, 0.64, 0.2), 0.016, IRON, sides=5)


def _deck(s: Sketch, k: Kit, w: float, length: float) -> None:
    s.box((-w / 2, 0.04, -length / 2), (w / 2, 0.16, length / 2), Paint(shade(k.main, 0.75)))
    s.box((-w / 2 + 0.1, 0.16, -length / 2 + 0.2), (w / 2 - 0.1, 0.17, length / 2 - 0.02), Paint((0.14, 0.14, 0.15), "speckle", 0.5))
    s.cushion((-w / 2 + 0.02, 0.04, -length / 2 - 0.04), (w / 2 - 0.02, 0.28, -length / 2 + 0.24), 0.05, k.enamel)
    for x in (-w / 2 + 0.1, w / 2 - 0.1):
        s.box((x - 0.04, 0, -length / 2 + 0.1), (x + 0.04, 0.05, -length / 2 + 0.2), RUBBER)
        s.box((x - 0.04, 0, length / 2 - 0.2), (x + 0.04, 0.05, length / 2 - 0.1), RUBBER)


def folding_treadmill(s: Sketch, k: Kit) -> None:
    """Belt, two uprights, bars and console; the runner faces -Z."""
    w, length, h = k.between(0.72, 0.8), k.between(1.45, 1.65), k.between(1.2, 1.3)
    _deck(s, k, w, length)
    z = -length / 2 + 0.12
    for x in (-w / 2 + 0.03, w / 2 - 0.03):
        s.tube((x, 0.1, z + 0.1), (x, h - 0.08, z + 0.02), 0.035, k.enamel, sides=6)
        s.tube((x, h - 0.12, z), (x, h - 0.2, z + 0.5), 0.025, RUBBER, sides=6)
    s.cushion((-w / 2, h - 0.2, z - 0.06), (w / 2, h - 0.06, z + 0.06), 0.03, k.enamel)
    _console(s, (0, h, z + 0.02), -25)


def club_treadmill(s: Sketch, k: Kit) -> None:
    """A heavy machine with a wide console block."""
    w, length, h = k.between(0.82, 0.9), k.between(1.6, 1.75), 1.35
    _deck(s, k, w, length)
    z = -length / 2 + 0.15
    for x in (-w / 2, w / 2 - 0.1):
        s.taper((x, 0.1, z - 0.1), (x + 0.1, h - 0.2, z + 0.16), (1, 0.6), k.enamel)
        s.box((x + 0.02, h - 0.34, z), (x + 0.08, h - 0.28, z + 0.55), RUBBER)
    s.cushion((-w / 2 + 0.02, h - 0.26, z - 0.1), (w / 2 - 0.02, h + 0.0, z + 0.1), 0.05, Paint((0.14, 0.14, 0.15)))
    tilt = Sketch()
    tilt.box((-0.24, 0, -0.02), (0.24, 0.3, 0.02), _BLACK, {"+z": _SCREEN})
    s.join(tilt, (0, h - 0.04, z + 0.02), pitch=-15)


def curved_treadmill(s: Sketch, k: Kit) -> None:
    """A curved belt without a motor and one bent bar."""
    w, length, h = k.between(0.76, 0.84), k.between(1.55, 1.7), 1.25
    xs = np.linspace(-1, 1, 9)
    over = [(float(0.16 + 0.2 * a * a), float(a * length / 2)) for a in xs]
    belt = [(y - 0.1, z) for y, z in over]
    for x in (-w / 2, w / 2 - 0.1):
        s.slab([*[(0.0, length * 0.3), (0.0, -length * 0.3)], *[(y + 0.05, z) for y, z in over]], "x", x, x + 0.1, k.enamel)
    s.slab([*belt[::-1], *over], "x", -w / 2 + 0.1, w / 2 - 0.1, Paint((0.14, 0.14, 0.15), "ribs", 0.3))
    for x in (-w / 2 + 0.05, w / 2 - 0.05):
        s.tube((x, 0.3, -length * 0.36), (x, h, -length * 0.3), 0.03, STEEL, sides=6)
        s.tube((x, h, -length * 0.3), (x, h - 0.1, 0.0), 0.03, STEEL, sides=6)
    s.tube((-w / 2 + 0.05, h, -length * 0.3), (w / 2 - 0.05, h, -length * 0.3), 0.03, STEEL, sides=6)
    _console(s, (0, h + 0.06, -length * 0.3), -25)


MODELS = {
    "bicycle": ((road_bicycle, city_bicycle), (fat_bicycle,)),
    "exercise bike": ((upright_exercise_bike, spin_exercise_bike), (recumbent_exercise_bike,)),
    "treadmill": ((folding_treadmill, club_treadmill), (curved_treadmill,)),
}
