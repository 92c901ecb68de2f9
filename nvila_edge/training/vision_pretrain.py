"""Vision pre-training on dense labels (stages 1-3 in small): classes, colours and depth of every patch, the room.

The heads are thrown away afterwards; the tower is frozen and its output cached.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nvila_edge.model.vision import VisionTower


@dataclass(frozen=True)
class FrameSet:
    """Labelled frames: rgb uint8 [N, S, S, 3]; categories uint8 [N, P, K] and colours uint8 [N, P, L] sample counts; depth_m float16 [N, P]; room int64 [N]."""

    rgb: np.ndarray
    categories: np.ndarray
    colours: np.ndarray
    depth_m: np.ndarray
    room: np.ndarray

    def __len__(self) -> int:
        return len(self.rgb)


class DenseHeads(nn.Module):
    """Linear read-outs of a tower's patches."""

    def __init__(self, channels: int, categories: int, colours: int, rooms: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.category = nn.Linear(channels, categories)
        self.colour = nn.Linear(channels, colours)
        self.depth = nn.Linear(channels, 1)
        self.room = nn.Linear(channels, rooms)


def as_pixels(rgb: np.ndarray, device: torch.device) -> Tensor:
    """What the tower reads: float32 [N, 3, S, S] in [-1, 1], of uint8 RGB [N, S, S, 3]."""
    return torch.from_numpy(rgb).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def dense_loss(tower: VisionTower, heads: DenseHeads, batch: FrameSet, rows: np.ndarray) -> tuple[Tensor, dict[str, float]]:
    """Loss over the rows of a frame set and the parts of it, where the heads lie; soft targets are the shares of each class within a patch."""
    device = heads.depth.weight.device
    features = heads.norm(tower(as_pixels(batch.rgb[rows], device)))

    def soft_cross_entropy(logits: Tensor, counts: np.ndarray) -> Tensor:
        target = torch.from_numpy(counts[rows]).to(device).float()
        target = target / target.sum(-1, keepdim=True)
        return -(target * logits.float().log_softmax(-1)).sum(-1).mean()

    depth = torch.from_numpy(batch.depth_m[rows]).to(device).float()
    parts = {
        "category": soft_cross_entropy(heads.category(features), batch.categories),
        "colour": soft_cross_entropy(heads.colour(features), batch.colours),
        "depth": nn.functional.smooth_l1_loss(heads.depth(features)[..., 0].float(), torch.log1p(depth)) * 4,
        "room": nn.functional.cross_entropy(heads.room(features.mean(1)).float(), torch.from_numpy(batch.room[rows]).to(device)) * 0.2,
    }
    return torch.stack(list(parts.values())).sum(), {name: float(value.detach()) for name, value in parts.items()}


def augmented(frames: FrameSet, rows: np.ndarray, rng: np.random.Generator) -> FrameSet:
    """These rows, half of them mirrored with their labels, each a little brighter or darker per channel (0.8 to 1.2)."""
    grid = math.isqrt(frames.categories.shape[1])
    mirror = rng.random(len(rows)) < 0.5
    gain = rng.uniform(0.8, 1.2, (len(rows), 1, 1, 1)) * rng.uniform(0.93, 1.07, (len(rows), 1, 1, 3))

    def labels(values: np.ndarray) -> np.ndarray:
        square = values[rows].reshape(len(rows), grid, grid, -1)
        flipped = np.where(mirror[:, None, None, None], square[:, :, ::-1], square)
        return flipped.reshape(values[rows].shape)

    rgb = frames.rgb[rows]
    rgb = np.where(mirror[:, None, None, None], rgb[:, :, ::-1], rgb)
    bright = (rgb * gain.astype(np.float32)).clip(0, 255).astype(np.uint8)
    return FrameSet(bright, labels(frames.categories), labels(frames.colours), labels(frames.depth_m), frames.room[rows])


@torch.no_grad()
def dense_accuracy(tower: VisionTower, heads: DenseHeads, frames: FrameSet, surfaces: int, limit: int = 512) -> dict[str, float]:
    """Share of patches whose majority class is found, of patches showing furniture, mean absolute log-depth error, share of rooms named.

    Over `limit` frames evenly spread; the first `surfaces` categories are no furniture.
    """
    rows = np.linspace(0, len(frames) - 1, min(limit, len(frames))).astype(int)
    features = heads.norm(tower(as_pixels(frames.rgb[rows], heads.depth.weight.device)))
    truth = frames.categories[rows].argmax(-1)
    right = heads.category(features).argmax(-1).cpu().numpy() == truth
    depth_error = (heads.depth(features)[..., 0].cpu() - torch.log1p(torch.from_numpy(frames.depth_m[rows]).float())).abs().mean()
    room = heads.room(features.mean(1)).argmax(-1).cpu().numpy() == frames.room[rows]
    furniture = truth >= surfaces
    return {
        "patches": float(right.mean()), "furniture": float(right[furniture].mean()), "log_depth_error": float(depth_error),
        "rooms": float(room.mean()),
    }  # fmt: skip


def pretrain(
    tower: VisionTower, heads: DenseHeads, frames: FrameSet, *, steps: int, batch_size: int, learning_rate: float, seed: int,
    first_step: int = 0, optimizer: torch.optim.Optimizer | None = None, report: Callable[[int, float, dict[str, float]], None],
) -> Iterator[tuple[int, torch.optim.Optimizer]]:  # fmt: skip
    """Trains tower and heads; yields (step, optimizer) after every 200 steps so that the caller can save. Same seed, same order.

    AdamW without decay, one cycle with 3 % warm-up and cosine (the paper's schedule shape). Runs where the tower and the heads lie.
    """
    kind = heads.depth.weight.device.type
    if kind == "cpu":  # there the backward pass of SDPA costs a quarter of the step, that of plain matmul and softmax a twentieth
        tower.encoder.config._attn_implementation = "eager"  # noqa: SLF001  transformers has no public setter for a nested module
    parameters = [*tower.parameters(), *heads.parameters()]
    optimizer = optimizer or torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.0)
    started_s = time.monotonic()
    for step in range(first_step, steps):
        rng = np.random.default_rng([seed, step])
        warm = min(1.0, (step + 1) / max(1, 0.03 * steps))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * warm * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        rows = np.sort(rng.choice(len(frames), batch_size, replace=False))
        batch = augmented(frames, rows, rng)
        with torch.autocast(kind, torch.bfloat16):
            loss, parts = dense_loss(tower, heads, batch, np.arange(len(rows)))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if (step + 1) % 200 == 0 or step + 1 == steps:
            report(step + 1, time.monotonic() - started_s, parts)
            yield step + 1, optimizer
