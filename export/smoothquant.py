"""W8A8 for the tower: SmoothQuant moves activation outliers into weights, then everything is rounded with static scales.

Smoothing with alpha 0.3 on LN1 -> q,k,v and LN2 -> fc1 only, as TinyChat does (mit-han-lab/llm-awq, tinychat): those inputs come out of a norm
whose weights can absorb the factors. Activations get one static symmetric scale per tensor, the form that TensorRT accepts; it is
searched, not the plain maximum, and the error that rounding leaves in a Linear's mean output is taken out of its bias.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from export.journal import Journal
from export.layers import embed_pixels, tensors, vision_layer
from export.quantise import INT8_MAX, int8_weight
from export.source import Checkpoint
from nvila_edge.engines.spec import VisionSpec
from nvila_edge.engines.weights import Int8Weight, Weight

ALPHA = 0.3
FRAMES_AT_ONCE = 8  # through a layer: bounds the memory of large towers
_SHRINKS = np.linspace(0.3, 1.0, 29)  # of the absolute maximum
_GROUPS = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "out": ("self_attn.out_proj",),
    "fc1": ("mlp.fc1",),
    "fc2": ("mlp.fc2",),
}
_NORMS = {"qkv": "layer_norm1", "fc1": "layer_norm2"}


def smooth(weights: dict[str, np.ndarray], top_C: np.ndarray, norm: str, linears: tuple[str, ...], alpha: float = ALPHA) -> np.ndarray:
    """Divide a norm's weight and bias by factors [C] and multiply the Linears behind it: the product is unchanged. Returns the factors.

    top_C: largest absolute activation per channel. factor = top^alpha / (largest absolute weight)^(1 - alpha).
    """
    top_weight = np.max([np.abs(weights[f"{name}.weight"]).max(axis=0) for name in linears], axis=0)
    factor = np.maximum(top_C, 1e-5) ** alpha / np.maximum(top_weight, 1e-5) ** (1 - alpha)
    factor = np.maximum(factor, 1e-5).astype(np.float32)
    for part in ("weight", "bias"):
        weights[f"{norm}.{part}"] = weights[f"{norm}.{part}"] / factor
    for name in linears:
        weights[f"{name}.weight"] = weights[f"{name}.weight"] * factor
    return factor


def round_activations(x: np.ndarray, scale: float) -> np.ndarray:
    """x through symmetric INT8 and back."""
    return np.clip(np.rint(x / scale), -INT8_MAX - 1, INT8_MAX) * np.float32(scale)


def search_scale(x_NC: np.ndarray, importance_C: np.ndarray) -> float:
    """The static scale that loses least in the Linears behind: squared rounding error per channel, weighted by their squared weights."""
    top = float(np.abs(x_NC).max())
    if top == 0.0:
        return 1.0
    losses = [float((np.square(round_activations(x_NC, top * r / INT8_MAX) - x_NC).mean(axis=0) * importance_C).sum()) for r in _SHRINKS]
    return top * float(_SHRINKS[int(np.argmin(losses))]) / INT8_MAX


def quantise_layer(weights: dict[str, np.ndarray], inputs: dict[str, np.ndarray], alpha: float = ALPHA) -> dict[str, Weight]:
    """One tower layer in W8A8. inputs: float32 [rows, C] that calibration saw in front of "qkv", "out", "fc1" and "fc2"."""
    weights = dict(weights)
    result: dict[str, Weight] = {}
    for group, linears in _GROUPS.items():
        x = inputs[group]
        if group in _NORMS:
            x = x / smooth(weights, np.abs(x).max(axis=0), _NORMS[group], linears, alpha)
        importance = np.sum([np.square(weights[f"{name}.weight"]).sum(axis=0) for name in linears], axis=0)
        scale = search_scale(x, importance)
        rounded = round_activations(x, scale)
        for name in linears:
            result[f"{name}.weight"] = quantised = int8_weight(weights[f"{name}.weight"], scale)
            result[f"{name}.bias"] = weights[f"{name}.bias"] + _mean_loss(weights[f"{name}.weight"], quantised, x, rounded)
    return {**{name: value for name, value in weights.items() if name.startswith("layer_norm")}, **result}


def _mean_loss(weight: np.ndarray, quantised: Int8Weight, x: np.ndarray, rounded: np.ndarray) -> np.ndarray:
    """How much a Linear's mean output [out] is short of the original."""
    return weight @ x.mean(axis=0) - quantised.dequantised() @ rounded.mean(axis=0)


def quantised_layers(checkpoint: Checkpoint, pixels: np.ndarray, journal: Journal, rows: int = 16384) -> Iterator[dict[str, Weight]]:
    """The tower's layers in W8A8, one at a time, those first that the journal holds. pixels float32 [N, 3, S, S] of calibration frames; at most `rows`
    patches are looked at per Linear.

    Raises ValueError when the activations are not finite.
    """
    spec, done = checkpoint.spec.vision, journal.done("vision")
    yield from (journal.layer("vision", index) for index in range(done))
    if done:
        hidden = torch.from_numpy(journal.flow("vision")[0])
    else:
        stem = tensors(checkpoint.vision_stem())
        hidden = torch.cat([embed_pixels(stem, spec, batch) for batch in torch.from_numpy(pixels).split(FRAMES_AT_ONCE)])
    total = hidden.shape[0] * hidden.shape[1]
    picked = torch.from_numpy(np.sort(np.random.default_rng(np.random.SeedSequence([8])).permutation(total)[:rows]))
    for index in range(done, spec.layers):
        weights = checkpoint.vision_layer(index)
        hidden, inputs = _through(tensors(weights), spec, hidden, picked)
        quantised = quantise_layer(weights, inputs)
        journal.keep("vision", index, quantised, [hidden.numpy()])
        yield quantised


def _through(layer: dict[str, Tensor], spec: VisionSpec, hidden_NPC: Tensor, picked: Tensor) -> tuple[Tensor, dict[str, np.ndarray]]:
    """What flows out of a layer, and at the picked patches (of all frames, one after the other) into its Linears; some frames at a time."""
    patches, out, seen = hidden_NPC.shape[1], [], {}
    for start, batch in zip(range(0, len(hidden_NPC), FRAMES_AT_ONCE), hidden_NPC.split(FRAMES_AT_ONCE), strict=True):
        x, inputs = vision_layer(layer, spec, batch)
        if not torch.isfinite(x).all():
            raise ValueError("calibration gave values in the vision tower that are not finite; is the checkpoint damaged?")
        first, stop = start * patches, (start + len(batch)) * patches
        here = picked[(picked >= first) & (picked < stop)] - first
        out.append(x)
        for name, value in inputs.items():
            seen.setdefault(name, []).append(value.flatten(0, 1)[here])
    return torch.cat(out), {name: torch.cat(parts).numpy() for name, parts in seen.items()}
