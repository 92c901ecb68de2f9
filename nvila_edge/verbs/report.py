"""`nvila-edge report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tyro.conf import Positional


@dataclass(frozen=True)
class Report:
    """Write report.html of an evaluation anew (figures, maps, frames, every decision), or beside a second one with paired tests."""

    example: ClassVar[str] = "nvila-edge report runs/eval"
    out: Positional[Path]
    """Folder of an evaluation; the report is written there."""
    other: Positional[Path | None] = None
    """Folder of a second evaluation, on the same episodes, to compare with."""

    def run(self) -> None:
        from sim.report import build_report

        print(build_report(self.out, self.other))
