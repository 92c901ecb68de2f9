"""`nvila-edge data prune`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from tyro.conf import Positional


@dataclass(frozen=True)
class DataPrune:
    """Keep the part of a learning set that teaches most: where a large model beats a small one (DeltaLoss), or at random, or evenly by its pictures.

    DATA is LLaVA's JSON or JSONL, a folder of `nvila-edge data scenetalk`, or a mixture file. OUT gets kept/*.jsonl, a mixture.yaml for training and a
    report. The same command goes on after an interruption; another --keep or --reduce asks no model again.
    """

    example: ClassVar[str] = (
        "nvila-edge data prune runs/scenetalk/stage4 --large runs/large/final --small runs/small/final --keep 0.5 --out runs/pruned"
    )
    data: Positional[Path]
    """File or folder of the learning set."""
    out: Path
    """Folder of scores, kept samples and the report."""
    large: str = ""
    """Checkpoint folder or hub id; delta asks it, cluster uses its vision tower."""
    small: str = ""
    """Checkpoint folder or hub id; delta asks it."""
    keep: float = 0.5
    """Share of each subset that stays; the paper's safe one is 0.5."""
    method: Literal["delta", "random", "cluster"] = "delta"
    """delta: highest log p(large) / p(small) of the answers; cluster: the same share of every k-means cluster of pictures."""
    reduce: Literal["mean", "sum"] = "mean"
    """delta: over the tokens of the answers; sum puts long answers first."""
    by: str = ""
    """Key of the records that names a subset, such as kind; each data set is one when left out."""
    mixture: str = ""
    """Name of the mixture, where DATA is a mixture file."""
    clusters: int = 100
    """cluster: at most so many in a subset."""
    seed: int = 0
    """random and cluster: what is drawn."""
    batch: int = 8
    """Samples that a model sees at once."""
    max_length: int = 8192
    """Positions; longer samples are left out."""

    def run(self) -> None:
        from nvila_edge.training.pruning.measuring import Measuring
        from nvila_edge.training.pruning.run import PruneOptions, prune, summary

        values = {key: value for key, value in vars(self).items() if key not in ("batch", "max_length")}
        options = PruneOptions(**values, measuring=Measuring(self.batch, self.max_length))
        pruned = prune(options, lambda line: print(line, flush=True))
        for name, counts in summary(pruned)["subsets"].items():
            print(f"{name}: " + ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in counts.items()))
        if pruned.faults.total:
            print(pruned.faults.text())
        print(f"train on it with data={self.out / 'mixture.yaml'} mixture=pruned\nreport: {self.out / 'report.html'}")
