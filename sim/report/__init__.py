"""report.html: one file that needs nothing else, except the videos that it links to."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from pathlib import Path

from sim.maps import HouseMap
from sim.report import compare, episodes, figures
from sim.report.figures import Run
from sim.results import MAPS, REPORT, load_run, write_atomic
from sim.summary import HEADER, summarise


def build_report(out: Path, other: Path | None = None) -> Path:
    """Write `out/report.html` from the files of the evaluation in `out`, beside those of `other` when given; returns its path.

    Raises OutputError when a folder holds no evaluation or cannot be written, ValueError when two runs share no episode.
    """
    first = _load(out, "policy")
    second = _load(other, "policy") if other is not None else None
    if second is not None:
        first, second = _renamed(first, "A"), _renamed(second, "B")
    names = sorted({episodes.scene_name(result["scene_id"]) for result in first.results})
    loaded = {name: HouseMap.load(out / MAPS, name) for name in names}
    maps = {name: house_map for name, house_map in loaded.items() if house_map is not None}
    page = _page(first, second, maps, out)
    write_atomic(out / REPORT, page.encode())
    return out / REPORT


def _load(out: Path, name: str) -> Run:
    results, timings, summary = load_run(out)
    header = {key: summary[key] for key in HEADER if key in summary}  # the figures are made anew: more episodes may have come since
    return Run(name, results, timings, summarise(results, timings, header))


def _renamed(run: Run, letter: str) -> Run:
    return Run(f"{letter}: {run.summary.get('policy', '')}", run.results, run.timings, run.summary)


def _panel(title: str, body: str, note: str = "") -> str:
    if not body:
        return ""
    return f'<section class="panel"><h3>{escape(title)}</h3>{body}<p class="soft">{escape(note)}</p></section>'


def _charts(run: Run, other: Run | None) -> str:
    panels = [
        _panel("Success by path length", figures.by_length(run), "Shortest path from start to goal; below: episodes; whiskers: 95 %"),
        _panel("Success by rooms entered", figures.by_rooms(run), "Rooms that the reference path enters; below: episodes"),
        _panel("Actions: policy and expert", figures.actions_chart(run, other), "Share of decisions on the same episodes"),
        _panel("Outcomes", figures.outcomes_chart(run)),
        _panel("Latency of decisions", figures.latency_chart(run), "Frame captured to action, as the agent sees it"),
    ]
    return f'<div class="panels">{"".join(panels)}</div>'


def _comparison(first: Run, second: Run) -> str:
    paired = compare.compare(first.results, second.results)
    low, high = paired.spl_interval
    body = (
        f"<p>On the {paired.episodes} episodes that both runs have: B is <b>{paired.sr_difference:+.1f}</b> points in success rate "
        f"({paired.only_second} episodes only B solved, {paired.only_first} only A; exact McNemar p = <b>{paired.mcnemar_p:.3f}</b>) and "
        f"<b>{paired.spl_difference:+.1f}</b> points in SPL (95 % bootstrap: {low:+.1f} to {high:+.1f}).</p>"
    )
    return (
        f'<h2>A against B</h2><section class="panel wide">{body}</section><h3>A</h3>{figures.cards(first)}<h3>B</h3>{figures.cards(second)}'
    )


def _legend() -> str:
    items = {
        "way": "way taken", "ref": "reference", "start dot": "start", "goal dot": "goal, with its 3 m",
        "ahead": "ahead", "left": "left", "right": "right", "stop": "stop (fainter: less sure)",
    }  # fmt: skip
    entries = "".join(f'<li><i class="k-{kind}"></i>{escape(text)}</li>' for kind, text in items.items())
    return f'<ul class="legend">{entries}</ul>'


def _page(run: Run, other: Run | None, maps: dict[str, HouseMap], folder: Path) -> str:
    summary = run.summary
    assets = files("sim.report") / "assets"
    title = f"{summary.get('policy', 'evaluation')} on {summary.get('dataset', '')} {summary.get('split', '')}".strip()
    left_out = f" {summary['left_out']} episodes were left out." if summary.get("left_out") else ""
    sub = f"{summary['episodes']} episodes in {len({r['scene_id'] for r in run.results})} houses, seed {summary.get('seed', '')}.{left_out}"
    non_finite = (
        f" {summary['non_finite']} episodes have values that are not finite; means leave them out." if summary["non_finite"] else ""
    )
    others = {str(result["episode_id"]): result for result in other.results} if other is not None else {}
    config = escape(json.dumps(summary.get("config", {}), indent=2, ensure_ascii=False))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{(assets / 'style.css').read_text()}</style></head><body>{episodes.symbols(maps)}<main>"
        f'<header><h1>{escape(title)}</h1><p class="soft">{escape(sub + non_finite)}</p></header>'
        f"{figures.cards(run) if other is None else _comparison(run, other)}{_charts(run, other)}"
        f"<h2>Episodes</h2>{_legend()}"
        f"{episodes.table(run.results, maps, folder, others)}"
        f"<details><summary>Configuration and commit {escape(str(summary.get('commit', '')))}</summary><pre>{config}</pre></details>"
        f"</main><script>{(assets / 'script.js').read_text()}</script></body></html>"
    )
