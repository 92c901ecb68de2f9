"""The TensorRT backend: engines built for one GPU architecture, float16 in and out, keys and values staying on the device.

One class serves TensorRT 10, 11 and TensorRT-RTX. Single steps at a fixed cache are captured as a CUDA graph once they have run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nvila_edge.engines.backends.cuda_memory import ALIGNMENT, DeviceMemory, Stream, aligned
from nvila_edge.engines.backends.tensorrt_engines import EngineInfo, check_any, folder_of, inputs_and_outputs
from nvila_edge.engines.backends.tensorrt_library import Library, library
from nvila_edge.engines.cache import Slots
from nvila_edge.engines.manifest import BundleError, Manifest
from nvila_edge.engines.spec import LanguageSpec

PREFILL, DECODE = 0, 1  # the language engine's profiles, in the order in which they were built
LOWEST = np.float16(-60000)  # stands for "not seen" in an fp16 mask: finite, and no score comes near it
_HALF = 2


@dataclass(frozen=True)
class DeviceKeyValues:
    """New keys and values of a pass on the device: float16 [layers, 2, KV, width, D], contiguous."""

    memory: DeviceMemory
    address: int
    width: int


class DeviceKeyValueCache(Slots):
    """Keys and values float16 [layers, 2, KV, capacity, D] on the device."""

    def __init__(self, stream: Stream, spec: LanguageSpec, capacity: int) -> None:
        super().__init__(capacity)
        self._stream, self._spec = stream, spec
        self.size = spec.kv_heads * capacity * spec.head_dim * _HALF  # bytes of one layer's keys, or values
        total = 2 * spec.layers * self.size
        self.memory = stream.allocate(total)
        if total:
            stream.zero(self.memory.address, total)

    def address(self, layer: int, which: int) -> int:
        """Keys (0) or values (1) of a layer."""
        return self.memory.address + (2 * layer + which) * self.size

    def write(self, new: DeviceKeyValues, rows: list[int], slots: list[int]) -> None:
        """Keep positions `rows` of a pass in `slots`: one copy for every run of neighbours, all layers and heads at once."""
        assert len(rows) == len(slots)
        spec, position = self._spec, self._spec.head_dim * _HALF
        for row, slot, count in runs(rows, slots):
            target, source = self.memory.address + slot * position, new.address + row * position
            height = 2 * spec.layers * spec.kv_heads
            self._stream.copy_rows(target, self.capacity * position, source, new.width * position, count * position, height)


def runs(rows: list[int], slots: list[int]) -> list[tuple[int, int, int]]:
    """(first row, first slot, count) of stretches where both go up by one."""
    found: list[tuple[int, int, int]] = []
    for row, slot in zip(rows, slots, strict=True):
        if found and (found[-1][0] + found[-1][2], found[-1][1] + found[-1][2]) == (row, slot):
            found[-1] = (*found[-1][:2], found[-1][2] + 1)
        else:
            found.append((row, slot, 1))
    return found


class OpenEngine:
    """A deserialised engine with one execution context for each profile."""

    def __init__(self, found: Library, stream: Stream, path: Path, wanted: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
        logger = found.logger()
        self._stream, self._runtime = stream, found.module.Runtime(logger)
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise BundleError(
                f"{path} cannot be opened by {found.target} {found.version}: {'; '.join(logger.said)}; build the engines again"
            )
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        has = {name: (self._engine.get_tensor_dtype(name).name, tuple(self._engine.get_tensor_shape(name))) for name in names}
        wrong = sorted(name for name in {*has, *wanted} if has.get(name) != wanted.get(name))
        if wrong:
            raise BundleError(f"{path} disagrees with the manifest on {', '.join(wrong[:3])}; build the engines again")
        self._contexts = [self._engine.create_execution_context() for _ in range(self._engine.num_optimization_profiles)]
        for index, context in enumerate(self._contexts):
            context.set_optimization_profile_async(index, stream.handle)

    def enqueue(self, profile: int, shapes: Mapping[str, tuple[int, ...]], addresses: Mapping[str, int]) -> None:
        """Starts one pass. Raises BundleError for shapes beyond what the engine was built for."""
        context = self._contexts[profile]
        for name, shape in shapes.items():
            if not context.set_input_shape(name, shape):
                raise BundleError(f"the engine was not built for {name} of shape {list(shape)}; shorten the prompt or give fewer frames")
        for name, address in addresses.items():
            context.set_tensor_address(name, address)
        if not context.execute_async_v3(self._stream.handle):
            raise BundleError(f"the engine failed on inputs {dict(shapes)}; build the engines again for this GPU and version")


class TensorRTBackend:
    """The protocol `Backend` over a bundle's engines for this machine's GPU."""

    def __init__(self, bundle: Path, manifest: Manifest) -> None:
        check_any(bundle)  # before the driver: a bundle without engines is told where there is no GPU, too
        self._stream, self._spec = Stream(), manifest.spec
        self.image_size = manifest.spec.vision.image_size
        info = EngineInfo.read(bundle, self._stream.architecture(), manifest)
        found = library(info.target)
        if found.version != info.version:
            raise BundleError(f"{bundle} has engines of {info.target} {info.version}, installed is {found.version}: build them again here")
        self.runs_on = f"{found.target} {found.version}, {info.arch}"
        spec = manifest.spec
        self._engines = {
            name: OpenEngine(found, self._stream, folder_of(bundle, info.arch) / f"{name}.engine", inputs_and_outputs(name, spec))
            for name in info.graphs
        }
        assert spec.language.kv_heads * spec.language.head_dim * _HALF % ALIGNMENT == 0, "keys of one position fill whole 256 bytes"
        self._steps: dict[int, _Step] = {}

    def encode(self, pixels_N3SS: np.ndarray) -> np.ndarray:
        """float32 [N, 3, S, S] -> tokens float32 [N, k, H]; of models with one scale."""
        vision = self._spec.vision
        return self._seen("vision", "pixels", pixels_N3SS, "tokens", (vision.tokens, vision.out_hidden))

    def features(self, pixels_N3SS: np.ndarray) -> np.ndarray:
        """float32 [N, 3, S, S] -> features float32 [N, P, C]."""
        vision = self._spec.vision
        return self._seen("vision", "pixels", pixels_N3SS, "features", (vision.grid**2, vision.hidden))

    def project(self, features_NPC: np.ndarray) -> np.ndarray:
        """Features of all scales float32 [N, P, K * C] -> tokens float32 [N, k, H]."""
        vision = self._spec.vision
        return self._seen("projector", "features", features_NPC, "tokens", (vision.tokens, vision.out_hidden))

    def _seen(self, engine: str, name: str, inputs: np.ndarray, output: str, shape: tuple[int, int]) -> np.ndarray:
        """One tile at a time, so that its tokens never depend on its company."""
        result = np.empty((len(inputs), *shape), np.float16)
        for one, tile in zip(result, inputs.astype(np.float16), strict=True):
            given, taken = self._stream.allocate(tile.nbytes), self._stream.allocate(one.nbytes)
            self._stream.upload(given.address, np.ascontiguousarray(tile))
            self._engines[engine].enqueue(PREFILL, {name: (1, *tile.shape)}, {name: given.address, output: taken.address})
            self._stream.download(one, taken.address)
        return result.astype(np.float32)

    def cache(self, capacity: int) -> DeviceKeyValueCache:
        """An empty cache on the device."""
        return DeviceKeyValueCache(self._stream, self._spec.language, capacity)

    def prefill(
        self, embeds: np.ndarray, positions: np.ndarray, mask: np.ndarray, past: DeviceKeyValueCache, logit_positions: np.ndarray
    ) -> tuple[np.ndarray, DeviceKeyValues]:
        """One pass over T positions."""
        work = _Pass(self._stream, self._spec.language, len(embeds), past, len(logit_positions))
        work.upload(embeds, positions, mask, logit_positions)
        self._engines["language"].enqueue(PREFILL, work.shapes, work.addresses)
        return work.logits(), work.new

    def step(
        self, embeds: np.ndarray, positions: np.ndarray, mask: np.ndarray, past: DeviceKeyValueCache, logit_positions: np.ndarray
    ) -> tuple[np.ndarray, DeviceKeyValues]:
        """One position; from the third time on with the same cache a captured graph. Its new keys and values last until the next step."""
        if past.capacity == 0:
            return self.prefill(embeds, positions, mask, past, logit_positions)
        step = self._steps.get(id(past))
        if step is None or step.past is not past:
            self._steps = {id(past): (step := _Step(past, _Pass(self._stream, self._spec.language, 1, past, 1)))}
        step.work.upload(embeds, positions, mask, logit_positions)
        step.run(self._stream, lambda: self._engines["language"].enqueue(DECODE, step.work.shapes, step.work.addresses))
        return step.work.logits(), step.work.new


class _Step:
    """Single steps with one cache: the same addresses every time, so that they can be captured."""

    def __init__(self, past: DeviceKeyValueCache, work: _Pass) -> None:
        self.past, self.work = past, work
        self._warm = 0
        self._graph: Callable[[], None] | None = None

    def run(self, stream: Stream, enqueue: Callable[[], None]) -> None:
        """Runs it, or replays the graph; the first two runs let the library finish what it does lazily."""
        if self._graph is not None:
            self._graph()
        elif self._warm < 2:
            enqueue()
            self._warm += 1
        else:
            self._graph = stream.captured(enqueue)
            self._graph()


class _Pass:
    """Device memory of one pass of the language engine over `width` positions: inputs, logits, new keys and values, in one allocation."""

    def __init__(self, stream: Stream, spec: LanguageSpec, width: int, past: DeviceKeyValueCache, asked: int) -> None:
        self._stream = stream
        self._inputs: dict[str, tuple[tuple[int, ...], Any]] = {
            "inputs_embeds": ((1, width, spec.hidden), np.float16),
            "position_ids": ((1, width), np.int64),
            "attention_mask": ((1, 1, width, past.capacity + width), np.float16),
            "logit_positions": ((asked,), np.int64),
        }
        self._logits = (asked, spec.vocab)
        new = spec.kv_heads * width * spec.head_dim * _HALF
        sizes = {name: int(np.prod(shape)) * np.dtype(kind).itemsize for name, (shape, kind) in self._inputs.items()}
        sizes |= {"logits": asked * spec.vocab * _HALF, "new": 2 * spec.layers * new}
        starts = np.cumsum([0, *(aligned(size) for size in sizes.values())])
        self._memory = stream.allocate(int(starts[-1]))
        self.addresses = {name: self._memory.address + int(start) for name, start in zip(sizes, starts, strict=False)}
        first = self.addresses.pop("new")
        self.new = DeviceKeyValues(self._memory, first, width)
        held = (1, spec.kv_heads, past.capacity, spec.head_dim)
        self.shapes: dict[str, tuple[int, ...]] = {name: shape for name, (shape, _) in self._inputs.items()}
        for layer in range(spec.layers):
            for which, kind in enumerate(("key", "value")):
                self.shapes[f"past_{kind}.{layer}"] = held
                self.addresses[f"past_{kind}.{layer}"] = past.address(layer, which)
                self.addresses[f"new_{kind}.{layer}"] = first + (2 * layer + which) * new

    def upload(self, embeds: np.ndarray, positions: np.ndarray, mask: np.ndarray, logit_positions: np.ndarray) -> None:
        """The four inputs that come from the host."""
        given = (embeds, positions, np.maximum(mask, LOWEST), logit_positions)
        for (name, (shape, kind)), array in zip(self._inputs.items(), given, strict=True):
            self._stream.upload(self.addresses[name], np.ascontiguousarray(array, kind).reshape(shape))

    def logits(self) -> np.ndarray:
        """float32 [asked, vocab]; waits for the pass."""
        host = np.empty(self._logits, np.float16)
        self._stream.download(host, self.addresses["logits"])
        return host.astype(np.float32)
