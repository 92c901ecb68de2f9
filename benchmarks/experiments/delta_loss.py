"""DeltaLoss against cluster and random pruning at 50, 30 and 10 % (the paper's Table 3), and how well scores tell planted samples apart.

    python -m benchmarks.experiments.delta_loss [--seeds 5] [--out runs/delta_loss]

A large and a small model learn from a clean set, the small one from less of it and for less long. They score a pool of which 30 % is easy and 20 % has
wrong answers; it is pruned by `nvila-edge data prune`'s own code, and a fresh student learns from what is left, always for as many steps. Measured: its
answers to clean questions. Every seed draws its own data and models. The same command goes on where it was stopped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from benchmarks.experiments.planted import Shares, accuracy, auc, fresh, planted, teach, write_planted
from nvila_edge.training.pruning.ledger import Ledger
from nvila_edge.training.pruning.run import PruneOptions, prune
from nvila_edge.training.samples import Sample

# The paper's Table 3, IM-10 (mean of ten image benchmarks, percent); all of the data: 75.6
PAPER = {
    ("delta", 0.5): 75.5, ("cluster", 0.5): 74.5, ("random", 0.5): 74.0, ("delta", 0.3): 74.0, ("cluster", 0.3): 73.5, ("random", 0.3): 73.1,
    ("delta", 0.1): 72.4, ("cluster", 0.1): 72.2, ("random", 0.1): 72.0, ("all", 1.0): 75.6,
}  # fmt: skip
# Student's t, 97.5 %, by degrees of freedom
_T = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}


@dataclass(frozen=True)
class Experiment:
    """Options. pool, questions: samples; steps: of the large model and of each student; small_steps: of the small model."""

    seeds: int = 5
    first_seed: int = 0
    pool: int = 400
    questions: int = 120
    steps: int = 90
    small_steps: int = 35
    learning_rate: float = 3e-3
    out: Path = Path("runs/delta_loss")


def main(options: Experiment) -> None:
    """Runs what is missing and prints the tables of all seeds in the folder."""
    torch.set_num_threads(1)
    for keep in sorted({keep for _, keep in PAPER}, key=lambda keep: abs(keep - 0.5)):  # the paper's choice first, of all seeds
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            one_seed(options, seed, keep)
    print(tables(list(_lines(options.out))))


def one_seed(options: Experiment, seed: int, share: float) -> None:
    """Appends to out/seed-N.jsonl: one line of scores, and one of every student that learns from this share."""
    folder = options.out / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    belongs = {key: value for key, value in vars(options).items() if key not in ("seeds", "first_seed", "out")}
    ledger = Ledger(options.out / f"seed-{seed}.jsonl", belongs)
    pool = planted(options.pool, seed=1000 + seed)
    questions = [sample for _, sample in planted(options.questions, seed=2000 + seed, shares=Shares(0.0, 0.0))]
    if not (folder / "pool" / "annotations.jsonl").exists():
        write_planted(folder / "pool", pool)
    if not (folder / "small" / "llm" / "tokenizer.json").exists():
        _references(options, seed, folder)
    if "scores" not in ledger.lines:
        ledger.add([{"key": "scores", **_separation(options, seed, folder, [kind for kind, _ in pool])}])
    for method, keep in PAPER:
        key = f"{method}@{keep}"
        if keep == share and key not in ledger.lines:
            kept = [sample for _, sample in pool] if method == "all" else _kept(options, seed, folder, method, keep)
            student = fresh(500 + seed)
            teach(student, kept, options.steps, seed=seed, learning_rate=options.learning_rate)
            ledger.add([{"key": key, "accuracy": accuracy(student, questions), "samples": len(kept)}])
            print(f"seed {seed}: {key} {ledger.lines[key]['accuracy']:.3f}", flush=True)


def tables(lines: Sequence[dict[str, Any]]) -> str:
    """Markdown: AUCs, and accuracies beside the paper's, as means with 95 % intervals over seeds; differences are of the same seeds."""
    by_key: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        by_key.setdefault(line["key"], []).append(line)
    rows = ["| scores, AUC | mean | lowest |", "|---|---|---|"]
    for name in ("helpful_over_rest", "helpful_over_easy", "helpful_over_mislabelled"):
        values = [line[name] for line in by_key.get("scores", [])]
        rows.append(f"| {name.replace('_', ' ')} | {interval(values)} | {min(values, default=math.nan):.3f} |")
    rows += ["", "| kept | method | accuracy, percent | minus random | the paper's IM-10 | minus random |", "|---|---|---|---|---|---|"]
    for (method, keep), published in sorted(PAPER.items(), key=lambda item: -item[0][1]):
        own = [100 * line["accuracy"] for line in by_key.get(f"{method}@{keep}", [])]
        chance = [100 * line["accuracy"] for line in by_key.get(f"random@{keep}", [])]
        apart = interval([a - b for a, b in zip(own, chance)]) if method in ("delta", "cluster") else "-"
        theirs = f"{published - PAPER['random', keep]:+.1f}" if method in ("delta", "cluster") else "-"
        rows.append(f"| {keep:.0%} | {method} | {interval(own)} | {apart} | {published} | {theirs} |")
    return "\n".join(rows)


def interval(values: Sequence[float]) -> str:
    """The mean with half of its 95 % interval (Student's t)."""
    if len(values) < 2:
        return f"{values[0]:.2f}" if values else "-"
    half = _T.get(len(values) - 1, 1.96) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return f"{np.mean(values):.3f} ± {half:.3f}" if max(map(abs, values)) <= 1 else f"{np.mean(values):.1f} ± {half:.1f}"


def _references(options: Experiment, seed: int, folder: Path) -> None:
    study = [sample for _, sample in planted(options.pool, seed=3000 + seed, shares=Shares(0.3, 0.0))]
    for name, steps, share in (("large", options.steps, 1.0), ("small", options.small_steps, 0.15)):
        model = fresh(seed)
        teach(model, study[: round(len(study) * share)], steps, seed=seed, learning_rate=options.learning_rate)
        model.save_pretrained(folder / name)


def _options(options: Experiment, seed: int, folder: Path, method: str, keep: float) -> PruneOptions:
    models = {"large": str(folder / "large"), "small": str(folder / "small")}
    return PruneOptions(data=folder / "pool", out=folder / "pruned", method=method, keep=keep, seed=seed, clusters=16, **models)


def _separation(options: Experiment, seed: int, folder: Path, kinds: Sequence[str]) -> dict[str, float]:
    judged = prune(_options(options, seed, folder, "delta", 0.5), lambda _line: None).subsets["pool"]
    scores = {name: [one.score or 0.0 for one, kind in zip(judged, kinds, strict=True) if kind == name] for name in set(kinds)}
    helpful, easy, wrong = (scores[name] for name in ("helpful", "easy", "mislabelled"))
    return {
        "helpful_over_rest": auc(helpful, easy + wrong), "helpful_over_easy": auc(helpful, easy), "helpful_over_mislabelled": auc(helpful, wrong),
    }  # fmt: skip


def _kept(options: Experiment, seed: int, folder: Path, method: str, keep: float) -> list[Sample]:
    pruned = prune(_options(options, seed, folder, method, keep), lambda _line: None)
    return [one.candidate.sample for one in pruned.subsets["pool"] if one.kept]


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("seed-*.jsonl")):
        yield from (json.loads(line) for line in path.read_text().splitlines()[1:])


if __name__ == "__main__":
    main(tyro.cli(Experiment))
