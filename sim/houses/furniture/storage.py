"""Wardrobes, dressers, bookshelves, coat racks and toy chests. Doors and drawers face -Z."""

from __future__ import annotations

import numpy as np

from sim.houses.furniture.palette import IRON, Kit, Paint, shade
from sim.houses.furniture.parts import contrast, doors, drawers, handle_paint, legs
from sim.houses.furniture.primitives import Sketch

_TOYS = ((0.85, 0.2, 0.2), (0.2, 0.45, 0.85), (0.95, 0.8, 0.15), (0.25, 0.65, 0.3))


def door_wardrobe(s: Sketch, k: Kit) -> None:
    """Two or three doors on a plinth under a cornice."""
    count = k.one_of(2, 3)
    w, d, h = count * k.between(0.45, 0.52), k.between(0.55, 0.62), k.between(1.9, 2.1)
    s.box((-w / 2 + 0.02, 0, -d / 2 + 0.04), (w / 2 - 0.02, 0.08, d / 2), k.dark_lacquer)
    s.box((-w / 2, 0.08, -d / 2 + 0.02), (w / 2, h - 0.06, d / 2), k.lacquer)
    s.box((-w / 2 - 0.03, h - 0.06, -d / 2 - 0.02), (w / 2 + 0.03, h, d / 2), k.dark_lacquer)
    doors(s, (-w / 2, 0.09), (w / 2, h - 0.07), -d / 2 + 0.02, count, contrast(k), handle_paint(k))


def drawer_wardrobe(s: Sketch, k: Kit) -> None:
    """Doors above two wide drawers."""
    w, d, h = k.between(1.0, 1.25), k.between(0.56, 0.62), k.between(1.85, 2.0)
    s.box((-w / 2, 0.05, -d / 2 + 0.02), (w / 2, h, d / 2), k.lacquer)
    legs(s, w, d - 0.02, 0.06, 0.035, IRON)
    drawers(s, (-w / 2, 0.07), (w / 2, 0.55), -d / 2 + 0.02, 2, 1, contrast(k), handle_paint(k))
    doors(s, (-w / 2, 0.57), (w / 2, h - 0.02), -d / 2 + 0.02, 2, contrast(k), handle_paint(k))


def sliding_wardrobe(s: Sketch, k: Kit) -> None:
    """Two wide sliding doors, one of them a mirror."""
    w, d, h = k.between(1.5, 1.9), 0.62, k.between(2.05, 2.2)
    s.box((-w / 2, 0, -d / 2 + 0.05), (w / 2, h, d / 2), k.lacquer)
    for x in (-w / 2, w / 2 - 0.03):
        s.box((x, 0, -d / 2), (x + 0.03, h, d / 2), k.dark_lacquer)
    s.box((-w / 2, h - 0.05, -d / 2), (w / 2, h, d / 2), k.dark_lacquer)
    s.box((-w / 2 + 0.03, 0.04, -d / 2 + 0.01), (0.02, h - 0.05, -d / 2 + 0.06), contrast(k), {"-z": Paint((1, 1, 1), "mirror", 0)})
    s.box((-0.02, 0.04, -d / 2 + 0.03), (w / 2 - 0.03, h - 0.05, -d / 2 + 0.06), contrast(k))
    s.box((0.04, h * 0.4, -d / 2 + 0.015), (0.07, h * 0.6, -d / 2 + 0.03), handle_paint(k))


def arched_wardrobe(s: Sketch, k: Kit) -> None:
    """An armoire with a curved top and panelled doors on ball feet."""
    w, d, h = k.between(1.05, 1.25), 0.55, k.between(1.95, 2.15)
    x = np.linspace(w / 2, -w / 2, 9)
    s.slab([(-w / 2, 0.1), (w / 2, 0.1), *((float(a), float(h - 0.3 * (2 * a / w) ** 2)) for a in x)], "z", -d / 2 + 0.03, d / 2, k.lacquer)
    for a in (-w / 2 + 0.08, w / 2 - 0.08):
        for z in (-d / 2 + 0.1, d / 2 - 0.08):
            s.sphere((a, 0.06, z), 0.06, k.dark_lacquer, 6, 4)
    doors(s, (-w / 2 + 0.03, 0.14), (w / 2 - 0.03, h - 0.36), -d / 2 + 0.03, 2, contrast(k), handle_paint(k))
    for a in (-w / 4, w / 4):
        for low, high in ((0.24, h * 0.42), (h * 0.46, h - 0.46)):
            s.box((a - w * 0.15, low, -d / 2 + 0.005), (a + w * 0.15, high, -d / 2 + 0.02), k.dark_lacquer)


def chest_dresser(s: Sketch, k: Kit) -> None:
    """Three or four rows of two drawers."""
    rows = k.one_of(3, 4)
    w, d, h = k.between(1.0, 1.4), k.between(0.45, 0.52), rows * k.between(0.22, 0.25) + 0.14
    s.box((-w / 2, 0.1, -d / 2 + 0.02), (w / 2, h - 0.03, d / 2), k.lacquer)
    legs(s, w, d, 0.11, 0.03, k.dark_lacquer)
    s.box((-w / 2 - 0.02, h - 0.03, -d / 2), (w / 2 + 0.02, h, d / 2), k.dark_lacquer)
    drawers(s, (-w / 2 + 0.01, 0.12), (w / 2 - 0.01, h - 0.05), -d / 2 + 0.02, rows, 2, contrast(k), handle_paint(k))


def mirror_dresser(s: Sketch, k: Kit) -> None:
    """A vanity: drawers with a mirror standing on top."""
    w, d, h = k.between(1.0, 1.25), 0.45, k.between(0.76, 0.85)
    s.box((-w / 2, 0.08, -d / 2 + 0.02), (w / 2, h, d / 2), k.lacquer)
    s.box((-w / 2 + 0.04, 0, -d / 2 + 0.06), (w / 2 - 0.04, 0.08, d / 2), k.dark_lacquer)
    drawers(s, (-w / 2 + 0.01, 0.1), (w / 2 - 0.01, h - 0.03), -d / 2 + 0.02, 3, 2, contrast(k), handle_paint(k))
    m = w * 0.36
    s.box((-m, h, d / 2 - 0.05), (m, h + 0.72, d / 2 - 0.01), k.lacquer)
    s.box((-m + 0.05, h + 0.05, d / 2 - 0.06), (m - 0.05, h + 0.67, d / 2 - 0.04), k.lacquer, {"-z": Paint((1, 1, 1), "mirror", 0)})


def tall_dresser(s: Sketch, k: Kit) -> None:
    """A narrow tower of five or six drawers."""
    rows = k.one_of(5, 6)
    w, d, h = k.between(0.55, 0.68), 0.45, rows * 0.21 + 0.1
    s.box((-w / 2, 0, -d / 2 + 0.02), (w / 2, h, d / 2), k.lacquer)
    drawers(s, (-w / 2, 0.06), (w / 2, h - 0.03), -d / 2 + 0.02, rows, 1, contrast(k), handle_paint(k))
    s.box((-w / 2 - 0.02, h, -d / 2 - 0.01), (w / 2 + 0.02, h + 0.03, d / 2), k.dark_lacquer)


def sideboard_dresser(s: Sketch, k: Kit) -> None:
    """A long low body on tapered legs: drawers in the middle, a door at each side."""
    w, d, h = k.between(1.5, 1.8), 0.45, k.between(0.72, 0.8)
    legs(s, w - 0.2, d, 0.2, 0.03, k.wood, 0.03, 6)
    s.box((-w / 2, 0.18, -d / 2 + 0.02), (w / 2, h, d / 2), k.lacquer)
    drawers(s, (-w / 6, 0.2), (w / 6, h - 0.02), -d / 2 + 0.02, 3, 1, contrast(k), handle_paint(k))
    doors(s, (-w / 2 + 0.01, 0.2), (-w / 6, h - 0.02), -d / 2 + 0.02, 1, contrast(k), handle_paint(k))
    doors(s, (w / 6, 0.2), (w / 2 - 0.01, h - 0.02), -d / 2 + 0.02, 1, contrast(k), handle_paint(k))


def _shelf_of_books(s: Sketch, k: Kit, x0: float, x1: float, y: float, room: float, depth: float) -> None:
    """Books that fill part of a shelf, as one textured block, or an ornament."""
    fill = k.between(0.55, 1.0)
    height = min(room * 0.85, k.between(0.2, 0.28))
    end = x0 + (x1 - x0) * fill
    pick = f"books_{int(k.rng.integers(4))}"
    cover = Paint((0.9, 0.88, 0.82))
    s.box((x0 + 0.01, y, -depth / 2 + 0.05), (end - 0.01, y + height, depth / 2 - 0.03), cover, {"-z": Paint((1, 1, 1), pick, 0.42)})
    if fill < 0.75:
        tone = Paint(_TOYS[int(k.rng.integers(4))])
        s.lathe(((end + x1) / 2, y, 0), [(0.04, 0), (0.06, 0.08), (0.03, 0.15), (0.04, 0.17)], tone, 7)


def _shelves(s: Sketch, k: Kit, w: float, d: float, h: float, columns: int, rows: int, back: bool) -> None:
    t = 0.025
    for i in range(columns + 1):
        x = -w / 2 + i * (w - t) / columns
        s.box((x, 0, -d / 2), (x + t, h, d / 2), k.lacquer)
    for j in range(rows + 1):
        y = 0.04 + j * (h - t - 0.04) / rows
        s.box((-w / 2, y, -d / 2 + 0.004), (w / 2, y + t, d / 2), k.lacquer)
    if back:
        s.box((-w / 2, 0, d / 2 - 0.015), (w / 2, h, d / 2 - 0.001), k.dark_lacquer)
    step_y, step_x = (h - t - 0.04) / rows, (w - t) / columns
    for j in range(rows):
        for i in range(columns):
            x = -w / 2 + t + i * step_x
            _shelf_of_books(s, k, x, x + step_x - t, 0.04 + t + j * step_y, step_y - t, d)


def tall_bookshelf(s: Sketch, k: Kit) -> None:
    """A closed back and four or five shelves of books."""
    _shelves(s, k, k.between(0.8, 1.05), k.between(0.28, 0.34), k.between(1.75, 2.05), 1, k.one_of(4, 5), True)


def wide_bookshelf(s: Sketch, k: Kit) -> None:
    """Two columns of compartments."""
    _shelves(s, k, k.between(1.3, 1.6), k.between(0.3, 0.36), k.between(1.4, 1.7), 2, 4, True)


def cube_bookshelf(s: Sketch, k: Kit) -> None:
    """Square compartments, low and wide."""
    edge = k.between(0.36, 0.4)
    _shelves(s, k, 4 * edge, 0.36, 3 * edge + 0.04, 4, 3, True)


def ladder_bookshelf(s: Sketch, k: Kit) -> None:
    """Two leaning stiles, shelves that grow deeper downwards."""
    w, d, h = k.between(0.7, 0.85), 0.46, k.between(1.8, 2.0)
    for x in (-w / 2, w / 2 - 0.035):
        stile = [(0.0, -d / 2), (0.0, -d / 2 + 0.05), (h, d / 2), (h, d / 2 - 0.05)]
        s.slab(stile[::-1], "x", x, x + 0.035, k.lacquer)
    for j in range(4):
        y = 0.25 + j * (h - 0.35) / 4
        front = -d / 2 + d * y / h
        s.box((-w / 2 + 0.03, y, front), (w / 2 - 0.03, y + 0.03, d / 2), k.lacquer)
        books = Sketch()
        _shelf_of_books(books, k, -w / 2 + 0.05, w / 2 - 0.05, y + 0.03, 0.36, d / 2 - front)
        s.join(books, (0, 0, (front + d / 2) / 2))


def stepped_bookshelf(s: Sketch, k: Kit) -> None:
    """Compartments in steps, like a staircase."""
    edge, d, t = k.between(0.38, 0.44), 0.34, 0.025
    columns = 4
    for i in range(columns):
        x, rows = (i - columns / 2) * edge, columns - i
        for j in range(rows):
            y = j * edge
            s.box((x, y, -d / 2), (x + edge, y + t, d / 2), k.lacquer)
            s.box((x, y + t, -d / 2), (x + t, y + edge, d / 2), k.lacquer)
            _shelf_of_books(s, k, x + t, x + edge, y + t, edge - t, d)
        s.box((x, rows * edge, -d / 2), (x + edge + t, rows * edge + t, d / 2), k.lacquer)
        s.box((x + edge, (rows - 1) * edge, -d / 2), (x + edge + t, rows * edge, d / 2), k.lacquer)
        s.box((x, 0, d / 2 - 0.015), (x + edge, rows * edge, d / 2 - 0.002), k.dark_lacquer)


def _coat(s: Sketch, x: float, y: float, z: float, length: float, paint: Paint) -> None:
    s.taper((x - 0.2, y - length, z - 0.08), (x + 0.2, y, z + 0.08), (0.45, 0.5), paint)
    for side in (-1, 1):
        s.tube((x + side * 0.12, y - 0.12, z), (x + side * 0.2, y - length * 0.7, z), 0.05, paint, sides=5)


def tree_coat_rack(s: Sketch, k: Kit) -> None:
    """A pole with hooks, a coat and a hat."""
    h = k.between(1.7, 1.85)
    for angle in np.radians((45, 135, 225, 315)):
        x, z = float(np.cos(angle)), float(np.sin(angle))
        s.tube((x * 0.28, 0.015, z * 0.28), (0, 0.3, 0), 0.022, k.lacquer, sides=5)
        s.tube((0, h - 0.22, 0), (x * 0.2, h - 0.08, z * 0.2), 0.016, k.lacquer, sides=5)
        s.sphere((x * 0.2, h - 0.07, z * 0.2), 0.03, k.dark_lacquer, 5, 4)
    s.tube((0, 0, 0), (0, h - 0.03, 0), 0.028, k.lacquer, sides=8)
    s.sphere((0, h, 0), 0.045, k.dark_lacquer, 6, 4)
    _coat(
        s,
        -0.16,
        h - 0.12,
        -0.14,
        k.between(0.75, 0.95),
        Paint(k.one_of((0.55, 0.12, 0.12), (0.15, 0.25, 0.45), (0.6, 0.5, 0.3)), "weave", 0.2),
    )
    s.lathe((0.14, h - 0.06, 0.14), [(0.15, 0), (0.15, 0.015), (0.08, 0.02), (0.07, 0.11)], Paint((0.3, 0.2, 0.12)), 9)


def stand_coat_rack(s: Sketch, k: Kit) -> None:
    """A rail on two feet with hung clothes."""
    w, h = k.between(1.0, 1.3), k.between(1.5, 1.65)
    for x in (-w / 2, w / 2):
        s.box((x - 0.02, 0, -0.22), (x + 0.02, 0.04, 0.22), k.lacquer)
        s.tube((x, 0.03, 0), (x, h, 0), 0.018, k.lacquer, sides=6)
    s.tube((-w / 2 - 0.08, h - 0.03, 0), (w / 2 + 0.08, h - 0.03, 0), 0.018, k.lacquer, sides=6)
    s.tube((-w / 2, 0.16, 0), (w / 2, 0.16, 0), 0.014, k.lacquer, sides=5)
    tones = ((0.2, 0.3, 0.55), (0.75, 0.7, 0.6), (0.6, 0.15, 0.2), (0.25, 0.4, 0.3))
    for i, x in enumerate(np.linspace(-w * 0.33, w * 0.33, 4)):
        cloth = Sketch()
        cloth.taper((-0.24, -k.between(0.7, 1.0), -0.05), (0.24, 0, 0.05), (0.7, 0.5), Paint(tones[i], "weave", 0.2))
        s.join(cloth, (float(x), h - 0.06, 0), yaw=48)


def panel_coat_rack(s: Sketch, k: Kit) -> None:
    """A hall stand: back panel with hooks, coat, shelf on top, box below."""
    w, d, h = k.between(0.8, 1.0), 0.4, k.between(1.8, 1.95)
    s.box((-w / 2, 0.4, d / 2 - 0.03), (w / 2, h, d / 2), k.lacquer)
    s.box((-w / 2, 0, -d / 2), (w / 2, 0.4, d / 2), k.dark_lacquer)
    s.box((-w / 2, h, d / 2 - 0.28), (w / 2, h + 0.03, d / 2), k.lacquer)
    for x in np.linspace(-w * 0.38, w * 0.38, 4):
        s.tube((float(x), h - 0.2, d / 2 - 0.03), (float(x), h - 0.14, d / 2 - 0.12), 0.014, IRON, sides=5)
    _coat(s, -w * 0.2, h - 0.16, d / 2 - 0.12, 0.9, Paint((0.2, 0.3, 0.5), "weave", 0.2))
    _coat(s, w * 0.22, h - 0.16, d / 2 - 0.12, 0.8, Paint((0.75, 0.6, 0.3), "weave", 0.2))


def box_toy_chest(s: Sketch, k: Kit) -> None:
    """An open box full of toys, coloured blocks on its front."""
    w, d, h = k.between(0.7, 0.9), k.between(0.42, 0.5), k.between(0.42, 0.5)
    t = 0.03
    s.box((-w / 2, 0, -d / 2), (w / 2, h - 0.1, d / 2), k.lacquer)
    for x in (-w / 2, w / 2 - t):
        s.box((x, h - 0.1, -d / 2), (x + t, h, d / 2), k.lacquer)
    for z in (-d / 2, d / 2 - t):
        s.box((-w / 2, h - 0.1, z), (w / 2, h, z + t), k.lacquer)
    for i, x in enumerate(np.linspace(-w * 0.34, w * 0.34, 4)):
        s.box((x - 0.05, h * 0.3, -d / 2 - 0.015), (x + 0.05, h * 0.3 + 0.1, -d / 2), Paint(shade(_TOYS[i], 1.2)))
    s.sphere((-w * 0.25, h - 0.02, 0), 0.13, Paint(_TOYS[0]), 8, 6)
    s.sphere((w * 0.27, h - 0.02, 0.04), 0.11, Paint(_TOYS[1]), 8, 6)
    s.box((-0.07, h - 0.1, -0.08), (0.06, h + 0.06, 0.05), Paint(_TOYS[2]))
    _teddy(s, 0.02, h - 0.06, 0.11)


def _teddy(s: Sketch, x: float, y: float, z: float) -> None:
    fur = Paint((0.65, 0.44, 0.25), "weave", 0.2)
    s.sphere((x, y + 0.12, z), 0.09, fur, 6, 4)
    s.sphere((x, y + 0.26, z), 0.075, fur, 6, 4)
    for side in (-0.06, 0.06):
        s.sphere((x + side, y + 0.33, z), 0.03, fur, 5, 3)


def trunk_toy_chest(s: Sketch, k: Kit) -> None:
    """A trunk with a half-open lid."""
    w, d, h = k.between(0.75, 0.9), 0.45, 0.42
    s.box((-w / 2, 0.03, -d / 2), (w / 2, h, d / 2), k.lacquer)
    for x in (-w * 0.3, w * 0.3):
        s.box((x - 0.025, 0.03, -d / 2 - 0.008), (x + 0.025, h, d / 2), k.dark_lacquer)
    lid = Sketch()
    lid.box((-w / 2, 0, -d), (w / 2, 0.04, 0), k.lacquer, {"-y": k.dark_lacquer})
    s.join(lid, (0, h, d / 2), pitch=70)
    _teddy(s, -w * 0.22, h - 0.06, 0.02)
    s.sphere((w * 0.18, h + 0.04, 0), 0.12, Paint(_TOYS[2]), 8, 6)
    s.box((-0.05, h, -0.12), (0.07, h + 0.12, 0.0), Paint(_TOYS[1]))


def wagon_toy_chest(s: Sketch, k: Kit) -> None:
    """A box on four big wheels with a handle and toys."""
    w, d, h = k.between(0.75, 0.9), 0.42, 0.44
    s.box((-w / 2, 0.14, -d / 2), (w / 2, h, d / 2), k.lacquer)
    for x in (-w * 0.32, w * 0.32):
        for z in (-d / 2 - 0.04, d / 2):
            s.tube((x, 0.12, z), (x, 0.12, z + 0.04), 0.12, Paint((0.95, 0.8, 0.2)), sides=10)
    s.tube((w / 2, 0.2, 0), (w / 2 + 0.28, 0.5, 0), 0.015, IRON, sides=5)
    s.tube((w / 2 + 0.28, 0.5, -0.08), (w / 2 + 0.28, 0.5, 0.08), 0.018, IRON, sides=5)
    _teddy(s, -w * 0.2, h - 0.06, 0)
    for i in range(3):
        s.box((i * 0.13 - 0.02, h, -0.06), (i * 0.13 + 0.09, h + 0.11, 0.05), Paint(_TOYS[i]))


MODELS = {
    "wardrobe": ((door_wardrobe, drawer_wardrobe), (sliding_wardrobe, arched_wardrobe)),
    "dresser": ((chest_dresser, mirror_dresser), (tall_dresser, sideboard_dresser)),
    "bookshelf": ((tall_bookshelf, wide_bookshelf, cube_bookshelf), (ladder_bookshelf, stepped_bookshelf)),
    "coat rack": ((tree_coat_rack, stand_coat_rack), (panel_coat_rack,)),
    "toy chest": ((box_toy_chest, trunk_toy_chest), (wagon_toy_chest,)),
}
