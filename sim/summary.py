"""From the lines of an evaluation to its figures: means, 95 % intervals, latency percentiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sim.results import Record, number

Z95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution
# summary name -> (field of a result, factor): rates in percent, lengths in metres
MEANS: dict[str, tuple[str, float]] = {
    "NE": ("distance_to_goal", 1.0),
    "OS": ("oracle_success", 100.0),
    "SR": ("success", 100.0),
    "SPL": ("spl", 100.0),
    "nDTW": ("ndtw", 100.0),
    "SDTW": ("sdtw", 100.0),
    "PL": ("path_length", 1.0),
}
RATES = ("OS", "SR")


def wilson(successes: float, n: int) -> tuple[float, float]:
    """95 % Wilson score interval of a rate, as fractions; (0, 1) when n is 0."""
    if n == 0:
        return 0.0, 1.0
    rate = successes / n
    centre = rate + Z95**2 / (2 * n)
    half = Z95 * math.sqrt(rate * (1 - rate) / n + Z95**2 / (4 * n**2))
    scale = 1 + Z95**2 / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of a mean by the normal approximation; the mean itself twice below two values."""
    array = np.asarray(values, np.float64)
    if len(array) < 2:
        centre = float(array.mean()) if len(array) else math.nan
        return centre, centre
    half = Z95 * float(array.std(ddof=1)) / math.sqrt(len(array))
    return float(array.mean()) - half, float(array.mean()) + half


def finite(results: Sequence[Record], field: str) -> list[float]:
    """The finite values of a field, in the order of the results."""
    return [value for value in (number(result[field]) for result in results) if math.isfinite(value)]


def intervals(results: Sequence[Record]) -> dict[str, tuple[float, float]]:
    """95 % interval of every mean of `MEANS`: Wilson for rates, normal approximation for the others; percent and metres."""
    out: dict[str, tuple[float, float]] = {}
    for name, (field, factor) in MEANS.items():
        values = finite(results, field)
        low, high = wilson(sum(values), len(values)) if name in RATES else mean_interval(values)
        out[name] = (round(low * factor, 4), round(high * factor, 4))
    return out


def latency_percentiles(timings: Sequence[Record]) -> dict[str, float]:
    """p50, p95 and p99 in ms over all decisions (frame captured -> action); empty without decisions."""
    values = [number(value) for timing in timings for value in timing["latency_ms"]]
    if not values:
        return {}
    return {f"p{q}": round(float(np.percentile(values, q)), 3) for q in (50, 95, 99)}


HEADER = ("policy", "dataset", "split", "seed", "left_out", "config", "commit")  # what a summary says that is not counted from the episodes


def header(config: Mapping[str, Any], left_out: int, commits: Sequence[str]) -> Record:
    """What a summary says besides figures, from the configuration, how many episodes were left out and the commits that ran."""
    told = {name: config[name] for name in ("policy", "dataset", "split", "seed")}
    return {**told, "left_out": left_out, "config": dict(config), "commit": ", ".join(commits)}


def summarise(results: Sequence[Record], timings: Sequence[Record], header: Mapping[str, Any]) -> Record:
    """summary.json: `header` has policy, dataset, split, seed, config, commit and counts of what was left out.

    Means are over finite values; `non_finite` counts the episodes that have a value that is not.
    """
    non_finite = sum(any(not math.isfinite(number(result[field])) for field, _ in MEANS.values()) for result in results)
    summary: Record = {"episodes": len(results)}
    for name, (field, factor) in MEANS.items():
        values = finite(results, field)
        summary[name] = round(factor * math.fsum(values) / len(values), 4) if values else math.nan
    summary["ci95"] = intervals(results)
    summary["non_finite"] = non_finite
    summary["rejections"] = sum(int(result["rejections"]) for result in results)
    summary["collisions"] = sum(int(result["collisions"]) for result in results)
    summary["steps"] = sum(int(result["steps"]) for result in results)
    summary["decisions"] = sum(int(result["decisions"]) for result in results)
    summary["latency_ms"] = latency_percentiles(timings)
    return {**summary, **header}
