"""How much memory a published shape's W8A8 + W4A16 engines take in ONNX Runtime: opened in a process of their own, then a short prefill.

    python -m benchmarks.open_memory 8b --folder /some/disk/with/6GB

Random weights; the folder is removed again. Prints one line of JSON: sizes on disk and peak resident memory in GiB.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.random_bundles import write_bundle
from benchmarks.tensorrt_build import SHAPES
from export.bench import machine

OPEN = """
import sys
from pathlib import Path
import numpy as np
from nvila_edge.engines import load_bundle
from nvila_edge.engines.session import causal
engine = load_bundle(sys.argv[1])
n, backend = 16, engine.backend
backend.prefill(np.zeros((n, engine.spec.language.hidden), np.float32), np.arange(n), causal(n), backend.cache(0), np.array([n - 1]))
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""


def main() -> None:
    """Writes, opens, removes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=sorted(SHAPES))
    parser.add_argument("--folder", type=Path, required=True, help="must not exist")
    options = parser.parse_args()
    try:
        write_bundle(options.folder, SHAPES[options.shape])
        size = sum(file.stat().st_size for file in options.folder.iterdir())
        done = subprocess.run([sys.executable, "-c", OPEN, str(options.folder)], capture_output=True, text=True, check=True)
    finally:
        shutil.rmtree(options.folder, ignore_errors=True)
    found = {"shape": options.shape, "machine": machine(), "bundle_gib": round(size / 2**30, 2)}
    print(json.dumps({**found, "peak_gib": round(int(done.stdout) / 2**20, 2)}))


if __name__ == "__main__":
    main()
