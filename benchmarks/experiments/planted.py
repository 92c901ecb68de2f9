"""A learning set of which it is known what each sample is worth: coloured sheets, and questions that are easy, helpful or answered wrongly.

Helpful: which colour a shaded and noisy sheet has, one of eight. Easy: a question with always the same answer. Mislabelled: as helpful, another colour.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from nvila_edge.model.nvila import NVILA
from nvila_edge.navigation.actions import SENTENCES
from nvila_edge.training.builtin import ModelSize, new_model
from nvila_edge.training.collate import Preparer
from nvila_edge.training.delta_loss import answer_log_probabilities
from nvila_edge.training.samples import Exchange, Sample
from nvila_edge.training.step import TrainingStep
from nvila_edge.training.tokenizer import train_tokenizer

COLOURS = {
    "red": (200, 40, 40), "green": (40, 160, 60), "blue": (50, 70, 200), "yellow": (220, 200, 50), "white": (230, 230, 230),
    "black": (30, 30, 30), "purple": (140, 50, 160), "cyan": (60, 190, 200),
}  # fmt: skip
SIZE = ModelSize(
    vision_hidden=64, vision_layers=1, vision_heads=2, image=64, projector="mlp_downsample", hidden=128, layers=2, intermediate=256
)  # fmt: skip
SIDE_PX = 64
_EASY = ("Is this a picture?", "yes")
_ASKED = "What colour is the sheet?"
_NOISE = 25.0  # of each pixel, and of a sheet's colour as a whole


@dataclass(frozen=True)
class Shares:
    """Of a planted set; the rest is helpful."""

    easy: float = 0.3
    mislabelled: float = 0.2


def planted(count: int, seed: int, shares: Shares = Shares()) -> list[tuple[str, Sample]]:  # noqa: B008  frozen
    """(kind, sample) of `count` samples; kinds are "easy", "mislabelled", "helpful"."""
    rng, found = np.random.default_rng(seed), []
    kinds = rng.choice(["easy", "mislabelled", "helpful"], count, p=[shares.easy, shares.mislabelled, 1 - shares.easy - shares.mislabelled])
    for number, kind in enumerate(kinds.tolist()):
        colour = str(rng.choice(list(COLOURS)))
        question, answer = _EASY if kind == "easy" else (_ASKED, colour)
        if kind == "mislabelled":
            answer = str(rng.choice([name for name in COLOURS if name != answer]))
        asked = (Exchange(f"<image>{question}", answer),)
        found.append((kind, Sample(f"{number:05d}", "planted", asked, (_sheet(colour, rng),), system_prompt=False)))
    return found


def write_planted(folder: Path, samples: Sequence[tuple[str, Sample]]) -> Path:
    """In LLaVA's layout, as generated sets are (annotations.jsonl, "kind", pictures); returns the folder."""
    (folder / "images").mkdir(parents=True)
    lines = []
    for kind, sample in samples:
        picture = sample.images[0]
        assert isinstance(picture, np.ndarray)
        Image.fromarray(picture).save(folder / "images" / f"{sample.id}.png")
        exchange = sample.exchanges[0]
        turns = [{"from": "human", "value": exchange.question}, {"from": "gpt", "value": exchange.answer}]
        lines.append(json.dumps({"id": sample.id, "kind": kind, "image": [f"images/{sample.id}.png"], "conversations": turns}) + "\n")
    (folder / "annotations.jsonl").write_text("".join(lines))
    return folder


def fresh(seed: int, size: ModelSize = SIZE) -> NVILA:
    """A model that knows nothing, with a tokenizer for the planted texts."""
    torch.manual_seed(seed)
    texts = [*_EASY, _ASKED, *COLOURS, *SENTENCES]
    return new_model(size, train_tokenizer(texts, 560))


def teach(model: NVILA, samples: Sequence[Sample], steps: int, seed: int, batch: int = 16, learning_rate: float = 2e-3) -> list[float]:
    """Trains all of a model in place; returns the loss of every step, mean over its labels. Cosine rate with a short rise."""
    preparer, rng = Preparer(model, 512), np.random.default_rng(seed)
    ready = [preparer.prepare(sample) for sample in samples]
    step, optimizer = TrainingStep(model.train(), packing=False), torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.1)
    losses, order = [], np.empty(0, int)
    for _ in range(steps):
        while len(order) < batch:
            order = np.concatenate([order, rng.permutation(len(ready))])
        chosen, order = [ready[index] for index in order[:batch]], order[batch:]
        loss = step(chosen) / sum(one.learned for one in chosen)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        rates.step()
        losses.append(float(loss.detach()))
    model.eval()
    return losses


def accuracy(model: NVILA, samples: Sequence[Sample]) -> float:
    """Share of questions whose right answer is the likeliest of the colours."""
    preparer, right = Preparer(model, 512), 0
    for sample in samples:
        asked, names = sample.exchanges[0], list(COLOURS)
        options = [replace(sample, exchanges=(Exchange(asked.question, name),)) for name in names]
        said = answer_log_probabilities(model, [preparer.prepare(option) for option in options])
        right += names[int(np.argmax([one.log_probability for one in said]))] == asked.answer
    return right / len(samples)


def auc(better: Sequence[float], worse: Sequence[float]) -> float:
    """Chance that one of `better` is above one of `worse` (Mann-Whitney), ties half."""
    high, low = np.asarray(better)[:, None], np.asarray(worse)[None]
    return float(((high > low) + 0.5 * (high == low)).mean())


def _sheet(name: str, rng: np.random.Generator) -> np.ndarray:
    """uint8 [SIDE_PX, SIDE_PX, 3]: of one colour, shaded and noisy."""
    colour = np.array(COLOURS[name]) + rng.normal(0, _NOISE, 3)
    return np.clip(colour + rng.normal(0, _NOISE, (SIDE_PX, SIDE_PX, 3)), 0, 255).astype(np.uint8)
