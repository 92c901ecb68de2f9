"""`nvila-edge report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tyro.conf import Positional


@dataclass(frozen=True)
class Report:
    """Write report.html of an evaluation anew, or beside a second one with paired tests; joins the shards of one evaluation."""

    example: ClassVar[str] = "nvila-edge report runs/eval"
    out: Positional[Path]
    """Folder of an evaluation; the report is written there."""
    other: Positional[Path | None] = None
    """Folder of a second evaluation, on the same episodes, to compare with."""

    merge: tuple[Path, ...] = ()
    """All shards of one evaluation (folders that `nvila-edge eval --shard I/N` wrote): join them in OUT, then write its report."""

    def run(self) -> None:
        from sim.report import build_report
        from sim.shards import merge

        if self.merge:
            summary = merge(self.out, self.merge)
            print(f"{summary['episodes']} episodes of {len(self.merge)} shards joined in {self.out}")
        print(build_report(self.out, self.other))
