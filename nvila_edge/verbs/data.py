"""`nvila-edge data houses` and `nvila-edge data collect`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from nvila_edge.options.collect import CollectOptions


@dataclass(frozen=True)
class DataHouses:
    """Generate houses and episodes: R2R_VLNCE files, GLB scenes, and a report of what the episodes are like."""

    example: ClassVar[str] = "nvila-edge data houses --out runs/houses --split val_unseen --houses 3 --episodes 12"
    out: Path
    """Folder of the dataset."""
    split: Literal["train", "val_seen", "val_unseen"] = "val_unseen"
    """val_seen: other episodes in the houses of train."""
    houses: int = 30
    """How many houses."""
    episodes: int = 300
    """How many episodes, evenly spread."""
    seed: int = 0
    """Of the episodes; houses follow from their names alone."""

    def run(self) -> None:
        from sim.dataset import build_dataset
        from sim.dataset_report import write_report
        from sim.episodes import load_split

        def progress(done: int) -> None:
            print(f"{done} of {self.episodes} episodes", flush=True)

        path = build_dataset(self.out, self.split, self.houses, self.episodes, self.seed, progress=progress)
        figures = write_report(load_split(self.out, self.split), self.out / f"{self.split}.html")
        print(f"{path}\n{self.out / f'{self.split}.html'}: " + ", ".join(f"{name} {value:g}" for name, value in figures.items()))


@dataclass(frozen=True)
class DataCollect(CollectOptions):
    """Record roll-outs as a learning set: frames, instructions and answers, balanced, with a report. The same command goes on."""

    example: ClassVar[str] = "nvila-edge data collect --out runs/learning --format navila --source expert --houses 2 --episodes 6"

    def run(self) -> None:
        from sim.learning.collect import collect

        def progress(done: int, total: int) -> None:
            print(f"{done} of {total} houses", flush=True)

        summary = collect(self, progress)
        print(f"{summary['kept']} of {summary['episodes']} episodes kept, {summary['frames']} frames, {summary['samples']} samples")
        print(f"{self.out}\nreport: {self.out / 'report.html'}")
