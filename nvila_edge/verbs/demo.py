"""`nvila-edge demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True)
class Demo:
    """Drive the built-in model through houses it has never seen; leaves figures, a report and a video of every episode."""

    example: ClassVar[str] = "nvila-edge demo --out runs/demo"
    out: Path = Path("runs/demo")
    """Folder for results, report and videos; an earlier demo in it is replaced."""
    episodes: int = 12
    """How many episodes, in as many houses as possible."""
    workers: int = 2
    """Simulator processes."""

    def run(self) -> None:
        from sim.demo import run_demo
        from sim.progress import Display

        with Display() as display:
            message = run_demo(self.out, self.episodes, self.workers, display)
        print(message)
