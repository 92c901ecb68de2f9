"""Repeating surfaces, as functions (rng, size) -> float [size, size, 3] in 0..255 that tile in both directions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial import KDTree

Draw = Callable[[np.random.Generator, int], np.ndarray]
Rgb = tuple[int, int, int]


def noise(rng: np.random.Generator, size: int, cells_x: int, cells_y: int | None = None) -> np.ndarray:
    """float [size, size] in about -1..1: smooth tileable value noise with that many cells across."""
    rows, columns = cells_y or cells_x, cells_x
    grid = rng.uniform(-1, 1, (rows, columns))

    def axis(cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        at = np.arange(size) * cells / size
        low = at.astype(int)
        t = at - low
        return low % cells, (low + 1) % cells, t * t * (3 - 2 * t)

    y0, y1, ty = axis(rows)
    x0, x1, tx = axis(columns)
    top = grid[y0][:, x0] * (1 - tx) + grid[y0][:, x1] * tx
    bottom = grid[y1][:, x0] * (1 - tx) + grid[y1][:, x1] * tx
    return top * (1 - ty[:, None]) + bottom * ty[:, None]


def tint(rgb: Rgb, light: np.ndarray) -> np.ndarray:
    """float [..., 3]: the colour times 1 + light."""
    return np.asarray(rgb, float) * (1 + light[..., None])


def axes(size: int) -> tuple[np.ndarray, np.ndarray]:
    """float [size, size] each: x and y in 0..1."""
    y, x = np.mgrid[0:size, 0:size] / size
    return x, y


def _edges(rgb: np.ndarray, mask: np.ndarray, joint: Rgb) -> np.ndarray:
    return np.where(mask[..., None], np.asarray(joint, float), rgb)


def _grain_light(rng: np.random.Generator, size: int) -> np.ndarray:
    return 0.05 * noise(rng, size, 4, 64 if size >= 64 else size) + 0.03 * noise(rng, size, 2, 32)


def planks(rgb: Rgb, rows: int, spread: float) -> Draw:
    """Boards along x with staggered ends and dark joints."""

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        x, y = axes(size)
        row = (y * rows).astype(int)
        shift = rng.uniform(0, 1, rows)[row]
        half = (((x + shift) % 1) * 2).astype(int)
        light = rng.uniform(-spread, spread, (rows, 2))[row, half] + _grain_light(rng, size)
        joint = ((y * rows) % 1 < rows / size * 1.2) | (((x + shift) % 1 * 2) % 1 < 2.4 / size)
        return tint(rgb, light - 0.3 * joint)

    return draw


def boards(rgb: Rgb, columns: int) -> Draw:
    """Upright boards with grooves."""

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        x, _ = axes(size)
        column = (x * columns).astype(int)
        groove = (x * columns) % 1 < columns / size * 1.6
        return tint(rgb, rng.uniform(-0.05, 0.05, columns)[column] + _grain_light(rng, size).T - 0.25 * groove)

    return draw


def parquet(rgb: Rgb, blocks: int, spread: float) -> Draw:
    """Basket-weave squares of strips that alternate in direction (`blocks` rounded up to even)."""
    even = blocks + blocks % 2

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        x, y = axes(size)
        i, j = (x * even).astype(int), (y * even).astype(int)
        across = (i + j) % 2 == 0
        along = np.where(across, (y * even) % 1, (x * even) % 1) * 4
        light = rng.uniform(-spread, spread, (even, even, 4))[i, j, along.astype(int)]
        joint = (along % 1 < 4 * even / size) | ((x * even) % 1 < even / size) | ((y * even) % 1 < even / size)
        return tint(rgb, light + 0.03 * noise(rng, size, 32) - 0.22 * joint)

    return draw


def herringbone(rgb: Rgb, spread: float) -> Draw:
    """Strips in zigzag columns."""

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        x, y = axes(size)
        columns, rows = 4, 8
        u = (x * columns) % 1
        rising = (x * columns).astype(int) % 2 == 0
        slanted = (y * rows + np.where(rising, u, 1 - u) * 2) % rows
        light = rng.uniform(-spread, spread, (columns, rows))[(x * columns).astype(int), slanted.astype(int)]
        joint = (slanted % 1 < 0.09) | (u < columns / size)
        return tint(rgb, light + 0.03 * noise(rng, size, 24) - 0.22 * joint)

    return draw


def tiles(rgb: Rgb, joint_rgb: Rgb, count: int, spread: float) -> Draw:
    """Square tiles with joints."""

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        x, y = axes(size)
        light = rng.uniform(-spread, spread, (count, count))[(y * count).astype(int), (x * count).astype(int)]
        width = max(count * 1.5 / size, 0.05)
        joint = ((x * count) % 1 < width) | ((y * count) % 1 < width)
        return _edges(tint(rgb, light + 0.015 * noise(rng, size, 16)), joint, joint_rgb)

    return draw


def chequer(first: Rgb, second: Rgb, count: int) -> Draw:
    """Two colours in alternating squares."""

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        x, y = axes(size)
        odd = ((x * count).astype(int) + (y * count).astype(int)) % 2 == 1
        light = 0.03 * noise(rng, size, 12)
        return np.where(odd[..., None], tint(second, light), tint(first, light))

    return draw


def diamonds(rgb: Rgb, line: Rgb, count: int) -> Draw:
    """A lattice at 45 degrees with a small square on each crossing."""

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        x, y = axes(size)
        a, b = ((x + y) * count) % 1, ((x - y) * count) % 1
        mask = (a < 0.09) | (b < 0.09) | ((np.minimum(a, 1 - a) < 0.17) & (np.minimum(b, 1 - b) < 0.17))
        return _edges(tint(rgb, 0.02 * noise(rng, size, 12)), mask, line)

    return draw


def hexagons(rgb: Rgb, joint_rgb: Rgb, count: int) -> Draw:
    """Hexagonal tiles: the cells of a staggered grid (`count` rounded up to even rows)."""
    rows = count + count % 2

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        columns, rows_ = count, rows
        centres = np.array([((i + 0.5 * (j % 2)) / columns, j / rows_) for j in range(rows_) for i in range(columns)])
        first, second, owner = nearest_two(centres, size)
        light = rng.uniform(-0.05, 0.05, len(centres))[owner]
        return _edges(tint(rgb, light), second - first < 0.02, joint_rgb)

    return draw


def nearest_two(centres: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances to the nearest and second nearest centre on the torus, and the nearest's index; each [size, size]."""
    found = KDTree(centres % 1.0, boxsize=1.0).query(np.stack(axes(size), -1), k=2)
    distance, index = (np.asarray(values) for values in found)
    return distance[..., 0], distance[..., 1], index[..., 0]


def flagstones(rgb: Rgb, joint_rgb: Rgb, count: int, spread: float) -> Draw:
    """Irregular stones."""

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        first, second, owner = nearest_two(rng.uniform(0, 1, (count, 2)), size)
        light = rng.uniform(-spread, spread, count)[owner] + 0.05 * noise(rng, size, 24)
        return _edges(tint(rgb, light), second - first < 0.022, joint_rgb)

    return draw


def terrazzo(rgb: Rgb) -> Draw:
    """Coloured chips in a pale ground."""
    chips = np.array([(150, 92, 80), (96, 110, 118), (214, 180, 120), (120, 140, 112), (244, 242, 238)], float)

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        first, _, owner = nearest_two(rng.uniform(0, 1, (220, 2)), size)
        radius = rng.uniform(0.005, 0.02, 220)[owner]
        return np.where((first < radius)[..., None], chips[rng.integers(0, len(chips), 220)][owner], tint(rgb, 0.02 * noise(rng, size, 24)))

    return draw


def bricks(rgb: Rgb, joint_rgb: Rgb, rows: int, spread: float) -> Draw:
    """Bricks in half bond, twice as long as high (`rows` rounded up to even)."""
    even = rows + rows % 2

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        x, y = axes(size)
        row, columns = (y * even).astype(int), even // 2
        along = (x * columns + 0.5 * (row % 2)) % columns
        light = rng.uniform(-spread, spread, (even, columns))[row, along.astype(int)] + 0.04 * noise(rng, size, 32)
        joint = ((y * even) % 1 < 0.13) | (along % 1 < 0.07)
        return _edges(tint(rgb, light), joint, joint_rgb)

    return draw


def pile(rgb: Rgb, spread: float) -> Draw:
    """Carpet: fine random tufts."""

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        return tint(rgb, spread * (0.7 * rng.uniform(-1, 1, (size, size)) + 0.4 * noise(rng, size, 24) + 0.3 * noise(rng, size, 6)))

    return draw


def plaster(rgb: Rgb) -> Draw:
    """Paint: almost plain, a little uneven."""

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        return tint(rgb, 0.02 * noise(rng, size, 5) + 0.012 * noise(rng, size, 32))

    return draw


def stripes(first: Rgb, second: Rgb, count: int) -> Draw:
    """Upright stripes with a fine line beside each."""

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        x, _ = axes(size)
        u = (x * count) % 1
        mask = (u < 0.42) | ((u > 0.52) & (u < 0.57))
        return np.where(mask[..., None], tint(second, 0 * u), tint(first, 0.015 * noise(rng, size, 12)))

    return draw


def dots(rgb: Rgb, dot: Rgb, count: int) -> Draw:
    """Staggered dots (`count` rounded up to even rows)."""
    even = count + count % 2

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        x, y = axes(size)
        row = (y * even).astype(int)
        u, v = (x * even + 0.5 * (row % 2)) % 1 - 0.5, (y * even) % 1 - 0.5
        return _edges(tint(rgb, 0.01 * noise(rng, size, 8)), u * u + v * v < 0.05, dot)

    return draw


def panels(rgb: Rgb) -> Draw:
    """Two moulded fields side by side, with light and dark edges."""

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        x, y = axes(size)
        u, v = np.abs((x * 2) % 1 - 0.5), np.abs(y - 0.5)
        rim = np.maximum(u, v - 0.06)
        light = np.where((rim > 0.36) & (rim < 0.385), -0.16, 0.0) + np.where((rim > 0.385) & (rim < 0.41), 0.06, 0.0)
        return tint(rgb, light + 0.01 * noise(rng, size, 10))

    return draw


def leaf_paper(rgb: Rgb, leaf: Rgb) -> Draw:
    """Wallpaper with scattered leaves."""

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        x, y = axes(size)
        image = tint(rgb, 0.01 * noise(rng, size, 8))
        for j in range(4):
            for i in range(4):
                angle = rng.uniform(0, np.pi)
                dx = (x - (i + 0.5 * (j % 2)) / 4 + 0.5) % 1 - 0.5
                dy = (y - j / 4 + 0.5) % 1 - 0.5
                u, v = dx * np.cos(angle) + dy * np.sin(angle), -dx * np.sin(angle) + dy * np.cos(angle)
                mask = np.abs(v) < 0.035 * (1 - (u / 0.1) ** 2)
                image = np.where((mask & (np.abs(v) > 0.004))[..., None], np.asarray(leaf, float) * rng.uniform(0.85, 1.15), image)
        return image

    return draw
