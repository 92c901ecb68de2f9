"""CPU figures of the exported graphs on real shapes with random weights (weights do not matter for speed): W8A8 against fp32 vision, W4A16 against fp32
decoding.

    python -m benchmarks.cpu_engines [--threads 2] [--onnxruntime-genai PYTHON] [--openvino PYTHON] [--llama.cpp PYTHON]

Vision: layers of so400m width (1152) over 729 patches; the fp32 baseline is the faster of our opset-21 graph and one with opset 23's fused Attention.
Language: Qwen2.5-0.5B's shape, decoding at a context of 1,024. Variants take turns, so that a change of load meets all of them.
The options name a Python that has the package: onnxruntime-genai's own int4 model of the same shape, OpenVINO on our graph, and a random Q4_0 model under
llama.cpp are then timed in the same run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO
from unittest import mock

import numpy as np
import onnxruntime

from benchmarks.llama_decode import write_gguf
from benchmarks.random_bundles import random, write_language, write_vision
from export import graph as graph_module
from export import vision_graph
from export.bench import machine, versions
from export.graph import Graph
from export.linear import linear, stack
from nvila_edge.engines.backends.onnxruntime import open_session
from nvila_edge.engines.spec import LanguageSpec, VisionSpec
from nvila_edge.engines.weights import Weight

SO400M = VisionSpec(378, 14, 1152, 2, 16, 4304, 1e-6, "mlp_downsample", False, 896)
QWEN_05B = LanguageSpec("qwen2", 896, 24, 14, 2, 64, 4864, 151936, 1e-6, 1e6, True, False)
CONTEXT = 1024
OTHERS = ("onnxruntime-genai", "openvino", "llama.cpp")


def fused_attention(graph: Graph, x: str, spec: VisionSpec, name: str, weights: Mapping[str, Weight]) -> str:
    """Opset 23's Attention on one Linear of queries, keys and values."""
    parts = [f"self_attn.{part}_proj" for part in "qkv"]
    bias = np.concatenate([np.asarray(weights[f"{part}.bias"]) for part in parts])
    qkv = linear(graph, x, f"{name}.qkv", stack([weights[f"{part}.weight"] for part in parts]), bias)
    q, k, v = graph.nodes("Split", qkv, axis=-1, num_outputs=3, outputs=3)
    mixed = graph.node("Attention", q, k, v, q_num_heads=spec.heads, kv_num_heads=spec.heads)
    return linear(graph, mixed, f"{name}.out", weights["self_attn.out_proj.weight"], np.asarray(weights["self_attn.out_proj.bias"]))


def alternating(variants: Mapping[str, Callable[[], object]], warm_up: int, n: int) -> dict[str, dict[str, float]]:
    """Milliseconds of every variant, taken in turns: p50, p95, p99, least, n."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(warm_up + n):
        for name, call in variants.items():
            started = time.perf_counter()
            call()
            if turn >= warm_up:
                found[name].append(1000 * (time.perf_counter() - started))
    return {
        name: {**{f"p{q}": round(float(np.percentile(ms, q)), 3) for q in (50, 95, 99)}, "least": round(min(ms), 3), "n": n}
        for name, ms in found.items()
    }


def vision(folder: Path, threads: int) -> dict[str, object]:
    """W8A8 against both fp32 graphs, one tile at a time."""
    for name in ("fp32", "w8a8"):
        write_vision(folder / f"{name}.onnx", SO400M, name)
    with mock.patch.object(vision_graph, "_attention", fused_attention), mock.patch.object(graph_module, "OPSET", 23):
        with mock.patch.object(graph_module, "IR_VERSION", 11):
            write_vision(folder / "fp32 opset 23.onnx", SO400M, "fp32")
    pixels = np.random.default_rng(0).uniform(-1, 1, (1, 3, SO400M.image_size, SO400M.image_size)).astype(np.float32)
    sessions = {name: open_session(folder / f"{name}.onnx", threads) for name in ("fp32", "fp32 opset 23", "w8a8")}
    times = alternating({name: lambda s=s: s.run(None, {"pixels": pixels}) for name, s in sessions.items()}, 3, 20)
    baseline = min(times["fp32"]["p50"], times["fp32 opset 23"]["p50"])
    return {"layers": SO400M.layers, "patches": SO400M.grid**2, "ms": times, "w8a8 / fp32": round(times["w8a8"]["p50"] / baseline, 3)}


def decode_call(session: onnxruntime.InferenceSession, spec: LanguageSpec) -> Callable[[], object]:
    """One step at a context of CONTEXT positions."""
    rng = np.random.default_rng(3)
    past = rng.standard_normal((1, spec.kv_heads, CONTEXT, spec.head_dim), np.float32)
    feed = {f"past_{kind}.{i}": past for i in range(spec.layers) for kind in ("key", "value")}
    feed |= {"inputs_embeds": random(rng, 1, 1, spec.hidden), "position_ids": np.array([[CONTEXT]]), "logit_positions": np.array([0])}
    feed["attention_mask"] = np.zeros((1, 1, 1, CONTEXT + 1), np.float32)
    return lambda: session.run(None, feed)


class Helper:
    """A benchmark in another Python: it says "ready", then answers every line with one when its step is done."""

    def __init__(self, python: str, script: str, *arguments: object) -> None:
        command = [python, str(Path(__file__).with_name(script)), *map(str, arguments)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        while (line := self._out.readline()).strip() != "ready":  # libraries print things of their own
            if not line:
                raise SystemExit(f"{script} ended with {self._process.wait()}")

    @property
    def _out(self) -> IO[str]:
        assert self._process.stdout is not None
        return self._process.stdout

    def step(self) -> None:
        """One decoding step."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._out.readline()

    def close(self) -> None:
        """Ends it."""
        self._process.communicate(timeout=60)


def language(folder: Path, threads: int, pythons: Mapping[str, str | None]) -> dict[str, object]:
    """Decoding W4A16 against fp32, and other runtimes' int4 where a Python that has them is named."""
    calls: dict[str, Callable[[], object]] = {}
    for kind in ("fp32", "w4a16"):
        write_language(folder / f"language {kind}.onnx", QWEN_05B, kind)
        calls[kind] = decode_call(open_session(folder / f"language {kind}.onnx", threads), QWEN_05B)
    helpers = {}
    for name, python in pythons.items():
        if python and name == "llama.cpp":
            write_gguf(folder / "model.gguf", QWEN_05B)
            helpers["llama.cpp Q4_0"] = Helper(python, "llama_decode.py", folder / "model.gguf", threads, CONTEXT)
        elif python and name == "openvino":
            helpers["OpenVINO, our INT4 graph"] = Helper(python, "openvino_decode.py", folder / "language w4a16.onnx", threads, CONTEXT)
        elif python:
            helpers["onnxruntime-genai int4"] = Helper(python, "genai_decode.py", folder / "genai", threads, CONTEXT)
    times = alternating(calls | {name: helper.step for name, helper in helpers.items()}, 3, 30)
    for helper in helpers.values():
        helper.close()
    ratios = {f"{name} / w4a16": round(times[name]["p50"] / times["w4a16"]["p50"], 2) for name in times if name != "w4a16"}
    return {"context": CONTEXT, "ms": times, **ratios}


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    for name in OTHERS:
        parser.add_argument(f"--{name}", metavar="PYTHON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = {"machine": machine(), "versions": versions(), "threads": options.threads, "vision": vision(Path(folder), options.threads)}
        result["language"] = language(Path(folder), options.threads, {name: getattr(options, name.replace("-", "_")) for name in OTHERS})
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
