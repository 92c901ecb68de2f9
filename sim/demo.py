"""The demonstration: the built-in model on a dozen episodes in unseen houses, with a video of each."""

from __future__ import annotations

from pathlib import Path

from sim.crew import Reporter
from sim.evaluate import EvalOptions, check, evaluate
from sim.results import REPORT, RESULTS, RUN, VIDEOS, OutputError, clear_run, stored_run

SPLIT = "val_unseen"


def run_demo(out: Path, episodes: int, workers: int, reporter: Reporter) -> str:
    """Evaluate the built-in bundle on `episodes` episodes of val_unseen, all filmed; returns the closing message.

    Replaces an earlier demo in `out`. Raises OutputError when `out` holds an evaluation that no demo made, and what `evaluate` raises.
    """
    if any((out / name).exists() for name in (RUN, RESULTS)) and not stored_run(out).get("config", {}).get("demo"):
        raise OutputError(f"{out} holds an evaluation that is no demo: it stays; choose another --out or remove that folder")
    options = EvalOptions(out, split=SPLIT, episodes=episodes, workers=workers, videos=episodes, demo=True)
    check(options)
    clear_run(out)
    reporter.note(f"{episodes} episodes in houses that the model has never seen; the model runs in a server process of its own")
    summary = evaluate(options, reporter)
    latency = summary["latency_ms"]
    reached = round(summary["SR"] * summary["episodes"] / 100)
    return "\n".join(
        (
            "",
            f"The robot reached its goal in {reached} of {summary['episodes']} episodes (SPL {summary['SPL']:.0f} %).",
            f"A decision took {latency['p50']:.0f} ms in the middle, 95 % came within {latency['p95']:.0f} ms.",
            f"Report:  {out / REPORT}",
            f"Videos:  {out / VIDEOS}/*.mp4",
            "Open the report in a browser; the videos play there too.",
        )
    )
