"""Success by what the instruction says: a row per group with its rate and 95 % interval, for one run or two."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sim.report.rates import Rate, by_instruction
from sim.report.run import Run


def features_table(runs: Sequence[Run]) -> str:
    """All groupings of instructions, each label that has episodes as a row."""
    out = []
    for grouping in by_instruction():
        found = [grouping.rates(run.results) for run in runs]
        labels = [label for label in grouping.labels if any(rates[label].count for rates in found)]
        rows = "".join(_row(label, [rates[label] for rates in found], [run.name for run in runs]) for label in labels)
        out.append(f'<tbody><tr><th colspan="4" scope="colgroup">{escape(grouping.title)}</th></tr>{rows}</tbody>')
    scale = '<th><div class="scale"><span>0</span><span>50</span><span>100 %</span></div></th>'
    return f'<table class="forest"><thead><tr><th></th><th>n</th>{scale}<th>SR</th></tr></thead>{"".join(out)}</table>'


def _row(label: str, rates: Sequence[Rate], names: Sequence[str]) -> str:
    tracks, values = [], []
    for index, (rate, name) in enumerate(zip(rates, names, strict=True)):
        if not rate.count:
            continue
        low, high = (100 * end for end in rate.span)
        note = f"{name}: {100 * rate.value:.1f} % of {rate.count} episodes (95 %: {low:.0f} to {high:.0f})"
        tracks.append(
            f'<div class="track" title="{escape(note)}"><i class="span s{index}" style="left:{low:.1f}%;width:{high - low:.1f}%"></i>'
            f'<i class="dot s{index}" style="left:{100 * rate.value:.1f}%"></i></div>'
        )
        values.append(f"{100 * rate.value:.0f}")
    count = next((rate.count for rate in rates if rate.count), 0)
    return (
        f'<tr><td>{escape(label)}</td><td class="num">{count}</td><td>{"".join(tracks)}</td><td class="num">{"<br>".join(values)}</td></tr>'
    )
