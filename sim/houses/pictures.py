"""Images that fit one face: paintings, window views, screens, book spines. Functions (rng, size) -> float [size, size, 3] in 0..255."""

from __future__ import annotations

import numpy as np

from sim.houses.patterns import noise

_PALETTES = (
    ((214, 84, 58), (242, 178, 72), (38, 70, 102), (240, 232, 214), (90, 140, 130)),
    ((36, 62, 110), (92, 150, 190), (232, 226, 210), (226, 140, 60), (150, 40, 48)),
    ((60, 96, 66), (160, 184, 98), (238, 228, 190), (200, 98, 60), (66, 52, 46)),
    ((88, 48, 110), (214, 110, 150), (246, 206, 130), (64, 150, 160), (244, 240, 232)),
    ((28, 30, 36), (232, 228, 220), (206, 40, 44), (236, 190, 50), (60, 98, 168)),
    ((120, 76, 52), (206, 160, 110), (244, 232, 206), (86, 112, 120), (168, 64, 46)),
)


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """float [size, size] each: x to the right and y down, in 0..1."""
    y, x = (np.mgrid[0:size, 0:size] + 0.5) / size
    return x, y


def _put(image: np.ndarray, mask: np.ndarray, rgb: np.ndarray | tuple[int, ...]) -> None:
    image[mask] = rgb


def painting(rng: np.random.Generator, size: int) -> np.ndarray:
    """One of six kinds of picture, each different with every seed: hills, sea, blocks, discs, flowers, a portrait."""
    palette = np.array(_PALETTES[int(rng.integers(len(_PALETTES)))], float)
    palette = palette[rng.permutation(len(palette))]
    kind = (_hills, _sea, _blocks, _discs, _flowers, _portrait)[int(rng.integers(6))]
    image = kind(rng, size, palette)
    return image * (1 + 0.05 * noise(rng, size, 40)[..., None])


def _sky(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
    high, low = (((110, 164, 220), (220, 234, 240)), ((238, 130, 80), (250, 214, 140)), ((70, 76, 130), (236, 160, 150)))[
        int(rng.integers(3))
    ]
    return np.asarray(high, float) * (1 - y[..., None]) + np.asarray(low, float) * y[..., None]


def _hills(rng: np.random.Generator, size: int, palette: np.ndarray) -> np.ndarray:
    x, y = _grid(size)
    image = _sky(rng, y * 1.6)
    cx, cy = rng.uniform(0.2, 0.8), rng.uniform(0.12, 0.3)
    _put(image, (x - cx) ** 2 + (y - cy) ** 2 < 0.006, (252, 240, 190))
    for i in range(4):
        ridge = 0.4 + 0.15 * i + rng.uniform(0.03, 0.1) * np.sin(x * rng.uniform(4, 11) + rng.uniform(0, 6))
        _put(image, y > ridge, np.array((70, 120, 70)) * (0.6 + 0.22 * i) + rng.uniform(-20, 20, 3))
    for _ in range(6):
        tx, base, h = rng.uniform(0.05, 0.95), rng.uniform(0.75, 0.98), rng.uniform(0.12, 0.25)
        _put(image, (np.abs(x - tx) < (y - base + h) * 0.22) & (y < base) & (y > base - h), (30, 66, 44))
    return image


def _sea(rng: np.random.Generator, size: int, palette: np.ndarray) -> np.ndarray:
    x, y = _grid(size)
    image = _sky(rng, y * 2)
    horizon = rng.uniform(0.45, 0.62)
    water = y > horizon
    _put(image, water, (36, 96, 140))
    waves = np.sin(x * 30 + 8 * np.sin(y * 40)) * 16 * (y - horizon)
    image[water] += waves[water][:, None] * 1.5
    bx = rng.uniform(0.3, 0.7)
    _put(image, (np.abs(x - bx) < 0.12 - (y - horizon) * 0.5) & (y > horizon) & (y < horizon + 0.06), (110, 50, 36))
    sail = (x > bx + 0.01) & (x - bx < (y - horizon + 0.32) * 0.42) & (y < horizon - 0.01) & (y > horizon - 0.32)
    _put(image, sail, (248, 244, 232))
    _put(image, (bx - x > 0.01) & (bx - x < (y - horizon + 0.24) * 0.4) & (y < horizon - 0.01), palette[0])
    return image


def _blocks(rng: np.random.Generator, size: int, palette: np.ndarray) -> np.ndarray:
    x, y = _grid(size)
    image = np.ones((size, size, 3)) * palette[0]
    for i in range(14):
        x0, y0 = rng.uniform(-0.1, 0.8, 2)
        w, h = rng.uniform(0.12, 0.5, 2)
        _put(image, (x > x0) & (x < x0 + w) & (y > y0) & (y < y0 + h), palette[i % 5])
    for edge in rng.uniform(0.1, 0.9, 3):
        _put(image, np.abs((x if edge > 0.5 else y) - edge) < 0.012, (24, 24, 28))
    return image


def _discs(rng: np.random.Generator, size: int, palette: np.ndarray) -> np.ndarray:
    x, y = _grid(size)
    image = np.ones((size, size, 3)) * palette[0]
    for i in range(9):
        cx, cy, r = rng.uniform(0.05, 0.95), rng.uniform(0.05, 0.95), rng.uniform(0.08, 0.28)
        d = np.hypot(x - cx, y - cy)
        _put(image, d < r, palette[1 + i % 4])
        _put(image, d < r * 0.55, palette[1 + (i + 1) % 4])
    return image


def _flowers(rng: np.random.Generator, size: int, palette: np.ndarray) -> np.ndarray:
    x, y = _grid(size)
    image = np.ones((size, size, 3)) * palette[0] * 0.4 + 140 * (1 - 0.3 * y[..., None])
    _put(image, (np.abs(x - 0.5) < 0.12 + 0.05 * np.sin((y - 0.6) * 9)) & (y > 0.62) & (y < 0.93), palette[2] * 0.8)
    _put(image, y > 0.9, palette[3] * 0.6)
    for _ in range(11):
        cx, cy, r = rng.uniform(0.2, 0.8), rng.uniform(0.12, 0.55), rng.uniform(0.06, 0.11)
        stem = np.abs(x - (0.5 + (cx - 0.5) * np.clip((0.64 - y) / (0.64 - cy), 0, 1))) < 0.008
        _put(image, stem & (y > cy) & (y < 0.64), (46, 96, 54))
        angle, d = np.arctan2(y - cy, x - cx), np.hypot(x - cx, y - cy)
        _put(image, d < r * (0.75 + 0.25 * np.cos(5 * angle)), palette[1 + int(rng.integers(4))])
        _put(image, d < r * 0.3, (250, 220, 90))
    return image


def _portrait(rng: np.random.Generator, size: int, palette: np.ndarray) -> np.ndarray:
    x, y = _grid(size)
    image = np.ones((size, size, 3)) * palette[0] * 0.7 * (1.2 - 0.4 * y[..., None])
    skin = np.array((226, 178, 142)) * rng.uniform(0.6, 1.05)
    hair = np.array(((50, 34, 26), (120, 72, 40), (30, 26, 26), (190, 150, 80))[int(rng.integers(4))], float)
    _put(image, np.hypot((x - 0.5) / 0.21, (y - 0.36) / 0.27) < 1, hair)
    _put(image, ((x - 0.5) / 0.4) ** 2 + ((y - 1.02) / 0.36) ** 2 < 1, palette[1])
    _put(image, (np.abs(x - 0.5) < 0.07) & (y > 0.5) & (y < 0.72), skin * 0.88)
    _put(image, np.hypot((x - 0.5) / 0.145, (y - 0.41) / 0.2) < 1, skin)
    for ex in (0.44, 0.56):
        _put(image, np.hypot((x - ex) / 0.022, (y - 0.39) / 0.013) < 1, (30, 24, 24))
    _put(image, np.hypot((x - 0.5) / 0.045, (y - 0.51) / 0.014) < 1, (170, 70, 66))
    return image


def window_view(rng: np.random.Generator, size: int) -> np.ndarray:
    """Sky with clouds above far hills, roofs or trees."""
    x, y = _grid(size)
    image = np.asarray((128, 182, 232), float) * (1 - y[..., None] * 0.9) + np.asarray((228, 240, 248), float) * y[..., None] * 0.9
    cloud = np.clip(noise(rng, size, 5, 6) + 0.5 * noise(rng, size, 12) - 0.1, 0, 1) * (y < 0.6)
    image = image * (1 - cloud[..., None]) + 250 * cloud[..., None]
    ridge = 0.66 + 0.04 * np.sin(x * 2 * np.pi + rng.uniform(0, 6)) + 0.02 * np.sin(x * 6 * np.pi)
    _put(image, y > ridge, (116, 150, 118))
    _put(image, y > ridge + 0.14, (96, 146, 78))
    for _ in range(5):
        cx, r = rng.uniform(0.05, 0.95), rng.uniform(0.06, 0.13)
        _put(image, np.hypot(x - cx, (y - 0.8) * 0.8) < r, np.array((52, 104, 56)) * rng.uniform(0.8, 1.25))
    return image


def desktop(rng: np.random.Generator, size: int) -> np.ndarray:
    """A computer screen with two windows."""
    x, y = _grid(size)
    image = np.asarray((40, 92, 150), float) * (1 - 0.4 * y[..., None]) + 40
    for x0, y0, x1, y1 in ((0.08, 0.1, 0.62, 0.78), (0.5, 0.3, 0.94, 0.88)):
        _put(image, (x > x0) & (x < x1) & (y > y0) & (y < y1), (238, 240, 242))
        _put(image, (x > x0) & (x < x1) & (y > y0) & (y < y0 + 0.05), (80, 120, 190))
        lines = (
            (((y - y0) / 0.06) % 1 < 0.4)
            & (y > y0 + 0.09)
            & (y < y1 - 0.04)
            & (x > x0 + 0.03)
            & (x < x1 - 0.04 - 0.1 * np.sin(np.floor(y / 0.06) * 5) ** 2)
        )
        _put(image, lines, (150, 156, 166))
    _put(image, y > 0.95, (24, 30, 40))
    return image


def television(rng: np.random.Generator, size: int) -> np.ndarray:
    """A dark screen with a soft diagonal reflection."""
    x, y = _grid(size)
    shine = np.exp(-((x + y * 0.6 - 0.55) ** 2) / 0.02) * 26 + np.exp(-((x + y * 0.6 - 0.85) ** 2) / 0.004) * 18
    return np.asarray((20, 24, 32), float) + (shine + 10 * (1 - y))[..., None] * (0.9, 1.0, 1.15)


def mirror(rng: np.random.Generator, size: int) -> np.ndarray:
    """A pale bluish glass with diagonal highlights."""
    x, y = _grid(size)
    shine = np.exp(-((((x + y) % 1) - 0.35) ** 2) / 0.006) * 34 + np.exp(-((((x + y) % 1) - 0.52) ** 2) / 0.001) * 26
    return np.asarray((178, 204, 218), float) + shine[..., None] + 18 * (0.5 - np.abs(y - 0.5))[..., None]


def aquarium(rng: np.random.Generator, size: int) -> np.ndarray:
    """Water, gravel, weeds and fish."""
    x, y = _grid(size)
    image = np.asarray((60, 170, 214), float) * (1.15 - 0.5 * y[..., None])
    for _ in range(7):
        cx, h = rng.uniform(0.05, 0.95), rng.uniform(0.25, 0.6)
        _put(image, (np.abs(x - cx - 0.02 * np.sin(y * 40)) < 0.014) & (y > 0.92 - h), np.array((40, 140, 60)) * rng.uniform(0.7, 1.3))
    _put(image, y > 0.9 + 0.02 * np.sin(x * 20), (206, 180, 130))
    for rgb in ((250, 140, 30), (250, 220, 60), (240, 90, 90), (250, 140, 30), (240, 240, 250)):
        cx, cy, way = rng.uniform(0.12, 0.88), rng.uniform(0.15, 0.75), rng.choice([-1, 1])
        u, v = (x - cx) * way, y - cy
        _put(image, (u / 0.07) ** 2 + (v / 0.045) ** 2 < 1, rgb)
        _put(image, (u < -0.05) & (u > -0.11) & (np.abs(v) < (-0.045 - u) * 0.8), rgb)
        _put(image, (u - 0.04) ** 2 + (v + 0.01) ** 2 < 0.0001, (20, 20, 20))
    return image


def piano_keys(rng: np.random.Generator, size: int) -> np.ndarray:
    """28 white keys with the black ones in groups of two and three; the near edge is the bottom row."""
    x, y = _grid(size)
    u = x * 28
    image = np.full((size, size, 3), 246.0)
    _put(image, u % 1 < 0.1, (150, 150, 150))
    near = np.round(u).astype(int) % 7
    _put(image, (np.abs(u - np.round(u)) < 0.32) & (y < 0.62) & np.isin(near, (1, 2, 4, 5, 6)), (18, 18, 20))
    return image


def books(rng: np.random.Generator, size: int) -> np.ndarray:
    """A row of spines in many colours and some heights, tileable along x; row 0 is the top of the tallest."""
    image = np.full((size, size, 3), 34.0)
    x = 0
    while x < size:
        width = min(int(rng.integers(max(size // 22, 2), max(size // 9, 4))), size - x)
        rgb = np.array(_PALETTES[int(rng.integers(6))][int(rng.integers(5))], float) * rng.uniform(0.75, 1.05)
        top = int(size * rng.uniform(0.0, 0.12))
        image[top:, x : x + width] = rgb
        image[top:, x] *= 0.55
        band = top + int(size * rng.uniform(0.12, 0.3))
        image[band : band + max(size // 24, 1), x + 1 : x + width] = np.clip(rgb * 0.5 + 120, 0, 255)
        x += width
    return image


def clock_face(rng: np.random.Generator, size: int) -> np.ndarray:
    """A white dial with twelve marks and two hands."""
    x, y = _grid(size)
    u, v = x - 0.5, y - 0.5
    r, angle = np.hypot(u, v), np.arctan2(u, -v)
    image = np.full((size, size, 3), 30.0)
    _put(image, r < 0.48, (246, 244, 236))
    off = np.abs((angle / (2 * np.pi) * 12 + 0.5) % 1 - 0.5) * r
    _put(image, (r > 0.38) & (r < 0.45) & (off < 0.03), (24, 24, 28))
    for at, length in ((2 * np.pi * 10 / 12, 0.24), (2 * np.pi * 2 / 12, 0.36)):
        along, across = u * np.sin(at) - v * np.cos(at), u * np.cos(at) + v * np.sin(at)
        _put(image, (along > -0.03) & (along < length) & (np.abs(across) < 0.018), (24, 24, 28))
    return image
