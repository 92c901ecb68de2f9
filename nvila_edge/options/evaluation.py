"""What `nvila-edge eval` can be asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from nvila_edge.options.backend import BackendName


@dataclass(frozen=True)
class EvalOptions:
    """One evaluation."""

    out: Path
    """Folder for everything; one evaluation per folder."""
    env: Literal["house", "habitat"] = "house"
    """house: the generated houses, with our own renderer; habitat: any scene that Habitat opens (see `nvila-edge doctor habitat`)."""
    dataset: str = "builtin"
    """"builtin", or a folder that `nvila-edge data houses` made; for habitat also R2R_VLNCE or RxR_VLNCE."""
    scenes: Path | None = None
    """habitat: folder that holds mp3d/ or houses/; the dataset's own and data/scene_datasets when left out."""
    profile: str = "vlnce-r2r"
    """habitat: camera, steps, sliding and body of the task: vlnce-r2r, navila-r2r, navid-r2r or rxr-official."""
    split: str = "val_unseen"
    """train, val_seen or val_unseen."""
    role: Literal["", "guide", "follower"] = ""
    """Of RxR: whose instructions and paths."""
    languages: str = ""
    """Of RxR: only these, such as en-US,en-IN; all when left out."""
    policy: Literal["engine", "oracle", "random", "forward"] = "engine"
    """engine: a bundle behind a server process; oracle: the expert; random: draws from the expert's actions; forward: always ahead."""
    bundle: Path | None = None
    """Bundle folder for the engine policy, or a checkpoint folder to run it unquantised in torch; the built-in bundle when left out."""
    backend: BackendName = "onnxruntime"
    """What runs a bundle; checkpoint folders run in torch."""
    threads: int = 1
    """Cores that one pass over the model may use; results may depend on it in their last bits."""
    agent: str | None = None
    """How the model is asked, read and carried out: ours, ours-text, navila, navila-leak, navila-bench, navid; left out: what the bundle is meant for."""
    max_rejections: float = 0.5
    """Share of the first episodes' answers that may be no action before the evaluation ends as in vain."""
    episodes: int | None = None
    """How many, evenly spread over the split; all when left out."""
    workers: int = 1
    """Simulator processes; results do not depend on it."""
    seed: int = 0
    """Of the random policy and of swapped instructions."""
    instructions: Literal["own", "swapped", "by-hand"] = "own"
    """swapped: each episode gets the instruction of another one of its house whose goal is 5 m or more away. by-hand: only the episodes that people
    have said in their own words (SPLIT_by_hand.json of the dataset)."""
    frames: Literal["camera", "black"] = "camera"
    """black: the policy sees nothing."""
    videos: int = 5
    """Videos of the first so many episodes."""
    shard: str | None = None
    """I/N: only this part of the episodes, in the folder shard-I-of-N within --out; join them with `nvila-edge report OUT --merge SHARD...`."""
    demo: tyro.conf.Suppress[bool] = False
    """A demonstration: its folder may be replaced by the next one."""
