"""report.html: one file that needs no network. Pictures are inside it or, when there are many, beside it; videos are linked."""

from __future__ import annotations

from pathlib import Path

from sim.aggregate import OURS
from sim.report.page import page
from sim.report.run import Run
from sim.results import REPORT, write_atomic


def build_report(out: Path, other: Path | None = None, rule: str = OURS) -> Path:
    """Write `out/report.html` from the files of the evaluation in `out`, beside those of `other` when given; returns its path.

    Means follow `rule` (sim/aggregate.py). Raises OutputError when a folder holds no evaluation or cannot be written, ValueError when two runs
    share no episode and for an unknown rule.
    """
    runs = [Run.load(out, rule=rule)] if other is None else _common(Run.load(out, "A", rule), Run.load(other, "B", rule))
    # "replace": half of a surrogate pair, which JSON can hold and UTF-8 cannot
    write_atomic(out / REPORT, page(runs, out).encode(errors="replace"))
    return out / REPORT


def _common(first: Run, second: Run) -> list[Run]:
    """Both runs on the episodes that both have played: figures of different episodes would stand beside one another otherwise."""
    ids = first.result_by_id.keys() & second.result_by_id.keys()
    if not ids:
        raise ValueError(f"{first.folder} and {second.folder} share no episode: compare runs on the same dataset and split")
    return [first.only(ids), second.only(ids)]
