"""What `nvila-edge data collect` can be asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class CollectOptions:
    """A learning set that is recorded in our houses."""

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
