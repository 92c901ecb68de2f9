"""The page: figures and charts as plain HTML and SVG, the episodes as data that the page's own script shows."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from sim.report import clock, compare, figures
from sim.report.confusion import confusion_table
from sim.report.forest import features_table
from sim.report.oddities import oddities
from sim.report.payload import payload
from sim.report.rates import BY_LENGTH, by_doorways
from sim.report.run import Run

SCRIPTS = ("elements.js", "map.js", "decisions.js", "table.js")
PUBLISHED_NOTE = (
    "Published rows are self-reported; “quoted” ones were read in later authors’ tables. Rank nothing across a “not comparable”: scenes, camera, "
    "turn angle, sliding, sensors and the number of episodes each move these figures by more than most papers gain. The first episodes of a "
    "split are a badly biased sample."
)
EXPERT_NOTE = (
    "Rows: what the expert, who has the map, would do at the same spot; columns: what the policy did, percent of the row. Blue: the same action; "
    "teal: the same kind. The expert walks to within 0.3 m of the goal before it stops, so stops within 3 m, which are successes, stand here "
    "beside its other actions."
)


def page(runs: Sequence[Run], folder: Path) -> str:
    """report.html in `folder` for one run, or for two beside one another."""
    run = runs[0]
    summary, assets = run.summary, files("sim.report") / "assets"
    names = " against ".join(str(each.summary.get("policy", "evaluation")) for each in runs)
    title = f"{names} on {summary.get('dataset', '')} {summary.get('split', '')}".strip()
    script = f'"use strict";\n{"".join((assets / name).read_text() for name in SCRIPTS)}'
    config = "".join(f"<h3>{escape(each.name)}</h3><pre>{_config(each)}</pre>" for each in runs)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(script)}">'
        f"<title>{escape(title)}</title><style>{(assets / 'style.css').read_text()}</style></head><body><main>"
        f'<header><h1>{escape(title)}</h1><p class="soft">{escape(" ".join(_sentence(each) for each in runs))}</p></header>'
        f"{_figures(runs)}"
        f"{''.join(oddities(each.summary, each.rule) for each in runs)}"
        f"{_panel('Beside published results (val-unseen)', figures.published_table(runs), PUBLISHED_NOTE, wide=True)}"
        f"<h2>Where it succeeds and fails</h2>{_charts(runs)}"
        f"<h2>Episodes</h2>{_legend()}{_controls(len(runs))}"
        '<table id="episodes"><thead><tr></tr></thead><tbody></tbody></table><button id="more" type="button">Show more</button>'
        "<noscript><p>The table of episodes needs JavaScript; everything above does not.</p></noscript>"
        f"<details><summary>Configuration and commit</summary>{config}</details></main>"
        f'<script type="application/json" id="data">{payload(runs, folder)}</script><script>{script}</script></body></html>'
    )


def _policy(script: str) -> str:
    """Only this very script may run, and nothing may be fetched but pictures and videos that lie beside the page."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src 'self' data: file:; media-src 'self' file:"
    )


def _config(run: Run) -> str:
    content = {"commit": run.summary.get("commit", ""), **run.config}
    return escape(json.dumps(content, indent=2, ensure_ascii=False))


def _sentence(run: Run) -> str:
    summary = run.summary
    scenes = len({result["scene_id"] for result in run.results})
    text = f"{run.name}: {summary['episodes']:,} episodes in {scenes} scenes, seed {summary.get('seed', '–')}."
    if summary.get("left_out"):
        text += f" {summary['left_out']} episodes were left out (named below)."
    if summary["non_finite"]:
        text += f" {summary['non_finite']} episodes have values that are not finite; means leave them out."
    return text


def _panel(title: str, body: str, note: str = "", wide: bool = False) -> str:
    if not body:
        return ""
    css = "panel wide" if wide else "panel"
    return f'<section class="{css}"><h3>{escape(title)}</h3>{body}<p class="note">{escape(note)}</p></section>'


def _figures(runs: Sequence[Run]) -> str:
    if len(runs) == 1:
        return figures.cards(runs[0])
    sides = "".join(f"<h3>{escape(run.name)}</h3>{figures.cards(run)}" for run in runs)
    return f'<section class="panel wide large">{compare.in_words(compare.compare(runs[0].results, runs[1].results))}</section>{sides}'


def _charts(runs: Sequence[Run]) -> str:
    known = any(result.get("rooms_entered") for result in runs[0].results)  # a house of our own has rooms; a scan does not tell
    doors = by_doorways([result for run in runs for result in run.results])
    panels = [
        _panel(BY_LENGTH.title, figures.success_chart(BY_LENGTH, runs), f"{BY_LENGTH.note}; n: episodes; whiskers: 95 %"),
        _panel(doors.title, figures.success_chart(doors, runs) if known else "", f"{doors.note}; n: episodes; whiskers: 95 %"),
        _panel("Actions", figures.actions_chart(runs), "Share of decisions; the expert's on the same episodes, from their starts"),
        _panel("Success by what the instruction says", features_table(runs), "Dots: success rate; bands: 95 %"),
    ]
    for run in runs:
        whose = f", {run.name}" if len(runs) > 1 else ""
        panels += [
            _panel(f"Outcomes{whose}", figures.outcomes_chart(run)),
            _panel(f"Latency of decisions{whose}", clock.latency_chart(run), "Frame captured to action, as the agent sees it"),
            _panel(f"Where the time goes{whose}", clock.time_chart(run), "All workers together"),
            _panel(f"Rejected answers{whose}", figures.rejections(run)),
        ]
    wide = [
        _panel(f"Decisions against the expert's{f', {run.name}' if len(runs) > 1 else ''}", confusion_table(run), EXPERT_NOTE, True)
        for run in runs
    ]
    return f'<div class="panels">{"".join(panels)}</div>{"".join(wide)}'


def _controls(runs: int) -> str:
    pair = (
        '<select id="pair" aria-label="Which run succeeded"><option value="">A and B: all</option><option value="A">A only succeeded</option>'
        '<option value="B">B only succeeded</option><option value="both">both succeeded</option><option value="neither">neither succeeded</option>'
        '<option value="unlike">outcomes differ</option></select>'
    )
    return (
        '<div class="controls"><input id="search" type="search" placeholder="Search instruction, scene, id …" aria-label="Search">'
        f"{pair if runs > 1 else ''}"
        f'<select id="outcome" aria-label="Outcome"><option value="">Outcome{" of A" if runs > 1 else ""}: all</option></select>'
        '<select id="near" aria-label="Failures near the goal"><option value="">Near or not</option><option value="1">Failed, had been within 3 m</option>'
        '<option value="0">Failed, never within 3 m</option></select>'
        '<select id="length" aria-label="Path length"><option value="">Every length</option></select>'
        '<select id="scene" aria-label="Scene"><option value="">Every scene</option></select>'
        '<button id="reset" type="button">Reset</button><span id="count" class="soft" aria-live="polite"></span></div>'
    )


def _legend() -> str:
    items = {
        "way": "way taken", "ref": "expert's way", "start dot": "start", "goal dot": "goal, with its 3 m",
        "ahead": "ahead", "left": "left", "right": "right", "stop": "stop",
    }  # fmt: skip
    entries = "".join(f'<li><i class="k-{kind}"></i>{escape(text)}</li>' for kind, text in items.items())
    hint = "Click a row for its map and decisions; ▴ below the ten bars marks the expert's action, an amber edge a different one."
    return f'<ul class="legend">{entries}</ul><p class="soft">{hint}</p>'
