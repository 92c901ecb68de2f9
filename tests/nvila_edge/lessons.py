"""Small data sets and recipes for the tests of training: pictures, questions about them, and a mixture file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from nvila_edge.model.nvila import NVILA
from nvila_edge.training.collate import Prepared, Preparer
from nvila_edge.training.samples import Exchange, Sample
from nvila_edge.training.stages import StageRecipe, load_stages
from tests.tiny import save_tiny_checkpoint, tiny_frames

ANSWERS = ("a red sofa", "the piano by the wall, and a lamp", "stop", "walk past the sofa and enter the kitchen, then wait by the piano")
FAST = (
    "precision=float32", "gradient_checkpointing=false", "global_batch=4", "max_length=256", "steps=6", "save_every=2", "max_grad_norm=1.0",
)  # fmt: skip


def lessons(n: int = 8, seed: int = 3) -> list[Sample]:
    """Samples of various lengths: text only, one image, two images, a video, two exchanges."""
    frames = tiny_frames(n, seed=seed)
    found = []
    for i in range(n):
        images, video, mark = {
            0: ((), None, ""), 1: ((frames[i],), None, "<image>"), 2: ((frames[i], frames[0]), None, "<image><image>"),
            3: ((), tuple(tiny_frames(4, seed=i)), "<vila/video>"),
        }[i % 4]  # fmt: skip
        exchanges = [Exchange(f"{mark}What is there in room {i}?", ANSWERS[i % len(ANSWERS)])]
        if i % 3 == 0:
            exchanges.append(Exchange("And next?", ANSWERS[(i + 1) % len(ANSWERS)]))
        found.append(Sample(str(i), "lessons", tuple(exchanges), images, video))
    return found


def prepared(model: NVILA, samples: list[Sample], max_length: int = 512) -> list[Prepared]:
    """The samples as the model takes them."""
    preparer = Preparer(model, max_length)
    return [preparer.prepare(sample) for sample in samples]


def write_data(folder: Path, n: int = 24, seed: int = 5) -> Path:
    """A LLaVA-style data set of n samples, half of them with pictures, and its mixture file; returns that."""
    (folder / "media").mkdir(parents=True)
    rng, records = np.random.default_rng(seed), []
    for i, frame in enumerate(tiny_frames(n, seed=seed)):
        record: dict = {"id": f"s{i}", "conversations": [
            {"from": "human", "value": f"<image>\nroom {i}, what now?"}, {"from": "gpt", "value": ANSWERS[rng.integers(len(ANSWERS))]},
        ]}  # fmt: skip
        if i % 2:
            Image.fromarray(frame).save(folder / "media" / f"{i}.png")
            record["image"] = f"{i}.png"
        records.append(record)
    (folder / "lessons.json").write_text(json.dumps(records))
    names = ", ".join(f"stage{k}: lessons" for k in range(1, 6))
    (folder / "mixture.yaml").write_text(f"datasets:\n  lessons: {{path: lessons.json, media: media}}\nmixtures: {{{names}}}\n")
    return folder / "mixture.yaml"


def stage(tmp_path: Path, *overrides: str, name: str = "nvila-stage4") -> StageRecipe:
    """A stage's recipe on a tiny checkpoint and the data above, made where they are not there yet."""
    if not (tmp_path / "checkpoint").exists():
        save_tiny_checkpoint(tmp_path / "checkpoint")
        write_data(tmp_path / "data")
    places = (f"checkpoint={tmp_path / 'checkpoint'}", f"data={tmp_path / 'data' / 'mixture.yaml'}", "requires=")
    return load_stages(name, [*places, *FAST, *overrides])[0]
