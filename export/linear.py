"""How each kind of Linear weight is written into a graph. Graph builders are written once and take any kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.graph import Graph
from nvila_edge.engines.weights import BlockWeight, Int8Weight, Weight


def stack(weights: Sequence[Weight]) -> Weight:
    """Linears that read the same input as one: outputs one after the other. All of one kind; W8A8 ones share their input's scale."""
    first = weights[0]
    if isinstance(first, Int8Weight):
        assert all(isinstance(w, Int8Weight) and w.input_scale == first.input_scale for w in weights)
        return Int8Weight(np.concatenate([w.q for w in weights]), np.concatenate([w.scale for w in weights]), first.input_scale)  # type: ignore[union-attr]
    if isinstance(first, BlockWeight):
        offsets = [w.offset for w in weights if w.offset is not None]  # type: ignore[union-attr]
        assert len(offsets) in (0, len(weights))
        offset = np.concatenate(offsets) if offsets else None
        return BlockWeight(np.concatenate([w.q for w in weights]), np.concatenate([w.scale for w in weights]), first.bits, offset)  # type: ignore[union-attr]
    return np.concatenate([np.asarray(w) for w in weights])


def linear(graph: Graph, x: str, name: str, weight: Weight, bias: np.ndarray | None) -> str:
    """y = x W^T + b. Initialisers are `name.weight` (transposed: [in, out]), `name.scale`, `name.input_scale`, `name.bias`."""
    if isinstance(weight, Int8Weight):
        y = _w8a8(graph, x, name, weight)
    elif isinstance(weight, BlockWeight):
        y = _weight_only(graph, x, name, weight)
    else:
        y = graph.node("MatMul", x, graph.weight(f"{name}.weight", np.asarray(weight).T))
    return y if bias is None else graph.node("Add", y, graph.weight(f"{name}.bias", bias))


def _w8a8(graph: Graph, x: str, name: str, weight: Int8Weight) -> str:
    """Symmetric signed Q/DQ (TensorRT accepts no other). Zero points are never shared: ONNX Runtime's rewrite for processors without VNNI
    trips over it.
    """
    input_scale = graph.constant(f"{name}.input_scale", np.array(weight.input_scale, graph.compute))
    zero = graph.constant(f"{name}.input_zero", np.array(0, np.int8))
    quantised = graph.node("QuantizeLinear", x, input_scale, zero)
    x = graph.node("DequantizeLinear", quantised, input_scale, zero)
    q = graph.constant(f"{name}.weight", np.ascontiguousarray(weight.q.T))
    scale = graph.constant(f"{name}.scale", weight.scale.astype(graph.compute))
    zeros = graph.constant(f"{name}.zero", np.zeros(len(weight.scale), np.int8))
    return graph.node("MatMul", x, graph.node("DequantizeLinear", q, scale, zeros, axis=1))


def _weight_only(graph: Graph, x: str, name: str, weight: BlockWeight) -> str:
    codes = np.ascontiguousarray(weight.q.T)
    q = graph.int4(f"{name}.weight", codes) if weight.bits == 4 else graph.constant(f"{name}.weight", codes)
    scale = graph.constant(f"{name}.scale", np.ascontiguousarray(weight.scale.T).astype(graph.compute))
    y = graph.node("MatMul", x, graph.node("DequantizeLinear", q, scale, axis=0, block_size=weight.block))
    if weight.offset is None:
        return y
    blocks = graph.node("Reshape", x, graph.ints(0, 0, weight.scale.shape[1], weight.block))
    sums = graph.node(
        "ReduceSum", blocks, graph.ints(-1), keepdims=0
    )  # an offset meets the sum of its block: exact, and no zero points, which
    return graph.node("Add", y, graph.node("MatMul", sums, graph.weight(f"{name}.offset", weight.offset.T)))  # TensorRT refuses
