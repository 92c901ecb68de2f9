"""Small charts as inline SVG: no script, no outside file, sharp at every size. Colours come from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from sim.report.rates import Rate

WIDTH, HEIGHT = 460, 230
_LEFT, _TOP, _BOTTOM = 52, 14, 42


def _y(value: float, top_value: float) -> float:
    return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - min(1.0, value / top_value))


def _frame(top_value: float, unit: str, body: list[str], title: str) -> str:
    """Axis lines and ticks around a chart's body."""
    lines = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _y(share * top_value, top_value)
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{share * top_value:.4g}{unit}</text>')
    return f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(lines + body)}</svg>'


def nice_top(value: float) -> float:
    """The next of 1, 2, 4, 5, 8, 10 times a power of ten that is not below `value`; 1 for nothing."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 4, 5, 8, 10) if factor * power >= value * (1 - 1e-9))


def rate_bars(title: str, labels: Sequence[str], series: Sequence[tuple[str, Sequence[Rate]]]) -> str:
    """Bars of success rates with 95 % whiskers, one per series (CSS classes s0, s1) and label; below each label the episodes of the first series."""
    body, slot = [], (WIDTH - _LEFT) / max(1, len(labels))
    width = min(56.0, slot * 0.7 / max(1, len(series)))
    for index, label in enumerate(labels):
        middle = _LEFT + slot * (index + 0.5)
        for at, (name, rates) in enumerate(series):
            rate, centre = rates[index], middle + width * (at - (len(series) - 1) / 2)
            if not rate.count:
                continue
            low, high = rate.span
            note = escape(f"{label}, {name}: {100 * rate.value:.1f} % of {rate.count} episodes (95 %: {100 * low:.0f} to {100 * high:.0f})")
            y = _y(rate.value, 1)
            body.append(
                f'<rect class="s{at}" x="{centre - width / 2:.1f}" y="{y:.1f}" width="{width - 2:.1f}" height="{_y(0, 1) - y:.1f}" rx="3">'
                f"<title>{note}</title></rect>"
            )
            body.append(f'<path class="whisker" d="M{centre - 1:.1f} {_y(low, 1):.1f}V{_y(high, 1):.1f}"/>')
        body.append(_label(middle, label, f"n {series[0][1][index].count}"))
    return _frame(100, " %", body, title)


def grouped_bars(title: str, labels: Sequence[str], series: Sequence[tuple[str, str, Sequence[float]]]) -> str:
    """One bar per series (name, CSS class, values) and label; values are fractions, shown as percent."""
    top = nice_top(100 * max((max(values, default=0.0) for _, _, values in series), default=0.0))
    body, slot = [], (WIDTH - _LEFT) / max(1, len(labels))
    width = slot * 0.76 / max(1, len(series))
    for index, label in enumerate(labels):
        for number, (name, css, values) in enumerate(series):
            x, y = _LEFT + slot * (index + 0.12) + width * number, _y(100 * values[index], top)
            note = escape(f"{label}, {name}: {100 * values[index]:.1f} %")
            body.append(
                f'<rect class="{css}" x="{x:.1f}" y="{y:.1f}" width="{width - 1:.1f}" height="{_y(0, 1) - y:.1f}" rx="2">'
                f"<title>{note}</title></rect>"
            )
        body.append(_label(_LEFT + slot * (index + 0.5), *label.split(" ", 1)))
    return _frame(top, " %", body, title)


def histogram(title: str, values: Sequence[float], marks: Sequence[tuple[str, float]], unit: str, bins: int = 28) -> str:
    """How often values occur, from 0 to just above the highest mark; `marks` are dashed lines with names."""
    limit = nice_top(1.25 * max([value for _, value in marks] or [1.0]))
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int(bins * value / limit))] += 1
    top, width, body = nice_top(max(counts)), (WIDTH - _LEFT) / bins, []
    for index, count in enumerate(counts):
        y = _y(count, top)
        note = f"{limit * index / bins:.4g} to {limit * (index + 1) / bins:.4g} {unit}{' or more' * (index == bins - 1)}: {count}"
        body.append(
            f'<rect class="bar" x="{_LEFT + width * index:.1f}" y="{y:.1f}" width="{width - 1:.1f}" height="{_y(0, 1) - y:.1f}">'
            f"<title>{escape(note)}</title></rect>"
        )
    for number, (name, value) in enumerate(marks):
        x = _LEFT + (WIDTH - _LEFT) * value / limit
        body.append(f'<path class="mark" d="M{x:.1f} {_TOP}V{_y(0, 1):.1f}"/>')
        body.append(
            f'<text class="tick strong" x="{x + 4:.1f}" y="{_TOP + 10 + 13 * number}">{escape(f"{name} {value:.0f} {unit}")}</text>'
        )
    body += [_label(_LEFT + (WIDTH - _LEFT) * share, f"{limit * share:.4g}") for share in (0.0, 0.25, 0.5, 0.75)]
    body.append(f'<text class="tick" x="{WIDTH}" y="{HEIGHT - _BOTTOM + 32}" text-anchor="end">{escape(unit)}</text>')
    return _frame(top, "", body, title)


def stacked(title: str, parts: Sequence[tuple[str, str, float]], shown: str = "{:.0f}") -> str:
    """One horizontal bar of amounts (name, CSS class, amount) with a legend below; `shown` formats an amount."""
    total, x, body, legend = sum(amount for _, _, amount in parts) or 1.0, 0.0, [], []
    for name, css, amount in parts:
        width, text = WIDTH * amount / total, shown.format(amount)
        share = f"{100 * amount / total:.1f} %"
        if amount:
            body.append(
                f'<rect class="{css}" x="{x:.1f}" y="0" width="{max(1.0, width - 2):.1f}" height="34" rx="3">'
                f"<title>{escape(name)}: {text} ({share})</title></rect>"
            )
        legend.append(f'<li><i class="{css}"></i>{escape(name)} <b>{text}</b> <span class="soft">{share}</span></li>')
        x += width
    picture = f'<svg class="chart" viewBox="0 0 {WIDTH} 34" role="img" aria-label="{escape(title)}">{"".join(body)}</svg>'
    return f'{picture}<ul class="legend column">{"".join(legend)}</ul>'


def _label(x: float, first: str, second: str = "") -> str:
    y = HEIGHT - _BOTTOM + 16
    lines = f'<text class="tick" x="{x:.1f}" y="{y}" text-anchor="middle">{escape(first)}</text>'
    return lines + (f'<text class="tick faint" x="{x:.1f}" y="{y + 15}" text-anchor="middle">{escape(second)}</text>' if second else "")
