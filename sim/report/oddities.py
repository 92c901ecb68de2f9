"""What was left out of an evaluation or has figures that are not finite, by name, and what each aggregation rule makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sim.results import Record, number


def oddities(summary: Record, rule: str) -> str:
    """What was left out or has figures that are not finite, by name, and what each aggregation rule makes of it; "" when nothing is odd."""
    parts = [
        _named(f"{len(episodes)} episodes {what}", episodes)
        for what, episodes in (
            ("were left out", summary.get("left_out_episodes", [])),
            ("have figures that are not finite", summary["non_finite_episodes"]),
        )
        if episodes
    ]
    if "aggregates" in summary:
        rows = "".join(
            f"<tr><td>{name}{' (shown)' * (name == rule)}</td><td>{number(means['NE']):.2f} m</td><td>{number(means['SPL']):.2f} %</td></tr>"
            for name, means in summary["aggregates"].items()
        )
        parts.append(f"<table><tr><th>rule for values that are not finite</th><th>NE</th><th>SPL</th></tr>{rows}</table>")
    return f'<section class="panel wide">{"".join(parts)}</section>' if parts else ""


def _named(title: str, episodes: Sequence[Record]) -> str:
    items = "".join(f"<li>episode {escape(str(entry['episode_id']))}: {escape(entry['reason'])}</li>" for entry in episodes)
    return f"<details><summary>{escape(title)}</summary><ul>{items}</ul></details>"
