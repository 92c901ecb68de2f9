"""Materials of furniture, near white, to be multiplied by a colour: functions (rng, size) -> float [size, size, 3] in 0..255 that tile."""

from __future__ import annotations

import numpy as np

from sim.houses.patterns import axes, nearest_two, noise, tint


def grain(rng: np.random.Generator, size: int) -> np.ndarray:
    """Wood grain near white, running along x."""
    return tint((252, 252, 252), np.minimum(0.045 * noise(rng, size, 3, 48) + 0.035 * noise(rng, size, 2, 14), 0.01))


def weave(rng: np.random.Generator, size: int) -> np.ndarray:
    """Plain weave near white."""
    x, y = axes(size)
    threads = 0.05 * np.sin(x * 2 * np.pi * 24) * np.sin(y * 2 * np.pi * 24)
    return tint((246, 246, 246), threads + 0.04 * noise(rng, size, 32) + 0.03 * noise(rng, size, 5))


def leather(rng: np.random.Generator, size: int) -> np.ndarray:
    """Fine wrinkles near white."""
    first, second, _ = nearest_two(rng.uniform(0, 1, (160, 2)), size)
    return tint((240, 240, 240), 0.03 * noise(rng, size, 6) - 0.12 * np.clip(1 - (second - first) / 0.02, 0, 1))


def brushed(rng: np.random.Generator, size: int) -> np.ndarray:
    """Brushed metal: streaks along x."""
    return tint((242, 242, 244), 0.07 * noise(rng, size, 2, size // 2) + 0.04 * noise(rng, size, 3))


def marble(rng: np.random.Generator, size: int) -> np.ndarray:
    """Veined stone near white."""
    x, y = axes(size)
    vein = np.abs(np.sin(2 * np.pi * (x + y) + 2.2 * noise(rng, size, 4) + 0.8 * noise(rng, size, 12)))
    return tint((248, 248, 248), -0.22 * np.clip(1 - vein / 0.16, 0, 1) + 0.02 * noise(rng, size, 16))


def speckle(rng: np.random.Generator, size: int) -> np.ndarray:
    """Granite: light and dark grains."""
    return tint((232, 232, 232), 0.22 * rng.choice([-1.0, 0, 0, 0, 0.4], (size, size)) + 0.04 * noise(rng, size, 24))


def ribs(rng: np.random.Generator, size: int) -> np.ndarray:
    """Upright ribs."""
    x, _ = axes(size)
    return tint((235, 235, 235), 0.14 * np.sin(x * 2 * np.pi * 4) + 0.02 * noise(rng, size, 24))


def leaves(rng: np.random.Generator, size: int) -> np.ndarray:
    """Foliage seen from afar: many overlapping leaves, light and dark."""
    first, second, owner = nearest_two(rng.uniform(0, 1, (120, 2)), size)
    light = rng.uniform(-0.3, 0.04, 120)[owner] - 0.2 * np.clip(1 - (second - first) / 0.025, 0, 1)
    return tint((250, 250, 250), light)
