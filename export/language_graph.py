"""Qwen2 and Llama decoders as an ONNX graph with keys and values in and out, an explicit mask, and logits where they are asked for.

Every float below is float32, or float16 in the graphs that GPU engines are built from.
Inputs:  inputs_embeds [1, T, H]; position_ids int64 [1, T]; attention_mask [1, 1, T, P+T], additive (0 sees, large negative does not);
         past_key.N, past_value.N [1, KV, P, D]; logit_positions int64 [K] (rows of T whose logits are wanted).
Outputs: logits [K, vocab]; new_key.N, new_value.N [1, KV, T, D]: of the T positions only, so that the caller keeps what it wants (a
         ring, one path of a tree) and nothing that is already there is copied.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from export.graph import Graph
from export.linear import linear, stack
from nvila_edge.engines.spec import LanguageSpec
from nvila_edge.engines.weights import Weight

LayerWeights = Mapping[str, Weight]


def write_language_graph(
    path: Path,
    spec: LanguageSpec,
    layers: Iterable[LayerWeights],
    norm: np.ndarray,
    head: Weight,
    store: str = "float32",
    external: Path | None = None,
    compute: str = "float32",
) -> None:
    """Write the graph. layers: per layer, HF's names after `model.layers.N.`, consumed one at a time; head: `lm_head.weight` [vocab, H].

    compute: "float32", or "float16" for GPU engines: then every float input and output is float16 too.
    """
    graph = Graph("language", store, compute, external)
    x = graph.input("inputs_embeds", compute, [1, "T", spec.hidden])
    positions = graph.input("position_ids", "int64", [1, "T"])
    mask = graph.input("attention_mask", compute, [1, 1, "T", "P+T"])
    asked = graph.input("logit_positions", "int64", ["K"])
    shape = [1, spec.kv_heads, "P", spec.head_dim]
    past = [tuple(graph.input(f"past_{kind}.{i}", compute, shape) for kind in ("key", "value")) for i in range(spec.layers)]
    turns = _rotations(graph, positions, spec)
    present = []
    for index, weights in enumerate(layers):
        x, key, value = _layer(graph, x, spec, f"layers.{index}", weights, turns, mask, past[index])
        present.append((key, value))
    assert len(present) == spec.layers, f"{len(present)} layers given, {spec.layers} expected"
    x = graph.node("Gather", graph.node("Squeeze", x, graph.ints(0)), asked, axis=0)
    x = _norm(graph, x, "norm", norm, spec.eps)
    graph.output(linear(graph, x, "lm_head", head, None), "logits", compute, ["K", spec.vocab])
    for index, pair in enumerate(present):
        for kind, value in zip(("key", "value"), pair, strict=True):
            graph.output(value, f"new_{kind}.{index}", compute, [1, spec.kv_heads, "T", spec.head_dim])
    graph.save(path)


def _rotations(graph: Graph, positions: str, spec: LanguageSpec) -> tuple[str, str]:
    """cos and sin [1, T, 1, D] of the rotary angles, shared by all layers."""
    exponents = np.arange(0, spec.head_dim, 2, dtype=np.float32) / spec.head_dim
    frequencies = (1.0 / np.float32(spec.rope_theta) ** exponents).astype(np.float32)
    angles = graph.node("Unsqueeze", graph.node("Cast", positions, to=1), graph.ints(2, 3))  # to=1: float32; fp16 would lose positions
    angles = graph.node("Mul", angles, graph.constant("rope.frequencies", np.concatenate([frequencies, frequencies])))
    return graph.from_float32(graph.node("Cos", angles)), graph.from_float32(graph.node("Sin", angles))


def _norm(graph: Graph, x: str, name: str, weight: np.ndarray, eps: float) -> str:
    """RMS norm in the spelling that ONNX Runtime fuses (RMSNormalization itself comes with opset 23); in float32, as squares overflow fp16."""
    x = graph.to_float32(x)
    square = graph.node("Pow", x, graph.constant("two", np.array(2.0, np.float32)))
    mean = graph.node("ReduceMean", square, graph.ints(-1), keepdims=1)
    root = graph.node("Sqrt", graph.node("Add", mean, graph.constant("eps", np.array(eps, np.float32))))
    return graph.node("Mul", graph.from_float32(graph.node("Div", x, root)), graph.weight(f"{name}.weight", weight))


def _layer(
    graph: Graph,
    x: str,
    spec: LanguageSpec,
    name: str,
    weights: LayerWeights,
    turns: tuple[str, str],
    mask: str,
    past: tuple[str, ...],
) -> tuple[str, str, str]:
    h = _norm(graph, x, f"{name}.input_layernorm", np.asarray(weights["input_layernorm.weight"]), spec.eps)
    mixed, key, value = _attention(graph, h, spec, f"{name}.self_attn", weights, turns, mask, past)
    x = graph.node("Add", x, mixed)
    h = _norm(graph, x, f"{name}.post_attention_layernorm", np.asarray(weights["post_attention_layernorm.weight"]), spec.eps)
    both = linear(graph, h, f"{name}.mlp.gate_up_proj", stack([weights[f"mlp.{part}_proj.weight"] for part in ("gate", "up")]), None)
    gate, up = graph.nodes("Split", both, axis=-1, num_outputs=2, outputs=2)
    gate = graph.node("Mul", gate, graph.node("Sigmoid", gate))
    h = linear(graph, graph.node("Mul", gate, up), f"{name}.mlp.down_proj", weights["mlp.down_proj.weight"], None)
    return graph.node("Add", x, h), key, value


def _attention(
    graph: Graph,
    x: str,
    spec: LanguageSpec,
    name: str,
    weights: LayerWeights,
    turns: tuple[str, str],
    mask: str,
    past: tuple[str, ...],
) -> tuple[str, str, str]:
    """Grouped-query attention. Past and new keys are scored apart and only the scores are joined: the past is never copied."""
    query, key, value = _query_key_value(graph, x, spec, name, weights, turns)
    groups = spec.heads // spec.kv_heads
    query = graph.node("Reshape", query, graph.ints(1, spec.kv_heads, -1, spec.head_dim))  # the heads of a group one below the other
    scores = [graph.node("MatMul", query, graph.node("Transpose", part, perm=[0, 1, 3, 2])) for part in (past[0], key)]
    joined = graph.node("Concat", *scores, axis=-1)
    width = graph.node("Shape", joined, start=3, end=4)
    tall = graph.node("Concat", graph.ints(1, spec.kv_heads, groups, -1), width, axis=0)
    flat = graph.node("Concat", graph.ints(1, spec.kv_heads, -1), width, axis=0)
    wide_mask = graph.node("Unsqueeze", mask, graph.ints(1))
    joined = graph.node("Softmax", graph.node("Add", graph.node("Reshape", joined, tall), wide_mask), axis=-1)
    joined = graph.node("Reshape", joined, flat)
    sizes = graph.node("Concat", graph.node("Shape", past[0], start=2, end=3), graph.node("Shape", key, start=2, end=3), axis=0)
    shares = graph.nodes("Split", joined, sizes, axis=-1, outputs=2)
    mixed = graph.node("Add", *(graph.node("MatMul", share, part) for share, part in zip(shares, (past[1], value), strict=True)))
    mixed = graph.node("Reshape", mixed, graph.ints(1, spec.heads, -1, spec.head_dim))
    mixed = graph.node("Reshape", graph.node("Transpose", mixed, perm=[0, 2, 1, 3]), graph.ints(1, -1, spec.heads * spec.head_dim))
    return linear(graph, mixed, f"{name}.o_proj", weights["self_attn.o_proj.weight"], None), key, value


def _query_key_value(
    graph: Graph, x: str, spec: LanguageSpec, name: str, weights: LayerWeights, turns: tuple[str, str]
) -> tuple[str, str, str]:
    """Rotated query [1, heads, T, D] (scaled), rotated key and value [1, KV, T, D] from one Linear."""
    names = [f"self_attn.{part}_proj" for part in "qkv"]
    bias = np.concatenate([np.asarray(weights[f"{n}.bias"]) for n in names]) if spec.qkv_bias else None
    both = linear(graph, x, f"{name}.qkv_proj", stack([weights[f"{n}.weight"] for n in names]), bias)
    both = graph.node("Reshape", both, graph.ints(1, -1, spec.heads + 2 * spec.kv_heads, spec.head_dim))
    turned, value = graph.nodes("Split", both, graph.ints(spec.heads + spec.kv_heads, spec.kv_heads), axis=2, outputs=2)
    first, second = graph.nodes("Split", turned, axis=-1, num_outputs=2, outputs=2)
    rotated = graph.node("Concat", graph.node("Neg", second), first, axis=-1)
    turned = graph.node("Add", graph.node("Mul", turned, turns[0]), graph.node("Mul", rotated, turns[1]))
    turned, value = (graph.node("Transpose", part, perm=[0, 2, 1, 3]) for part in (turned, value))
    query, key = graph.nodes("Split", turned, graph.ints(spec.heads, spec.kv_heads), axis=1, outputs=2)
    return graph.node("Mul", query, graph.scalar(1 / math.sqrt(spec.head_dim))), key, value
