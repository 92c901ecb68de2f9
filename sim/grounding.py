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
from nvila_edge.training.muon import MuonAdamW
from nvila_edge.training.recipe import Recipe
from nvila_edge.training.states import save_state
from nvila_edge.training.stream import StreamLayout
from nvila_edge.training.vision_pretrain import FrameSet, as_pixels
from sim.houses.categories import CATEGORIES, COLOURS
from sim.labels import Seen
from sim.questions import frame_question

DOOR_WORDS = tuple(f"{colour} door" for colour in COLOURS)
_SHOWN = 0.3  # share of a patch that must be door, and of that colour, for the patch to show such a door


def questions(out: Path, model: NVILA, frames: FrameSet, seen: list[list[Seen]]) -> GroundingData:
    """Data of all frames; the tower's output is computed once (question_features.npy)."""
    path = out / "question_features.npy"
    if not path.exists():
        chunks = []
        with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16):
            for part in np.array_split(frames.rgb, max(1, len(frames) // 256)):
                chunks.append(model.vision_tower(as_pixels(part, model.device)).to(torch.float16).cpu().numpy())
        part_file = path.with_suffix(".part.npy")
        np.save(part_file, np.concatenate(chunks))
        part_file.rename(path)
    features = np.load(path, mmap_mode="r")
    first = model.mm_projector.layers[0]
    block = (first.rows, first.columns) if isinstance(first, SpaceToChannel) else (1, 1)
    return GroundingData(
        features, np.concatenate([presence(frames.categories, *block), presence(doors_shown(frames), *block)], -1),
        lambda row, rng: frame_question(seen[row], int(frames.room[row]), features[row], rng),
    )  # fmt: skip


def doors_shown(frames: FrameSet) -> np.ndarray:
    """bool [N, P, colours]: which patches show a door of each colour."""
    samples = frames.categories.sum(-1, dtype=np.int64)[..., None]
    doors = frames.categories[..., [CATEGORIES.index("door")]] > _SHOWN * samples
    return doors & (frames.colours[..., : len(COLOURS)] > _SHOWN * samples)


def ground_model(out: Path, recipe: Recipe, model: NVILA, layout: StreamLayout, data: GroundingData, say: Callable[[str], None]) -> None:
    """Teaches the words of things, colours, rooms and sides (going on from grounding.pt). The tower is left as it is."""
    stage = recipe.grounding
    assert model.tokenizer is not None
    torch.manual_seed(recipe.seed)
    alignment = WordAlignment([model.tokenizer.encode(f" {name}") for name in (*CATEGORIES, *DOOR_WORDS)]).to(model.device)
    optimizer = MuonAdamW(model, alignment)
    state_file, first = out / "grounding.pt", 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True, map_location=model.device)
        model.load_state_dict(state["model"])
        alignment.load_state_dict(state["alignment"])
        optimizer.load(state["optimizers"])
        first = state["step"]
    started_s = time.monotonic()

    def report(step: int, loss: float) -> None:
        say(f"grounding: step {step}/{stage.steps}, {time.monotonic() - started_s:.0f} s, loss {loss:.3g}")

    for step in ground(model, layout, alignment, data, stage, recipe.seed, optimizer, first, report):
        parts = {"model": model.state_dict(), "alignment": alignment.state_dict(), "optimizers": optimizer.state(), "step": step}
        save_state(state_file, parts)
