"""Things that hang on a wall (back flat at +Z, bottom at y = 0; the caller lifts them): paintings, mirrors, clocks."""

from __future__ import annotations

import numpy as np

from sim.houses.furniture.palette import BRASS, IRON, Kit, Paint, shade
from sim.houses.furniture.primitives import Sketch

TRAIN_PICTURES, UNSEEN_PICTURES = 24, 12


def _frame(s: Sketch, w: float, h: float, bar: float, depth: float, paint: Paint) -> None:
    for y in (0.0, h - bar):
        s.box((-w / 2, y, -depth), (w / 2, y + bar, 0), paint)
    for x in (-w / 2, w / 2 - bar):
        s.box((x, bar, -depth), (x + bar, h - bar, 0), paint)


def _picture(k: Kit, unseen: bool) -> Paint:
    first, count = (TRAIN_PICTURES, UNSEEN_PICTURES) if unseen else (0, TRAIN_PICTURES)
    return Paint((1, 1, 1), f"picture_{first + int(k.rng.integers(count)):02d}", 0)


def wide_painting(s: Sketch, k: Kit) -> None:
    """A landscape format in a broad frame of the main colour."""
    w, h = k.between(0.9, 1.4), k.between(0.6, 0.85)
    s.box((-w / 2 + 0.03, 0.03, -0.02), (w / 2 - 0.03, h - 0.03, 0), k.enamel, {"-z": _picture(k, False)})
    _frame(s, w, h, k.between(0.05, 0.08), 0.045, k.lacquer)


def tall_painting(s: Sketch, k: Kit) -> None:
    """An upright picture with a pale mat inside its frame."""
    w, h = k.between(0.55, 0.8), k.between(0.8, 1.1)
    s.box((-w / 2 + 0.02, 0.02, -0.02), (w / 2 - 0.02, h - 0.02, 0), Paint((0.94, 0.93, 0.90)))
    s.box((-w / 2 + 0.13, 0.14, -0.026), (w / 2 - 0.13, h - 0.14, -0.018), k.enamel, {"-z": _picture(k, False)})
    _frame(s, w, h, 0.045, 0.04, k.lacquer)


def pair_painting(s: Sketch, k: Kit) -> None:
    """Two framed pictures side by side."""
    w, h = k.between(0.5, 0.62), k.between(0.65, 0.8)
    for x in (-w / 2 - 0.04, w / 2 + 0.04):
        one = Sketch()
        one.box((-w / 2 + 0.02, 0.02, -0.02), (w / 2 - 0.02, h - 0.02, 0), k.enamel, {"-z": _picture(k, False)})
        _frame(one, w, h, 0.04, 0.04, k.lacquer)
        s.join(one, (x, 0, 0))


def canvas_painting(s: Sketch, k: Kit) -> None:
    """A big square canvas within a thin floating frame."""
    e = k.between(0.9, 1.15)
    s.box((-e / 2 + 0.03, 0.03, -0.05), (e / 2 - 0.03, e - 0.03, 0), k.enamel, {"-z": _picture(k, True)})
    _frame(s, e, e, 0.022, 0.06, k.lacquer)


def triptych_painting(s: Sketch, k: Kit) -> None:
    """One picture over three panels; the frames show as the main colour's edges."""
    w, h, picture = k.between(0.38, 0.46), k.between(0.85, 1.0), _picture(k, True)
    for i in range(3):
        panel = Sketch()
        panel.box((-w / 2, 0, -0.045), (w / 2, h, 0), k.lacquer)
        panel.box((-w / 2 + 0.03, 0.03, -0.052), (w / 2 - 0.03, h - 0.03, -0.04), k.lacquer, {"-z": picture})
        s.join(panel, ((i - 1) * (w + 0.05), 0.06 * (1 - abs(i - 1)), 0))


def oval_painting(s: Sketch, k: Kit) -> None:
    """A portrait format behind a broad oval frame."""
    a, b = k.between(0.2, 0.24), k.between(0.27, 0.32)
    s.box((-a, 0.42 * b, -0.02), (a, 2.42 * b, 0), k.enamel, {"-z": _picture(k, True)})
    angles = np.arange(17) * 2 * np.pi / 16
    for t, u in zip(angles, angles[1:]):  # the outer oval passes beyond the picture's corners (a factor of 2 ** 0.5)
        corners = [(float(np.cos(v)) * a * f, 1.42 * b + float(np.sin(v)) * b * f) for v, f in ((t, 0.98), (t, 1.47), (u, 1.47), (u, 0.98))]
        s.slab(corners, "z", -0.045, 0, k.lacquer)


def framed_mirror(s: Sketch, k: Kit) -> None:
    """An upright rectangle in a frame."""
    w, h = k.between(0.5, 0.7), k.between(0.9, 1.3)
    s.box((-w / 2 + 0.02, 0.02, -0.015), (w / 2 - 0.02, h - 0.02, 0), k.enamel, {"-z": Paint((1, 1, 1), "mirror", 0)})
    _frame(s, w, h, 0.055, 0.04, k.lacquer)


def round_mirror(s: Sketch, k: Kit) -> None:
    """A disc in a ring."""
    r = k.between(0.32, 0.42)
    s.tube((0, r, 0), (0, r, -0.02), r * 0.97, Paint((0.80, 0.88, 0.92), "mirror", 1.0), sides=24)
    s.ring((0, r, -0.02), r, 0.028, "z", k.lacquer, 24, 4)


def arch_mirror(s: Sketch, k: Kit) -> None:
    """A tall pane with a round top and glazing bars."""
    w, h = k.between(0.65, 0.8), k.between(1.2, 1.45)
    arc = [(float(np.cos(a)), float(np.sin(a))) for a in np.radians(np.linspace(0, 180, 11))]
    for edge, low, high, paint in ((0.0, 0.0, 0.035, k.lacquer), (0.05, 0.03, 0.04, Paint((0.80, 0.88, 0.92), "mirror", 1.2))):
        r = w / 2 - edge
        s.slab([(-r, edge), (r, edge), *((c * r, h - w / 2 + d * r) for c, d in arc)], "z", -high, -low, paint)
    s.box((-0.012, 0.03, -0.05), (0.012, h - 0.04, -0.03), k.lacquer)
    for y in (h * 0.34, h * 0.66):
        s.box((-w / 2 + 0.03, y, -0.05), (w / 2 - 0.03, y + 0.024, -0.03), k.lacquer)


def sun_mirror(s: Sketch, k: Kit) -> None:
    """A small disc with rays."""
    r, c = k.between(0.2, 0.25), 0.46
    for i in range(16):
        a = i * 2 * np.pi / 16
        reach = c if i % 2 == 0 else c * 0.8
        s.tube(
            (float(np.cos(a)) * r, c + float(np.sin(a)) * r, -0.02),
            (float(np.cos(a)) * reach, c + float(np.sin(a)) * reach, -0.015),
            0.02,
            k.lacquer,
            0.008,
            4,
        )
    s.tube((0, c, 0), (0, c, -0.035), r, k.lacquer, sides=18)
    s.tube((0, c, -0.03), (0, c, -0.042), r * 0.85, Paint((0.80, 0.88, 0.92), "mirror", 0.8), sides=18)


def _hands(s: Sketch, k: Kit, y: float, r: float, z: float, paint: Paint) -> None:
    """Two hands at a random time; the viewer in front sees +x at the left, so angles run the other way round."""
    for length, width in ((0.5, 0.06), (0.78, 0.04)):
        a = k.between(0, 2 * np.pi)
        x1, y1 = -float(np.sin(a)) * r * length, float(np.cos(a)) * r * length
        nx, ny = y1 / length * width, -x1 / length * width
        s.slab([(-nx / 2, y - ny / 2), (x1, y + y1), (nx / 2, y + ny / 2)], "z", z - 0.008, z, paint)
    s.tube((0, y, z), (0, y, z - 0.012), r * 0.05, paint, sides=6)


def _ticks(s: Sketch, y: float, r: float, z: float, paint: Paint) -> None:
    for i in range(12):
        a = i * np.pi / 6
        tick = Sketch()
        size = 0.05 if i % 3 == 0 else 0.028
        tick.box((-r * size, r * 0.76, -0.004), (r * size, r * 0.92, 0), paint)
        s.join(tick, (0, y, z), roll=float(np.degrees(a)))


def round_clock(s: Sketch, k: Kit) -> None:
    """A white face with ticks in a ring of the main colour."""
    r = k.between(0.2, 0.27)
    s.tube((0, r, 0), (0, r, -0.03), r * 0.95, Paint((0.97, 0.97, 0.94)), sides=22)
    s.ring((0, r, -0.025), r, 0.025, "z", k.enamel, 22, 4)
    _ticks(s, r, r, -0.03, IRON)
    _hands(s, k, r, r, -0.036, IRON)


def station_clock(s: Sketch, k: Kit) -> None:
    """A face in the main colour with pale ticks and hands."""
    r = k.between(0.22, 0.28)
    light = Paint((0.97, 0.97, 0.93)) if sum(k.main) / 3 < 0.6 else IRON
    s.tube((0, r, 0), (0, r, -0.05), r, Paint(shade(k.main, 0.7)), sides=22)
    s.tube((0, r, -0.05), (0, r, -0.056), r * 0.93, k.enamel, sides=22)
    _ticks(s, r, r * 0.95, -0.056, light)
    _hands(s, k, r, r * 0.9, -0.062, light)


def pendulum_clock(s: Sketch, k: Kit) -> None:
    """A case with a gable, a face and a pendulum below."""
    w, h = k.between(0.32, 0.4), k.between(0.8, 0.95)
    s.slab([(-w / 2, 0), (w / 2, 0), (w / 2, h - 0.12), (0, h), (-w / 2, h - 0.12)], "z", -0.1, 0, k.lacquer)
    y, r = h - 0.14 - w * 0.42, w * 0.4
    s.box((-w * 0.36, 0.06, -0.105), (w * 0.36, y - r - 0.03, -0.095), Paint((0.13, 0.10, 0.08)))
    s.box((-0.01, 0.14, -0.115), (0.01, y - r - 0.02, -0.105), BRASS)
    s.tube((0, 0.16, -0.105), (0, 0.16, -0.125), 0.06, BRASS, sides=12)
    s.tube((0, y, -0.1), (0, y, -0.115), r, Paint((0.96, 0.95, 0.88)), sides=18)
    _ticks(s, y, r, -0.115, IRON)
    _hands(s, k, y, r, -0.12, IRON)


def square_clock(s: Sketch, k: Kit) -> None:
    """A square plate with bold marks."""
    e = k.between(0.38, 0.5)
    s.cushion((-e / 2, 0, -0.05), (e / 2, e, 0), 0.02, k.enamel)
    s.box((-e * 0.42, e * 0.08, -0.055), (e * 0.42, e * 0.92, -0.045), Paint((0.97, 0.97, 0.94)))
    _ticks(s, e / 2, e * 0.42, -0.055, Paint(shade(k.main, 0.6)) if sum(k.main) / 3 < 0.8 else IRON)
    _hands(s, k, e / 2, e * 0.42, -0.061, IRON)


MODELS = {
    "painting": ((wide_painting, tall_painting, pair_painting), (canvas_painting, triptych_painting, oval_painting)),
    "mirror": ((framed_mirror, round_mirror), (arch_mirror, sun_mirror)),
    "clock": ((round_clock, station_clock), (pendulum_clock, square_clock)),
}
