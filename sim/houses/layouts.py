"""Footprints cut into rectangular cells: the shapes that floor plans are made from, other ones for unseen houses than for training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Rect = tuple[float, float, float, float]  # x_min, z_min, x_max, z_max in metres
MIN_ROOM_M = 2.5
AREA_M2 = (70.0, 158.0)


@dataclass(frozen=True)
class Cell:
    """A rectangle of the footprint in metres; halls become hallways."""

    rect: Rect
    hall: bool = False


def area_of(rect: Rect) -> float:
    """Square metres of a rectangle."""
    return (rect[2] - rect[0]) * (rect[3] - rect[1])


def overlap(a: Rect, b: Rect, gap: float = 0.0) -> bool:
    """Whether two rectangles come nearer than `gap` metres on both axes."""
    return a[0] < b[2] + gap and b[0] < a[2] + gap and a[1] < b[3] + gap and b[1] < a[3] + gap


def grown(rect: Rect, by: float) -> Rect:
    """The rectangle `by` metres larger on every side."""
    return (rect[0] - by, rect[1] - by, rect[2] + by, rect[3] + by)


def snap(value: float) -> float:
    """To the 5 cm grid that all walls stand on."""
    return round(value * 20) / 20


def _cuts(rng: np.random.Generator, low: float, high: float, count: int, least: float) -> list[float]:
    """count + 1 snapped positions from low to high, at least `least` metres apart."""
    share = rng.dirichlet(np.full(count, 5.0)) * (high - low - count * least)
    return [snap(v) for v in np.concatenate([[low], low + np.cumsum(share + least)])]


def _row(rng: np.random.Generator, x0: float, x1: float, z0: float, z1: float, count: int) -> list[Cell]:
    xs = _cuts(rng, x0, x1, count, MIN_ROOM_M)
    return [Cell((a, z0, b, z1)) for a, b in zip(xs[:-1], xs[1:], strict=True)]


def _column(rng: np.random.Generator, x0: float, x1: float, z0: float, z1: float, count: int) -> list[Cell]:
    zs = _cuts(rng, z0, z1, count, MIN_ROOM_M)
    return [Cell((x0, a, x1, b)) for a, b in zip(zs[:-1], zs[1:], strict=True)]


def _slices(rng: np.random.Generator, rect: Rect, count: int) -> list[Cell]:
    """The rectangle halved again and again, always the largest part, until there are `count` parts."""
    rects = [rect]
    while len(rects) < count:
        x0, z0, x1, z1 = rects.pop(int(np.argmax([area_of(r) for r in rects])))
        part = rng.uniform(0.36, 0.64)
        if x1 - x0 > z1 - z0:
            cut = snap(min(max(x0 + part * (x1 - x0), x0 + MIN_ROOM_M), x1 - MIN_ROOM_M))
            rects += [(x0, z0, cut, z1), (cut, z0, x1, z1)]
        else:
            cut = snap(min(max(z0 + part * (z1 - z0), z0 + MIN_ROOM_M), z1 - MIN_ROOM_M))
            rects += [(x0, z0, x1, cut), (x0, cut, x1, z1)]
    return [Cell(r) for r in rects]


def _corridor(rng: np.random.Generator) -> list[Cell]:
    """Two rows of rooms with a hallway between them."""
    near, far = int(rng.integers(2, 5)), int(rng.integers(2, 5))
    width = snap(max(near, far) * rng.uniform(3.2, 4.0) + rng.uniform(0.0, 1.5))
    z1, hall = snap(rng.uniform(3.3, 4.7)), snap(rng.uniform(1.7, 2.1))
    z2 = snap(z1 + hall)
    z3 = snap(z2 + rng.uniform(3.3, 4.7))
    return [*_row(rng, 0, width, 0, z1, near), Cell((0, z1, width, z2), True), *_row(rng, 0, width, z2, z3, far)]


def _corridor_to_room(rng: np.random.Generator) -> list[Cell]:
    """A hallway that ends in a large room."""
    near, far = int(rng.integers(2, 4)), int(rng.integers(2, 5))
    width, end = snap(rng.uniform(11.0, 14.0)), snap(rng.uniform(3.8, 4.8))
    z1, hall = snap(rng.uniform(3.2, 4.2)), snap(rng.uniform(1.7, 2.1))
    z2 = snap(z1 + hall)
    z3 = snap(z2 + rng.uniform(3.2, 4.2))
    x = snap(width - end)
    rows = _row(rng, 0, x, 0, z1, min(near, int(x / 2.8))) + _row(rng, 0, width, z2, z3, far)
    return [*rows, Cell((0, z1, x, z2), True), Cell((x, 0, width, z2))]


def _sliced(rng: np.random.Generator) -> list[Cell]:
    """A rectangle cut into rooms that open into each other, without a hallway."""
    return _slices(rng, (0.0, 0.0, snap(rng.uniform(9.5, 13.0)), snap(rng.uniform(8.0, 11.0))), int(rng.integers(4, 8)))


def _long_side(rng: np.random.Generator) -> list[Cell]:
    """One row of rooms along a hallway, and a room across its end."""
    count = int(rng.integers(3, 5))
    width, end = snap(count * rng.uniform(3.0, 3.7)), snap(rng.uniform(3.6, 4.6))
    z1 = snap(rng.uniform(4.0, 5.2))
    z2 = snap(z1 + rng.uniform(1.7, 2.1))
    x2 = snap(width + end)
    return [*_row(rng, 0, width, 0, z1, count), Cell((0, z1, width, z2), True), Cell((width, 0, x2, z2))]


def _pinwheel(rng: np.random.Generator) -> list[Cell]:
    """Four arms turn around a central hall; the longer ones are cut in two."""
    xa, za = snap(rng.uniform(3.5, 4.6)), snap(rng.uniform(3.5, 4.6))
    xb, zb = snap(xa + rng.uniform(2.5, 3.4)), snap(za + rng.uniform(2.5, 3.4))
    width, depth = snap(xb + rng.uniform(3.5, 4.6)), snap(zb + rng.uniform(3.5, 4.6))
    arms = [
        _row(rng, 0, xb, 0, za, 2),
        _column(rng, xb, width, 0, zb, 2),
        _row(rng, xa, width, zb, depth, 2),
        _column(rng, 0, xa, za, depth, 2),
    ]
    whole = [(0.0, 0.0, xb, za), (xb, 0.0, width, zb), (xa, zb, width, depth), (0.0, za, xa, depth)]
    cut = rng.permutation(4) < int(rng.integers(1, 5))
    cells = [cell for arm, rect, split in zip(arms, whole, cut, strict=True) for cell in (arm if split else [Cell(rect)])]
    return [*cells, Cell((xa, za, xb, zb), True)]


def _tee(rng: np.random.Generator) -> list[Cell]:
    """Two hallways that meet in a T."""
    width = snap(rng.uniform(11.0, 13.5))
    z1, hall = snap(rng.uniform(3.2, 4.2)), snap(rng.uniform(1.8, 2.3))
    z2 = snap(z1 + hall)
    depth = snap(z2 + rng.uniform(4.2, 6.2))
    xm = snap(width / 2 + rng.uniform(-1.2, 1.2) - hall / 2)
    xn = snap(xm + hall)
    left = _column(rng, 0, xm, z2, depth, 2) if depth - z2 > 5.6 else [Cell((0, z2, xm, depth))]
    right = _column(rng, xn, width, z2, depth, 2) if depth - z2 > 5.2 and rng.random() < 0.6 else [Cell((xn, z2, width, depth))]
    halls = [Cell((0, z1, width, z2), True), Cell((xm, z2, xn, depth), True)]
    return [*_row(rng, 0, width, 0, z1, int(rng.integers(2, 4))), *left, *right, *halls]


def _wing(rng: np.random.Generator) -> list[Cell]:
    """An L: a block of rooms that open into each other, and a wing of rooms along a hallway."""
    block_w, block_d = snap(rng.uniform(6.4, 8.0)), snap(rng.uniform(8.0, 10.0))
    count = int(rng.integers(2, 4))
    end = snap(block_w + count * rng.uniform(2.9, 3.6))
    hall = snap(rng.uniform(1.8, 2.3))
    depth = snap(hall + rng.uniform(3.4, 4.4))
    block = _slices(rng, (0.0, 0.0, block_w, block_d), int(rng.integers(3, 5)))
    return [*block, Cell((block_w, 0, end, hall), True), *_row(rng, block_w, end, hall, depth, count)]


LAYOUTS: dict[str, tuple[Callable[[np.random.Generator], list[Cell]], ...]] = {
    "train": (_corridor, _corridor_to_room, _sliced, _long_side),
    "unseen": (_pinwheel, _tee, _wing),
}


def _turned(rng: np.random.Generator, cells: list[Cell]) -> list[Cell]:
    """The same cells mirrored and with the axes swapped at random; the corner stays at the origin."""
    swap, flip_x, flip_z = (bool(rng.integers(2)) for _ in range(3))
    x_end, z_end = max(c.rect[2] for c in cells), max(c.rect[3] for c in cells)
    turned = []
    for cell in cells:
        x0, z0, x1, z1 = cell.rect
        x0, x1 = (snap(x_end - x1), snap(x_end - x0)) if flip_x else (x0, x1)
        z0, z1 = (snap(z_end - z1), snap(z_end - z0)) if flip_z else (z0, z1)
        turned.append(Cell((z0, x0, z1, x1) if swap else (x0, z0, x1, z1), cell.hall))
    return turned


def _acceptable(cells: list[Cell]) -> bool:
    total = sum(area_of(cell.rect) for cell in cells)
    widths = [min(c.rect[2] - c.rect[0], c.rect[3] - c.rect[1]) for c in cells if not c.hall]
    longest = [max(c.rect[2] - c.rect[0], c.rect[3] - c.rect[1]) for c in cells if not c.hall]
    lean = max(b / a for a, b in zip(widths, longest, strict=True))
    return AREA_M2[0] <= total <= AREA_M2[1] and min(widths) >= MIN_ROOM_M - 1e-6 and 4 <= len(cells) <= 9 and lean <= 2.4


def draw_cells(rng: np.random.Generator, family: str) -> list[Cell]:
    """A footprint of 4-9 cells and 70-158 m2 from one of the family's ("train", "unseen") layouts."""
    layouts = LAYOUTS[family]
    layout = layouts[int(rng.integers(len(layouts)))]
    for _ in range(200):
        cells = layout(rng)
        if _acceptable(cells):
            return _turned(rng, cells)
    raise AssertionError(f"{layout.__name__} drew no acceptable footprint")
