"""report.html of a learning set: what was recorded, and the answers before and after balancing. One file that needs nothing else."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from pathlib import Path

from sim.report import svg
from sim.report.figures import LABELS, card, shares
from sim.results import Record, write_atomic


def write_report(path: Path, summary: Record) -> None:
    """Write the page of a summary of `sim.learning.collect`. Raises OutputError."""
    style = (files("sim.report") / "assets" / "style.css").read_text()
    settings = summary["settings"]
    title = f"Learning set: {settings['source']} roll-outs, {settings['split']}, {settings['format']} layout"
    figures = {
        "Episodes": (summary["episodes"], f"{summary['kept']} kept, {summary['successes']} reached the goal"),
        "Frames": (summary["frames"], "one per primitive"),
        "Decisions": (summary["decisions"], f"{100 * summary['agreement']:.1f} % did what the label says"),
        "Samples": (summary["samples"], "decisions after balancing"),
    }
    cards = "".join(card(name, f"{value:,}", note) for name, (value, note) in figures.items())
    series = [("before balancing", "s0", shares(summary["before"])), ("after", "s1", shares(summary["after"]))]
    legend = "".join(f'<li><i class="s{index}"></i>{name}</li>' for index, (name, _, _) in enumerate(series))
    chart = svg.grouped_bars("Answers before and after balancing", LABELS, series) + f'<ul class="legend">{legend}</ul>'
    rows = "".join(
        f"<tr><td>{escape(label)}</td><td>{before:,}</td><td>{after:,}</td></tr>"
        for label, before, after in zip(LABELS, summary["before"], summary["after"], strict=True)
    )
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body><main><header><h1>{escape(title)}</h1></header>"
        f'<div class="cards">{cards}</div><section class="panel wide"><h3>Answers</h3>{chart}'
        f"<table><tr><th>answer</th><th>before</th><th>after</th></tr>{rows}</table></section>"
        f"<details><summary>Settings</summary><pre>{escape(json.dumps(settings, indent=2))}</pre></details></main></body></html>"
    )
    write_atomic(path, page.encode())
