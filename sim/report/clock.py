"""Where the time of a run goes: rendering, waiting for decisions, the rest; and the stages of a decision."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sim.report import svg
from sim.report.run import Run
from sim.results import Record, number


def latencies_ms(timings: Sequence[Record]) -> list[float]:
    """Every decision's latency, frame captured to action."""
    return [number(value) for timing in timings for value in timing.get("latency_ms", ())]


def shares_s(timings: Sequence[Record]) -> list[tuple[str, float]]:
    """Seconds of all workers together, by what they did; [] when the run did not measure them."""
    measured = [timing for timing in timings if "wall_s" in timing]
    wall = sum(number(timing["wall_s"]) for timing in measured)
    if wall <= 0:
        return []
    render = sum(
        number(timing.get("spent_s", timing).get("render", timing.get("render_s", 0.0))) for timing in measured
    )  # folders of old have render_s
    decide = sum(latencies_ms(measured)) / 1000
    return [
        ("Frames (renderer)", render),
        ("Decisions (waiting for the policy)", decide),
        ("Rest: physics, maps, videos, records", max(0.0, wall - render - decide)),
    ]


def time_chart(run: Run) -> str:
    """One bar of the workers' time, and how fast the run was."""
    parts = shares_s(run.timings)
    if not parts:
        return ""
    wall, timed = sum(seconds for _, seconds in parts), {str(timing["episode_id"]) for timing in run.timings if "wall_s" in timing}
    steps = sum(int(result["steps"]) for result in run.results if str(result["episode_id"]) in timed)
    speed = f"{3600 * len(timed) / wall:,.0f} episodes and {3600 * steps / wall:,.0f} steps per hour and worker; {wall / max(1, len(timed)):.1f} s an episode."
    return (
        svg.stacked("Where the time goes", [(name, f"t{index}", seconds) for index, (name, seconds) in enumerate(parts)], "{:,.1f} s")
        + f"<p>{escape(speed)}</p>"
        + _stages(run)
    )


def _stages(run: Run) -> str:
    """Mean milliseconds per decision and stage, as the policy reported them."""
    totals: dict[str, float] = {}
    for timing in run.timings:
        for stage, value in timing.get("stages_ms", {}).items():
            totals[stage] = totals.get(stage, 0.0) + number(value)
    decisions = len(latencies_ms(run.timings))
    if not totals or not decisions:
        return ""
    longest = max(totals.values()) or 1.0
    rows = "".join(
        f'<tr><td>{escape(stage)}</td><td><i class="stage" style="width:{100 * total / longest:.1f}%"></i></td>'
        f'<td class="num">{total / decisions:.2f} ms</td></tr>'
        for stage, total in sorted(totals.items(), key=lambda item: -item[1])
    )
    caption = "Per decision, as the policy reports it (stages may contain one another: “decide” holds “language”)"
    return f'<table class="stages"><caption>{caption}</caption>{rows}</table>'


def latency_chart(run: Run) -> str:
    """How often decisions took how long."""
    values = latencies_ms(run.timings)
    return svg.histogram("Latency of decisions", values, list(run.summary["latency_ms"].items()), "ms") if values else ""
