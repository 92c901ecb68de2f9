"""`nvila-edge data houses` and `nvila-edge data collect`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal


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
class DataCollect:
    """Record roll-outs as a learning set: frames, instructions and answers, balanced, with a report. The same command goes on."""

    example: ClassVar[str] = "nvila-edge data collect --out runs/learning --format navila --source expert --houses 2 --episodes 6"
    out: Path
    """Folder of the learning set; one per folder."""
    format: Literal["navila", "lerobot"] = "navila"
    """navila: annotations.json and a folder of frames per video, as NaVILA-Dataset has them; lerobot: LeRobot dataset v3.0."""
    source: Literal["expert", "dagger", "policy"] = "expert"
    """expert: it drives and labels; dagger: the bundle drives, the expert labels and sometimes takes over; policy: the bundle does both."""
    houses: int = 10
    """How many houses."""
    episodes: int = 100
    """How many episodes, evenly spread."""
    split: Literal["train", "val_seen", "val_unseen"] = "train"
    """Of the houses."""
    seed: int = 0
    """Of the episodes, of who drives in dagger, and of what balancing drops."""
    bundle: Path | None = None
    """Bundle folder of dagger and policy; the built-in one when left out."""
    workers: int = 2
    """Simulator processes; the data do not depend on it."""
    expert_share: float = 0.3
    """dagger: chance that the expert's action is carried out."""
    keep: Literal["all", "successes"] = "all"
    """successes: only roll-outs that stopped within 3 m of the goal."""
    stop_copies: int = 3
    """How often each stop counts; the published R2R annotations have three per episode."""
    largest_share: float = 1.0
    """No answer makes more than this share of the samples; what is too much is dropped."""

    def run(self) -> None:
        from sim.learning.collect import CollectOptions, collect

        def progress(done: int, total: int) -> None:
            print(f"{done} of {total} houses", flush=True)

        summary = collect(CollectOptions(**vars(self)), progress)
        print(f"{summary['kept']} of {summary['episodes']} episodes kept, {summary['frames']} frames, {summary['samples']} samples")
        print(f"{self.out}\nreport: {self.out / 'report.html'}")
