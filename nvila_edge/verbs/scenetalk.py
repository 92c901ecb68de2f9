"""`nvila-edge data scenetalk`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal


@dataclass(frozen=True)
class DataScenetalk:
    """Generate pictures of houses with conversations about them, a set for every training stage, in LLaVA's layout."""

    example: ClassVar[str] = "nvila-edge data scenetalk --out runs/scenetalk --stage 4 --houses 2 --samples 40"
    out: Path
    """Folder of the sets; a stage's lies in stageN/annotations.jsonl."""
    stage: Literal[1, 2, 3, 4, 5] = 4
    """1 captions; 2 detailed captions and signs; 3 tours; 4 questions and actions on single frames; 5 histories, summaries and moments of videos."""
    split: Literal["train", "val_seen", "val_unseen"] = "train"
    """Whose houses."""
    houses: int = 40
    """How many houses."""
    samples: int = 4000
    """How many conversations, evenly spread over the houses."""
    seed: int = 0
    """Same seed, same bytes."""

    def run(self) -> None:
        from nvila_edge.progress import Estimate
        from sim.scenetalk.writer import write_scenetalk

        estimate = Estimate()

        def progress(what: str, done: int, total: int) -> None:
            print(estimate.line(what, done, total), flush=True)

        kinds = write_scenetalk(self.out, self.stage, self.split, self.houses, self.samples, self.seed, progress)
        print(", ".join(f"{kind} {count}" for kind, count in kinds.items()))
