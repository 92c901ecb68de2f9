"""The page of a recording, alone or beside a replay: frames, decisions with their ten candidates, what guards told. One file, no script, no network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agents.events import Decided, Executed
from agents.recording.reader import Noted, Recording, Seen
from agents.replay import Comparison, Pair
from nvila_edge.navigation.actions import Primitive
from nvila_edge.navigation.decision import Decision
from nvila_edge.serving.jpeg import decode_jpeg
from sim.report.figures import card
from sim.report.run import LABELS
from sim.report.svg import histogram
from sim.results import write_atomic

WIDTH_PX, MOST_FRAMES = 224, 600  # about 8 kB each: a page of at most 7 MB
_BAR_PX, _BARS_PX = 18, 60
_STYLE = """
.recording { width: 100%; } .recording td { vertical-align: top; border-bottom: 1px solid var(--line); padding: 8px; }
.recording img { display: block; border-radius: 6px; } .recording tr.differs { background: var(--b-amber); }
.recording tr.note td { color: var(--i-red); background: var(--b-red); }
.bars { width: 190px; height: 64px; } .bars .was { fill: var(--grey); } .bars .now { fill: var(--blue); }
"""


def write_page(recording: Recording, comparison: Comparison | None, path: Path) -> Path:
    """Write the page to `path` and return it. Raises OutputError when it cannot be written."""
    write_atomic(path, page(recording, comparison).encode(errors="replace"))
    return path


def page(recording: Recording, comparison: Comparison | None) -> str:
    """The page; with a comparison, rows where the two chose differently are marked."""
    title = "Replay of a recording" if comparison else "Recording"
    style = (files("sim.report") / "assets" / "style.css").read_text() + _STYLE
    about = recording.about
    what = f"Agent {about.get('agent', '–')}, server {about.get('server') or '–'}, version {about.get('version', '–')}."
    whose = f" Beside it, what {comparison.whose} answers now, each time after the recorded past." if comparison else ""
    broken = "" if recording.ended else " The recording broke off before the episode ended."
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
        f"<title>{title}: {escape(recording.instruction[:60])}</title><style>{style}</style></head><body><main>"
        f'<header><h1>{title}</h1><p><b>{escape(recording.instruction)}</b></p><p class="soft">{escape(what + whose + broken)}</p></header>'
        f'<div class="cards">{"".join(_cards(recording, comparison))}</div>{_latency(recording, comparison)}'
        f"<h2>Decisions</h2>{_table(recording, comparison)}</main></body></html>"
    )


def _cards(recording: Recording, comparison: Comparison | None) -> list[str]:
    decisions = recording.decisions
    found = [
        card("Decisions", str(len(decisions)), f"{sum(d.decision.rejected for d in decisions)} rejected"),
        card("Steps", str(sum(isinstance(step, Executed) for step in recording.steps)), _blurred(recording)),
        card("Ended", escape(str(recording.ended.get("reason", "broke off"))), str(recording.ended.get("message", ""))),
    ]
    if comparison is None:
        return found
    figures = comparison.figures()
    return [
        card("Agreement", f"{100 * figures['agreement']:.1f}<small> %</small>", f"of {len(comparison.pairs)} decisions", True),
        card("Probability shift", f"{figures['shift_mean']:.3f}", f"mean; most {figures['shift_max']:.3f}", True),
        card(
            "Latency now, p50", f"{figures['now_p50_ms']:.0f}<small> ms</small>", f"p95 {figures['now_p95_ms']:.0f} ms, question to answer"
        ),
        *found,
    ]


def _blurred(recording: Recording) -> str:
    sharp = [step.quality["sharpness"] for step in recording.steps if isinstance(step, Seen) and step.quality]
    return f"sharpness of frames: median {np.median(sharp):.0f}, least {min(sharp):.0f}" if sharp else ""


def _latency(recording: Recording, comparison: Comparison | None) -> str:
    panels = []
    now = [pair.latency_ms for pair in comparison.pairs] if comparison else []
    for title, values in (
        ("Latency, capture to action, recorded", [d.latency_ms for d in recording.decisions]),
        ("Latency, question to answer, now", now),
    ):
        if values:
            marks = [(name, float(np.percentile(values, share))) for name, share in (("p50", 50), ("p95", 95))]
            panels.append(f'<section class="panel"><h3>{title}</h3>{histogram(title, values, marks, "ms")}</section>')
    return f'<div class="panels">{"".join(panels)}</div>'


def _table(recording: Recording, comparison: Comparison | None) -> str:
    pairs = {id(pair.recorded): pair for pair in comparison.pairs} if comparison else {}
    pictures = _pictures(recording)
    rows: list[str] = []
    for kind, run in groupby((step for step in recording.steps if not isinstance(step, Seen)), type):
        steps: list[Any] = [*run]
        if kind is Decided:
            rows += [_row(step, pairs.get(id(step)), pictures.get(step.frame_id, ""), comparison is not None) for step in steps]
        elif kind is Noted:
            told = (" ".join(str(step.content.get(key, "")) for key in ("type", "message")).strip() for step in steps)
            rows += [f'<tr class="note"><td></td><td colspan="4">{escape(text)}</td></tr>' for text in told]
        elif kind is Executed:
            rows.append(f'<tr><td></td><td colspan="4" class="soft">{", ".join(map(_done, steps))}</td></tr>')
    now = "<th>Now</th>" if comparison else ""
    head = f"<tr><th>Seen</th><th>Recorded</th>{now}<th>Ten candidates</th><th>Latency</th></tr>"
    colours = "grey recorded, blue now" if comparison else "grey recorded"
    legend = f'<p class="soft">Bars: probabilities of the ten actions, {colours}, in this order: {escape(", ".join(LABELS))}.</p>'
    return f'{legend}<div class="wide-table"><table class="recording"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'


def _done(executed: Executed) -> str:
    motion = executed.motion
    amount = f"{motion.moved_m:.2f} m" if executed.primitive == Primitive.FORWARD else f"{abs(motion.turned_deg):.0f}°"
    return f"{executed.primitive.name.lower()} {amount}{', met something' if motion.collided else ''}"


def _row(decided: Decided, pair: Pair | None, picture: str, beside: bool) -> str:
    said = "" if pair is None else _said(pair.now)
    now, differs = f"<td>{said}</td>" if beside else "", ' class="differs"' if pair is not None and not pair.agrees else ""
    image = f'<img alt="frame {decided.frame_id}" width="{WIDTH_PX}" src="{picture}">' if picture else ""
    bars = _bars(
        [(css, each.candidates) for css, each in (("was", decided.decision), *((("now", pair.now),) if pair else ())) if each.candidates]
    )
    latency = f"{decided.latency_ms:.0f} ms" + (f"<br>now {pair.latency_ms:.0f} ms" if pair else "")
    timing = "<br>".join(f"<small>{escape(stage)} {value:.0f} ms</small>" for stage, value in decided.decision.timing_ms.items())
    return (
        f"<tr{differs}><td>{image}<small>decision {decided.n}, frame {decided.frame_id}</small></td><td>{_said(decided.decision)}</td>{now}"
        f"<td>{bars}</td><td>{latency}<br>{timing}</td></tr>"
    )


def _said(decision: Decision) -> str:
    rejected = " <b>(no action)</b>" if decision.rejected else ""
    return f"{escape(decision.text)}{rejected}<br><small>p {decision.probability:.2f}</small>"


def _bars(series: Sequence[tuple[str, Sequence[float]]]) -> str:
    body = []
    for number, (css, values) in enumerate(series):
        for index, (value, label) in enumerate(zip(values, LABELS)):
            height, width = _BARS_PX * value, (_BAR_PX - 1) / len(series)
            body.append(
                f'<rect class="{css}" x="{_BAR_PX * index + width * number:.1f}" y="{_BARS_PX - height:.1f}" width="{width:.1f}" height="{height:.1f}">'
                f"<title>{escape(label)}: {value:.3f}</title></rect>"
            )
    return (
        f'<svg class="bars" viewBox="0 0 {_BAR_PX * len(LABELS)} {_BARS_PX}" role="img" aria-label="candidates">{"".join(body)}</svg>'
        if body
        else ""
    )


def _pictures(recording: Recording) -> dict[int, str]:
    """Data addresses of the frames that decisions were made on, evenly thinned out when they are many."""
    wanted = {decided.frame_id for decided in recording.decisions}
    seen: list[Any] = [step for step in recording.steps if isinstance(step, Seen) and step.frame_id in wanted]
    chosen = np.unique(np.linspace(0, len(seen) - 1, min(MOST_FRAMES, len(seen))).astype(int)) if seen else []
    return {seen[index].frame_id: _small(seen[index].jpeg) for index in chosen}


def _small(jpeg: bytes) -> str:
    rgb = decode_jpeg(jpeg)
    size = WIDTH_PX, max(1, round(rgb.shape[0] * WIDTH_PX / rgb.shape[1]))
    _, data = cv2.imencode(".jpg", cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
