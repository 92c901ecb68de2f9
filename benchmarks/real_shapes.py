"""Engines of a published shape with random weights on this machine: encoding, prefilling, decoding, deciding (weights do not matter for speed).

    python -m benchmarks.real_shapes lite-2b --folder /some/disk/with/5GB [--decisions 5] [--threads 2] [--vs NAME ...]

Writes a whole W8A8 + W4A16 bundle and hands it to `nvila-edge bench`; --vs as there. Prints its JSON; the folder is removed again.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from benchmarks.random_bundles import write_bundle
from benchmarks.tensorrt_build import SHAPES
from export.bench import bench, table


def main() -> None:
    """The table goes to stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=sorted(SHAPES))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--decisions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--vs", nargs="*", default=[])
    options = parser.parse_args()
    bundle = options.folder / options.shape
    shutil.rmtree(bundle, ignore_errors=True)
    try:
        write_bundle(bundle, SHAPES[options.shape])
        result = bench([str(bundle), *options.vs], options.decisions, options.threads)
    finally:
        shutil.rmtree(bundle, ignore_errors=True)
    print(table(result), file=sys.stderr)
    print(result.to_json())


if __name__ == "__main__":
    main()
