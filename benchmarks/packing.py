"""Training throughput with and without packing, on samples of mixed lengths (the paper's section 3.1: about 30 % faster with it).

    python benchmarks/packing.py [--samples 64] [--out benchmarks/results/packing.json]

Forward and backward passes of a small model; padded batches of 8 in the order of the data, as a collator makes them, and samples one by one, against
packed rows of 2048 positions. Lengths are drawn log-normally: short texts are many, long samples few (the paper's section 2.2).
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from tokenizers import Tokenizer

from nvila_edge.model.nvila import NVILA
from nvila_edge.navigation.actions import SENTENCES
from nvila_edge.training.builtin import ModelSize, new_model
from nvila_edge.training.collate import Prepared
from nvila_edge.training.labels import Piece
from nvila_edge.training.packing import packed_attention, plan
from nvila_edge.training.step import TrainingStep
from nvila_edge.training.tokenizer import train_tokenizer

ROW, BATCH = 2048, 8


@dataclass(frozen=True)
class Packing:
    """Options."""

    samples: int = 64
    repeats: int = 3
    hidden: int = 128
    out: Path | None = None


def samples(count: int, rows: int, seed: int = 0) -> list[Prepared]:
    """Text samples of mixed lengths, median 120 positions, at most 1024; a quarter of each is learned."""
    rng, found = np.random.default_rng(seed), []
    for number, length in enumerate(rng.lognormal(np.log(120), 0.9, count).clip(16, 1024).astype(int).tolist()):
        ids, learned = tuple(rng.integers(0, rows, length).tolist()), max(1, length // 4)
        found.append(Prepared(str(number), (Piece(ids[:-learned]), Piece(ids[-learned:], learned=True)), (), (), length, learned))
    return found


def seconds(model: NVILA, rows: Sequence[Sequence[Prepared]], packing: bool) -> float:
    """One pass over all rows, forward and backward. On a CPU the process's own time: what else the machine does is not counted."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    step, started = TrainingStep(model, packing), clock()
    for row in rows:
        step(row).backward()
        model.zero_grad(set_to_none=True)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - started


def main(options: Packing) -> dict:
    """The figures, printed and written."""
    torch.manual_seed(0)
    tokenizer: Tokenizer = train_tokenizer(SENTENCES, 560)
    model = new_model(ModelSize(hidden=options.hidden, layers=3, intermediate=3 * options.hidden), tokenizer)
    model.vision_tower.requires_grad_(False)
    model.mm_projector.requires_grad_(False)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    batch = samples(options.samples, int(model.llm.config.vocab_size))
    padded = [batch[start : start + BATCH] for start in range(0, len(batch), BATCH)]
    packed = [[batch[index] for index in row] for row in plan([one.length for one in batch], ROW)]
    alone = [[one] for one in batch]
    times: dict[str, list[float]] = {"padded": [], "alone": [], "packed": []}
    for _ in range(options.repeats + 1):  # by turns, so that what else the machine does meets both; the first round warms up
        times["padded"].append(seconds(model, padded, packing=False))
        times["alone"].append(seconds(model, alone, packing=False))
        with packed_attention(model.llm):
            times["packed"].append(seconds(model, packed, packing=True))
    best = {name: min(values[1:]) for name, values in times.items()}
    positions = sum(one.length for one in batch)
    figures = {
        **{f"{name}_positions_per_s": round(positions / value, 1) for name, value in best.items()},
        "ratio": round(best["padded"] / best["packed"], 3), "ratio_alone": round(best["alone"] / best["packed"], 3), "paper_ratio": 1.3, "positions": positions,
        "padding_share": round(1 - positions / sum(len(row) * max(one.length for one in row) for row in padded), 3),
        "rows": {"padded": len(padded), "packed": len(packed)}, "torch": torch.__version__, "clock": "wall" if torch.cuda.is_available() else "process CPU",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads",
        "options": {key: value for key, value in asdict(options).items() if key != "out"},
    }  # fmt: skip
    print(json.dumps(figures, indent=2))
    if options.out:
        options.out.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


if __name__ == "__main__":
    main(tyro.cli(Packing))
