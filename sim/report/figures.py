"""The report's cards, its table of published rows and its charts, from the results of one or two runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from html import escape

from nvila_edge.navigation.actions import ACTIONS
from sim.report import svg
from sim.report.published import EPISODES, R2R, Published, benchmark_of, camera_text, differences, rows, sliding_text
from sim.report.rates import Grouping
from sim.report.run import LABELS, OUTCOMES, Run, class_of, is_rejected, outcome
from sim.results import Record, number

NAMES = {
    "SR": "Success rate", "SPL": "SPL", "OS": "Oracle success", "NE": "Navigation error", "nDTW": "nDTW", "SDTW": "SDTW", "PL": "Path length",
}  # fmt: skip
METRES = ("NE", "PL")


def card(label: str, value: str, note: str = "", emphasis: bool = False) -> str:
    """A figure with its name above and a note below."""
    return (
        f'<div class="card{" big" if emphasis else ""}"><span class="label">{escape(label)}</span>'
        f'<span class="value">{value}</span><span class="soft">{escape(note)}</span></div>'
    )


def cards(run: Run) -> str:
    """The summary as cards, means with their 95 % intervals."""
    summary, out = run.summary, []
    for key, label in NAMES.items():
        unit = " m" if key in METRES else " %"
        low, high = _span(run, key)
        value = number(summary[key])
        shown = f"{value:.1f}<small>{unit}</small>" if math.isfinite(value) else "n/a"
        out.append(card(label, shown, f"95 %: {low:.1f} to {high:.1f}{unit}" if math.isfinite(low) else "", key in ("SR", "SPL")))
    latency = summary["latency_ms"]
    if latency:
        out.append(
            card("Latency p95", f"{latency['p95']:.0f}<small> ms</small>", f"p50 {latency['p50']:.0f} ms, p99 {latency['p99']:.0f} ms")
        )
    out.append(card("Rejections", str(summary["rejections"]), f"of {summary['decisions']:,} decisions"))
    out.append(card("Collisions", f"{summary['collisions'] / max(1, summary['episodes']):.1f}", "per episode"))
    return f'<div class="cards">{"".join(out)}</div>'


def _figure(value: float | None) -> str:
    return f"{value:.1f}" if value is not None and math.isfinite(value) else "–"


def _span(run: Run, key: str) -> tuple[float, float]:
    """A mean's 95 % interval; none of them can be below 0, which the normal approximation does not know."""
    low, high = (number(value) for value in run.summary["ci95"][key])
    return max(0.0, low) if math.isfinite(low) else low, high


def _interval(run: Run, key: str) -> str:
    low, high = _span(run, key)
    span = f'<small class="soft">{low:.1f}–{high:.1f}</small>' if math.isfinite(low) else ""
    return f'<td class="num">{_figure(number(run.summary[key]))}{span}</td>'


def _published_row(row: Published, reasons: Sequence[str], shared: Sequence[str]) -> str:
    """`shared` reasons hold for every row and are said once, above."""
    own = "; ".join(reason for reason in reasons if reason not in shared)
    verdict = f'<span class="flag">not comparable</span> {escape(own)}' if reasons else "comparable"
    numbers = "".join(f'<td class="num">{_figure(value)}</td>' for value in row.numbers)
    return (
        f'<tr class="{"differs" if reasons else ""}"><td>{escape(row.system)}<small class="soft">{escape(row.source)}</small></td>'
        f"<td>{escape(row.sensors)}</td><td>{escape(row.camera or '–')}</td><td>{escape(row.sliding or '–')}</td>"
        f"<td>{f'{row.turn_deg}°' if row.turn_deg else '–'}</td><td class='num'>{EPISODES[row.benchmark]:,}</td>{numbers}<td>{verdict}</td></tr>"
    )


def published_table(runs: Sequence[Run]) -> str:
    """Our figures with their intervals above the published rows of the same benchmark (R2R-CE's for our own houses), each flagged with its reasons."""
    first = runs[0]
    found = benchmark_of(first.config, (result["scene_id"] for result in first.results))
    ours = []
    for run in runs:
        setting = (
            camera_text(run.config) or "–",
            sliding_text(run.config) or "–",
            f"{run.config['turn_deg']:g}°" if "turn_deg" in run.config else "–",
        )
        where = found or str(run.summary.get("dataset", "houses"))
        ours.append(
            f'<tr class="ours"><td>{escape(run.name)}<small class="soft">this run</small></td><td>one RGB camera</td>'
            f"{''.join(f'<td>{escape(text)}</td>' for text in setting)}<td class='num'>{len(run.results):,}</td>"
            f"{''.join(_interval(run, key) for key in ('NE', 'OS', 'SR', 'SPL', 'nDTW'))}"
            f"<td>{escape(where)} {escape(str(run.summary.get('split', '')))}</td></tr>"
        )
    head = "".join(
        f"<th>{name}</th>"
        for name in ("System", "Sensors", "Camera", "Sliding", "Turn", "n", "NE m", "OS", "SR", "SPL", "nDTW", "Beside this run")
    )
    others = rows(found or R2R)
    each_run = [[differences(row, run.config, found, len(run.results)) for row in others] for run in runs]
    reasons = [list(dict.fromkeys(reason for reasons in of_row for reason in reasons)) for of_row in zip(*each_run, strict=True)]
    shared = [reason for reason in reasons[0] if all(reason in each for each in reasons)]
    theirs = "".join(_published_row(row, each, shared) for row, each in zip(others, reasons, strict=True))
    what = "these runs" if len(runs) > 1 else "this run"
    flag = f'<span class="flag">not comparable</span> No published row is comparable with {what}: {escape("; ".join(shared))}.'
    said = f"<p>{flag}</p>" if shared else ""
    return f'{said}<div class="wide-table"><table class="published"><thead><tr>{head}</tr></thead><tbody>{"".join(ours)}{theirs}</tbody></table></div>'


def success_chart(grouping: Grouping, runs: Sequence[Run]) -> str:
    """Success rate of every group that has episodes."""
    found = [grouping.rates(run.results) for run in runs]
    labels = [label for label in grouping.labels if any(rates[label].count for rates in found)]
    series = [(run.name, [rates[label] for label in labels]) for run, rates in zip(runs, found, strict=True)]
    return svg.rate_bars(grouping.title, labels, series) + (
        _legend([(run.name, f"s{index}") for index, run in enumerate(runs)]) if len(runs) > 1 else ""
    )


def _legend(series: Sequence[tuple[str, str]]) -> str:
    entries = "".join(f'<li><i class="{css}"></i>{escape(name)}</li>' for name, css in series)
    return f'<ul class="legend">{entries}</ul>'


def shares(counts: Sequence[int]) -> list[float]:
    """Counts as fractions of their sum."""
    return [count / max(1, sum(counts)) for count in counts]


def action_counts(results: Sequence[Record]) -> list[int]:
    """How often each of the ten actions was answered."""
    counts = [0] * len(ACTIONS)
    for result in results:
        for decision in result["trace"]:
            if not is_rejected(decision):
                counts[decision["action"]] += 1
    return counts


def actions_chart(runs: Sequence[Run]) -> str:
    """The policies' actions beside the expert's on the same episodes."""
    expert = [sum(result["expert_actions"][index] for result in runs[0].results) for index in range(len(ACTIONS))]
    series = [(run.name, f"s{index}", shares(action_counts(run.results))) for index, run in enumerate(runs)]
    series.append(("expert", "s-expert", shares(expert)))
    return svg.grouped_bars("Actions of policy and expert", LABELS, series) + _legend([(name, css) for name, css, _ in series])


def outcomes_chart(run: Run) -> str:
    """What became of the episodes, and how many of the failed ones had been within 3 m."""
    found = [outcome(result) for result in run.results]
    near = sum(1 for result in run.results if not result["success"] and result["oracle_success"])
    failed = sum(1 for result in run.results if not result["success"])
    note = f"<p>{near} of the {failed} failed episodes had been within 3 m of the goal.</p>" if failed else ""
    return svg.stacked("Outcomes", [(name, f"o-{class_of(name)}", found.count(name)) for name in OUTCOMES]) + note


def rejections(run: Run) -> str:
    """The answers that were no action, the most frequent first; "" when there were none."""
    texts = Counter(str(decision.get("text", "")) for result in run.results for decision in result["trace"] if is_rejected(decision))
    if not texts:
        return ""
    hit = sum(1 for result in run.results if result["rejections"])
    listed = "".join(
        f"<tr><td>{escape(text[:120]) or '<i>nothing</i>'}</td><td class='num'>{count}</td></tr>" for text, count in texts.most_common(12)
    )
    return f'<p>{sum(texts.values())} of {run.summary["decisions"]:,} decisions, in {hit} episode{"s" * (hit != 1)}.</p><table class="texts">{listed}</table>'
