"""Which frames of a history a windowed model sees (NaVILA's rule, `navila` profile)."""

from __future__ import annotations


def window(n_frames: int, n: int = 8) -> list[int | None]:
    """Indices, oldest first, of the `n` frames out of a history of `n_frames` (the last is the newest); None stands for a black frame.

    Shorter histories are padded with black in front; longer ones keep the first and the newest frame and n-1 evenly spread, floored
    (NaVILA's evaluator: linspace(0, L-1, n-1, endpoint excluded) as integers, then the last frame).
    Raises ValueError when n_frames or n is below 1.
    """
    if n_frames < 1 or n < 1:
        raise ValueError(f"window of {n} frames over a history of {n_frames}: both must be at least 1")
    if n_frames <= n:
        return [None] * (n - n_frames) + [*range(n_frames)]
    return [*(i * (n_frames - 1) // (n - 1) for i in range(n - 1)), n_frames - 1]
