"""Builds TensorRT-RTX engines ahead of time for a published shape with random weights, and reads them back: seconds, sizes, peak memory.

    python -m benchmarks.tensorrt_build lite-2b --folder /some/disk/with/10GB [--arch sm89]

Needs `pip install ".[tensorrt]"` and no GPU.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path

from benchmarks.random_bundles import write_bundle
from export.bench import machine
from export.tensorrt import build_engines
from nvila_edge.engines.spec import EngineSpec, LanguageSpec, VisionSpec
from nvila_edge.model.checkpoint import MediaRules

# the published configurations: SigLIP so400m at 448 pixels; Qwen2.5-1.5B and -7B; NVILA-Lite's 3 x 3 and NVILA's 2 x 2 projectors
SHAPES = {
    "tiny": EngineSpec(  # tries scripts
        VisionSpec(112, 14, 128, 2, 2, 256, 1e-6, "mlp_downsample", False, 128),
        LanguageSpec("qwen2", 128, 2, 4, 2, 32, 256, 640, 1e-6, 1e6, True, False),
        MediaRules(image_aspect_ratio="resize"), "qwen2", "navila", 8,
    ),
    "lite-2b": EngineSpec(
        VisionSpec(448, 14, 1152, 26, 16, 4304, 1e-6, "mlp_downsample_3x3_fix", False, 1536),
        LanguageSpec("qwen2", 1536, 28, 12, 2, 128, 8960, 151648, 1e-6, 1e6, True, True),
        MediaRules(image_aspect_ratio="dynamic"), "qwen2", "navila", 8,
    ),
    "lite-8b": EngineSpec(
        VisionSpec(448, 14, 1152, 26, 16, 4304, 1e-6, "mlp_downsample_3x3_fix", False, 3584),
        LanguageSpec("qwen2", 3584, 28, 28, 4, 128, 18944, 151648, 1e-6, 1e6, True, False),
        MediaRules(image_aspect_ratio="dynamic"), "qwen2", "navila", 8,
    ),
    "8b": EngineSpec(
        VisionSpec(448, 14, 1152, 26, 16, 4304, 1e-6, "mlp_downsample", False, 3584, 3),
        LanguageSpec("qwen2", 3584, 28, 28, 4, 128, 18944, 151648, 1e-6, 1e6, True, False),
        MediaRules(image_aspect_ratio="dynamic_s2", scales=(448, 896, 1344), max_split_px=448), "qwen2", "navila", 8,
    ),
}  # fmt: skip


def main() -> None:
    """Prints one JSON object; the folder is removed again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=sorted(SHAPES))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--arch", default="sm89")
    options = parser.parse_args()
    bundle = options.folder / options.shape
    shutil.rmtree(bundle, ignore_errors=True)
    try:
        write_bundle(bundle, SHAPES[options.shape])
        started = time.monotonic()
        out = build_engines(bundle, "tensorrt-rtx", options.arch, lambda *_: None)
        seconds = time.monotonic() - started
        sizes = {path.name: path.stat().st_size for path in [*bundle.glob("*.onnx"), *out.glob("*.engine")]}
    finally:
        shutil.rmtree(bundle, ignore_errors=True)
    peak_kb = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    found = {"shape": options.shape, "arch": options.arch, "machine": machine(), "build_s": round(seconds), "bytes": sizes}
    print(json.dumps({**found, "peak_memory_gib": round(peak_kb / 2**20, 2)}, indent=1))


if __name__ == "__main__":
    main()
