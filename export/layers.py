"""One layer of the tower and of the decoder in torch, with what flows into each Linear: what calibration needs, a layer in memory at a
time.

Shapes: N frames, P patches, C channels, T positions, H hidden, D head size.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nvila_edge.engines.spec import LanguageSpec, VisionSpec

Tensors = Mapping[str, Tensor]
SCORES = 1 << 27  # attention scores held at a time: half a GiB; an episode of an 8B model has 3e9


def tensors(weights: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The same weights as torch tensors."""
    return {name: torch.from_numpy(np.ascontiguousarray(value, np.float32)) for name, value in weights.items()}


@torch.no_grad()
def embed_pixels(stem: Tensors, spec: VisionSpec, pixels_N3SS: Tensor) -> Tensor:
    """Patch and position embeddings [N, P, C]."""
    patches = functional.conv2d(pixels_N3SS, stem["patch_embedding.weight"], stem["patch_embedding.bias"], stride=spec.patch)
    return patches.flatten(2).transpose(1, 2) + stem["position_embedding.weight"]


def _affine(x: Tensor, weights: Tensors, name: str) -> Tensor:
    return functional.linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))


@torch.no_grad()
def vision_layer(weights: Tensors, spec: VisionSpec, x_NPC: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The layer's output [N, P, C], and the inputs of "qkv", "out", "fc1", "fc2"."""

    def norm(x: Tensor, name: str) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], spec.eps)

    def heads(x: Tensor) -> Tensor:
        return x.unflatten(-1, (spec.heads, -1)).transpose(1, 2)

    qkv = norm(x_NPC, "layer_norm1")
    q, k, v = (heads(_affine(qkv, weights, f"self_attn.{part}_proj")) for part in "qkv")
    out = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    x_NPC = x_NPC + _affine(out, weights, "self_attn.out_proj")
    fc1 = norm(x_NPC, "layer_norm2")
    fc2 = functional.gelu(_affine(fc1, weights, "mlp.fc1"), approximate="tanh")
    return x_NPC + _affine(fc2, weights, "mlp.fc2"), {"qkv": qkv, "out": out, "fc1": fc1, "fc2": fc2}


def rotations(spec: LanguageSpec, width: int) -> tuple[Tensor, Tensor]:
    """cos and sin [T, D] of positions 0..width-1."""
    frequencies = 1.0 / spec.rope_theta ** (torch.arange(0, spec.head_dim, 2, dtype=torch.float32) / spec.head_dim)
    angles = torch.arange(width, dtype=torch.float32)[:, None] * torch.cat([frequencies, frequencies])
    return angles.cos(), angles.sin()


@torch.no_grad()
def language_layer(weights: Tensors, spec: LanguageSpec, x_TH: Tensor, mask_TT: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The layer's output [T, H] of one sequence that starts at position 0, and the inputs of "qkv", "o", "gate_up", "down"."""

    def norm(x: Tensor, name: str) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + spec.eps) * weights[f"{name}.weight"]

    def heads(x: Tensor, name: str) -> Tensor:
        return _affine(x, weights, f"self_attn.{name}_proj").unflatten(-1, (-1, spec.head_dim)).transpose(0, 1)

    cosine, sine = rotations(spec, len(x_TH))

    def turn(x: Tensor) -> Tensor:
        first, second = x.chunk(2, -1)
        return x * cosine + torch.cat([-second, first], -1) * sine

    qkv = norm(x_TH, "input_layernorm")
    q, k, v = turn(heads(qkv, "q")), turn(heads(qkv, "k")), heads(qkv, "v")
    groups = spec.heads // spec.kv_heads
    k, v = k.repeat_interleave(groups, 0), v.repeat_interleave(groups, 0)
    rows = max(1, SCORES // (spec.heads * len(x_TH)))
    mixed = [
        (part @ k.transpose(1, 2) * spec.head_dim**-0.5 + mask).softmax(-1) @ v
        for part, mask in zip(q.split(rows, 1), mask_TT.split(rows), strict=True)
    ]
    o = torch.cat(mixed, 1).transpose(0, 1).flatten(1)
    x_TH = x_TH + _affine(o, weights, "self_attn.o_proj")
    gate_up = norm(x_TH, "post_attention_layernorm")
    down = functional.silu(_affine(gate_up, weights, "mlp.gate_proj")) * _affine(gate_up, weights, "mlp.up_proj")
    return x_TH + _affine(down, weights, "mlp.down_proj"), {"qkv": qkv, "o": o, "gate_up": gate_up, "down": down}
