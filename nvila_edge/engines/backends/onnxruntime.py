"""The ONNX Runtime backend: fp32 in and out, quantised Linears in integer arithmetic on the CPU.

The two GPU providers are there to be tried: they were never run by us, and are never chosen by themselves. From their documentation (microsoft/onnxruntime
pull request 21846): on CUDA the INT4 Linears become MatMulNBits as on the CPU, but W8A8 Linears run as float products of rounded values, since only
the CPU's kernels fuse INT8 Q/DQ, and the 8-bit output Linear may go to the CPU. Keys and values stay in host memory and are sent with every pass; the
backends `tensorrt` and `torch` keep them on the GPU.
"""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import onnxruntime

from nvila_edge.engines.cache import KeyValueCache, NewKeyValues
from nvila_edge.engines.manifest import LANGUAGE, PROJECTOR, VISION, BundleError
from nvila_edge.engines.spec import EngineSpec, VisionSpec

CPU = "CPUExecutionProvider"
PROVIDERS = {"onnxruntime": CPU, "onnxruntime-cuda": "CUDAExecutionProvider", "onnxruntime-tensorrt-rtx": "NvTensorRTRTXExecutionProvider"}


def adds_int8_in_16_bits() -> bool:
    """Whether this is an x86 processor without VNNI: ONNX Runtime's default INT8 kernels add products in 16 bits there and may overflow."""
    if platform.machine().lower() not in ("x86_64", "amd64", "i386", "i686"):
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux: exact rather than fast
        return True
    return "vnni" not in flags and "amx_int8" not in flags


def open_session(path: Path, threads: int, provider: str = CPU) -> onnxruntime.InferenceSession:
    """A session whose results, on the CPU, depend on neither load nor spare cores. Raises BundleError when the file is not a readable graph, ValueError for
    a provider that is not here or does not start: ONNX Runtime itself would go on with the CPU."""
    if provider not in onnxruntime.get_available_providers():
        raise ValueError(
            f'{_known()} has no {provider}; in a Python of its own: pip install "nvila-edge[gpu]" (never beside the extra cpu)'
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the cores are shared with a robot or a simulator
    # 4: activations are rounded to INT8 in blocks of 128 for INT4 weights; 5x faster than 1 (float activations) at no loss that verify could see
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "4")
    if adds_int8_in_16_bits():  # exact kernels instead, at about 1.6x the time (measured with a tower of 6 layers, width 192)
        options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=list(dict.fromkeys((provider, CPU))))
    except Exception as error:  # onnxruntime raises its own unrelated classes
        raise BundleError(f"ONNX Runtime cannot open {path}: {error}; export the bundle again or upgrade onnxruntime") from error
    if provider not in session.get_providers():
        raise ValueError(
            f"{_known()}, but {provider} does not start here: are its GPU, driver and CUDA libraries there? See nvila-edge doctor"
        )
    return session


def _known() -> str:
    return f"onnxruntime {onnxruntime.__version__} knows {', '.join(onnxruntime.get_available_providers())}"


def run(session: onnxruntime.InferenceSession, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    """All outputs of one run."""
    return [np.asarray(output) for output in session.run(None, feed)]


class OnnxVision:
    """The vision graph alone (and the projector's, where that is one of its own). One tile at a time, so that its tokens never depend on its company."""

    def __init__(self, folder: Path, spec: VisionSpec, threads: int, provider: str = CPU) -> None:
        self.image_size = spec.image_size
        self._vision = open_session(folder / VISION, threads, provider)
        self._projector = open_session(folder / PROJECTOR, threads, provider) if spec.scales > 1 else None

    def encode(self, pixels_N3SS: np.ndarray) -> np.ndarray:
        """float32 [N, 3, S, S] -> tokens float32 [N, k, H]; of models with one scale."""
        assert self._projector is None
        return self.features(pixels_N3SS)

    def features(self, pixels_N3SS: np.ndarray) -> np.ndarray:
        """float32 [N, 3, S, S] -> what the vision graph gives: features float32 [N, P, C] where the projector is a graph of its own."""
        return np.concatenate([run(self._vision, {"pixels": tile[None]})[0] for tile in pixels_N3SS])

    def project(self, features_NPC: np.ndarray) -> np.ndarray:
        """Features of all scales float32 [N, P, K * C] -> tokens float32 [N, k, H]."""
        assert self._projector is not None
        return np.concatenate([run(self._projector, {"features": tile[None]})[0] for tile in features_NPC])


class OnnxRuntimeBackend(OnnxVision):
    """The protocol `Backend` over the sessions."""

    def __init__(self, folder: Path, spec: EngineSpec, threads: int, provider: str = CPU) -> None:
        super().__init__(folder, spec.vision, threads, provider)
        self._spec = spec
        self._language = open_session(folder / LANGUAGE, threads, provider)
        self.runs_on = f"ONNX Runtime {onnxruntime.__version__}, {provider}"

    def prefill(
        self, embeds: np.ndarray, positions: np.ndarray, mask: np.ndarray, past: KeyValueCache, logit_positions: np.ndarray
    ) -> tuple[np.ndarray, NewKeyValues]:
        """One pass over T positions. ONNX Runtime reads keys and values where they lie: an OrtValue of a contiguous array on the CPU is a pointer, and the
        graph scores the past apart. Only the new positions come out, as arrays of their own. With everything bound beforehand (IO binding), a step took
        0.270 instead of 0.305 ms with the built-in model, 352 instead of 361 with Qwen2.5-0.5B's shape (busy machine): within the noise."""
        feed = {
            "inputs_embeds": embeds[None],
            "position_ids": positions[None],
            "attention_mask": mask[None, None],
            "logit_positions": logit_positions,
        }
        for layer in range(self._spec.language.layers):
            feed[f"past_key.{layer}"] = past.keys[layer]
            feed[f"past_value.{layer}"] = past.values[layer]
        logits, *present = run(self._language, feed)
        return logits, NewKeyValues(present[0::2], present[1::2])

    step = prefill

    def cache(self, capacity: int) -> KeyValueCache:
        """An empty cache in host memory."""
        language = self._spec.language
        return KeyValueCache(language.layers, language.kv_heads, language.head_dim, capacity)
