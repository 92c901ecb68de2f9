"""Weights out of a bundle's ONNX files as they are stored, under the names of the published layout, a layer at a time.

The reference runs on exactly what ships, and engines for other hardware are built from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nvila_edge.engines.manifest import LANGUAGE, PROJECTOR, VISION, BundleError
from nvila_edge.engines.spec import EngineSpec
from nvila_edge.engines.weights import BlockWeight, Int8Weight, Weight, rows


class Initialisers:
    """The initialisers of one ONNX file by name; those in an external file are read when asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            model = onnx.load(path, load_external_data=False)
        except Exception as error:  # protobuf and onnx raise unrelated classes
            raise BundleError(f"{path} cannot be read as ONNX: {error}; export the bundle again") from error
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def is_int4(self, name: str) -> bool:
        """Whether it is stored in four bits."""
        return self._tensors[name].data_type == TensorProto.INT4

    def __getitem__(self, name: str) -> np.ndarray:
        """As stored; INT4 as int8 of -8..7. Raises BundleError when it is not there."""
        if name not in self._tensors:
            raise BundleError(f"{self._path} has no initialiser {name!r}; it is not a graph of this version: export the bundle again")
        tensor = self._tensors[name]
        if tensor.data_location != TensorProto.EXTERNAL:
            array = numpy_helper.to_array(tensor)
            return array.astype(np.int8) if tensor.data_type == TensorProto.INT4 else array
        where = {entry.key: entry.value for entry in tensor.external_data}
        raw = np.memmap(self._path.parent / where["location"], np.uint8, "r", int(where["offset"]), (int(where["length"]),))
        if tensor.data_type == TensorProto.INT4:
            return unpack_int4(np.asarray(raw), tuple(tensor.dims))
        return raw.view(helper.tensor_dtype_to_np_dtype(tensor.data_type)).reshape(tuple(tensor.dims))


def unpack_int4(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """int8 of -8..7 from ONNX's INT4 bytes: two in a byte, the earlier one in the low nibble."""
    pairs = packed.view(np.int8)
    values = np.stack([(pairs << 4) >> 4, pairs >> 4], -1).ravel()
    return values[: int(np.prod(shape))].reshape(shape)


class _Graph:
    """Takes Linears and norms out of one graph."""

    def __init__(self, path: Path) -> None:
        self._raw = Initialisers(path)

    def plain(self, name: str) -> np.ndarray:
        return np.asarray(self._raw[name], np.float32)

    def norm(self, name: str) -> dict[str, Weight]:
        return {part: self.plain(f"{name}.{part}") for part in ("weight", "bias") if f"{name}.{part}" in self._raw}

    def linear(self, name: str, targets: Sequence[str], sizes: Sequence[int]) -> dict[str, Weight]:
        """One stored Linear that is several in the published layout: `sizes` outputs each."""
        weight, found = self._weight(name), {}
        bias = self.plain(f"{name}.bias") if f"{name}.bias" in self._raw else None
        stops = np.cumsum(sizes)
        for target, stop, size in zip(targets, stops, sizes, strict=True):
            found[f"{target}.weight"] = rows(weight, stop - size, stop)
            if bias is not None:
                found[f"{target}.bias"] = bias[stop - size : stop]
        return found

    def _weight(self, name: str) -> Weight:
        """[out, in] of a stored [in, out]."""
        weight = self._raw[f"{name}.weight"]
        if f"{name}.input_scale" in self._raw:
            scale = self.plain(f"{name}.scale")
            return Int8Weight(np.ascontiguousarray(weight.T), scale, float(self._raw[f"{name}.input_scale"]))
        if f"{name}.scale" in self._raw:
            offset = np.ascontiguousarray(self.plain(f"{name}.offset").T) if f"{name}.offset" in self._raw else None
            bits = 4 if self._raw.is_int4(f"{name}.weight") else 8
            return BlockWeight(np.ascontiguousarray(weight.T), np.ascontiguousarray(self.plain(f"{name}.scale").T), bits, offset)
        return np.ascontiguousarray(np.asarray(weight, np.float32).T)


def _named(prefix: str, weights: dict[str, Weight]) -> dict[str, Weight]:
    return {f"{prefix}.{name}": weight for name, weight in weights.items()}


class VisionWeights:
    """Tower and projector of a bundle."""

    def __init__(self, folder: Path, spec: EngineSpec) -> None:
        self._graph, self._spec = _Graph(folder / VISION), spec.vision
        self._projector = self._graph if spec.vision.scales == 1 else _Graph(folder / PROJECTOR)

    def stem(self) -> dict[str, np.ndarray]:
        """Patch and position embeddings."""
        return {name: self._graph.plain(name) for name in ("patch_embedding.weight", "patch_embedding.bias", "position_embedding.weight")}

    def layer(self, index: int) -> dict[str, Weight]:
        """One tower layer, names after `encoder.layers.N.`."""
        graph, name, hidden = self._graph, f"layers.{index}", self._spec.hidden
        return {
            **_named("layer_norm1", graph.norm(f"{name}.layer_norm1")),
            **_named("layer_norm2", graph.norm(f"{name}.layer_norm2")),
            **graph.linear(f"{name}.self_attn.qkv_proj", [f"self_attn.{part}_proj" for part in "qkv"], [hidden] * 3),
            **graph.linear(f"{name}.self_attn.out_proj", ["self_attn.out_proj"], [hidden]),
            **graph.linear(f"{name}.mlp.fc1", ["mlp.fc1"], [self._spec.intermediate]),
            **graph.linear(f"{name}.mlp.fc2", ["mlp.fc2"], [hidden]),
        }

    def projector(self) -> dict[str, Weight]:
        """`layers.K.*`."""
        found: dict[str, Weight] = {}
        for index, layer in enumerate(self._spec.projector_layout):
            name = f"projector.layers.{index}"
            if layer.kind == "norm":
                found |= _named(f"layers.{index}", self._projector.norm(name))
            elif layer.kind == "linear":
                found |= self._projector.linear(name, [f"layers.{index}"], layer.sizes[1:])
        return found


class LanguageWeights:
    """The decoder of a bundle, without the token table, which is a file of its own."""

    def __init__(self, folder: Path, spec: EngineSpec) -> None:
        self._graph, self._spec = _Graph(folder / LANGUAGE), spec.language

    def layer(self, index: int) -> dict[str, Weight]:
        """One decoder layer, names after `model.layers.N.`."""
        graph, spec, name = self._graph, self._spec, f"layers.{index}"
        heads = [spec.heads * spec.head_dim, *[spec.kv_heads * spec.head_dim] * 2]
        return {
            **_named("input_layernorm", graph.norm(f"{name}.input_layernorm")),
            **_named("post_attention_layernorm", graph.norm(f"{name}.post_attention_layernorm")),
            **graph.linear(f"{name}.self_attn.qkv_proj", [f"self_attn.{part}_proj" for part in "qkv"], heads),
            **graph.linear(f"{name}.self_attn.o_proj", ["self_attn.o_proj"], [spec.hidden]),
            **graph.linear(f"{name}.mlp.gate_up_proj", ["mlp.gate_proj", "mlp.up_proj"], [spec.intermediate] * 2),
            **graph.linear(f"{name}.mlp.down_proj", ["mlp.down_proj"], [spec.hidden]),
        }

    def norm(self) -> np.ndarray:
        """The final RMS norm's weight [H]."""
        return self._graph.plain("norm.weight")

    def head(self) -> Weight:
        """The output Linear [vocab, H]."""
        return self._graph.linear("lm_head", ["lm_head"], [self._spec.vocab])["lm_head.weight"]
