"""W8A8 for the tower: SmoothQuant moves activation outliers into weights, then everything is rounded with static scales.

Smoothing with alpha 0.3 on LN1 -> q,k,v and LN2 -> fc1 only, as TinyChat does (facts/nvila.md section 4): those inputs come out of a norm
whose weights can absorb the factors. Activations get one static symmetric scale per tensor, the form that TensorRT accepts; it is
searched, not the plain maximum, and the error that rounding leaves in a Linear's mean output is taken out of its bias.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from export.layers import embed_pixels, tensors, vision_layer
from export.quantise import INT8_MAX, int8_weight
from export.source import Checkpoint
from nvila_edge.engines.weights import Int8Weight, Weight

ALPHA = 0.3
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


def quantised_layers(checkpoint: Checkpoint, pixels: np.ndarray, rows: int = 16384) -> Iterator[dict[str, Weight]]:
    """The tower's layers in W8A8, one at a time. pixels float32 [N, 3, S, S] of calibration frames; at most `rows` patches are looked at
    per Linear.

    Raises ValueError when the activations are not finite.
    """
    spec = checkpoint.spec.vision
    hidden = embed_pixels(tensors(checkpoint.vision_stem()), spec, torch.from_numpy(pixels))
    picked = np.random.default_rng(np.random.SeedSequence([8])).permutation(hidden.shape[0] * hidden.shape[1])[:rows]
    for weights in checkpoint.vision_layers():
        hidden, inputs = vision_layer(tensors(weights), spec, hidden)
        if not torch.isfinite(hidden).all():
            raise ValueError("calibration gave values in the vision tower that are not finite; is the checkpoint damaged?")
        yield quantise_layer(weights, {name: value.flatten(0, 1).numpy()[picked] for name, value in inputs.items()})
