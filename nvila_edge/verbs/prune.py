"""`nvila-edge data prune`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nvila_edge.options.prune import PruneOptions


@dataclass(frozen=True, kw_only=True)
class DataPrune(PruneOptions):
    """Keep the part of a learning set that teaches most: where a large model beats a small one (DeltaLoss), or at random, or evenly by its pictures.

    DATA is LLaVA's JSON or JSONL, a folder of `nvila-edge data scenetalk`, or a mixture file. OUT gets kept/*.jsonl, a mixture.yaml for training and a
    report. The same command goes on after an interruption; another --keep or --reduce asks no model again.
    """

    example: ClassVar[str] = (
        "nvila-edge data prune runs/scenetalk/stage4 --large runs/large/final --small runs/small/final --keep 0.5 --out runs/pruned"
    )

    def run(self) -> None:
        from nvila_edge.training.pruning.run import prune, summary

        pruned = prune(self, lambda line: print(line, flush=True))
        for name, counts in summary(pruned)["subsets"].items():
            print(f"{name}: " + ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in counts.items()))
        if pruned.faults.total:
            print(pruned.faults.text())
        print(f"train on it with data={self.out / 'mixture.yaml'} mixture=pruned\nreport: {self.out / 'report.html'}")
