"""Pruning of a learning set: scores, a choice of each subset, and what is written of it. `nvila-edge data prune` runs it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from nvila_edge.finite import finite
from nvila_edge.options.prune import PruneOptions
from nvila_edge.training.delta_loss import REDUCTIONS, Answered, delta_loss
from nvila_edge.training.pruning import choices
from nvila_edge.training.pruning.candidates import Candidate, candidates, sources
from nvila_edge.training.pruning.measuring import answers_of, features_of
from nvila_edge.training.samples import Faults

Say = Callable[[str], None]


@dataclass(frozen=True)
class Judged:
    """A sample that can be used, with what its method found: `delta` has large, small and score, `cluster` a cluster."""

    candidate: Candidate
    kept: bool = False
    score: float | None = None
    large: Answered | None = None
    small: Answered | None = None
    cluster: int | None = None


@dataclass(frozen=True)
class Pruned:
    """The samples of every subset, in order of the data, and what was left out."""

    options: PruneOptions
    subsets: dict[str, list[Judged]]
    faults: Faults


def prune(options: PruneOptions, say: Say) -> Pruned:
    """Writes out/kept/SUBSET.jsonl, SUBSET.txt (ids), mixture.yaml, scores.csv, summary.json and report.html; goes on where it was killed.

    Another keep, reduce or method in the same folder asks no model again. Raises ValueError for data, models and options that cannot be used.
    """
    from nvila_edge.training.pruning.report import page

    _check(options)
    options.out.mkdir(parents=True, exist_ok=True)
    faults = Faults()
    found = candidates(sources(options.data, options.mixture), options.by, faults)
    say(f"{len(found)} samples")
    subsets: dict[str, list[Judged]] = {}
    for judged in _judged(options, found, faults, say):
        subsets.setdefault(judged.candidate.subset, []).append(judged)
    if not subsets:
        raise ValueError(f"not one sample can be used; {faults.text()}")
    rng = np.random.default_rng([options.seed, 11])
    chosen = {name: _chosen(options, subset, rng) for name, subset in sorted(subsets.items())}
    pruned = Pruned(options, chosen, faults)
    _write(pruned, page(pruned))
    return pruned


def _check(options: PruneOptions) -> None:
    """Raises ValueError for a share, a choice or a number that is not allowed."""
    choices.kept_count(1, options.keep)
    for key, allowed in (("method", choices.METHODS), ("reduce", REDUCTIONS)):
        if getattr(options, key) not in allowed:
            raise ValueError(f"{key} is {getattr(options, key)!r}; allowed: {', '.join(allowed)}")
    if options.clusters < 1:
        raise ValueError(f"clusters is {options.clusters}; expected 1 or more")
    if options.measuring.batch < 1 or options.measuring.max_length < 2:
        raise ValueError(f"batch is {options.measuring.batch} and max_length {options.measuring.max_length}; expected at least 1 and 2")


def summary(pruned: Pruned) -> dict[str, Any]:
    """Counts of every subset, and where its scores were cut."""
    counted: dict[str, Any] = {}
    for name, subset in pruned.subsets.items():
        kept = [one for one in subset if one.kept]
        counted[name] = {"samples": len(subset), "kept": len(kept)}
        scores = [one.score for one in kept if one.score is not None]
        if scores:
            counted[name]["lowest_kept_score"] = round(min(scores), 6)
    options = pruned.options
    return {
        "method": options.method, "reduce": options.reduce if options.method == "delta" else None, "keep": options.keep, "seed": options.seed,
        "subsets": counted, "left_out": pruned.faults.counts,
    }  # fmt: skip


def _judged(options: PruneOptions, found: list[Candidate], faults: Faults, say: Say) -> list[Judged]:
    if options.method == "random":
        return [Judged(one) for one in found]
    if options.method == "cluster":
        features = features_of(options.large, found, options.out, options.measuring, say)
        usable = _usable(found, [features], faults)
        return _clustered(options, usable, np.array([features[one.key] for one in usable]))
    large, small = (
        answers_of(name, checkpoint, found, options.out, options.measuring, say)
        for name, checkpoint in (("large", options.large), ("small", options.small))
    )
    judged: list[Judged] = []
    for one in _usable(found, [large, small], faults):
        more, less = large[one.key], small[one.key]
        assert isinstance(more, Answered) and isinstance(less, Answered)
        judged.append(Judged(one, score=delta_loss(more, less, options.reduce), large=more, small=less))
    return judged


def _usable(found: list[Candidate], measured: list[dict[str, Any]], faults: Faults) -> list[Candidate]:
    usable: list[Candidate] = []
    for one in found:
        fault = next((values[one.key] for values in measured if isinstance(values[one.key], str)), None)
        if fault is None:
            usable.append(one)
        else:
            faults.add(one.subset, one.sample.id, fault)
    return usable


def _clustered(options: PruneOptions, usable: list[Candidate], features_NC: np.ndarray) -> list[Judged]:
    judged: list[Judged] = []
    for name in sorted({one.subset for one in usable}):
        rows = [row for row, one in enumerate(usable) if one.subset == name]
        labels = choices.clusters(features_NC[rows], options.clusters, np.random.default_rng([options.seed, 12]))
        judged += [Judged(usable[row], cluster=int(label)) for row, label in zip(rows, labels, strict=True)]
    return judged


def _chosen(options: PruneOptions, subset: list[Judged], rng: np.random.Generator) -> list[Judged]:
    wanted = choices.kept_count(len(subset), options.keep)
    if options.method == "delta":
        kept = choices.highest([one.score for one in subset if one.score is not None], wanted)
    elif options.method == "cluster":
        kept = choices.evenly(np.array([one.cluster for one in subset]), wanted, rng)
    else:
        kept = choices.drawn(len(subset), wanted, rng)
    stay = set(kept)
    return [replace(one, kept=index in stay) for index, one in enumerate(subset)]


def _write(pruned: Pruned, report: str) -> None:
    """The kept records first, each file in one step; summary.json comes last."""
    out, datasets = pruned.options.out, {}
    part = out / ".kept.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    for name, subset in pruned.subsets.items():
        file = _plain(name, datasets)
        kept = [one.candidate for one in subset if one.kept]
        (part / f"{file}.jsonl").write_text("".join(json.dumps(one.record, ensure_ascii=False) + "\n" for one in kept), encoding="utf-8")
        (part / f"{file}.txt").write_text("".join(f"{one.sample.id}\n" for one in kept), encoding="utf-8")
        place: dict[str, Any] = {"format": "llava", "path": f"kept/{file}.jsonl", "media": str(kept[0].media.resolve())}
        datasets[file] = place | ({} if kept[0].sample.system_prompt else {"system_prompt": False})
    shutil.rmtree(out / "kept", ignore_errors=True)
    os.replace(part, out / "kept")
    mixture = {"name": f"pruned by {pruned.options.method}", "datasets": datasets, "mixtures": {"pruned": "+".join(datasets)}}
    _replace(out / "mixture.yaml", yaml.safe_dump(mixture, sort_keys=False, allow_unicode=True))
    _replace(out / "scores.csv", _table(pruned))
    _replace(out / "report.html", report)
    _replace(out / "summary.json", json.dumps(finite(summary(pruned)), indent=2) + "\n")


def _plain(name: str, taken: Container[str]) -> str:
    """A name for a file, which mixtures can also say (their texts join names by + and * and @)."""
    bare = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "_" for letter in name)
    return bare if bare not in taken else next(f"{bare}-{n}" for n in count(2) if f"{bare}-{n}" not in taken)


def _table(pruned: Pruned) -> str:
    lines = ["subset,key,kept,score,large_log_probability,small_log_probability,cluster"]
    for name, subset in pruned.subsets.items():
        for one in subset:
            numbers = (one.score, one.large and one.large.log_probability, one.small and one.small.log_probability, one.cluster)
            cells = (name.replace(",", "_"), one.candidate.key.replace(",", "_"), int(one.kept), *numbers)
            lines.append(",".join("" if cell is None else str(cell) for cell in cells))
    return "\n".join(lines) + "\n"


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
