"""What `nvila-edge data prune` can be asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional


@dataclass(frozen=True)
class Measuring:
    """How models are asked."""

    batch: int = 8
    """Samples that a model sees at once: part of what scores belong to, as sums differ in their last bits."""
    max_length: int = 8192
    """Positions; longer samples are left out."""


@dataclass(frozen=True, kw_only=True)
class PruneOptions:
    """What of a learning set is kept, and by what."""

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
    measuring: Annotated[Measuring, tyro.conf.arg(name="")] = field(default_factory=Measuring)
