"""What a run writes down: log.jsonl, a line a step, and report.html, its loss as a drawing (one file, nothing is fetched)."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nvila_edge.finite import finite

_WIDTH, _HEIGHT, _MARGIN = 900, 320, 48
_POINTS = 600  # a longer run is drawn by the means of its parts


class Journal:
    """The log of a run in `folder`; lines of steps after `done` are dropped: a run that goes on makes them again. write False: it stays silent."""

    def __init__(self, folder: Path, done: int, write: bool) -> None:
        self._path, self._write = folder / "log.jsonl", write
        self.lines = [line for line in _lines(self._path) if line["step"] <= done and (done or "held_out_loss" not in line)]
        if write:
            part = self._path.with_suffix(".part")
            part.write_text("".join(json.dumps(finite(line)) + "\n" for line in self.lines))
            part.replace(self._path)

    def add(self, line: dict[str, Any]) -> None:
        """Appends a line."""
        self.lines.append(line)
        if self._write:
            with self._path.open("a") as file:
                file.write(json.dumps(finite(line)) + "\n")

    def report(self, title: str) -> None:
        """Writes report.html."""
        self._path.with_name("report.html").write_text(page(title, self.lines))


def page(title: str, lines: Sequence[dict[str, Any]]) -> str:
    """The report of a log's lines."""
    steps = [line for line in lines if line.get("loss") is not None]
    if not steps:
        return f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><p>no step was made yet"
    drawn = _thinned([(line["step"], float(line["loss"])) for line in steps])
    held = [f"{float(line['held_out_loss']):.4f} after {line['step']} steps" for line in lines if "held_out_loss" in line]
    seconds = sum(line.get("seconds", 0.0) for line in steps)
    facts = {
        "steps": steps[-1]["step"], "last loss": f"{float(steps[-1]['loss']):.4f}", "samples": sum(line["samples"] for line in steps),
        "positions a second": f"{sum(line['positions'] for line in steps) / seconds:.0f}" if seconds else "-",
        "held-out loss": "; ".join(held) or "-",
    }  # fmt: skip
    rows = "".join(f"<tr><th>{html.escape(key)}<td>{html.escape(str(value))}" for key, value in facts.items())
    style = "body{font:15px system-ui;margin:2em;max-width:960px}th{text-align:left;padding-right:2em;font-weight:600}"
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title><style>{style}</style>"
        f"<h1>{html.escape(title)}</h1><table>{rows}</table>{_curve(drawn)}</html>\n"
    )


def _curve(points: Sequence[tuple[float, float]]) -> str:
    last, low, high = points[-1][0], min(loss for _, loss in points), max(loss for _, loss in points)
    span = (high - low) or 1.0

    def place(step: float, loss: float) -> str:
        x = _MARGIN + (_WIDTH - 2 * _MARGIN) * step / last
        return f"{x:.1f},{_HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * (loss - low) / span:.1f}"

    line = " ".join(place(*point) for point in points)
    bottom = _HEIGHT - _MARGIN + 20
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role=img aria-label="loss by step">'
        f'<polyline fill=none stroke="#16a34a" stroke-width=2 points="{line}"/>'
        f"<text x=4 y={_MARGIN}>{high:.3g}</text><text x=4 y={_HEIGHT - _MARGIN}>{low:.3g}</text>"
        f"<text x={_MARGIN} y={bottom}>0</text><text x={_WIDTH - _MARGIN} y={bottom} text-anchor=end>step {last:.0f}</text></svg>"
    )


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    size = -(-len(points) // _POINTS)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[-1][0], sum(loss for _, loss in group) / len(group)) for group in groups]


def _lines(path: Path) -> list[dict[str, Any]]:
    """Whole lines; the last may be torn where a run was killed."""
    found: list[dict[str, Any]] = []
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            found.append(json.loads(text))
        except ValueError:
            break
    return found
