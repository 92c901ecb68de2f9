"""The grounding stage of a training run: questions about the collected frames, on the finished tower's cached output."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from nvila_edge.model.nvila import NVILA
from nvila_edge.model.projector import SpaceToChannel
from nvila_edge.training.grounding import GroundingData, WordAlignment, ground, presence
from nvila_edge.training.recipe import Recipe
from nvila_edge.training.states import save_state
from nvila_edge.training.stream import StreamLayout
from nvila_edge.training.vision_pretrain import FrameSet, as_pixels
from sim.houses.categories import CATEGORIES
from sim.labels import Seen
from sim.questions import frame_question

EVERY = 3  # one frame in so many is kept for questions: a tower's output takes half as much room as the frame


def questions(out: Path, model: NVILA, frames: FrameSet, seen: list[list[Seen]]) -> GroundingData:
    """Data of a third of the frames; the tower's output is computed once (question_features.npy)."""
    rows, path = np.arange(0, len(frames), EVERY), out / "question_features.npy"
    if not path.exists():
        chunks = []
        with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16):
            for part in np.array_split(rows, max(1, len(rows) // 256)):
                chunks.append(model.vision_tower(as_pixels(frames.rgb[part], model.device)).to(torch.float16).cpu().numpy())
        part_file = path.with_suffix(".part.npy")
        np.save(part_file, np.concatenate(chunks))
        part_file.rename(path)
    features, rooms, things = np.load(path, mmap_mode="r"), frames.room[rows], [seen[row] for row in rows]
    first = model.mm_projector.layers[0]
    block = (first.rows, first.columns) if isinstance(first, SpaceToChannel) else (1, 1)
    return GroundingData(
        features, presence(frames.categories[rows], *block),
        lambda row, rng: frame_question(things[row], int(rooms[row]), features[row], rng),
    )  # fmt: skip


def ground_model(out: Path, recipe: Recipe, model: NVILA, layout: StreamLayout, data: GroundingData, say: Callable[[str], None]) -> None:
    """Teaches the words of things, colours, rooms and sides (going on from grounding.pt). The tower is left as it is."""
    stage = recipe.grounding
    assert model.tokenizer is not None
    torch.manual_seed(recipe.seed)
    alignment = WordAlignment([model.tokenizer.encode(f" {name}") for name in CATEGORIES]).to(model.device)
    trained = [*model.mm_projector.parameters(), *model.llm.parameters(), *alignment.parameters()]
    optimizer = torch.optim.AdamW(trained, lr=stage.learning_rate, weight_decay=0.0, betas=(0.9, 0.95))
    state_file, first = out / "grounding.pt", 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True, map_location=model.device)
        model.load_state_dict(state["model"])
        alignment.load_state_dict(state["alignment"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    started_s = time.monotonic()

    def report(step: int, loss: float) -> None:
        say(f"grounding: step {step}/{stage.steps}, {time.monotonic() - started_s:.0f} s, loss {loss:.3g}")

    for step in ground(model, layout, alignment, data, stage, recipe.seed, optimizer, first, report):
        parts = {"model": model.state_dict(), "alignment": alignment.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
        save_state(state_file, parts)
