"""Rugs, globes, fireplaces and aquariums."""

from __future__ import annotations

import numpy as np

from sim.houses.furniture.palette import BRASS, IRON, STEEL, Kit, Paint, shade
from sim.houses.furniture.parts import contrast, doors, handle_paint
from sim.houses.furniture.primitives import Sketch


def bordered_rug(s: Sketch, k: Kit) -> None:
    """A rectangle with a border and a field."""
    w, d = k.between(1.6, 2.4), k.between(1.1, 1.6)
    s.box((-w / 2, 0, -d / 2), (w / 2, 0.008, d / 2), k.dark_fabric)
    b = 0.14
    s.box((-w / 2 + b, 0.008, -d / 2 + b), (w / 2 - b, 0.010, d / 2 - b), Paint(shade(k.main, 1.4), "carpet", 0.3))
    s.box((-w / 2 + b + 0.06, 0.010, -d / 2 + b + 0.06), (w / 2 - b - 0.06, 0.012, d / 2 - b - 0.06), Paint(k.main, "carpet", 0.3))


def striped_rug(s: Sketch, k: Kit) -> None:
    """Stripes across and fringes at both ends."""
    w, d, count = k.between(1.6, 2.2), k.between(1.0, 1.4), 9
    for i in range(count):
        x = -w / 2 + i * w / count
        s.box((x, 0, -d / 2), (x + w / count, 0.01, d / 2), k.fabric if i % 2 == 0 else Paint(shade(k.main, 1.45), "weave", 0.25))
    for x in (-w / 2 - 0.06, w / 2):
        s.box((x, 0, -d / 2 + 0.02), (x + 0.06, 0.005, d / 2 - 0.02), Paint((0.93, 0.91, 0.85), "weave", 0.1))


def round_rug(s: Sketch, k: Kit) -> None:
    """Concentric rings."""
    r = k.between(0.75, 1.05)
    for i, share in enumerate((1.0, 0.84, 0.62, 0.4)):
        paint = Paint(k.main if i % 2 == 0 else shade(k.main, 1.4), "carpet", 0.3)
        s.tube((0, 0, 0), (0, 0.008 + 0.002 * i, 0), r * share, paint, sides=24)


def diamond_rug(s: Sketch, k: Kit) -> None:
    """A row of diamonds on a long field."""
    w, d = k.between(1.7, 2.3), k.between(0.95, 1.25)
    s.box((-w / 2, 0, -d / 2), (w / 2, 0.008, d / 2), k.fabric)
    for i in range(4):
        x, r = -w / 2 + (i + 0.5) * w / 4, w / 8 * 0.95
        for share, y, paint in ((1.0, 0.010, Paint(shade(k.main, 1.5), "carpet", 0.3)), (0.5, 0.012, k.dark_fabric)):
            a, b = r * share, d * 0.42 * share
            s.slab([(0, x - a), (b, x), (0, x + a), (-b, x)], "y", 0.004, y, paint)


def scalloped_rug(s: Sketch, k: Kit) -> None:
    """An oval with a scalloped edge and a plain middle."""
    w, d = k.between(1.5, 2.0), k.between(1.1, 1.4)
    angles = np.arange(32) * 2 * np.pi / 32
    for scale, y, paint in ((1.0, 0.008, Paint(k.main, "carpet", 0.4)), (0.6, 0.010, Paint(shade(k.main, 1.35), "carpet", 0.4))):
        reach = [scale * (0.94 + 0.06 * float(np.cos(8 * a))) for a in angles]
        s.slab([(float(np.cos(a)) * r * d / 2, float(np.sin(a)) * r * w / 2) for a, r in zip(angles, reach)], "y", 0, y, paint)


def _earth(s: Sketch, k: Kit, y: float, r: float) -> None:
    ball = Sketch()
    ball.sphere((0, 0, 0), r, k.enamel, 12, 8)
    land = Paint((0.36, 0.58, 0.24)) if k.main[2] > k.main[1] else Paint((0.62, 0.42, 0.2))
    for lat, lon, size in (
        (0.7, 0.2, 0.42),
        (0.2, 0.0, 0.4),
        (-0.3, 0.1, 0.3),
        (0.6, 1.9, 0.55),
        (0.2, 2.5, 0.35),
        (-0.5, 2.9, 0.3),
        (0.6, 4.0, 0.4),
        (-0.2, 4.4, 0.38),
        (0.1, 5.3, 0.25),
    ):
        x, yy, z = (r * 0.64 * float(v) for v in (np.cos(lat) * np.cos(lon), np.sin(lat), np.cos(lat) * np.sin(lon)))
        ball.sphere((x, yy, z), r * (size + 0.08), land, 6, 4)
    s.join(ball, (0, y, 0), roll=23)


def floor_globe(s: Sketch, k: Kit) -> None:
    """A globe in a brass ring on a three-footed stand."""
    r, h = k.between(0.2, 0.26), k.between(0.95, 1.1)
    y = h - r - 0.03
    _earth(s, k, y, r)
    s.ring((0, y, 0), r + 0.035, 0.014, "z", BRASS, 20, 4)
    s.tube((0, 0.15, 0), (0, y - r - 0.02, 0), 0.025, k.wood, sides=8)
    for angle in np.radians((90, 210, 330)):
        s.tube((float(np.cos(angle)) * 0.24, 0.02, float(np.sin(angle)) * 0.24), (0, 0.22, 0), 0.022, k.wood, sides=5)


def cradle_globe(s: Sketch, k: Kit) -> None:
    """A large globe sunk in a round wooden table ring on four legs."""
    r = k.between(0.25, 0.3)
    y = r + 0.42
    _earth(s, k, y, r)
    s.ring((0, y, 0), r + 0.06, 0.035, "y", k.wood, 16, 4)
    for angle in np.radians((45, 135, 225, 315)):
        x, z = float(np.cos(angle)) * (r + 0.06), float(np.sin(angle)) * (r + 0.06)
        s.tube((x, 0, z), (x, y, z), 0.02, k.wood, 0.026, 6)
    s.ring((0, 0.16, 0), r + 0.05, 0.014, "y", k.wood, 12, 4)


def mantel_fireplace(s: Sketch, k: Kit) -> None:
    """Surround and mantelpiece, black opening, logs and flames."""
    w, h, d = k.between(1.25, 1.5), k.between(1.05, 1.2), k.between(0.32, 0.4)
    stone = Paint(k.main, k.one_of("marble", "white"), 0.8)
    _hearth(s, w, d, h, stone, 0.22)
    s.box((-w / 2 - 0.08, h - 0.07, -d / 2 - 0.06), (w / 2 + 0.08, h, d / 2), Paint(shade(k.main, 0.88)))
    for x in (-w / 2, w / 2 - 0.2):
        s.box((x + 0.03, 0.05, -d / 2 - 0.03), (x + 0.17, h - 0.1, -d / 2), Paint(shade(k.main, 0.9)))


def _hearth(s: Sketch, w: float, d: float, h: float, stone: Paint, side: float) -> None:
    low, top = 0.05, h * 0.68
    s.box((-w / 2 - 0.04, 0, -d / 2 - 0.12), (w / 2 + 0.04, low, d / 2), Paint((0.35, 0.34, 0.34)))
    for x in (-w / 2, w / 2 - side):
        s.box((x, low, -d / 2), (x + side, h - 0.05, d / 2), stone)
    s.box((-w / 2 + side, top, -d / 2), (w / 2 - side, h - 0.05, d / 2), stone)
    s.box((-w / 2 + side, low, d / 2 - 0.05), (w / 2 - side, top, d / 2), Paint((0.10, 0.08, 0.08)))
    for z, x in ((-0.02, -0.04), (0.06, 0.05)):
        s.tube((x - 0.24, low + 0.06, z), (x + 0.22, low + 0.08, z + 0.03), 0.05, Paint((0.33, 0.20, 0.12)), sides=6)
    for x, tall, tone in (
        (-0.16, 0.22, (1.0, 0.55, 0.08)),
        (0.0, 0.34, (1.0, 0.78, 0.2)),
        (0.15, 0.26, (1.0, 0.45, 0.05)),
        (-0.06, 0.2, (1.0, 0.9, 0.4)),
    ):
        s.taper((x - 0.07, low + 0.08, -0.02), (x + 0.07, low + 0.08 + tall, 0.06), (0.08, 0.2), Paint(tone))


def brick_fireplace(s: Sketch, k: Kit) -> None:
    """A brick breast up to the ceiling with a wooden beam."""
    w, d = k.between(1.3, 1.6), k.between(0.38, 0.45)
    brick = Paint(k.main, "brick", 0.5)
    _hearth(s, w, d, 1.15, brick, 0.3)
    s.box((-w / 2 - 0.06, 1.1, -d / 2 - 0.06), (w / 2 + 0.06, 1.2, d / 2), k.wood)
    s.taper((-w / 2, 1.2, -d / 2 + 0.02), (w / 2, 2.3, d / 2), (0.7, 1.0), brick)


def stove_fireplace(s: Sketch, k: Kit) -> None:
    """A free-standing stove with a glass door and a flue, on a hearth plate."""
    w, d, h = k.between(0.55, 0.65), 0.45, k.between(0.85, 0.95)
    s.box((-0.5, 0, -0.4), (0.5, 0.02, 0.32), Paint((0.45, 0.45, 0.46)))
    s.cushion((-w / 2, 0.16, -d / 2), (w / 2, h, d / 2), 0.03, Paint(k.main))
    for x in (-w / 2 + 0.06, w / 2 - 0.06):
        for z in (-d / 2 + 0.06, d / 2 - 0.06):
            s.tube((x, 0, z), (x, 0.18, z), 0.025, IRON, sides=5)
    s.box((-w * 0.38, 0.3, -d / 2 - 0.02), (w * 0.38, h - 0.14, -d / 2 + 0.01), Paint((0.12, 0.08, 0.07)))
    for x, tall, tone in ((-0.12, 0.2, (1.0, 0.5, 0.08)), (0.0, 0.3, (1.0, 0.78, 0.2)), (0.12, 0.22, (1.0, 0.6, 0.1))):
        s.taper((x - 0.06, 0.34, -d / 2 - 0.035), (x + 0.06, 0.34 + tall, -d / 2 - 0.015), (0.08, 0.5), Paint(tone))
    s.tube((0, h - 0.02, 0.08), (0, 2.3, 0.08), 0.075, IRON, sides=10)


def modern_fireplace(s: Sketch, k: Kit) -> None:
    """A smooth wide block with a long low ribbon of fire."""
    w, d, h = k.between(1.6, 1.9), 0.38, k.between(1.15, 1.3)
    s.box((-w / 2, 0, -d / 2), (w / 2, 0.36, d / 2), Paint(k.main, "speckle", 0.8))
    s.box((-w / 2, 0.72, -d / 2), (w / 2, h, d / 2), Paint(k.main, "speckle", 0.8))
    for x in (-w / 2, w / 2 - 0.14):
        s.box((x, 0.36, -d / 2), (x + 0.14, 0.72, d / 2), Paint(k.main, "speckle", 0.8))
    s.box((-w / 2 + 0.14, 0.36, d / 2 - 0.08), (w / 2 - 0.14, 0.72, d / 2), Paint((0.1, 0.08, 0.08)))
    for i, x in enumerate(np.linspace(-w * 0.36, w * 0.36, 9)):
        tall = 0.14 + 0.1 * ((i * 5) % 3) / 2
        s.taper(
            (float(x) - 0.07, 0.36, -0.04),
            (float(x) + 0.07, 0.36 + tall, 0.04),
            (0.1, 0.2),
            Paint(((1.0, 0.5, 0.08), (1.0, 0.78, 0.2))[i % 2]),
        )


def _tank(s: Sketch, k: Kit, w: float, d: float, low: float, high: float) -> None:
    """Water behind a drawn front: one textured block in a frame."""
    view = Paint((1, 1, 1), "aquarium", 0)
    s.box(
        (-w / 2 + 0.01, low, -d / 2 + 0.01),
        (w / 2 - 0.01, high, d / 2 - 0.01),
        Paint((0.20, 0.55, 0.75)),
        {f: view for f in ("-z", "+z", "+x", "-x")},
    )
    for y0, y1 in ((low - 0.03, low + 0.02), (high - 0.01, high + 0.07)):
        s.box((-w / 2, y0, -d / 2), (w / 2, y1, d / 2), k.dark_lacquer)


def cabinet_aquarium(s: Sketch, k: Kit) -> None:
    """A glass tank with fish on a cabinet."""
    w, d, h = k.between(0.9, 1.25), k.between(0.38, 0.45), k.between(0.68, 0.78)
    s.box((-w / 2, 0.04, -d / 2 + 0.02), (w / 2, h, d / 2), k.lacquer)
    doors(s, (-w / 2, 0.06), (w / 2, h - 0.02), -d / 2 + 0.02, 2, contrast(k), handle_paint(k))
    _tank(s, k, w, d, h + 0.03, h + k.between(0.48, 0.58))


def stand_aquarium(s: Sketch, k: Kit) -> None:
    """A long tank on an open frame."""
    w, d, h = k.between(1.1, 1.4), 0.42, k.between(0.6, 0.7)
    for x in (-w / 2 + 0.01, w / 2 - 0.06):
        for z in (-d / 2 + 0.01, d / 2 - 0.06):
            s.box((x, 0, z), (x + 0.05, h, z + 0.05), k.lacquer)
    s.box((-w / 2 + 0.02, 0.15, -d / 2 + 0.02), (w / 2 - 0.02, 0.18, d / 2 - 0.02), k.lacquer)
    s.tube((0.2, 0.18, 0), (0.2, 0.4, 0), 0.09, STEEL, sides=8)
    _tank(s, k, w, d, h, h + 0.5)


def column_aquarium(s: Sketch, k: Kit) -> None:
    """A hexagonal tower of water with a cap."""
    r, h = k.between(0.27, 0.32), k.between(1.35, 1.55)
    s.tube((0, 0, 0), (0, 0.5, 0), r, k.lacquer, r * 0.96, 6)
    view = Sketch()
    corners = [(float(np.cos(a)) * r * 0.94, float(np.sin(a)) * r * 0.94) for a in np.radians(np.arange(6) * 60 + 30)]
    for a, b in zip(corners, [*corners[1:], corners[0]]):
        view.quad((b[0], h, b[1]), (b[0], 0.5, b[1]), (a[0], 0.5, a[1]), (a[0], h, a[1]), Paint((1, 1, 1), "aquarium", 0), double=True)
    s.join(view)
    s.tube((0, h, 0), (0, h + 0.1, 0), r, k.lacquer, r * 0.8, 6)


MODELS = {
    "rug": ((bordered_rug, striped_rug, round_rug), (diamond_rug, scalloped_rug)),
    "globe": ((floor_globe,), (cradle_globe,)),
    "fireplace": ((mantel_fireplace, brick_fireplace), (stove_fireplace, modern_fireplace)),
    "aquarium": ((cabinet_aquarium, stand_aquarium), (column_aquarium,)),
}
