"""The report's cards and charts, from the results of one or two runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from nvila_edge.navigation.actions import ACTIONS, Stop, Turn
from sim.report import svg
from sim.results import Record, number
from sim.summary import wilson

LENGTH_EDGES_M = (0, 6, 8, 10, 12, math.inf)
LABELS = tuple(
    "stop" if isinstance(action, Stop) else f"{'left' if action.angle_deg > 0 else 'right'} {abs(action.angle_deg)}°"
    if isinstance(action, Turn) else f"ahead {action.distance_cm}"
    for action in ACTIONS
)  # fmt: skip
OUTCOMES = ("Success", "Missed: stopped elsewhere", "Steps used up", "Rejected answers")


@dataclass(frozen=True)
class Run:
    """One evaluation as the report needs it: a name, results and timings in order, the summary."""

    name: str
    results: Sequence[Record]
    timings: Sequence[Record]
    summary: Record


def outcome(result: Record) -> str:
    """Which of OUTCOMES an episode had."""
    if result["success"]:
        return OUTCOMES[0]
    return OUTCOMES[{"stop": 1, "forced": 1, "limit": 2, "rejected": 3, "crashed": 3}[result["ended"]]]


def outcome_class(result: Record) -> str:
    """The outcome's CSS class: success, missed, steps or rejected."""
    return outcome(result).split()[0].lower().strip(":")


def card(label: str, value: str, note: str = "", emphasis: bool = False) -> str:
    """A figure with its name above and a note below."""
    return (
        f'<div class="card{" big" if emphasis else ""}"><span class="label">{escape(label)}</span>'
        f'<span class="value">{value}</span><span class="soft">{escape(note)}</span></div>'
    )


def cards(run: Run) -> str:
    """The summary as cards, means with their 95 % intervals."""
    summary, out = run.summary, []
    names = {"SR": "Success rate", "SPL": "SPL", "OS": "Oracle success", "NE": "Navigation error", "nDTW": "nDTW", "SDTW": "SDTW"}
    names["PL"] = "Path length"
    for key, label in names.items():
        unit = " m" if key in ("NE", "PL") else " %"
        low, high = (number(value) for value in summary["ci95"][key])
        value = number(summary[key])
        shown = f"{value:.1f}<small>{unit}</small>" if math.isfinite(value) else "n/a"
        out.append(card(label, shown, f"95 %: {low:.1f} to {high:.1f}{unit}", key in ("SR", "SPL")))
    latency = summary["latency_ms"]
    if latency:
        out.append(
            card("Latency p95", f"{latency['p95']:.0f}<small> ms</small>", f"p50 {latency['p50']:.0f} ms, p99 {latency['p99']:.0f} ms")
        )
    out.append(card("Rejections", str(summary["rejections"]), f"of {summary['decisions']} decisions"))
    out.append(card("Collisions", f"{summary['collisions'] / max(1, summary['episodes']):.1f}", "per episode"))
    return f'<div class="cards">{"".join(out)}</div>'


def _grouped(results: Sequence[Record], key: Callable[[Record], str], order: Sequence[str]) -> tuple[list[str], list[list[Record]]]:
    groups = {label: [result for result in results if key(result) == label] for label in order}
    kept = [label for label in order if groups[label]]
    return kept, [groups[label] for label in kept]


def _success_chart(title: str, labels: list[str], groups: list[list[Record]]) -> str:
    wins = [sum(int(result["success"]) for result in group) for group in groups]
    sizes = [len(group) for group in groups]
    rates = [win / size for win, size in zip(wins, sizes, strict=True)]
    return svg.rate_bars(title, labels, rates, [wilson(win, size) for win, size in zip(wins, sizes, strict=True)], sizes)


def _length_label(result: Record) -> str:
    length = number(result["shortest_path_length"])
    index = next((i for i, edge in enumerate(LENGTH_EDGES_M[1:]) if length < edge), len(LENGTH_EDGES_M) - 2)
    return _length_labels()[index]


def _length_labels() -> list[str]:
    pairs = list(zip(LENGTH_EDGES_M, LENGTH_EDGES_M[1:]))
    return [f"{low:g}–{high:g} m" if math.isfinite(high) else f"over {low:g} m" for low, high in pairs]


def by_length(run: Run) -> str:
    """Success rate by the length of the shortest path."""
    return _success_chart("Success by path length", *_grouped(run.results, _length_label, _length_labels()))


def by_rooms(run: Run) -> str:
    """Success rate by how many rooms the reference path enters."""
    numbers = sorted({int(result["rooms_entered"]) for result in run.results})
    label = {n: f"{n} room{'s' * (n != 1)}" for n in numbers}
    return _success_chart(
        "Success by rooms entered", *_grouped(run.results, lambda r: label[int(r["rooms_entered"])], list(label.values()))
    )


def shares(counts: Sequence[int]) -> list[float]:
    """Counts as fractions of their sum."""
    return [count / max(1, sum(counts)) for count in counts]


def action_counts(results: Sequence[Record]) -> list[int]:
    """How often each of the ten actions was decided."""
    counts = [0] * len(ACTIONS)
    for result in results:
        for decision in result["trace"]:
            if decision["action"] is not None:
                counts[decision["action"]] += 1
    return counts


def actions_chart(run: Run, other: Run | None = None) -> str:
    """The policy's actions beside the expert's on the same episodes (and the other run's)."""
    expert = [sum(result["expert_actions"][index] for result in run.results) for index in range(len(ACTIONS))]
    series = [(run.name, shares(action_counts(run.results))), ("expert", shares(expert))]
    if other is not None:
        series.insert(1, (other.name, shares(action_counts(other.results))))
    legend = "".join(f'<li><i class="s{index}"></i>{escape(name)}</li>' for index, (name, _) in enumerate(series))
    return svg.grouped_bars("Actions of policy and expert", LABELS, series) + f'<ul class="legend">{legend}</ul>'


def outcomes_chart(run: Run) -> str:
    """What became of the episodes."""
    found = [outcome(result) for result in run.results]
    return svg.stacked("Outcomes", [(name, found.count(name)) for name in OUTCOMES])


def latency_chart(run: Run) -> str:
    """Latency of every decision, frame captured to action."""
    values = [number(value) for timing in run.timings for value in timing["latency_ms"]]
    return svg.histogram("Latency of decisions", values, list(run.summary["latency_ms"].items()), "ms") if values else ""
