"""Qwen2's layers with an explicit attention mask: trees and rings need masks that transformers' caches do not know."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.models.qwen2.modeling_qwen2 import apply_rotary_pos_emb

from nvila_edge.model.language import LanguageModel


def decoder(
    llm: LanguageModel,
    embeds_BTH: Tensor,
    positions_BT: Tensor,
    mask: Tensor,
    past: list[tuple[Tensor, Tensor]] | None = None,
    layers: list[Tensor] | None = None,
) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Qwen2's layers with an explicit mask [B, 1, T, past + T]; returns normed hidden states [B, T, H] and keys/values of the T positions per layer.

    Keys and values are [B, kv heads, T, D]. Equal to transformers' forward. Each layer's output [B, T, H] is appended to `layers`.
    """
    hidden = embeds_BTH
    cosine, sine = llm.model.rotary_emb(hidden, positions_BT)
    present: list[tuple[Tensor, Tensor]] = []
    layer: Any
    for index, layer in enumerate(llm.model.layers):
        attention, normed = layer.self_attn, layer.input_layernorm(hidden)
        shape = (*normed.shape[:2], -1, attention.head_dim)
        query = attention.q_proj(normed).view(shape).transpose(1, 2)
        key = attention.k_proj(normed).view(shape).transpose(1, 2)
        value = attention.v_proj(normed).view(shape).transpose(1, 2)
        query, key = apply_rotary_pos_emb(query, key, cosine, sine)
        present.append((key, value))
        if past is not None:
            key, value = torch.cat([past[index][0], key], 2), torch.cat([past[index][1], value], 2)
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        scores = (query * attention.head_dim**-0.5) @ key.transpose(2, 3)
        if index == 0:
            mask = mask.clamp(min=torch.finfo(scores.dtype).min).to(scores.dtype)
        with torch.autocast("cpu", enabled=False):  # its softmax would write float32, which takes a CPU twice as long
            mixed = (scores + mask).softmax(-1) @ value.to(scores.dtype)
        hidden = hidden + attention.o_proj(mixed.transpose(1, 2).flatten(2))
        hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
        if layers is not None:
            layers.append(hidden)
    return llm.model.norm(hidden), present
