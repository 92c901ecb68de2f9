"""How published evaluators average episodes whose SPL or navigation error is not finite: three named rules.

Only NE (inf where no way leads to the goal) and SPL (NaN where none led there from the start, or the start was the goal) can be so; the rules
differ in these two alone. nDTW and SDTW are averaged, under every rule, over the episodes that have a ground truth (VLN-CE ends with a KeyError).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

Values = Sequence[float]
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
RULED = ("NE", "SPL")


def plain(values: Values) -> list[float]:
    """VLN-CE: every value counts, so that one inf or NaN makes the mean inf or NaN."""
    return list(values)


def navila(values: Values) -> list[float]:
    """NaVILA (evaluation/scripts/eval_jsons.py): values that are not finite are dropped, and their number is told."""
    return [value for value in values if math.isfinite(value)]


def navid(values: Values) -> list[float]:
    """NaVid (analyze_results.py): values that are not finite count as 0; for NE that is a perfect one."""
    return [value if math.isfinite(value) else 0.0 for value in values]


RULES: dict[str, Callable[[Values], list[float]]] = {"plain": plain, "navila": navila, "navid": navid}
OURS = "navila"  # what the summary's own figures follow


def counted(results: Sequence[dict[str, Any]], name: str, rule: str = OURS) -> list[float]:
    """The values that the mean of `name` (a key of MEANS) is taken over, as the results have them. Raises ValueError for an unknown rule."""
    if rule not in RULES:
        raise ValueError(f"aggregation rule {rule!r} is unknown; allowed are {', '.join(RULES)}")
    values = [float(result[MEANS[name][0]]) for result in results]
    return RULES[rule](values) if name in RULED else navila(values)


def mean(values: Values) -> float:
    """The mean; NaN of nothing, of a NaN, and of both infinities."""
    if any(not math.isfinite(value) for value in values):
        return sum(values)  # inf or NaN whatever it is divided by
    return math.fsum(values) / len(values) if values else math.nan


def aggregate(results: Sequence[dict[str, Any]], rule: str = OURS) -> dict[str, float]:
    """The seven means under a rule: rates in percent, lengths in metres, rounded to four digits. Raises ValueError for an unknown rule."""
    return {name: round(factor * mean(counted(results, name, rule)), 4) for name, (_, factor) in MEANS.items()}


def differing(results: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """What each rule gives for the figures that the rules do not agree on, with the number of values that are not finite; {} when they agree."""
    means = {rule: aggregate(results, rule) for rule in RULES}
    names = [name for name in RULED if len({repr(figures[name]) for figures in means.values()}) > 1]
    if not names:
        return {}
    bad = {f"non_finite_{name}": len(results) - len(counted(results, name, "navila")) for name in RULED}
    return {rule: {**figures, **bad} for rule, figures in means.items()}
