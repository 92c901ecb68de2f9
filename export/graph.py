"""A small ONNX graph builder: nodes with names that never change between exports, weights inline or streamed to one external file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper

OPSET = 21  # the first with INT4 DequantizeLinear in blocks; ONNX Runtime, TensorRT 10/11 and TensorRT-RTX all read it
IR_VERSION = 10  # belongs to opset 21
ALIGNMENT = 4096  # external tensors start on page borders, so that they can be mapped

_TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "int64": TensorProto.INT64,
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
}
Shape = Sequence[int | str]


def pack_int4(values: np.ndarray) -> bytes:
    """INT4 raw data of integers -8..7 of any shape: two in a byte, the earlier one in the low nibble (ONNX's order)."""
    flat = values.astype(np.int8).ravel()
    if flat.size % 2:
        flat = np.append(flat, np.int8(0))
    nibbles = flat.view(np.uint8) & 0xF
    return (nibbles[0::2] | (nibbles[1::2] << 4)).tobytes()


class Graph:
    """Collects nodes and initialisers; `store` is the float type that weights are kept in, `compute` the one that nodes work in.

    With `external` the bytes of every weight of 1 KiB or more go straight to that file (it lies beside the model), so that a graph larger
    than memory can be written layer by layer.
    """

    def __init__(self, name: str, store: str = "float32", compute: str = "float32", external: Path | None = None) -> None:
        self.name = name
        self.store = np.dtype(store)
        self.compute = np.dtype(compute)
        self._external = external
        self._file: BinaryIO | None = open(external, "wb") if external is not None else None
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._initialisers: dict[str, TensorProto] = {}
        self._casts: dict[str, str] = {}

    def input(self, name: str, dtype: str, shape: Shape) -> str:
        """Declare a graph input; strings in the shape are dynamic dimensions."""
        self._inputs.append(helper.make_tensor_value_info(name, _TYPES[dtype], list(shape)))
        return name

    def output(self, value: str, name: str, dtype: str, shape: Shape) -> None:
        """Declare `value` as the graph output `name`."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name=f"output.{name}"))
        self._outputs.append(helper.make_tensor_value_info(name, _TYPES[dtype], list(shape)))

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        return self.nodes(op, *inputs, outputs=1, **attributes)[0]

    def nodes(self, op: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Add a node with `outputs` outputs and return their names."""
        stem = f"{op}.{len(self._nodes)}"
        names = [stem if outputs == 1 else f"{stem}.{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(op, list(inputs), names, name=stem, **attributes))
        return names

    def ints(self, *values: int) -> str:
        """An int64 constant [n], shared by all that ask for the same values."""
        return self.constant("ints." + "_".join(str(v) for v in values), np.array(values, np.int64))

    def scalar(self, value: float) -> str:
        """A scalar of the compute type."""
        return self.constant(f"scalar.{value!r}", np.array(value, self.compute))

    def constant(self, name: str, array: np.ndarray) -> str:
        """An initialiser exactly as given; the same name twice is the same value."""
        if name not in self._initialisers:
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            self._add(name, kind, array.shape, np.ascontiguousarray(array).tobytes())
        return name

    def int4(self, name: str, values: np.ndarray) -> str:
        """An INT4 initialiser of integers -8..7."""
        assert values.min(initial=0) >= -8 and values.max(initial=0) <= 7, name
        if name not in self._initialisers:
            self._add(name, TensorProto.INT4, values.shape, pack_int4(values))
        return name

    def to_float32(self, value: str) -> str:
        """`value` for what fp16 would spoil (squares, angles); itself where nodes work in float32 anyway."""
        return value if self.compute == np.float32 else self.node("Cast", value, to=TensorProto.FLOAT)

    def from_float32(self, value: str) -> str:
        """The way back from `to_float32`."""
        return value if self.compute == np.float32 else self.node("Cast", value, to=_TYPES[self.compute.name])

    def weight(self, name: str, array: np.ndarray) -> str:
        """A float weight in the stored type, cast to the compute type when they differ (runtimes fold the cast when they load)."""
        array = np.asarray(array)
        if array.dtype == ml_dtypes.bfloat16:
            array = array.astype(np.float32)
        if name not in self._casts:
            with np.errstate(over="ignore"):
                kept = array.astype(self.store)
            if not np.isfinite(kept).all():
                raise ValueError(
                    f"{name} holds values that are not finite in {self.store}; is the checkpoint damaged? Else export it as fp32"
                )
            stored = self.constant(name, kept)
            same = self.store == self.compute
            self._casts[name] = stored if same else self.node("Cast", stored, to=helper.np_dtype_to_tensor_dtype(self.compute))
        return self._casts[name]

    def save(self, path: Path) -> None:
        """Check and write the model. With external data, `path` must lie in the folder of that file."""
        if self._file is not None:
            self._file.close()
        graph = helper.make_graph(self._nodes, self.name, self._inputs, self._outputs, list(self._initialisers.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="nvila-edge")
        onnx.save_model(model, path)
        onnx.checker.check_model(str(path))

    def _add(self, name: str, kind: int, shape: Sequence[int], raw: bytes) -> None:
        tensor = TensorProto(name=name, data_type=kind, dims=list(shape))
        if self._file is None or self._external is None or len(raw) < 1024:
            tensor.raw_data = raw
        else:
            self._file.write(b"\0" * (-self._file.tell() % ALIGNMENT))
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (("location", self._external.name), ("offset", self._file.tell()), ("length", len(raw))):
                tensor.external_data.add(key=key, value=str(value))
            self._file.write(raw)
        self._initialisers[name] = tensor
