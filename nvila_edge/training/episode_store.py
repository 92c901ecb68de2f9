"""Recorded episodes on disk: shards that are complete or not there, features memory-mapped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nvila_edge.training.stream import Episode


def save_shard(folder: Path, episodes: Sequence[Episode]) -> None:
    """features.npy (float16 [N, P, C]), actions.npy (int8 [2, N]: expert, executed), index.json (texts and lengths)."""
    part = folder.with_suffix(".part")
    part.mkdir(parents=True, exist_ok=True)
    np.save(part / "features.npy", np.concatenate([episode.features for episode in episodes]).astype(np.float16))
    actions = [np.concatenate([getattr(episode, name) for episode in episodes]) for name in ("expert", "executed")]
    np.save(part / "actions.npy", np.stack(actions).astype(np.int8))
    index = [{"text": episode.text, "decisions": len(episode.expert)} for episode in episodes]
    (part / "index.json").write_text(json.dumps(index))
    part.rename(folder)


def load_shard(folder: Path) -> list[Episode]:
    """What `save_shard` wrote; features stay on disk until used."""
    features = np.load(folder / "features.npy", mmap_mode="r")
    expert, executed = np.load(folder / "actions.npy")
    episodes, start = [], 0
    for entry in json.loads((folder / "index.json").read_text()):
        rows = slice(start, start + entry["decisions"])
        episodes.append(Episode(entry["text"], features[rows], expert[rows], executed[rows]))
        start = rows.stop
    return episodes
