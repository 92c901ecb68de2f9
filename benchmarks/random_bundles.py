"""Graphs and bundles of real shapes with random weights: speed, memory and whether an engine can be built do not depend on what the weights are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from export.bundle import write_embedding, write_manifest
from export.language_graph import write_language_graph
from export.vision_graph import write_projector_graph, write_vision_graph
from nvila_edge.engines.manifest import LANGUAGE, PROJECTOR, VISION
from nvila_edge.engines.spec import EngineSpec, LanguageSpec, VisionSpec
from nvila_edge.engines.weights import BlockWeight, Int8Weight, Weight
from nvila_edge.training.tokenizer import save_tokenizer, train_tokenizer


def random(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Small normal numbers, float32."""
    return rng.standard_normal(shape, np.float32) * np.float32(0.02)


def weight(rng: np.random.Generator, kind: str, out: int, inputs: int) -> Weight:
    """A random Linear weight of a kind: "fp32", "w8a8", "w4a16" or "w8a16"."""
    if kind == "fp32":
        return random(rng, out, inputs)
    if kind == "w8a8":
        return Int8Weight(rng.integers(-127, 128, (out, inputs), np.int8), np.full(out, 1e-3, np.float32), 0.02)
    bits = 4 if kind == "w4a16" else 8
    codes = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (out, inputs), np.int8)
    return BlockWeight(codes, np.full((out, inputs // 128), 0.16 / 2**bits, np.float32), bits)


def vision_layers(spec: VisionSpec, kind: str) -> Iterator[Mapping[str, Weight]]:
    """Random layers, the same for every kind of the same seed."""
    rng, c = np.random.default_rng(0), spec.hidden
    for _ in range(spec.layers):
        sizes = {
            **{f"self_attn.{p}_proj": (c, c) for p in ("q", "k", "v", "out")},
            "mlp.fc1": (spec.intermediate, c),
            "mlp.fc2": (c, spec.intermediate),
        }
        norms = {f"layer_norm{i}.{part}": np.full(c, value, np.float32) for i in (1, 2) for part, value in (("weight", 1), ("bias", 0))}
        linears = {f"{name}.weight": weight(rng, kind, *size) for name, size in sizes.items()}
        yield norms | linears | {f"{name}.bias": np.zeros(size[0], np.float32) for name, size in sizes.items()}


def projector(spec: VisionSpec) -> dict[str, Weight]:
    """Random weights of its projector, in fp32."""
    rng, found = np.random.default_rng(1), {}
    for index, layer in enumerate(spec.projector_layout):
        if layer.kind == "norm":
            found |= {
                f"layers.{index}.weight": np.ones(layer.sizes[0], np.float32),
                f"layers.{index}.bias": np.zeros(layer.sizes[0], np.float32),
            }
        elif layer.kind == "linear":
            inputs, outputs = layer.sizes
            found |= {f"layers.{index}.weight": random(rng, outputs, inputs), f"layers.{index}.bias": np.zeros(outputs, np.float32)}
    return found


def write_vision(path: Path, spec: VisionSpec, kind: str) -> None:
    """A tower of random layers of a kind, with its projector in fp32 ("w8a8": stored in fp16)."""
    rng, c = np.random.default_rng(1), spec.hidden
    stem = {"patch_embedding.weight": random(rng, c, 3, spec.patch, spec.patch), "patch_embedding.bias": np.zeros(c, np.float32)}
    stem["position_embedding.weight"] = random(rng, spec.grid**2, c)
    store = "float16" if kind == "w8a8" else "float32"
    write_vision_graph(path, spec, stem, vision_layers(spec, kind), projector(spec), store)


def write_language(path: Path, spec: LanguageSpec, kind: str) -> None:
    """A decoder of random layers; with "w4a16" the output Linear is in 8 bits, as in our bundles."""
    rng, h, d = np.random.default_rng(2), spec.hidden, spec.head_dim
    sizes = {
        "self_attn.q_proj": (spec.heads * d, h), "self_attn.k_proj": (spec.kv_heads * d, h), "self_attn.v_proj": (spec.kv_heads * d, h),
        "self_attn.o_proj": (h, spec.heads * d), "mlp.gate_proj": (spec.intermediate, h), "mlp.up_proj": (spec.intermediate, h),
        "mlp.down_proj": (h, spec.intermediate),
    }  # fmt: skip

    def layers() -> Iterator[Mapping[str, Weight]]:
        for _ in range(spec.layers):
            plain = {name: np.ones(h, np.float32) for name in ("input_layernorm.weight", "post_attention_layernorm.weight")}
            biases = {f"self_attn.{p}_proj.bias": np.zeros(sizes[f"self_attn.{p}_proj"][0], np.float32) for p in "qkv"}
            yield plain | biases | {f"{name}.weight": weight(rng, kind, *size) for name, size in sizes.items()}

    head = weight(rng, "w8a16" if kind == "w4a16" else kind, spec.vocab, h)
    external = path.with_name(f"{path.name}.data")  # beyond 2 GB a file of its own is needed
    write_language_graph(path, spec, layers(), np.ones(h, np.float32), head, external=external)


def write_bundle(folder: Path, spec: EngineSpec) -> None:
    """A whole W8A8 + W4A16 bundle; its tokenizer knows a few words only."""
    folder.mkdir(parents=True)
    write_vision(folder / VISION, spec.vision, "w8a8")
    if spec.vision.scales > 1:
        write_projector_graph(folder / PROJECTOR, spec.vision, projector(spec.vision), "float16")
    write_language(folder / LANGUAGE, spec.language, "w4a16")
    write_embedding(folder, random(np.random.default_rng(3), spec.language.vocab, spec.language.hidden))
    save_tokenizer(train_tokenizer(["Walk to the door and stop."]), folder)
    write_manifest(folder, spec, {"source": {"checkpoint": "random weights"}})
