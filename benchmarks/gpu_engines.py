"""The torch-CUDA engine on a GPU: right first, then fast. Random weights of a published shape (they do not matter for speed).

    python -m benchmarks.gpu_engines --folder /some/disk/with/12GB [--shape lite-8b] > gpu-engines.json
    python -m benchmarks.gpu_engines --shape tiny --folder DIR      # tries this script, on a CPU too

1. Two layers of the shape against float32 with the same weights: cosine of logits (prefill, captured step) and of the tower's features.
2. Copy bandwidth of the card, and W4A16 decoding at a context of 1,024 as a share of the bound that reading the weights once sets.
3. Decoding against our own compiled fp16 and transformers' fp16 (same shape); W8A8 against fp16 vision at batch 8.
4. Whole decisions (one new frame, guided) with the `navila` window and with `stream`.
Medians; every variant is warmed up, and compiled where it is ours. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import gc
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.random_bundles import write_bundle
from benchmarks.tensorrt_build import SHAPES
from export.bench import machine
from export.energy import measured
from export.subjects import INSTRUCTION
from nvila_edge.engines import Engine
from nvila_edge.engines.backends.torch_quantised import QuantisedBackend
from nvila_edge.engines.manifest import EMBEDDING
from nvila_edge.engines.session import causal
from nvila_edge.engines.spec import EngineSpec, LanguageSpec
from nvila_edge.model.tokens import ChatTokenizer

CONTEXT, BATCH, WARM_UP, REPEATS = 1024, 8, 5, 50


class Card:
    """The device: how it is waited for, and how calls on it are timed."""

    def __init__(self, repeats: int) -> None:
        self.name = "cuda" if torch.cuda.is_available() else "cpu"
        self.dtype = torch.float16 if self.name == "cuda" else torch.float32
        self.repeats = repeats if self.name == "cuda" else 3

    def wait(self) -> None:
        """Until all work is done."""
        if self.name == "cuda":
            torch.cuda.synchronize()

    def ms(self, call: Callable[[], Any]) -> dict[str, float]:
        """p50 and p95 of a call, the device's work included."""
        taken = []
        for turn in range(WARM_UP + self.repeats):
            self.wait()
            started = time.perf_counter()
            call()
            self.wait()
            taken += [1000 * (time.perf_counter() - started)] if turn >= WARM_UP else []
        return {f"p{q}": round(float(np.percentile(taken, q)), 3) for q in (50, 95)}

    @contextmanager
    def backend(self, folder: Path, spec: EngineSpec, quantised: bool = True) -> Iterator[QuantisedBackend]:
        """A backend whose memory is given back."""
        made = QuantisedBackend(folder, spec, self.name, self.dtype, quantised)
        yield made
        del made
        gc.collect()
        torch.compiler.reset()
        if self.name == "cuda":
            torch.cuda.empty_cache()


def step_call(backend: QuantisedBackend, spec: LanguageSpec, context: int = CONTEXT) -> Callable[[], np.ndarray]:
    """One decoding step after `context` random positions."""
    cache, rng = backend.cache(context), np.random.default_rng(0)
    for part in (cache.keys, cache.values):
        part.copy_(torch.from_numpy(rng.standard_normal(tuple(part.shape), np.float32)))
    embeds, mask = rng.standard_normal((1, spec.hidden), np.float32) * np.float32(0.02), np.zeros((1, context + 1), np.float32)
    return lambda: backend.step(embeds, np.array([context]), mask, cache, np.array([0]))[0]


def correctness(card: Card, folder: Path, spec: EngineSpec) -> dict[str, float]:
    """Cosines against float32 with the same (dequantised) weights on the same device."""
    spec = replace(spec, vision=replace(spec.vision, layers=2), language=replace(spec.language, layers=2))
    write_bundle(folder / "two layers", spec)
    rng, n = np.random.default_rng(1), 200
    embeds = rng.standard_normal((n, spec.language.hidden), np.float32) * np.float32(0.02)
    pixels = rng.uniform(-1, 1, (1, 3, spec.vision.image_size, spec.vision.image_size)).astype(np.float32)
    found: list[list[np.ndarray]] = []
    for quantised, dtype in ((True, card.dtype), (False, torch.float32)):
        backend = QuantisedBackend(folder / "two layers", spec, card.name, dtype, quantised)
        logits, _ = backend.prefill(embeds, np.arange(n), causal(n), backend.cache(0), np.arange(n))
        step = step_call(backend, spec.language, 64)
        steps = [step() for _ in range(3)]  # the later ones replay the captured graph
        found.append([logits, *steps, backend.features(pixels)])
        del backend, step
    cosines = [_least_cosine(ours, wanted) for ours, wanted in zip(*found, strict=True)]
    return {"prefill": cosines[0], "step": min(cosines[1:4]), "vision": cosines[4]}


def _least_cosine(a: np.ndarray, b: np.ndarray) -> float:
    products = (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))
    return round(float(products.min()), 6)


def copy_bandwidth(card: Card) -> float:
    """Bytes per second that are read and written while a large tensor is copied."""
    source = torch.zeros((1 << 30) if card.name == "cuda" else (1 << 24), dtype=torch.uint8, device=card.name)
    target = torch.empty_like(source)
    return 2 * len(source) / (card.ms(lambda: target.copy_(source))["p50"] / 1000)


def weight_bytes(backend: QuantisedBackend) -> int:
    """What one decoding step must read of the decoder."""
    return sum(one.nbytes for one in (*backend.decoder.buffers(), *backend.decoder.parameters()))


def transformers_step(card: Card, spec: LanguageSpec) -> Callable[[], object]:
    """transformers' Qwen2 of the shape in the card's dtype, random: a step with its own cache, as `generate` runs it."""
    from transformers import DynamicCache, Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=spec.vocab, hidden_size=spec.hidden, intermediate_size=spec.intermediate, num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads, num_key_value_heads=spec.kv_heads, tie_word_embeddings=False, max_position_embeddings=4096,
    )  # fmt: skip
    before = torch.get_default_dtype()
    torch.set_default_dtype(card.dtype)
    try:
        with torch.device(card.name):
            model = Qwen2ForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(before)
    past, rows = DynamicCache(), torch.randn(1, CONTEXT, spec.hidden, device=card.name, dtype=card.dtype) * 0.02
    with torch.no_grad():
        model(inputs_embeds=rows, past_key_values=past, use_cache=True, logits_to_keep=1)

    @torch.no_grad()
    def step() -> Tensor:
        logits = model(inputs_embeds=rows[:, :1], past_key_values=past, use_cache=True).logits
        past.crop(-1)
        return logits.float().cpu()

    return step


def decisions(card: Card, backend: QuantisedBackend, bundle: Path, spec: EngineSpec) -> dict[str, Any]:
    """One new frame encoded and a guided decision, under both history rules; energy of the whole machine per `stream` decision."""
    table, tokenizer = np.load(bundle / EMBEDDING, mmap_mode="r"), ChatTokenizer.from_folder(bundle, spec.template)
    size = spec.vision.image_size
    frames = np.random.default_rng(0).integers(0, 256, (spec.frames, size, size, 3), np.uint8)
    found: dict[str, Any] = {}
    for profile in ("navila", "stream"):
        engine = Engine(replace(spec, profile=profile), tokenizer, table, backend)
        session, cached = engine.session(INSTRUCTION), engine.encode(frames)

        def decide(engine: Engine = engine, session: Any = session, cached: np.ndarray = cached) -> None:
            newest = engine.encode(frames[-1:])
            session.decide(newest if engine.profile.name == "stream" else np.concatenate([cached[:-1], newest]))

        found[profile] = card.ms(decide)
    with measured() as energy:
        for _ in range(card.repeats):
            decide()  # of `stream`
    return {**found, "joules": None if energy.joules is None else round(energy.joules / card.repeats, 3)}


def measure(card: Card, folder: Path, spec: EngineSpec) -> dict[str, Any]:
    """Everything but correctness."""
    bundle, bandwidth = folder / "bundle", copy_bandwidth(card)
    write_bundle(bundle, spec)
    size = spec.vision.image_size
    pixels = torch.rand(BATCH, 3, size, size, device=card.name, dtype=card.dtype)
    decode: dict[str, Any] = {}
    vision: dict[str, Any] = {}
    with card.backend(bundle, spec) as backend:
        read = weight_bytes(backend)
        decode["w4a16"] = card.ms(step_call(backend, spec.language))
        vision["w8a8"] = card.ms(lambda: backend.features_of_batch(pixels))
        whole = decisions(card, backend, bundle, spec)
    with card.backend(bundle, spec, quantised=False) as backend:
        decode["fp16, ours"] = card.ms(step_call(backend, spec.language))
        vision["fp16, ours"] = card.ms(lambda: backend.features_of_batch(pixels))
    decode["fp16, transformers"] = card.ms(transformers_step(card, spec.language))
    bound_ms = 1000 * read / bandwidth
    ratios = {
        "decode, share of the bandwidth bound": bound_ms / decode["w4a16"]["p50"],
        "decode, our fp16 / w4a16": decode["fp16, ours"]["p50"] / decode["w4a16"]["p50"],
        "decode, transformers fp16 / w4a16": decode["fp16, transformers"]["p50"] / decode["w4a16"]["p50"],
        "vision, fp16 / w8a8": vision["fp16, ours"]["p50"] / vision["w8a8"]["p50"],
    }
    return {
        "copy_gb_per_s": round(bandwidth / 1e9, 1),
        "decoder_bytes": read,
        "decode_ms": decode,
        "vision_batch_8_ms": vision,
        "decision_ms": whole,
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
    }


def main() -> None:
    """Prints one JSON object; what it wrote into the folder is removed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="lite-8b")
    parser.add_argument("--folder", type=Path, required=True, help="must not exist")
    options = parser.parse_args()
    if options.shape != "tiny" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device is here; --shape tiny tries this script on the CPU")
    card, spec = Card(REPEATS), SHAPES[options.shape]
    options.folder.mkdir(parents=True)
    try:
        found = {"correctness": correctness(card, options.folder, spec), **measure(card, options.folder, spec)}
    finally:
        shutil.rmtree(options.folder, ignore_errors=True)
    about = {"shape": options.shape, "device": card.name, "machine": machine(), "torch": torch.__version__}
    print(json.dumps({**about, **found}, indent=1))


if __name__ == "__main__":
    main()
