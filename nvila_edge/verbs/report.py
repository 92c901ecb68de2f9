"""`nvila-edge report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from tyro.conf import Positional


@dataclass(frozen=True)
class Report:
    """Write report.html of an evaluation anew (figures, maps, frames, every decision), or beside a second one with paired tests; joins shards. Or the page
    of a recording that `nvila-edge agent --record` made."""

    example: ClassVar[str] = "nvila-edge report runs/eval"
    out: Positional[Path]
    """Folder of an evaluation or a recording; the report is written there. An .mcap file: beside it."""
    other: Positional[Path | None] = None
    """Folder of a second evaluation, on the same episodes, to compare with."""

    aggregate: Literal["plain", "navila", "navid"] = "navila"
    """What means make of an SPL or NE that is not finite: plain counts it (VLN-CE), navila drops it, navid counts 0."""
    merge: tuple[Path, ...] = ()
    """All shards of one evaluation (folders that `nvila-edge eval --shard I/N` wrote): join them in OUT, then write its report."""

    def run(self) -> None:
        if self.out.suffix == ".mcap" or any(self.out.glob("*.mcap")):
            return self._of_recording()
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

    def _of_recording(self) -> None:
        from agents.recording.reader import read_recording
        from sim.report.recording import write_page

        if self.other is not None or self.merge:
            raise ValueError(f"{self.out} is a recording; compare it with what a model would do: nvila-edge replay {self.out} --bundle DIR")
        recording = read_recording(self.out)
        print(write_page(recording, None, (self.out if self.out.is_dir() else self.out.parent) / "report.html"))
