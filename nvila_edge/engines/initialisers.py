"""Weights out of a bundle's ONNX files, dequantised, under the names of the published layout: the reference runs on exactly what ships."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from nvila_edge.engines.manifest import LANGUAGE, VISION, BundleError
from nvila_edge.engines.spec import EngineSpec


@dataclass(frozen=True)
class GraphWeights:
    """state: float32 tensors by published name; input_scales: static activation scale of every W8A8 Linear, by module name."""

    state: dict[str, np.ndarray]
    input_scales: dict[str, float]


def _initialisers(path: Path) -> dict[str, np.ndarray]:
    try:
        model = onnx.load(path)
        return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    except Exception as error:  # protobuf and onnx raise unrelated classes
        raise BundleError(f"{path} cannot be read as ONNX: {error}; export the bundle again") from error


def _dequantise(weight: np.ndarray, scale: np.ndarray | None) -> np.ndarray:
    """float32 [out, in] of a stored [in, out]: as it is, per channel (scale [out]) or in blocks (scale [blocks, out])."""
    values = np.asarray(weight, np.float32)
    if scale is not None and scale.ndim == 2:
        scale = np.repeat(scale, values.shape[0] // scale.shape[0], axis=0)
    return np.ascontiguousarray((values if scale is None else values * scale).T)


class _Reader:
    """Takes Linears, norms and the like out of one graph."""

    def __init__(self, path: Path) -> None:
        self.raw = _initialisers(path)
        self.state: dict[str, np.ndarray] = {}
        self.input_scales: dict[str, float] = {}

    def plain(self, name: str, target: str) -> None:
        self.state[target] = np.asarray(self.raw[name], np.float32)

    def norm(self, name: str, target: str) -> None:
        for part in ("weight", "bias"):
            if f"{name}.{part}" in self.raw:
                self.plain(f"{name}.{part}", f"{target}.{part}")

    def linear(self, name: str, targets: list[str], sizes: list[int]) -> None:
        """One stored Linear that is several in the published layout: `sizes` outputs each."""
        weight = _dequantise(self.raw[f"{name}.weight"], self.raw.get(f"{name}.scale"))
        cuts = np.cumsum(sizes)[:-1]
        for target, part in zip(targets, np.split(weight, cuts), strict=True):
            self.state[f"{target}.weight"] = part
            if f"{name}.input_scale" in self.raw:
                self.input_scales[target] = float(self.raw[f"{name}.input_scale"])
        if f"{name}.bias" in self.raw:
            for target, part in zip(targets, np.split(np.asarray(self.raw[f"{name}.bias"], np.float32), cuts), strict=True):
                self.state[f"{target}.bias"] = part


def vision_weights(folder: Path, spec: EngineSpec) -> tuple[GraphWeights, GraphWeights]:
    """Tower (names after `vision_model.`) and projector (`layers.K.*`) of a bundle."""
    reader, vision = _Reader(folder / VISION), spec.vision
    for name in ("patch_embedding.weight", "patch_embedding.bias", "position_embedding.weight"):
        reader.plain(name, f"embeddings.{name}")
    for index in range(vision.layers):
        name, target = f"layers.{index}", f"encoder.layers.{index}"
        reader.norm(f"{name}.layer_norm1", f"{target}.layer_norm1")
        reader.norm(f"{name}.layer_norm2", f"{target}.layer_norm2")
        reader.linear(f"{name}.self_attn.qkv_proj", [f"{target}.self_attn.{part}_proj" for part in "qkv"], [vision.hidden] * 3)
        reader.linear(f"{name}.self_attn.out_proj", [f"{target}.self_attn.out_proj"], [vision.hidden])
        reader.linear(f"{name}.mlp.fc1", [f"{target}.mlp.fc1"], [vision.intermediate])
        reader.linear(f"{name}.mlp.fc2", [f"{target}.mlp.fc2"], [vision.hidden])
    tower = GraphWeights(reader.state, reader.input_scales)
    reader.state, reader.input_scales = {}, {}
    for index, kind in vision.projector_layers:
        if kind == "norm":
            reader.norm(f"projector.layers.{index}", f"layers.{index}")
        elif kind == "linear":
            reader.linear(f"projector.layers.{index}", [f"layers.{index}"], [reader.raw[f"projector.layers.{index}.weight"].shape[1]])
    return tower, GraphWeights(reader.state, reader.input_scales)


def language_weights(folder: Path, spec: EngineSpec) -> GraphWeights:
    """The decoder's weights (`model.layers.N..`, `model.norm.weight`, `lm_head.weight`), without the token table, which is a file of its
    own.
    """
    reader, language = _Reader(folder / LANGUAGE), spec.language
    heads = [language.heads * language.head_dim, *[language.kv_heads * language.head_dim] * 2]
    for index in range(language.layers):
        name, target = f"layers.{index}", f"model.layers.{index}"
        reader.norm(f"{name}.input_layernorm", f"{target}.input_layernorm")
        reader.norm(f"{name}.post_attention_layernorm", f"{target}.post_attention_layernorm")
        reader.linear(f"{name}.self_attn.qkv_proj", [f"{target}.self_attn.{part}_proj" for part in "qkv"], heads)
        reader.linear(f"{name}.self_attn.o_proj", [f"{target}.self_attn.o_proj"], [language.hidden])
        reader.linear(f"{name}.mlp.gate_up_proj", [f"{target}.mlp.{part}_proj" for part in ("gate", "up")], [language.intermediate] * 2)
        reader.linear(f"{name}.mlp.down_proj", [f"{target}.mlp.down_proj"], [language.hidden])
    reader.norm("norm", "model.norm")
    reader.linear("lm_head", ["lm_head"], [language.vocab])
    return GraphWeights(reader.state, reader.input_scales)
