"""`nvila-edge report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from tyro.conf import Positional


@dataclass(frozen=True)
class Report:
    """Write report.html of an evaluation anew (figures, maps, frames, every decision), or beside a second one with paired tests; joins shards."""

    example: ClassVar[str] = "nvila-edge report runs/eval"
    out: Positional[Path]
    """Folder of an evaluation; the report is written there."""
    other: Positional[Path | None] = None
    """Folder of a second evaluation, on the same episodes, to compare with."""

    aggregate: Literal["plain", "navila", "navid"] = "navila"
    """What means make of an SPL or NE that is not finite: plain counts it (VLN-CE), navila drops it, navid counts 0."""
    merge: tuple[Path, ...] = ()
    """All shards of one evaluation (folders that `nvila-edge eval --shard I/N` wrote): join them in OUT, then write its report."""

    def run(self) -> None:
        from sim.aggregate import aggregate
        from sim.report import build_report
        from sim.results import load_run
        from sim.shards import merge

        if self.merge:
            summary = merge(self.out, self.merge)
            print(f"{summary['episodes']} episodes of {len(self.merge)} shards joined in {self.out}")
        print(build_report(self.out, self.other, self.aggregate))
        for folder in filter(None, (self.out, self.other)):
            figures = aggregate(load_run(folder)[0], self.aggregate)
            print(f"{folder}, {self.aggregate}: " + "  ".join(f"{name} {value:.2f}" for name, value in figures.items()))
