"""The SigLIP tower and NVILA's projector as one ONNX graph: pixels [N, 3, S, S] -> tokens [N, k, H].

Models that join several scales (`dynamic_s2`) join them between the two, so they get two graphs: pixels -> features [N, P, C], and features of all
scales [N, P, K * C] -> tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from export.graph import Graph
from export.linear import linear, stack
from nvila_edge.engines.spec import VisionSpec
from nvila_edge.engines.weights import Weight

LayerWeights = Mapping[str, Weight]
PROJECTOR_EPS = 1e-5  # torch.nn.LayerNorm's default, which the published projectors use


def write_vision_graph(
    path: Path,
    spec: VisionSpec,
    stem: Mapping[str, np.ndarray],
    layers: Iterable[LayerWeights],
    projector: Mapping[str, Weight],
    store: str = "float32",
    external: Path | None = None,
    compute: str = "float32",
) -> None:
    """Write the graph, without the projector when there are several scales; with compute "float16" pixels and outputs are float16 too.

    stem: `patch_embedding.weight` [C, 3, p, p], `patch_embedding.bias`, `position_embedding.weight` [patches, C].
    layers: per layer, HF's names after `encoder.layers.N.` (`layer_norm1.weight`, `self_attn.q_proj.weight`, ..); consumed one at a time.
    projector: `layers.K.*` as stored in the checkpoint.
    """
    graph = Graph("vision", store, compute, external)
    x = graph.input("pixels", compute, ["N", 3, spec.image_size, spec.image_size])
    x = _embed(graph, x, spec, stem)
    count = 0
    for index, weights in enumerate(layers):
        x = _layer(graph, x, spec, f"layers.{index}", weights)
        count = index + 1
    assert count == spec.layers, f"{count} layers given, {spec.layers} expected"
    if spec.scales == 1:
        graph.output(_project(graph, x, spec, projector), "tokens", compute, ["N", spec.tokens, spec.out_hidden])
    else:
        graph.output(x, "features", compute, ["N", spec.grid**2, spec.hidden])
    graph.save(path)


def write_projector_graph(
    path: Path,
    spec: VisionSpec,
    projector: Mapping[str, Weight],
    store: str = "float32",
    external: Path | None = None,
    compute: str = "float32",
) -> None:
    """Write the projector alone: features float [N, P, K * C] -> tokens [N, k, H]."""
    graph = Graph("projector", store, compute, external)
    x = graph.input("features", compute, ["N", spec.grid**2, spec.scales * spec.hidden])
    graph.output(_project(graph, x, spec, projector), "tokens", compute, ["N", spec.tokens, spec.out_hidden])
    graph.save(path)


def _embed(graph: Graph, pixels: str, spec: VisionSpec, stem: Mapping[str, np.ndarray]) -> str:
    kernel = graph.weight("patch_embedding.weight", stem["patch_embedding.weight"])
    bias = graph.weight("patch_embedding.bias", stem["patch_embedding.bias"])
    x = graph.node("Conv", pixels, kernel, bias, kernel_shape=[spec.patch] * 2, strides=[spec.patch] * 2)
    x = graph.node("Reshape", x, graph.ints(0, spec.hidden, spec.grid**2))
    x = graph.node("Transpose", x, perm=[0, 2, 1])
    return graph.node("Add", x, graph.weight("position_embedding.weight", stem["position_embedding.weight"]))


def _norm(graph: Graph, x: str, name: str, weights: Mapping[str, Weight], key: str, eps: float) -> str:
    scale = graph.weight(f"{name}.weight", np.asarray(weights[f"{key}.weight"]))
    bias = graph.weight(f"{name}.bias", np.asarray(weights[f"{key}.bias"]))
    return graph.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=eps)


def _layer(graph: Graph, x: str, spec: VisionSpec, name: str, weights: LayerWeights) -> str:
    h = _norm(graph, x, f"{name}.layer_norm1", weights, "layer_norm1", spec.eps)
    x = graph.node("Add", x, _attention(graph, h, spec, f"{name}.self_attn", weights))
    h = _norm(graph, x, f"{name}.layer_norm2", weights, "layer_norm2", spec.eps)
    h = linear(graph, h, f"{name}.mlp.fc1", weights["mlp.fc1.weight"], np.asarray(weights["mlp.fc1.bias"]))
    h = graph.node("Gelu", h, approximate="tanh")
    h = linear(graph, h, f"{name}.mlp.fc2", weights["mlp.fc2.weight"], np.asarray(weights["mlp.fc2.bias"]))
    return graph.node("Add", x, h)


def _attention(graph: Graph, x: str, spec: VisionSpec, name: str, weights: LayerWeights) -> str:
    names = [f"self_attn.{part}_proj" for part in "qkv"]
    bias = np.concatenate([np.asarray(weights[f"{n}.bias"]) for n in names])
    qkv = linear(graph, x, f"{name}.qkv_proj", stack([weights[f"{n}.weight"] for n in names]), bias)
    head = spec.hidden // spec.heads
    qkv = graph.node("Reshape", qkv, graph.ints(0, 0, 3, spec.heads, head))
    q, k, v = graph.nodes("Split", qkv, axis=2, num_outputs=3, outputs=3)
    q, k, v = (graph.node("Squeeze", part, graph.ints(2)) for part in (q, k, v))
    q = graph.node("Transpose", graph.node("Mul", q, graph.scalar(1 / math.sqrt(head))), perm=[0, 2, 1, 3])
    scores = graph.node("MatMul", q, graph.node("Transpose", k, perm=[0, 2, 3, 1]))
    mixed = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), graph.node("Transpose", v, perm=[0, 2, 1, 3]))
    mixed = graph.node("Reshape", graph.node("Transpose", mixed, perm=[0, 2, 1, 3]), graph.ints(0, 0, spec.hidden))
    return linear(graph, mixed, f"{name}.out_proj", weights["self_attn.out_proj.weight"], np.asarray(weights["self_attn.out_proj.bias"]))


def space_to_channel(graph: Graph, x: str, spec: VisionSpec) -> str:
    """[N, grid*grid, C] -> [N, tokens, rows*cols*C]: zero-padded at the bottom and right; channels by (row, column) within the block."""
    rows, cols = spec.block
    channels = spec.hidden * spec.scales
    high, wide = math.ceil(spec.grid / rows), math.ceil(spec.grid / cols)
    x = graph.node("Reshape", x, graph.ints(0, spec.grid, spec.grid, channels))
    if (high * rows, wide * cols) != (spec.grid, spec.grid):
        pads = graph.ints(0, 0, 0, 0, 0, high * rows - spec.grid, wide * cols - spec.grid, 0)
        x = graph.node("Pad", x, pads, graph.scalar(0.0))
    x = graph.node("Reshape", x, graph.ints(0, high, rows, wide, cols * channels))
    x = graph.node("Transpose", x, perm=[0, 3, 1, 2, 4] if spec.column_major else [0, 1, 3, 2, 4])
    return graph.node("Reshape", x, graph.ints(0, high * wide, rows * cols * channels))


def _project(graph: Graph, x: str, spec: VisionSpec, weights: Mapping[str, Weight]) -> str:
    for index, layer in enumerate(spec.projector_layout):
        name = f"layers.{index}"
        if layer.kind == "downsample":
            x = space_to_channel(graph, x, spec)
        elif layer.kind == "norm":
            x = _norm(graph, x, f"projector.{name}", weights, name, PROJECTOR_EPS)
        elif layer.kind == "gelu":
            x = graph.node("Gelu", x, approximate="none")
        else:
            x = linear(graph, x, f"projector.{name}", weights[f"{name}.weight"], np.asarray(weights[f"{name}.bias"]))
    return x
