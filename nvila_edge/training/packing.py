"""Several samples in one row, each as if it were alone: attention stays within a sample and positions restart (VILA's repack_multimodal_data).

Shapes: T positions of a row, H hidden, A attention heads, D their size.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from nvila_edge.model.language import LanguageModel
from nvila_edge.training.labels import IGNORED

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # torch before 2.10
    varlen_attn = None
_VARLEN = varlen_attn is not None and "window_size" in inspect.signature(varlen_attn).parameters
_NAME = "nvila_edge_packed"  # in transformers' table of attention functions


@dataclass(frozen=True)
class Segments:
    """Lengths of the samples in a row, and int32 [n + 1] where each begins, on the row's device."""

    lengths: tuple[int, ...]
    starts: Tensor


@dataclass(frozen=True)
class Row:
    """embeds [1, T, H], labels int64 [T] (the first of each sample is masked: nothing of its own comes before it), positions int64 [1, T]."""

    embeds: Tensor
    labels: Tensor
    positions: Tensor
    segments: Segments


def plan(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Indices of samples, row by row: the longest first, each into the first row that has room. Rows hold at most `capacity` positions.

    A sample that is longer than the capacity has a row of its own.
    """
    rows: list[list[int]] = []
    free: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        place = next((row for row, room in enumerate(free) if lengths[index] <= room), None)
        if place is None:
            rows.append([index])
            free.append(capacity - lengths[index])
        else:
            rows[place].append(index)
            free[place] -= lengths[index]
    return rows


def packed(embeds: Sequence[Tensor], labels: Sequence[Tensor]) -> Row:
    """One row of the samples [T_i, H] and [T_i]."""
    lengths, device = tuple(len(one) for one in embeds), embeds[0].device
    goals = torch.cat(list(labels))
    starts = torch.tensor([0, *lengths], device=device).cumsum(0)
    goals[starts[:-1]] = IGNORED
    positions = torch.cat([torch.arange(length, device=device) for length in lengths])[None]
    return Row(torch.cat(list(embeds))[None], goals, positions, Segments(lengths, starts.int()))


def hidden_states(llm: LanguageModel, row: Row) -> Tensor:
    """The language model's normed states [T, H] of a packed row. Needs `packed_attention` around it, and around the backward pass."""
    assert llm.config._attn_implementation == _NAME  # noqa: SLF001
    output = llm.model(inputs_embeds=row.embeds, position_ids=row.positions, use_cache=False, segments=row.segments)
    return output.last_hidden_state[0]


@contextmanager
def packed_attention(llm: LanguageModel) -> Iterator[None]:
    """Within, the language model attends only inside the segments of packed rows. Raises ValueError for a model with sliding windows."""
    if any(kind != "full_attention" for kind in getattr(llm.config, "layer_types", None) or ()):
        raise ValueError("this language model has sliding-window layers, which packing does not know; set packing=false")
    before = llm.config._attn_implementation  # noqa: SLF001
    llm.config._attn_implementation = _NAME  # noqa: SLF001
    try:
        yield
    finally:
        llm.config._attn_implementation = before  # noqa: SLF001


def _attention(
    module: nn.Module, query_1ATD: Tensor, key: Tensor, value: Tensor, attention_mask: Any, scaling: float, segments: Segments, **_: Any
) -> tuple[Tensor, None]:
    """transformers' interface for attention functions; returns [1, T, A, D]. Causal within each segment."""
    query_1ATD, key = query_1ATD.to(value.dtype), key.to(value.dtype)  # autocast leaves them in float32 after the rotation
    if _VARLEN and query_1ATD.is_cuda and query_1ATD.dtype in (torch.float16, torch.bfloat16):
        return _on_gpu(query_1ATD, key, value, scaling, segments), None
    grouped = query_1ATD.shape[1] != key.shape[1]
    parts = [
        scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling, enable_gqa=grouped)
        for q, k, v in zip(*(tensor.split(segments.lengths, 2) for tensor in (query_1ATD, key, value)), strict=True)
    ]
    return torch.cat(parts, 2).transpose(1, 2), None


def _on_gpu(query_1ATD: Tensor, key: Tensor, value: Tensor, scaling: float, segments: Segments) -> Tensor:
    """torch's own kernel for sequences of various lengths (FlashAttention: 16 bit only)."""
    assert varlen_attn is not None
    query, key, value = (tensor[0].transpose(0, 1).contiguous() for tensor in (query_1ATD, key, value))
    starts, longest = segments.starts, max(segments.lengths)
    grouped = query.shape[1] != key.shape[1]
    mixed: Any = varlen_attn(
        query, key, value, starts, starts, longest, longest, scale=scaling, window_size=(-1, 0), enable_gqa=grouped
    )  # fmt: skip
    return mixed[None]


ALL_ATTENTION_FUNCTIONS.register(_NAME, _attention)
