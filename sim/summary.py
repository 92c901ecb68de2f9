"""From the lines of an evaluation to its figures: means, 95 % intervals, latency percentiles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sim.aggregate import MEANS, OURS, aggregate, counted, differing
from sim.results import Record, number, sort_key

Z95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution
RATES = ("OS", "SR")
SHARES = ("SPL", "nDTW", "SDTW")  # means of values from 0 to 1: the normal approximation must not leave that range


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


def intervals(results: Sequence[Record], rule: str = OURS) -> dict[str, tuple[float, float]]:
    """95 % interval of every mean of `MEANS`: Wilson for rates, normal approximation for the others; percent and metres."""
    out: dict[str, tuple[float, float]] = {}
    for name, (_, factor) in MEANS.items():
        values = counted(results, name, rule)
        low, high = wilson(sum(values), len(values)) if name in RATES else mean_interval(values)
        if name in SHARES and math.isfinite(low):
            low, high = max(0.0, low), min(1.0, high)
        out[name] = (round(low * factor, 4), round(high * factor, 4))
    return out


def undefined(result: Record) -> str:
    """Why an episode has figures that are not finite; "" when all are."""
    shortest, error = number(result.get("shortest_path_length", math.nan)), number(result["distance_to_goal"])
    reasons = []
    if math.isinf(shortest):
        reasons.append("no way leads from the start to the goal (NE and SPL)")
    elif math.isinf(error):
        reasons.append("no way leads to the goal from where it ended (NE)")
    elif not math.isfinite(number(result["spl"])):
        reasons.append("the start is the goal (SPL)" if shortest < 1e-5 else "SPL is not finite")
    if not math.isfinite(number(result["ndtw"])):
        reasons.append("the ground truth has no usable entry for it (nDTW and SDTW)")
    return "; ".join(reasons)


def latency_percentiles(timings: Sequence[Record]) -> dict[str, float]:
    """p50, p95 and p99 in ms over all decisions (frame captured -> action); empty without decisions."""
    values = [number(value) for timing in timings for value in timing["latency_ms"]]
    if not values:
        return {}
    return {f"p{q}": round(float(np.percentile(values, q)), 3) for q in (50, 95, 99)}


# what a summary says that is not counted from the episodes
HEADER = ("policy", "dataset", "split", "seed", "left_out", "left_out_episodes", "config", "commit")


def header(config: Mapping[str, Any], left_out: Iterable[tuple[str, str]], commits: Sequence[str]) -> Record:
    """What a summary says besides figures, from the configuration, what was left out (episode ids with reasons) and the commits that ran."""
    told = {name: config[name] for name in ("policy", "dataset", "split", "seed")}
    faults = [{"episode_id": episode_id, "reason": reason} for episode_id, reason in set(left_out)]
    faults.sort(key=lambda fault: (sort_key(fault), fault["reason"]))
    return {**told, "left_out": len(faults), "left_out_episodes": faults, "config": dict(config), "commit": ", ".join(commits)}


def summarise(results: Sequence[Record], timings: Sequence[Record], header: Mapping[str, Any], rule: str = OURS) -> Record:
    """summary.json: `header` has policy, dataset, split, seed, config, commit and what was left out.

    Means follow `rule` (sim/aggregate.py); `aggregates` has those of every rule where they differ. `non_finite` counts the episodes that have a
    value that is not finite, `non_finite_episodes` names them.
    """
    strange = [(result, undefined(result)) for result in results]
    summary: Record = {"episodes": len(results), **aggregate(results, rule)}
    summary["ci95"] = intervals(results, rule)
    summary["non_finite"] = sum(bool(reason) for _, reason in strange)
    summary["non_finite_episodes"] = [{"episode_id": str(result["episode_id"]), "reason": reason} for result, reason in strange if reason]
    if different := differing(results):
        summary["aggregates"] = different
    summary["rejections"] = sum(int(result["rejections"]) for result in results)
    summary["collisions"] = sum(int(result["collisions"]) for result in results)
    summary["steps"] = sum(int(result["steps"]) for result in results)
    summary["decisions"] = sum(int(result["decisions"]) for result in results)
    summary["latency_ms"] = latency_percentiles(timings)
    return {**summary, **header}
