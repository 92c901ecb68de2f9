"""The samples that pruning chooses from, by subset, each with the record it was read from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nvila_edge.training.json_records import records
from nvila_edge.training.llava import sample_of
from nvila_edge.training.mixture import DatasetPlace, mixture_entries
from nvila_edge.training.recipe import RecipeError, fill, suggest
from nvila_edge.training.samples import Faults, Sample, SampleError, Source

_ANNOTATIONS = ("annotations.jsonl", "annotations.json")


@dataclass(frozen=True)
class Candidate:
    """`key` is its data set and place in the file (ids may repeat), `media` the folder that its record's names are relative to."""

    key: str
    subset: str
    sample: Sample
    record: dict[str, Any]
    media: Path


def sources(data: Path, mixture: str = "") -> list[Source]:
    """data: a LLaVA-style JSON or JSONL file, a folder with annotations.jsonl (as `nvila-edge data scenetalk` writes), or a mixture file and a name in it.

    Raises ValueError (RecipeError is one) when it is none of these.
    """
    if data.is_dir():
        found = next((data / name for name in _ANNOTATIONS if (data / name).is_file()), None)
        if found is None:
            raise ValueError(f"{data} holds none of {', '.join(_ANNOTATIONS)}; give the file, or for a generated set the stage's folder")
        return [Source(data.name, found, data)]
    if not data.is_file():
        raise ValueError(f"{data} is not there; expected a JSON or JSONL file, a folder with annotations.jsonl, or a mixture file (YAML)")
    if data.suffix not in (".yaml", ".yml"):
        return [Source(data.stem, data, data.parent)]
    return _of_mixture(data, mixture)


def candidates(places: Sequence[Source], by: str, faults: Faults) -> list[Candidate]:
    """All usable samples in order. by: the key of a record that names its subset ("kind" in generated sets), "" for one subset a data set.

    Raises ValueError for a file that cannot be read, a record without that key, and when nothing is left.
    """
    found: list[Candidate] = []
    for source in places:
        for number, record in records(source.path):
            name = str(record.get("id", number)) if isinstance(record, dict) else number
            try:
                sample = sample_of(source, name, record)
            except SampleError as error:
                faults.add(source.name, name, str(error))
                continue
            if by and by not in record:
                raise ValueError(f"{source.path}: sample {name} has no key {by!r}{suggest(by, list(record))}; it has: {', '.join(record)}")
            subset = f"{source.name}-{record[by]}" if by else source.name
            found.append(Candidate(f"{source.name}/{number}", subset, sample, record, source.media))
    if not found:
        raise ValueError(f"no sample of {', '.join(str(source.path) for source in places)} can be used; {faults.text()}")
    return found


def fingerprint(found: Sequence[Candidate]) -> str:
    """Of the keys and records: what scores belong to."""
    digest = hashlib.sha256()
    for one in found:
        digest.update(json.dumps([one.key, one.record], sort_keys=True).encode())
    return digest.hexdigest()[:16]


def _of_mixture(path: Path, mixture: str) -> list[Source]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        datasets, mixtures = dict(content["datasets"]), dict(content["mixtures"])
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise RecipeError(f"{path} is no mixture file; it has the mappings datasets and mixtures ({error!r})") from error
    if not mixture:
        raise RecipeError(f"{path} is a mixture file; name one of its mixtures with --mixture: {', '.join(mixtures)}")
    names = dict.fromkeys(entry.dataset for entry in mixture_entries(mixtures, mixture, path))
    root = path.parent / str(content.get("media_root", "."))
    return [_source(path, root, datasets, name) for name in names]


def _source(path: Path, root: Path, datasets: dict[str, Any], name: str) -> Source:
    if not isinstance(datasets.get(name), dict):
        raise RecipeError(f"{path} describes no data set {name!r}{suggest(name, list(datasets))}; there are: {', '.join(datasets)}")
    place = fill(DatasetPlace, datasets[name], f"datasets.{name}.")
    if place.format != "llava":
        raise RecipeError(f"{path}: data set {name} has format {place.format!r}; pruning reads llava")
    return Source(name, root / place.path, root / place.media, place.format, place.system_prompt)
