"""The NaVILA-Dataset layout, as its R2R part has it: `annotations.json` beside a folder of frames per video.

Public facts (NaVILA's README and llava/data/dataset.py, class LazyVLNCEDataset): a list of {video_id, q, a, frames}; `frames` are all frames from
the first to the newest, relative to the frames' folder, and the trainer picks 8 of them; `q` is the plain instruction, `a` one of ten sentences.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from nvila_edge.navigation.actions import SENTENCES
from sim.learning.recording import FRAME_NAME, Rollout
from sim.results import write_atomic


def write_annotations(path: Path, houses: Iterable[tuple[Sequence[Rollout], Sequence[np.ndarray]]]) -> None:
    """Write annotations.json in one step; each house has roll-outs, and copies [decisions] that say how often a sample is in it.

    Raises OutputError.
    """
    lines = (json.dumps(entry, ensure_ascii=False) for rollouts, copies in houses for entry in _entries(rollouts, copies))
    write_atomic(path, b"[\n" + ",\n".join(lines).encode() + b"\n]\n")


def _entries(rollouts: Sequence[Rollout], copies: Sequence[np.ndarray]) -> Iterator[dict[str, object]]:
    for rollout, counts in zip(rollouts, copies, strict=True):
        names = [f"{rollout.video_id}/{FRAME_NAME.format(number)}" for number in range(len(rollout.primitives))]
        for (frame, label, _), count in zip(rollout.decisions, counts, strict=True):
            entry = {"video_id": rollout.video_id, "q": rollout.instruction, "a": SENTENCES[label], "frames": names[: frame + 1]}
            yield from [entry] * int(count)
