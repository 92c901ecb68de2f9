"""Two runs on the same episodes: paired tests, because a difference of rates alone says little."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim.results import Record, number

RESAMPLES = 4000


@dataclass(frozen=True)
class Paired:
    """`episodes` in both runs; `only_first` and `only_second` succeeded in one of them, `both` in both; differences are second minus first, in points."""

    episodes: int
    both: int
    only_first: int
    only_second: int
    mcnemar_p: float
    sr_difference: float
    spl_difference: float
    spl_interval: tuple[float, float]


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided exact McNemar test: the chance of discordant pairs at least as uneven as these, if both were equally good."""
    n, k = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(n, i) for i in range(k + 1)) / 2**n
    return min(1.0, 2 * tail)


def compare(first: Sequence[Record], second: Sequence[Record]) -> Paired:
    """Pair two runs by episode id. Raises ValueError when they share no episode, or mean different ones by the same id."""
    theirs = {str(result["episode_id"]): result for result in second}
    pairs = [(result, theirs[str(result["episode_id"])]) for result in first if str(result["episode_id"]) in theirs]
    if not pairs:
        raise ValueError("the two runs share no episode: compare runs on the same dataset and split")
    for a, b in pairs:
        if (a["scene_id"], a["goal"]) != (b["scene_id"], b["goal"]):
            raise ValueError(
                f"episode {a['episode_id']} has another scene or goal in the second run: compare runs on the same dataset and split"
            )
    wins = np.array([(int(a["success"]), int(b["success"])) for a, b in pairs])
    spl = np.array([(number(a["spl"]), number(b["spl"])) for a, b in pairs])
    difference = 100 * (spl[:, 1] - spl[:, 0])
    difference = difference[np.isfinite(difference)]
    rng = np.random.default_rng(np.random.SeedSequence([len(pairs)]))
    means = rng.choice(difference, (RESAMPLES, len(difference))).mean(axis=1) if len(difference) else np.zeros(1)
    only_first, only_second = int((wins[:, 0] > wins[:, 1]).sum()), int((wins[:, 1] > wins[:, 0]).sum())
    low, high = np.percentile(means, [2.5, 97.5])
    both = int((wins.sum(axis=1) == 2).sum())
    return Paired(
        len(pairs), both, only_first, only_second, mcnemar_exact(only_first, only_second), 100 * (only_second - only_first) / len(pairs),
        float(difference.mean()) if len(difference) else 0.0, (float(low), float(high)),
    )  # fmt: skip


def in_words(paired: Paired) -> str:
    """The comparison as HTML: differences with their tests, and the two by two table behind McNemar's."""
    low, high = paired.spl_interval
    neither = paired.episodes - paired.both - paired.only_first - paired.only_second
    return (
        f"<p>On the {paired.episodes:,} episodes that both runs have (all figures here are about these) B is "
        f"<b>{paired.sr_difference:+.1f}</b> points in success rate "
        f"({paired.only_second} episodes only B solved, {paired.only_first} only A; exact McNemar p = <b>{p_value(paired.mcnemar_p)}</b>) and "
        f"<b>{paired.spl_difference:+.1f}</b> points in SPL (95 % bootstrap: {low:+.1f} to {high:+.1f}).</p>"
        f'<p class="soft">Both succeeded in {paired.both}, neither in {neither}.</p>'
    )


def p_value(p: float) -> str:
    """To three digits after the point, "< 0.001" below."""
    return f"{p:.3f}" if p >= 0.001 else "&lt; 0.001"
