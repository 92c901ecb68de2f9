"""What the frame cache and the action grammar save: one decision with both, and the same decision with neither.

    python -m benchmarks.decision_path [--decisions 20]

Random models (weights do not matter for speed) with the `navila` window rule and 8 frames, stored and run in fp32 on one thread. With: the newest frame is
encoded, the seven others are in the cache, and one prefill scores all ten actions. Neither: eight frames are encoded, the prompt is prefilled, and an
answer of the usual length is decoded token by token. The `stream` rule stands beside them. Variants take turns.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from export.bench import machine, versions
from export.calibration import Calibration
from export.exporter import export_bundle
from export.subjects import ANSWER_TOKENS, INSTRUCTION
from nvila_edge.engines import Engine, load_bundle
from nvila_edge.engines.generate import fuse_prompt
from nvila_edge.model.tokens import IMAGE_MARK
from nvila_edge.navigation.profiles import PROFILES
from nvila_edge.training.builtin import ModelSize, new_model
from nvila_edge.training.tokenizer import train_tokenizer

FRAMES, WARM_UP = 8, 2
SIZES = {
    "built-in": ModelSize(),
    "medium": ModelSize(
        vision_hidden=384,
        vision_layers=12,
        vision_heads=6,
        patch=14,
        image=224,
        projector="mlp_downsample",
        hidden=512,
        layers=8,
        heads=8,
        kv_heads=2,
        intermediate=1536,
    ),  # fmt: skip
}


def bundle(folder: Path, size: ModelSize, profile: str) -> Engine:
    """An engine of a random model."""
    tokenizer = train_tokenizer([PROFILES["navila"].user_text(INSTRUCTION)] * 4, 1024)  # words whole, as the published vocabulary has them
    new_model(size, tokenizer, profile).save_pretrained(folder / f"{profile} checkpoint")
    export_bundle(folder / f"{profile} checkpoint", folder / profile, Calibration([]), "fp32", "fp32")
    return load_bundle(folder / profile)


def measure(size: ModelSize, decisions: int) -> dict[str, object]:
    """Milliseconds per decision of the three ways, and the ratio of medians."""
    with tempfile.TemporaryDirectory() as made:
        navila, stream = (bundle(Path(made), size, profile) for profile in ("navila", "stream"))
        frames = np.random.default_rng(0).integers(0, 256, (FRAMES, size.image, size.image, 3), np.uint8)
        cached = navila.encode(frames)
        window, ring = navila.session(INSTRUCTION), stream.session(INSTRUCTION)
        prompt = navila.profile.user_text(INSTRUCTION)
        assert prompt.count(IMAGE_MARK) == FRAMES

        def with_both() -> None:
            newest = navila.encode(frames[-1:])
            window.decide(np.concatenate([cached[:-1], newest]))

        ways = {
            "cache and grammar": with_both,
            "neither": lambda: navila.generate(prompt, images=list(frames), max_new_tokens=ANSWER_TOKENS),
            "stream": lambda: ring.decide(stream.encode(frames[-1:])),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(WARM_UP + decisions):
            for name, decide in ways.items():
                started = time.perf_counter()
                decide()
                times[name] += [1000 * (time.perf_counter() - started)] if turn >= WARM_UP else []
    ms = {name: {f"p{q}": round(float(np.percentile(values, q)), 2) for q in (50, 95, 99)} for name, values in times.items()}
    ratios = {name: round(ms[name]["p50"] / ms["neither"]["p50"], 3) for name in ("cache and grammar", "stream")}
    positions = len(fuse_prompt(navila, prompt, list(frames), None))
    return {"size": asdict(size), "prompt_positions": positions, "answer_tokens": ANSWER_TOKENS, "ms": ms, "of neither": ratios}


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=20)
    options = parser.parse_args()
    found = {name: measure(size, options.decisions) for name, size in SIZES.items()}
    print(json.dumps({"machine": machine(), "versions": versions(), "warm_up": WARM_UP, "n": options.decisions, **found}, indent=1))


if __name__ == "__main__":
    main()
