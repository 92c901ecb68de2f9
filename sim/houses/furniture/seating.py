"""Sofas, armchairs and benches. Seats open towards -Z."""

from __future__ import annotations

import numpy as np

from sim.houses.furniture.palette import IRON, Kit, Paint, shade
from sim.houses.furniture.parts import legs
from sim.houses.furniture.primitives import Sketch


def _cushions(s: Sketch, k: Kit, width: float, front: float, back: float, low: float, high: float, count: int, bevel: float = 0.05) -> None:
    step = width / count
    for i in range(count):
        x = -width / 2 + i * step
        s.cushion((x + 0.008, low, front), (x + step - 0.008, high, back), bevel, k.fabric)


def block_sofa(s: Sketch, k: Kit) -> None:
    """Wide arms, block feet, two or three cushions."""
    w, d, h, arm = k.between(1.7, 2.3), k.between(0.85, 0.95), k.between(0.78, 0.88), k.between(0.18, 0.24)
    inner, count = w - 2 * arm, 3 if w > 2.0 else 2
    s.box((-w / 2 + 0.03, 0.06, -d / 2 + 0.03), (w / 2 - 0.03, 0.26, d / 2), k.dark_fabric)
    legs(s, w - 0.1, d - 0.1, 0.07, 0.035, IRON)
    for x in (-w / 2, w / 2 - arm):
        s.cushion((x, 0.08, -d / 2), (x + arm, 0.6, d / 2), 0.04, k.fabric)
    s.cushion((-inner / 2, 0.24, d / 2 - 0.24), (inner / 2, h, d / 2), 0.06, k.dark_fabric)
    _cushions(s, k, inner, -d / 2 + 0.02, d / 2 - 0.22, 0.26, 0.45, count)
    _cushions(s, k, inner, d / 2 - 0.36, d / 2 - 0.18, 0.45, h - 0.03, count, 0.07)


def slim_sofa(s: Sketch, k: Kit) -> None:
    """Mid-century: thin seat on splayed wooden legs, narrow wooden arms."""
    w, d, h = k.between(1.6, 2.0), k.between(0.78, 0.86), k.between(0.74, 0.82)
    legs(s, w - 0.05, d, 0.24, 0.03, k.wood, 0.07, 6)
    s.box((-w / 2, 0.22, -d / 2 + 0.04), (w / 2, 0.28, d / 2), k.wood)
    _cushions(s, k, w - 0.14, -d / 2, d / 2 - 0.12, 0.28, 0.43, 2, 0.04)
    back = Sketch()
    _cushions(back, k, w - 0.14, -0.08, 0.08, 0.0, h - 0.42, 2, 0.05)
    s.join(back, (0, 0.42, d / 2 - 0.14), pitch=10)
    for x in (-w / 2, w / 2 - 0.06):
        s.box((x, 0.56, -d / 2 + 0.02), (x + 0.06, 0.61, d / 2 - 0.05), k.wood)
        s.box((x + 0.01, 0.28, -d / 2 + 0.05), (x + 0.05, 0.56, -d / 2 + 0.1), k.wood)
        s.box((x + 0.01, 0.28, d / 2 - 0.15), (x + 0.05, 0.56, d / 2 - 0.1), k.wood)


def chaise_sofa(s: Sketch, k: Kit) -> None:
    """An L: one seat runs forward as a chaise."""
    w, d, long, h = k.between(2.2, 2.6), 0.9, k.between(1.45, 1.6), k.between(0.76, 0.84)
    side, front = k.one_of(-1, 1), d / 2 - long
    edge = sorted((side * w / 2, side * (w / 2 - 0.85)))
    rest = sorted((side * (w / 2 - 0.85), -side * (w / 2 - 0.2)))
    s.box((rest[0], 0.05, -d / 2), (rest[1], 0.26, d / 2), k.dark_fabric)
    s.box((edge[0], 0.05, front), (edge[1], 0.26, d / 2), k.dark_fabric)
    s.cushion((edge[0], 0.26, front), (edge[1], 0.44, d / 2 - 0.2), 0.05, k.fabric)
    middle = (rest[0] + rest[1]) / 2
    for a, b in ((rest[0], middle), (middle, rest[1])):
        s.cushion((a, 0.26, -d / 2), (b, 0.44, d / 2 - 0.2), 0.05, k.fabric)
    s.cushion((-w / 2, 0.2, d / 2 - 0.22), (w / 2, h, d / 2), 0.06, k.dark_fabric)
    arm = sorted((-side * w / 2, -side * (w / 2 - 0.2)))
    s.cushion((arm[0], 0.05, -d / 2), (arm[1], 0.6, d / 2), 0.05, k.fabric)
    legs(s, w - 0.1, d - 0.1, 0.06, 0.03, IRON)


def chesterfield_sofa(s: Sketch, k: Kit) -> None:
    """Rolled arms and back at one height, turned feet."""
    w, d, h = k.between(1.8, 2.2), k.between(0.88, 0.96), k.between(0.7, 0.76)
    s.box((-w / 2 + 0.08, 0.1, -d / 2 + 0.05), (w / 2 - 0.08, 0.3, d / 2 - 0.08), k.dark_fabric)
    legs(s, w - 0.2, d - 0.15, 0.1, 0.04, k.wood, 0, 6)
    for x in (-w / 2 + 0.12, w / 2 - 0.12):
        s.box((x - 0.08, 0.2, -d / 2 + 0.02), (x + 0.08, h - 0.12, d / 2 - 0.1), k.fabric)
        s.tube((x, h - 0.12, -d / 2), (x, h - 0.12, d / 2 - 0.05), 0.12, k.dark_fabric, sides=10)
    s.box((-w / 2 + 0.1, 0.25, d / 2 - 0.24), (w / 2 - 0.1, h - 0.12, d / 2 - 0.06), k.fabric)
    s.tube((-w / 2 + 0.04, h - 0.12, d / 2 - 0.13), (w / 2 - 0.04, h - 0.12, d / 2 - 0.13), 0.13, k.dark_fabric, sides=10)
    _cushions(s, k, w - 0.42, -d / 2 + 0.03, d / 2 - 0.2, 0.3, 0.45, 3, 0.04)


def floor_sofa(s: Sketch, k: Kit) -> None:
    """Low modules without arms, loose pillows."""
    count, d = k.one_of(2, 3), k.between(0.9, 1.0)
    w = count * k.between(0.8, 0.9)
    s.box((-w / 2 + 0.05, 0, -d / 2 + 0.05), (w / 2 - 0.05, 0.08, d / 2 - 0.05), IRON)
    _cushions(s, k, w, -d / 2, d / 2, 0.08, 0.38, count, 0.08)
    _cushions(s, k, w, d / 2 - 0.28, d / 2, 0.38, 0.68, count, 0.09)
    for x in (-w / 2 + 0.3, w / 2 - 0.3):
        pillow = Sketch()
        pillow.cushion((-0.22, 0, -0.08), (0.22, 0.4, 0.08), 0.08, Paint(shade(k.main, 1.45), "weave", 0.25))
        s.join(pillow, (x, 0.39, d / 2 - 0.38), yaw=float(np.sign(x)) * 15, pitch=20)


def camelback_sofa(s: Sketch, k: Kit) -> None:
    """A back that rises in a hump, scrolled arms, high legs."""
    w, d, h = k.between(1.6, 1.95), 0.8, k.between(0.9, 1.0)
    legs(s, w - 0.12, d - 0.08, 0.26, 0.035, k.wood, 0, 4)
    s.box((-w / 2 + 0.06, 0.24, -d / 2 + 0.02), (w / 2 - 0.06, 0.34, d / 2), k.dark_fabric)
    s.cushion((-w / 2 + 0.12, 0.34, -d / 2), (w / 2 - 0.12, 0.46, d / 2 - 0.14), 0.05, k.fabric)
    x = np.linspace(w / 2, -w / 2, 9)
    hump = [(float(a), float(h - 0.22 + 0.22 * np.cos(np.pi * a / w) ** 2)) for a in x]
    s.slab([(-w / 2, 0.3), (w / 2, 0.3), *hump], "z", d / 2 - 0.16, d / 2, k.fabric)
    for side in (-w / 2 + 0.07, w / 2 - 0.07):
        s.box((side - 0.05, 0.3, -d / 2 + 0.05), (side + 0.05, 0.56, d / 2 - 0.1), k.fabric)
        s.tube((side, 0.6, -d / 2), (side, 0.6, d / 2 - 0.1), 0.08, k.dark_fabric, sides=8)


def club_armchair(s: Sketch, k: Kit) -> None:
    """A cube with a deep seat."""
    w, d, h, arm = k.between(0.82, 0.95), k.between(0.8, 0.9), k.between(0.78, 0.86), 0.18
    legs(s, w - 0.08, d - 0.08, 0.1, 0.03, k.wood)
    s.box((-w / 2 + 0.03, 0.09, -d / 2 + 0.03), (w / 2 - 0.03, 0.28, d / 2), k.dark_fabric)
    for x in (-w / 2, w / 2 - arm):
        s.cushion((x, 0.1, -d / 2), (x + arm, 0.6, d / 2), 0.05, k.fabric)
    s.cushion((-w / 2 + arm, 0.28, -d / 2 + 0.02), (w / 2 - arm, 0.46, d / 2 - 0.2), 0.05, k.fabric)
    s.cushion((-w / 2 + arm, 0.28, d / 2 - 0.24), (w / 2 - arm, h, d / 2), 0.07, k.dark_fabric)


def wing_armchair(s: Sketch, k: Kit) -> None:
    """A high back with wings, slim wooden legs."""
    w, d, h = k.between(0.74, 0.82), k.between(0.78, 0.84), k.between(1.05, 1.15)
    legs(s, w - 0.06, d - 0.06, 0.24, 0.03, k.wood, 0.03)
    s.cushion((-w / 2 + 0.1, 0.24, -d / 2), (w / 2 - 0.1, 0.46, d / 2 - 0.1), 0.05, k.fabric)
    s.cushion((-w / 2 + 0.06, 0.3, d / 2 - 0.18), (w / 2 - 0.06, h, d / 2), 0.06, k.dark_fabric)
    z = d / 2
    outline = [
        (0.2, z - 0.02),
        (0.2, -z + 0.06),
        (0.6, -z + 0.06),
        (0.66, z - 0.32),
        (0.82, z - 0.38),
        (h - 0.04, z - 0.3),
        (h - 0.02, z - 0.02),
    ]
    for x in (-w / 2, w / 2 - 0.1):
        s.slab(outline[::-1], "x", x, x + 0.1, k.fabric)


def lounge_armchair(s: Sketch, k: Kit) -> None:
    """A leaning seat and back in a bent wooden frame."""
    w, d = k.between(0.66, 0.74), k.between(0.8, 0.88)
    for x in (-w / 2, w / 2 - 0.06):
        arch = [
            (0.0, d / 2),
            (0.06, d / 2),
            (0.06, -d / 2 + 0.08),
            (0.5, -d / 2 + 0.12),
            (0.5, d / 2 - 0.1),
            (0.56, d / 2 - 0.1),
            (0.56, -d / 2 + 0.04),
            (0.0, -d / 2),
        ]
        s.slab(arch, "x", x, x + 0.06, k.wood)
    seat, back = Sketch(), Sketch()
    seat.cushion((-w / 2 + 0.07, -0.06, -0.34), (w / 2 - 0.07, 0.08, 0.3), 0.04, k.fabric)
    back.cushion((-w / 2 + 0.07, 0, -0.07), (w / 2 - 0.07, 0.72, 0.07), 0.05, k.fabric)
    s.join(seat, (0, 0.38, 0.0), pitch=8)
    s.join(back, (0, 0.34, d / 2 - 0.26), pitch=20)


def tub_armchair(s: Sketch, k: Kit) -> None:
    """A round shell around a round seat, low in front."""
    r, h = k.between(0.38, 0.43), k.between(0.7, 0.78)
    s.tube((0, 0.0, 0), (0, 0.1, 0), r * 0.6, IRON, sides=10)
    s.tube((0, 0.1, 0), (0, 0.42, 0), r * 0.9, k.fabric, r * 0.88, sides=14)
    angles = np.radians(np.linspace(-30, 210, 11))
    outer = [(float(np.sin(a) * r), float(np.cos(a) * r)) for a in angles]
    inner = [(float(np.sin(a) * (r - 0.1)), float(np.cos(a) * (r - 0.1))) for a in angles]
    for i in range(10):  # arms rise to the back
        top = 0.56 + (h - 0.56) * min(1.0, max(0.0, (4.5 - abs(i - 4.5) - 1) / 1.5))
        s.slab([outer[i], outer[i + 1], inner[i + 1], inner[i]], "y", 0.12, top, k.dark_fabric)
    s.tube((0, 0.42, -0.02), (0, 0.47, -0.02), r * 0.76, k.fabric, r * 0.7, 12)


def rocking_armchair(s: Sketch, k: Kit) -> None:
    """A wooden rocker with curved runners and a slatted back."""
    w, d, h = k.between(0.6, 0.66), 0.9, k.between(1.05, 1.15)
    t = np.linspace(-1, 1, 9)
    under = [(float(0.14 * a * a), float(a * d / 2)) for a in t]
    over = [(y + 0.05, z) for y, z in under[::-1]]
    for x in (-w / 2, w / 2 - 0.05):
        s.slab([*over, *under], "x", x, x + 0.05, k.wood)
        s.tube((x + 0.025, 0.05, -0.25), (x + 0.025, 0.6, -0.28), 0.022, k.wood, sides=6)
        s.tube((x + 0.025, 0.05, 0.22), (x + 0.025, h, 0.36), 0.022, k.wood, sides=6)
        s.box((x - 0.01, 0.6, -0.34), (x + 0.06, 0.64, 0.3), k.wood)
    s.cushion((-w / 2 + 0.03, 0.36, -0.3), (w / 2 - 0.03, 0.46, 0.26), 0.04, k.fabric)
    for x in np.linspace(-w / 2 + 0.1, w / 2 - 0.1, 5):
        s.tube((x, 0.44, 0.25), (x, h - 0.05, 0.36), 0.014, k.wood, sides=4)
    s.box((-w / 2, h - 0.1, 0.33), (w / 2, h, 0.38), k.lacquer)


def slatted_bench(s: Sketch, k: Kit) -> None:
    """Boards on two frames."""
    w, d, h = k.between(1.1, 1.5), k.between(0.36, 0.42), k.between(0.43, 0.47)
    for i in range(4):
        z = -d / 2 + i * d / 4
        s.box((-w / 2, h - 0.035, z + 0.008), (w / 2, h, z + d / 4 - 0.008), k.lacquer)
    for x in (-w / 2 + 0.1, w / 2 - 0.16):
        for z in (-d / 2 + 0.02, d / 2 - 0.08):
            s.box((x, 0, z), (x + 0.06, h - 0.035, z + 0.06), k.dark_lacquer)
        s.box((x, 0.12, -d / 2 + 0.04), (x + 0.06, 0.18, d / 2 - 0.04), k.dark_lacquer)
    s.box((-w / 2 + 0.12, 0.13, -0.03), (w / 2 - 0.12, 0.17, 0.03), k.dark_lacquer)


def padded_bench(s: Sketch, k: Kit) -> None:
    """An upholstered bench on six thin legs."""
    w, d, h = k.between(1.1, 1.4), k.between(0.4, 0.46), k.between(0.44, 0.48)
    legs(s, w - 0.06, d - 0.04, h - 0.12, 0.025, k.wood, 0.03, 6)
    s.box((-w / 2 + 0.02, h - 0.15, -d / 2 + 0.02), (w / 2 - 0.02, h - 0.1, d / 2 - 0.02), k.wood)
    s.cushion((-w / 2, h - 0.11, -d / 2), (w / 2, h, d / 2), 0.04, k.fabric)


def settle_bench(s: Sketch, k: Kit) -> None:
    """A hall bench with a back, arms and a closed box below."""
    w, d, h = k.between(1.1, 1.35), 0.45, k.between(0.9, 1.0)
    s.box((-w / 2, 0.05, -d / 2 + 0.02), (w / 2, 0.42, d / 2), k.lacquer)
    s.box((-w / 2, 0.42, -d / 2), (w / 2, 0.46, d / 2), k.dark_lacquer)
    s.box((-w / 2, 0.46, d / 2 - 0.04), (w / 2, h, d / 2), k.lacquer)
    for x in np.linspace(-w / 2 + 0.06, w / 2 - 0.32, 4):
        s.box((x, 0.52, d / 2 - 0.055), (x + 0.24, h - 0.08, d / 2 - 0.035), k.dark_lacquer)
    for x in (-w / 2, w / 2 - 0.05):
        s.box((x, 0.46, -d / 2 + 0.02), (x + 0.05, 0.68, d / 2 - 0.04), k.lacquer)


def trestle_bench(s: Sketch, k: Kit) -> None:
    """One thick plank on two A-shaped trestles."""
    w, d, h = k.between(1.2, 1.6), k.between(0.32, 0.38), 0.46
    s.box((-w / 2, h - 0.06, -d / 2), (w / 2, h, d / 2), k.lacquer)
    for x in (-w / 2 + 0.2, w / 2 - 0.2):
        for z in (-1, 1):
            s.tube((x, 0, z * d * 0.48), (x, h - 0.05, z * d * 0.2), 0.035, k.dark_lacquer, sides=4)
        s.box((x - 0.02, 0.16, -d * 0.4), (x + 0.02, 0.21, d * 0.4), k.dark_lacquer)


MODELS = {
    "sofa": ((block_sofa, slim_sofa, chaise_sofa), (chesterfield_sofa, floor_sofa, camelback_sofa)),
    "armchair": ((club_armchair, wing_armchair, lounge_armchair), (tub_armchair, rocking_armchair)),
    "bench": ((slatted_bench, padded_bench), (settle_bench, trestle_bench)),
}
