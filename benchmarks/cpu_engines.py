"""CPU figures of the exported graphs on real shapes with random weights (weights do not matter for speed): W8A8 against fp32 vision, W4A16 against fp32
decoding.

    python -m benchmarks.cpu_engines [--threads 2] [--onnxruntime-genai PYTHON]

Vision: layers of so400m width (1152) over 729 patches; the fp32 baseline is the faster of our opset-21 graph and one with opset 23's fused Attention.
Language: Qwen2.5-0.5B's shape, decoding at a context of 1,024. Variants take turns, so that a change of load meets all of them.
--onnxruntime-genai names a Python that has onnxruntime-genai: its own int4 model of the same shape is then built and timed in the same run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest import mock

import numpy as np
import onnxruntime

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


def language(folder: Path, threads: int, genai: str | None) -> dict[str, object]:
    """Decoding W4A16 against fp32, and onnxruntime-genai's own int4 model where it is installed."""
    calls: dict[str, Callable[[], object]] = {}
    for kind in ("fp32", "w4a16"):
        write_language(folder / f"language {kind}.onnx", QWEN_05B, kind)
        calls[kind] = decode_call(open_session(folder / f"language {kind}.onnx", threads), QWEN_05B)
    helper = None
    if genai:
        helper = subprocess.Popen(
            [genai, str(Path(__file__).with_name("genai_decode.py")), str(folder / "genai"), str(threads), str(CONTEXT)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert helper.stdin is not None and helper.stdout is not None and helper.stdout.readline().strip() == "ready"
        calls["onnxruntime-genai int4"] = lambda: (helper.stdin.write("\n"), helper.stdin.flush(), helper.stdout.readline())
    times = alternating(calls, 3, 30)
    if helper is not None and helper.stdin is not None:
        helper.stdin.close()
        helper.wait(60)
    found: dict[str, object] = {"context": CONTEXT, "ms": times, "fp32 / w4a16": round(times["fp32"]["p50"] / times["w4a16"]["p50"], 2)}
    if helper is not None:
        found["genai / w4a16"] = round(times["onnxruntime-genai int4"]["p50"] / times["w4a16"]["p50"], 2)
    return found


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--onnxruntime-genai", dest="genai")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = {"machine": machine(), "versions": versions(), "threads": options.threads, "vision": vision(Path(folder), options.threads)}
        result["language"] = language(Path(folder), options.threads, options.genai)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
