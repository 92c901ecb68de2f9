"""A tiny random model of the built-in kind, large enough in its weights for differences to show. Shared by the export and engine tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from nvila_edge.model.nvila import NVILA
from nvila_edge.navigation.actions import SENTENCES
from nvila_edge.training.builtin import ModelSize, new_model
from nvila_edge.training.tokenizer import train_tokenizer

TEXTS = ["Leave the bedroom and stop by the piano.", "Walk past the red sofa on your left, then enter the kitchen and wait."]
SIZE = ModelSize(vision_hidden=64, vision_layers=2, vision_heads=2, hidden=128, layers=3, heads=4, kv_heads=2, intermediate=256)


def tiny_model(prompt_profile: str = "stream", size: ModelSize = SIZE, seed: int = 0) -> NVILA:
    """A random NVILA with a tokenizer trained on a few texts."""
    torch.manual_seed(seed)
    model = new_model(size, train_tokenizer([*TEXTS, *SENTENCES], 560), prompt_profile).eval()
    for name, parameter in model.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(parameter, mean=1.0 if name.endswith("weight") else 0.0, std=0.1)
        elif parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=1.2 * parameter.shape[1] ** -0.5 if parameter.ndim == 2 else 0.05)
        else:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def save_tiny_checkpoint(folder: Path, prompt_profile: str = "stream", size: ModelSize = SIZE) -> Path:
    """Write `tiny_model` in the published layout; returns the folder."""
    tiny_model(prompt_profile, size).save_pretrained(folder)
    return folder


def tiny_frames(n: int, size: int = 96, seed: int = 3) -> np.ndarray:
    """Smooth random pictures, uint8 [n, size, size, 3]."""
    rng = np.random.default_rng(np.random.SeedSequence([seed]))
    coarse = rng.uniform(0, 255, (n, 6, 6, 3))
    fine = np.repeat(np.repeat(coarse, size // 6, 1), size // 6, 2) + rng.normal(0, 12, (n, size, size, 3))
    return np.clip(fine, 0, 255).astype(np.uint8)
