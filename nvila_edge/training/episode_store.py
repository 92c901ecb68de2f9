"""Recorded episodes on disk: shards that are complete or not there, features memory-mapped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nvila_edge.training.stream import Episode


def save_shard(folder: Path, episodes: Sequence[Episode]) -> None:
    """features.npy (float16 [N, P, C]), actions.npy (int8 [3, N]: expert, executed, part), index.json (texts, their spans, lengths)."""
    part = folder.with_suffix(".part")
    part.mkdir(parents=True, exist_ok=True)
    np.save(part / "features.npy", np.concatenate([episode.features for episode in episodes]).astype(np.float16))
    actions = [np.concatenate([getattr(episode, name) for episode in episodes]) for name in ("expert", "executed", "part")]
    np.save(part / "actions.npy", np.stack(actions).astype(np.int8))
    index = [{"text": episode.text, "spans": episode.spans, "decisions": len(episode.expert)} for episode in episodes]
    (part / "index.json").write_text(json.dumps(index))
    part.rename(folder)


def load_shard(folder: Path) -> list[Episode]:
    """What `save_shard` wrote; features stay on disk until used."""
    features = np.load(folder / "features.npy", mmap_mode="r")
    expert, executed, part = np.load(folder / "actions.npy")
    episodes, start = [], 0
    for entry in json.loads((folder / "index.json").read_text()):
        rows, spans = slice(start, start + entry["decisions"]), tuple((first, last) for first, last in entry["spans"])
        episodes.append(Episode(entry["text"], features[rows], expert[rows], executed[rows], spans=spans, part=part[rows]))
        start = rows.stop
    return episodes
