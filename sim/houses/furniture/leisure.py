"""Television, piano and guitar."""

from __future__ import annotations

from sim.houses.furniture.palette import CHROME, IRON, STEEL, Kit, Paint, shade
from sim.houses.furniture.parts import contrast, doors, drawers, handle_paint, legs
from sim.houses.furniture.primitives import Sketch

_KEYS = Paint((1, 1, 1), "keys", 0)
_BLACK = Paint((0.07, 0.07, 0.08))
_SCREEN = Paint((1, 1, 1), "tv_screen", 0)


def _flat_screen(s: Sketch, w: float, y: float, z: float, bezel: Paint = _BLACK) -> None:
    h = w * 0.57
    s.box((-w / 2, y + 0.06, z - 0.03), (w / 2, y + 0.06 + h, z + 0.03), bezel)
    s.box((-w / 2 + 0.02, y + 0.08, z - 0.034), (w / 2 - 0.02, y + 0.04 + h, z - 0.028), _BLACK, {"-z": _SCREEN})
    s.box((-0.2, y, z - 0.1), (0.2, y + 0.02, z + 0.1), _BLACK)
    s.box((-0.05, y + 0.01, z - 0.02), (0.05, y + 0.12, z + 0.02), _BLACK)


def stand_television(s: Sketch, k: Kit) -> None:
    """A flat screen on a low cabinet of the main colour."""
    screen = k.between(1.05, 1.35)
    w, d, h = screen + k.between(0.1, 0.4), k.between(0.38, 0.44), k.between(0.45, 0.55)
    s.box((-w / 2, 0.06, -d / 2 + 0.02), (w / 2, h, d / 2), k.lacquer)
    s.box((-w / 2 + 0.04, 0, -d / 2 + 0.06), (w / 2 - 0.04, 0.06, d / 2 - 0.02), IRON)
    drawers(s, (-w / 2, 0.07), (w / 2, h - 0.02), -d / 2 + 0.02, 1, 3, contrast(k), handle_paint(k))
    _flat_screen(s, screen, h, 0.05)


def open_television(s: Sketch, k: Kit) -> None:
    """A flat screen on an open shelf with boxes in it and slim speakers at the sides."""
    screen = k.between(0.95, 1.15)
    w, d, h = screen + 0.2, 0.4, k.between(0.48, 0.58)
    for y in (0.08, h * 0.5, h - 0.03):
        s.box((-w / 2, y, -d / 2), (w / 2, y + 0.03, d / 2), k.lacquer)
    for x in (-w / 2, -0.015, w / 2 - 0.03):
        s.box((x, 0, -d / 2 + 0.01), (x + 0.03, h - 0.02, d / 2), k.lacquer)
    s.box((-w * 0.4, h * 0.5 + 0.03, -d / 2 + 0.05), (-w * 0.12, h * 0.5 + 0.11, d / 2 - 0.06), _BLACK)
    _flat_screen(s, screen, h, 0.05)
    for x in (-w / 2 - 0.14, w / 2 + 0.14):
        s.box((x - 0.09, 0, -0.1), (x + 0.09, 0.95, 0.14), k.dark_lacquer)
        for y, r in ((0.3, 0.065), (0.55, 0.065), (0.78, 0.04)):
            s.tube((x, y, -0.1), (x, y, -0.115), r, STEEL, sides=10)


def tube_television(s: Sketch, k: Kit) -> None:
    """An old deep set with aerials on a small table."""
    w, h = k.between(0.62, 0.75), k.between(0.5, 0.58)
    legs(s, w + 0.1, 0.5, h - 0.02, 0.025, k.wood, 0.06, 6)
    s.box((-w / 2 - 0.08, h - 0.04, -0.27), (w / 2 + 0.08, h, 0.27), k.wood)
    s.cushion((-w / 2, h, -0.24), (w / 2, h + 0.56, 0.1), 0.04, k.lacquer)
    s.box((-w * 0.3, h + 0.08, 0.08), (w * 0.3, h + 0.44, 0.24), _BLACK)
    s.box((-w / 2 + 0.05, h + 0.07, -0.252), (w * 0.24, h + 0.49, -0.23), _BLACK, {"-z": _SCREEN})
    for y in (0.42, 0.3):
        s.tube((w * 0.37, h + y, -0.24), (w * 0.37, h + y, -0.275), 0.035, CHROME, sides=8)
    for x in (-0.28, 0.28):
        s.tube((0, h + 0.56, -0.05), (x, h + 0.95, -0.05), 0.006, CHROME, sides=4)


def wall_unit_television(s: Sketch, k: Kit) -> None:
    """A screen in a wall unit with cupboards and shelves around it."""
    w, d, h = k.between(1.9, 2.2), 0.4, k.between(1.7, 1.85)
    s.box((-w / 2, 0.05, -d / 2), (w / 2, 0.45, d / 2), k.lacquer)
    doors(s, (-w / 2, 0.06), (w / 2, 0.44), -d / 2, 4, contrast(k), handle_paint(k))
    for x in (-w / 2, w / 2 - 0.34):
        s.box((x, 0.45, -d / 2 + 0.06), (x + 0.34, h, d / 2), k.lacquer)
        doors(s, (x, 0.47), (x + 0.34, h - 0.02), -d / 2 + 0.06, 1, contrast(k), handle_paint(k))
    s.box((-w / 2 + 0.3, h - 0.28, -d / 2 + 0.1), (w / 2 - 0.3, h, d / 2), k.lacquer)
    s.box((-w / 2 + 0.3, 0.45, d / 2 - 0.02), (w / 2 - 0.3, h - 0.2, d / 2), k.dark_lacquer)
    _flat_screen(s, w - 0.84, 0.45, 0.04)


def upright_piano(s: Sketch, k: Kit) -> None:
    """Case, keyboard shelf, two legs, music, a stool in front."""
    w, d, h = k.between(1.42, 1.5), k.between(0.56, 0.62), k.between(1.1, 1.25)
    gloss = k.enamel if sum(k.main) / 3 < 0.2 or sum(k.main) / 3 > 0.8 else k.lacquer
    s.box((-w / 2, 0.05, -d / 2 + 0.25), (w / 2, h - 0.03, d / 2), gloss)
    s.box((-w / 2 - 0.02, h - 0.03, -d / 2 + 0.22), (w / 2 + 0.02, h, d / 2), k.dark_lacquer)
    _keyboard(s, k, w, -d / 2, -d / 2 + 0.26, 0.64)
    for x in (-w / 2 + 0.01, w / 2 - 0.08):
        s.box((x, 0, -d / 2), (x + 0.07, 0.6, -d / 2 + 0.07), gloss)
        s.box((x, 0, -d / 2), (x + 0.07, 0.06, d / 2), gloss)
    s.box((-0.3, 0.82, -d / 2 + 0.22), (0.3, 1.06, -d / 2 + 0.25), Paint((0.96, 0.95, 0.9)))
    for x in (-0.08, 0.0, 0.08):
        s.box((x - 0.015, 0.08, -d / 2 + 0.12), (x + 0.015, 0.1, -d / 2 + 0.26), Paint((0.80, 0.64, 0.28)))
    _stool(s, -d / 2 - 0.3)


def _keyboard(s: Sketch, k: Kit, w: float, front: float, back: float, y: float) -> None:
    s.box((-w / 2, y - 0.07, front), (w / 2, y, back), k.dark_lacquer)
    s.box(
        (-w / 2 + 0.08, y, front + 0.03),
        (w / 2 - 0.08, y + 0.03, back - 0.04),
        Paint((0.95, 0.94, 0.9)),
        {"+y": _KEYS, "-z": Paint((0.97, 0.96, 0.93))},
    )
    for x in (-w / 2, w / 2 - 0.08):
        s.box((x, y, front), (x + 0.08, y + 0.09, back), k.dark_lacquer)


def _stool(s: Sketch, z: float) -> None:
    seat = Sketch()
    legs(seat, 0.56, 0.3, 0.42, 0.025, _BLACK)
    seat.cushion((-0.3, 0.41, -0.16), (0.3, 0.49, 0.16), 0.02, Paint((0.16, 0.1, 0.09), "leather", 0.3))
    s.join(seat, (0, 0, z))


def spinet_piano(s: Sketch, k: Kit) -> None:
    """A low piano with turned legs and a curved lid edge."""
    w, d, h = k.between(1.4, 1.46), 0.6, k.between(0.95, 1.02)
    side = [
        (0.12, d / 2),
        (h, d / 2),
        (h, d / 2 - 0.26),
        (0.76, -d / 2 + 0.24),
        (0.56, -d / 2),
        (0.5, -d / 2),
        (0.5, d / 2 - 0.2),
        (0.12, d / 2 - 0.2),
    ]
    for x in (-w / 2, w / 2 - 0.06):
        s.slab(side, "x", x, x + 0.06, k.dark_lacquer)
    s.box((-w / 2 + 0.06, 0.12, d / 2 - 0.22), (w / 2 - 0.06, h, d / 2), k.lacquer)
    _keyboard(s, k, w - 0.12, -d / 2, -d / 2 + 0.26, 0.62)
    s.box((-w / 2 + 0.06, 0.62, -d / 2 + 0.24), (w / 2 - 0.06, 0.8, d / 2 - 0.2), k.lacquer)
    for x in (-w / 2 + 0.06, w / 2 - 0.06):
        s.lathe((x, 0, -d / 2 + 0.08), [(0.035, 0), (0.025, 0.1), (0.05, 0.3), (0.03, 0.4), (0.05, 0.55)], k.dark_lacquer, 8)
        s.box((x - 0.05, 0, -d / 2), (x + 0.05, 0.04, d / 2), k.dark_lacquer)
    s.box((-0.26, h, d / 2 - 0.14), (0.26, h + 0.24, d / 2 - 0.12), Paint((0.96, 0.95, 0.9)))
    _stool(s, -d / 2 - 0.3)


def grand_piano(s: Sketch, k: Kit) -> None:
    """A baby grand: wing-shaped body on three legs, lid propped up."""
    w, long = k.between(1.4, 1.48), k.between(1.45, 1.6)
    wing = [
        (-0.15, -w / 2),
        (-0.15, w / 2),
        (0.35, w / 2),
        (long * 0.55, w * 0.2),
        (long * 0.8, -w * 0.02),
        (long, -w * 0.16),
        (long + 0.05, -w * 0.36),
        (long - 0.08, -w / 2),
    ]
    s.slab(wing[::-1], "y", 0.58, 0.86, k.enamel)
    s.slab([(z * 0.93 + 0.08, x * 0.9) for z, x in wing[::-1]], "y", 0.855, 0.87, Paint((0.80, 0.62, 0.26)))
    lid = Sketch()
    lid.slab([(z, x + w / 2) for z, x in wing[::-1] if z > -0.1], "y", 0, 0.025, k.enamel)
    s.join(lid, (-w / 2, 0.87, 0), roll=32)
    s.tube((w * 0.28, 0.86, 0.3), (w * 0.13, 1.3, 0.35), 0.012, _BLACK, sides=4)
    s.box((-w / 2, 0.58, -0.42), (w / 2, 0.66, -0.1), k.enamel)
    for x in (-w / 2, w / 2 - 0.08):
        s.box((x, 0.66, -0.42), (x + 0.08, 0.86, -0.1), k.enamel)
    s.box((-w / 2 + 0.08, 0.66, -0.4), (w / 2 - 0.08, 0.69, -0.2), Paint((0.95, 0.94, 0.9)), {"+y": _KEYS})
    s.box((-0.3, 0.86, -0.06), (0.3, 1.1, -0.03), k.enamel)
    for x, z in ((-w / 2 + 0.12, -0.15), (w / 2 - 0.12, -0.15), (-w * 0.32, long - 0.2)):
        s.tube((x, 0, z), (x, 0.6, z), 0.035, k.enamel, 0.065, 8)
    _stool(s, -0.72)


def _guitar_body(s: Sketch, outline: list[tuple[float, float]], depth: float, k: Kit, hole: bool) -> None:
    s.slab(outline, "z", 0, depth, Paint(shade(k.main, 0.7), "grain", 0.5))
    s.slab([(x * 0.94, (y - 0.25) * 0.96 + 0.25) for x, y in outline], "z", -0.006, 0.01, k.lacquer)
    if hole:
        s.tube((0, 0.34, -0.004), (0, 0.34, -0.012), 0.055, Paint((0.93, 0.85, 0.65)), sides=14)
        s.tube((0, 0.34, -0.01), (0, 0.34, -0.016), 0.045, _BLACK, sides=14)


def _neck(s: Sketch, low: float, top: float) -> None:
    s.box((-0.028, low, -0.02), (0.028, top, 0.01), Paint((0.24, 0.15, 0.10)))
    s.taper((-0.035, top, -0.02), (0.035, top + 0.16, 0.005), (1.15, 0.9), Paint((0.35, 0.2, 0.12)))
    for x in (-0.05, 0.045):
        for y in (0.03, 0.075, 0.12):
            s.box((x - 0.01, top + y, -0.012), (x + 0.015, top + y + 0.02, 0.0), CHROME)
    for x in (-0.016, 0.0, 0.016):
        s.box((x - 0.0025, 0.16, -0.026), (x + 0.0025, top, -0.0225), Paint((0.9, 0.9, 0.85)))


def _rounded(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The right half of an outline, mirrored: (x, y) from bottom to top with x >= 0, made counter-clockwise."""
    return [*points, *[(-x, y) for x, y in points[::-1] if x > 1e-6]]


def acoustic_guitar(s: Sketch, k: Kit) -> None:
    """An acoustic guitar leaning on an A-stand."""
    body = _rounded(
        [(0.0, 0.0), (0.11, 0.02), (0.185, 0.1), (0.19, 0.18), (0.13, 0.28), (0.12, 0.32), (0.145, 0.4), (0.12, 0.47), (0.05, 0.5)]
    )
    one = Sketch()
    _guitar_body(one, body, 0.1, k, True)
    one.box((-0.06, 0.13, -0.02), (0.06, 0.15, 0.0), Paint((0.2, 0.12, 0.08)))
    _neck(one, 0.44, 0.86)
    s.join(one, (0, 0.14, 0), pitch=12)
    _guitar_stand(s)


def _guitar_stand(s: Sketch) -> None:
    for x in (-0.18, 0.18):
        s.tube((x, 0.012, -0.12), (0, 0.5, 0.2), 0.012, IRON, sides=5)
        s.tube((x, 0.13, -0.06), (x * 0.5, 0.13, 0.1), 0.014, IRON, sides=5)
    s.tube((0, 0.012, 0.34), (0, 0.5, 0.2), 0.012, IRON, sides=5)


def electric_guitar(s: Sketch, k: Kit) -> None:
    """A solid body with two horns on a stand."""
    body = [
        (0.0, 0.0), (0.12, 0.02), (0.17, 0.1), (0.14, 0.2), (0.13, 0.26), (0.165, 0.36), (0.13, 0.42), (0.08, 0.36), (0.04, 0.32),
        (-0.04, 0.32), (-0.09, 0.38), (-0.13, 0.46), (-0.175, 0.42), (-0.15, 0.28), (-0.15, 0.2), (-0.175, 0.1), (-0.11, 0.02),
    ]  # fmt: skip
    one = Sketch()
    one.slab(body, "z", 0, 0.05, k.enamel)
    one.slab([(-0.1, 0.08), (0.1, 0.06), (0.12, 0.16), (0.05, 0.3), (-0.06, 0.3)], "z", -0.006, 0.01, Paint((0.95, 0.94, 0.9)))
    for y in (0.12, 0.18, 0.25):
        one.box((-0.045, y, -0.02), (0.045, y + 0.025, 0), _BLACK)
    _neck(one, 0.3, 0.84)
    s.join(one, (0, 0.14, 0.02), pitch=12)
    _guitar_stand(s)


def bass_guitar(s: Sketch, k: Kit) -> None:
    """A waisted acoustic bass with slits for a sound hole, on a round foot."""
    body = _rounded(
        [(0.0, 0.0), (0.14, 0.03), (0.22, 0.13), (0.22, 0.24), (0.15, 0.33), (0.14, 0.38), (0.17, 0.47), (0.12, 0.56), (0.04, 0.58)]
    )
    one = Sketch()
    _guitar_body(one, body, 0.09, k, False)
    for x in (-0.1, 0.1):
        one.box((x - 0.012, 0.18, -0.012), (x + 0.012, 0.34, -0.004), _BLACK)
    one.box((-0.05, 0.1, -0.03), (0.05, 0.12, 0.0), Paint((0.2, 0.12, 0.08)))
    _neck(one, 0.5, 0.98)
    s.join(one, (0, 0.16, 0), pitch=6)
    s.tube((0, 0, 0.1), (0, 0.02, 0.1), 0.2, IRON, sides=12)
    s.tube((0, 0.02, 0.14), (0, 0.95, 0.2), 0.014, IRON, sides=5)
    s.box((-0.12, 0.13, -0.06), (0.12, 0.16, 0.16), IRON)


MODELS = {
    "television": ((stand_television, open_television), (tube_television, wall_unit_television)),
    "piano": ((upright_piano, spinet_piano), (grand_piano,)),
    "guitar": ((acoustic_guitar, electric_guitar), (bass_guitar,)),
}
