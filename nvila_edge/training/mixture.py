"""Mixtures of data sets from one YAML file, and the order of an epoch.

media_root: .                         # optional; paths are relative to the YAML file
datasets:
  captions: {path: captions.json, media: images}               # LLaVA's layout, JSON or JSON lines
  r2r: {format: navila, path: NaVILA-Dataset/R2R}              # a folder with annotations.json
  walks: {format: lerobot, path: runs/walks, frames: 4}        # a folder with meta/info.json, as `nvila-edge data collect` writes
mixtures:
  stage1: captions*2@0.5              # twice, of a half that is drawn by the seed
  stage2:
    - {dataset: captions, repeat: 1.5, keep: kept/captions.txt}
    - r2r*2
    - walks
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from nvila_edge.training import llava, navigation
from nvila_edge.training.recipe import RecipeError, fill, suggest
from nvila_edge.training.samples import READERS, Faults, Sample, Source

assert llava.read_llava and navigation.read_navila  # their modules register the layouts
_ITEM = re.compile(r"([A-Za-z0-9_.-]+)(?:\*([0-9.]+))?(?:@([0-9.]+))?")


@dataclass(frozen=True)
class Entry:
    """A data set in a mixture. repeat: how often it comes in an epoch, also in parts (1.5: half of it twice); share: what part of it, drawn by the seed;
    keep: a file of ids, one a line, that stay (what `nvila-edge data prune` writes). weight: its share of the epoch; then every entry has one, the
    repeats follow, and the epoch is as long as the data sets together."""

    dataset: str
    repeat: float = 1.0
    share: float = 1.0
    weight: float = 0.0
    keep: str = ""

    def __post_init__(self) -> None:
        if not (0 < self.repeat <= 1e6 and 0 < self.share <= 1 and 0 <= self.weight < 1e6):
            raise RecipeError(
                f"mixture entry {self.dataset}: repeat {self.repeat}, share {self.share}, weight {self.weight}; "
                "expected repeat above 0, share above 0 and at most 1, weight 0 or more"
            )


@dataclass(frozen=True)
class DatasetPlace:
    """A data set as the YAML file says it: format is one of READERS; path, media and frames: see Source."""

    path: str
    media: str = "."
    format: str = "llava"
    system_prompt: bool = True
    frames: int = 8


@dataclass(frozen=True)
class Mixture:
    """An epoch's samples, one list a data set, each in file order; `faults` tells what was left out."""

    name: str
    parts: tuple[tuple[Sample, ...], ...]
    faults: Faults

    def order(self, seed: int) -> list[Sample]:
        """The epoch: every part shuffled by the seed, all spread evenly over the whole (as VILA's llava_trainer.py does), whatever the number of processes.

        VILA trims every data set to whole global batches; the trainer trims only the epoch, so that small data sets are not lost.
        """
        placed: list[tuple[float, int, Sample]] = []
        for number, part in enumerate(self.parts):
            shuffled = np.random.default_rng([seed, number]).permutation(len(part))
            placed += [((place + 0.5) / len(part), number, part[index]) for place, index in enumerate(shuffled)]
        return [sample for _, _, sample in sorted(placed, key=lambda one: one[:2])]


def load_mixture(path: Path, name: str, seed: int, say: Callable[[str], None] = lambda _line: None) -> Mixture:
    """The mixture `name` of a YAML file; its data sets are read, corrupt samples are counted and listed.

    Raises RecipeError for a file, name or key that is not known, a data set that is not there, and for a mixture without a single sample.
    """
    content = _content(path)
    entries = mixture_entries(content["mixtures"], name, path)
    faults, read = Faults(), {}
    for entry in entries:
        if entry.dataset not in read:
            read[entry.dataset] = _read(path, content, entry.dataset, faults)
            say(f"{entry.dataset}: {len(read[entry.dataset])} samples")
    chosen = [_chosen(entry, read[entry.dataset], path, seed) for entry in entries]
    total = sum(map(len, chosen))
    weights = sum(entry.weight for entry in entries)
    if weights and not all(entry.weight for entry in entries):
        raise RecipeError(f"{path}: mixture {name} gives some entries a weight; give every one a weight, or none")
    repeats = [
        entry.repeat if not weights else total * entry.weight / weights / max(1, len(part))
        for entry, part in zip(entries, chosen, strict=True)
    ]
    parts = [_repeated(part, repeat, seed) for part, repeat in zip(chosen, repeats, strict=True)]
    if not any(parts):
        reasons = f"; {faults.text()}" if faults.total else ""
        raise RecipeError(f"{path}: mixture {name} is empty: not one sample is left of {', '.join(read)}{reasons}")
    return Mixture(name, tuple(tuple(part) for part in parts if part), faults)


def mixture_entries(mixtures: dict[str, Any], name: str, where: object = "mixtures") -> tuple[Entry, ...]:
    """The entries of one mixture: text like "a+b*3@0.5", or a list of texts and mappings. Raises RecipeError for what is neither."""
    if name not in mixtures:
        raise RecipeError(f"{where} has no mixture {name!r}{suggest(name, list(mixtures))}; there are: {', '.join(mixtures)}")
    described, entries = mixtures[name], []
    for item in [described] if isinstance(described, str) else described if isinstance(described, list) else [None]:
        if isinstance(item, dict):
            entries.append(fill(Entry, item, f"mixtures.{name}."))
        elif isinstance(item, str):
            entries += [_entry(text.strip(), name) for text in item.split("+")]
        else:
            raise RecipeError(f"mixture {name} is {described!r}; expected text like a+b*3@0.5, or a list of such texts and mappings")
    return tuple(entries)


def _entry(text: str, name: str) -> Entry:
    match = _ITEM.fullmatch(text)
    try:
        if match:
            return Entry(match[1], float(match[2] or 1), float(match[3] or 1))
    except ValueError as error:
        raise RecipeError(f"mixture {name}: {text!r}: {error}") from error
    raise RecipeError(f"mixture {name}: {text!r} is no entry; write name, name*3, name@0.5 or name*3@0.5")


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"mixture file {path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(key), dict) for key in ("datasets", "mixtures")):
        raise RecipeError(f"{path} is no mixture file; it has the mappings datasets and mixtures (and media_root)")
    known = ("name", "media_root", "datasets", "mixtures")
    for key in content:
        if key not in known:
            raise RecipeError(f"{path}: unknown key {key}{suggest(str(key), known)}; allowed: {', '.join(known)}")
    return content


def _read(path: Path, content: dict[str, Any], name: str, faults: Faults) -> list[Sample]:
    places = content["datasets"]
    if not isinstance(places.get(name), dict):
        raise RecipeError(f"{path} describes no data set {name!r}{suggest(name, list(places))}; there are: {', '.join(places)}")
    place = fill(DatasetPlace, places[name], f"datasets.{name}.")
    if place.format not in READERS:
        raise RecipeError(
            f"{path}: data set {name} has format {place.format!r}{suggest(place.format, list(READERS))}; known: {', '.join(READERS)}"
        )
    root = path.parent / str(content.get("media_root", "."))
    annotations = root / place.path
    if not annotations.exists():
        raise RecipeError(f"data set {name}: {annotations} is not there; download it, or take {name} out of the mixture in {path}")
    source = Source(name, annotations, root / place.media, place.format, place.system_prompt, place.frames)
    return list(READERS[place.format](source, faults))


def _chosen(entry: Entry, samples: Sequence[Sample], path: Path, seed: int) -> list[Sample]:
    chosen = list(samples)
    if entry.keep:
        try:
            kept = set((path.parent / entry.keep).read_text().split("\n"))
        except OSError as error:
            raise RecipeError(f"mixture entry {entry.dataset}: keep {entry.keep} cannot be read: {error}") from error
        chosen = [sample for sample in chosen if sample.id in kept]
    return _drawn(chosen, round(len(chosen) * entry.share), seed)


def _repeated(samples: list[Sample], repeat: float, seed: int) -> list[Sample]:
    return samples * int(repeat) + _drawn(samples, round(len(samples) * (repeat % 1)), seed + 1)


def _drawn(samples: list[Sample], count: int, seed: int) -> list[Sample]:
    if count >= len(samples):
        return samples
    return [samples[index] for index in sorted(np.random.default_rng([seed, 7]).permutation(len(samples))[:count])]
