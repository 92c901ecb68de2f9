"""What models say about every sample, group by group, kept in ledgers: log-probabilities of the answers, and features of the pictures."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from nvila_edge.model.nvila import NVILA
from nvila_edge.model.opening import opened
from nvila_edge.model.preprocess import pixels
from nvila_edge.model.vision import TorchEncoder
from nvila_edge.options.prune import Measuring
from nvila_edge.progress import Estimate
from nvila_edge.training.collate import Prepared, Preparer
from nvila_edge.training.delta_loss import Answered, answer_log_probabilities
from nvila_edge.training.pruning.candidates import Candidate, fingerprint
from nvila_edge.training.pruning.ledger import Ledger
from nvila_edge.training.samples import SampleError

_THREADS = 4
_DEADLINE_S = 1800.0  # for reading one sample, as in training (nvila_edge/training/feed.py)
_END_BYTES = 1 << 20  # of a weight file, at both ends: tells checkpoints apart without reading tens of gigabytes
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
_TILES = 16  # that go through the tower at once

Say = Callable[[str], None]
Measure = Callable[[NVILA, Sequence[Prepared]], list[dict[str, Any]]]


def answers_of(name: str, checkpoint: str, found: Sequence[Candidate], out: Path, how: Measuring, say: Say) -> dict[str, Answered | str]:
    """By key: what the checkpoint makes of the answers, or why it cannot be asked. Kept in out/NAME.jsonl; what is there is not asked again."""

    def measure(model: NVILA, batch: Sequence[Prepared]) -> list[dict[str, Any]]:
        return [{"log_probability": one.log_probability, "tokens": one.tokens} for one in answer_log_probabilities(model, batch)]

    lines = _measured(name, checkpoint, found, out, how, measure, say)
    return {key: line.get("fault") or Answered(line["log_probability"], line["tokens"]) for key, line in lines.items()}


def features_of(checkpoint: str, found: Sequence[Candidate], out: Path, how: Measuring, say: Say) -> dict[str, np.ndarray | str]:
    """By key: the tower's features, mean over all patches, tiles and frames, float32 [C] (zeros without a picture), or why there are none."""

    def measure(model: NVILA, batch: Sequence[Prepared]) -> list[dict[str, Any]]:
        return [{"features": base64.b64encode(picture_features(model, one).tobytes()).decode()} for one in batch]

    lines = _measured("features", checkpoint, found, out, how, measure, say)
    return {key: line.get("fault") or np.frombuffer(base64.b64decode(line["features"]), "<f4") for key, line in lines.items()}


@torch.no_grad()
def picture_features(model: NVILA, prepared: Prepared) -> np.ndarray:
    """float32 [C]: the tower's mean over everything a sample shows; zeros when that is nothing."""
    tiles: list[Image.Image] = [tile for one in prepared.tiled for tile in one.tiles] + list(prepared.frames)
    encoder = TorchEncoder(model.vision_tower, model.mm_projector, model.config)
    total = torch.zeros(int(model.vision_tower.config.hidden_size), dtype=torch.float64)  # type: ignore[arg-type]
    for start in range(0, len(tiles), _TILES):
        batch = pixels([np.asarray(tile) for tile in tiles[start : start + _TILES]], encoder.image_size)
        total += encoder.features(batch).double().mean(1).sum(0).cpu()
    return (total / max(1, len(tiles))).float().numpy()


def _measured(
    name: str, checkpoint: str, found: Sequence[Candidate], out: Path, how: Measuring, measure: Measure, say: Say
) -> dict[str, dict[str, Any]]:
    """Groups are the same whether a run was interrupted or not, so that its numbers are too."""
    if not checkpoint:
        raise ValueError(
            f"this method asks a model that was not given ({name}); name a checkpoint folder or hub id with --large and --small"
        )
    belongs = {"model": _identity(checkpoint), "data": fingerprint(found), "batch": how.batch, "max_length": how.max_length}
    ledger = Ledger(out / f"{name}.jsonl", belongs)
    groups = [found[start : start + how.batch] for start in range(0, len(found), how.batch)]
    groups = [group for group in groups if any(one.key not in ledger.lines for one in group)]
    if groups:
        cuda = torch.cuda.is_available()
        model = NVILA.from_pretrained(checkpoint, dtype=None if cuda else "float32", device="cuda" if cuda else None)
        estimate = Estimate()
        for number, (group, prepared) in enumerate(_prepared(groups, Preparer(model, how.max_length))):
            usable = [one for one in prepared if isinstance(one, Prepared)]
            values = iter(measure(model, usable) if usable else [])
            ledger.add(
                [
                    {"key": c.key, **(next(values) if isinstance(p, Prepared) else {"fault": p})}
                    for c, p in zip(group, prepared, strict=True)
                ]
            )
            say(estimate.line(name, number + 1, len(groups)))
    return ledger.lines


def _prepared(groups: Sequence[Sequence[Candidate]], preparer: Preparer) -> Iterator[tuple[Sequence[Candidate], list[Prepared | str]]]:
    """Each group with its samples as the model takes them, or why not; the next group is read meanwhile."""

    def read(one: Candidate) -> Prepared | str:
        try:
            return preparer.prepare(one.sample)
        except SampleError as error:
            return str(error)

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="prune") as pool:
        waiting: list[Future[Prepared | str]] = [pool.submit(read, one) for one in groups[0]]
        for group, following in zip(groups, [*groups[1:], []], strict=True):
            current, waiting = waiting, [pool.submit(read, one) for one in following]
            yield group, [future.result(timeout=_DEADLINE_S) for future in current]


def _identity(checkpoint: str) -> str:
    """Of a checkpoint's weights: names, sizes and both ends of its files."""
    digest, found = hashlib.sha256(), opened(checkpoint)
    folders = [folder for folder in (found.folder, found.adapter) if folder]
    for path in sorted({path for folder in folders for ending in _WEIGHTS for path in folder.rglob(f"*{ending}")}):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            digest.update(file.read(_END_BYTES))
            file.seek(max(0, size - _END_BYTES))
            digest.update(file.read(_END_BYTES))
    return digest.hexdigest()[:16]
