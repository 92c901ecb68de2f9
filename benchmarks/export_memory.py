"""How much memory `nvila-edge export` takes for an 8B shape, killed once midway and resumed.

    python -m benchmarks.export_memory --folder /some/disk/with/35GB [--layers 28] [--tower-layers 27] [--quick]

Writes a random checkpoint of NVILA-8B's widths in bfloat16 (benchmarks/load_memory.py) and one recording of 16 decisions, starts the export, kills it
(SIGKILL) once half of the decoder's layers are done, and starts it again. Layers are exported one at a time, so that fewer of them take as much memory while
they are quantised; only the finished bundle, which is loaded for the accuracy report, is smaller. --quick: the same arrays in a fraction of the time, for busy
machines: searches try one candidate, one window of frames is calibrated on (half of the positions that an 8B model gets else), no accuracy report. The folder
is removed at the end. Prints one JSON object: seconds and peak resident memory (GiB) of the export that was killed and of the one that resumed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.load_memory import write_checkpoint
from export import awq, exporter
from export.bench import machine
from export.calibration import MIN_DECISIONS, Recording, read_calibration, write_recording
from nvila_edge.progress import Estimate

INSTRUCTION = "Leave the bedroom, turn left into the hallway and wait by the kitchen door."


def write_calibration(folder: Path) -> None:
    """One recording of as many decisions as export asks for at least; its frames are smooth random pictures."""
    rng = np.random.default_rng(0)
    frames = np.repeat(np.repeat(rng.integers(0, 256, (MIN_DECISIONS, 8, 8, 3), np.uint8), 28, 1), 28, 2)
    folder.mkdir()
    write_recording(folder / "one.npz", Recording(INSTRUCTION, frames, rng.integers(1, 10, MIN_DECISIONS)))


def export(folder: Path, kill_after: int | None, quick: bool) -> dict[str, float | int]:
    """One export; with `kill_after` it is killed when so many decoder layers are done. Seconds, peak GiB, and how many layers it found or made."""
    paths = [str(folder / name) for name in ("checkpoint", "bundle", "calibration")]
    command = ["-m", "nvila_edge.cli", "export", *paths[:2], "--calibration", paths[2]]
    command = (
        ["-c", "import sys; from benchmarks.export_memory import quick_export; quick_export(*sys.argv[1:])", *paths] if quick else command
    )
    started, seen = time.monotonic(), 0
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        sys.stderr.write(f"{time.monotonic() - started:7.0f} s  {line}")
        found = re.search(r"language\D+(\d+)\D+\d+", line)
        seen = int(found[1]) if found else seen
        if kill_after is not None and seen >= kill_after:
            process.kill()
            break
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != (0 if kill_after is None else -9):
        raise SystemExit(f"the export ended with {process.returncode}")
    return {"seconds": round(time.monotonic() - started), "peak_gib": round(usage.ru_maxrss / 2**20, 2), "decoder_layers": seen}


def quick_export(checkpoint: str, out: str, calibration: str) -> None:
    """What --quick starts."""
    exporter.CALIBRATION_TOKENS, exporter.CALIBRATION_PATCHES = 2048, 16384
    awq.GRID, awq._CLIPS = 1, np.array([1.0])  # noqa: SLF001
    estimate = Estimate()
    exporter.export_bundle(
        checkpoint,
        out,
        read_calibration(calibration),
        progress=lambda *step: print(estimate.line(*step), f"{_rss_gib():.2f} GiB", flush=True),
    )


def _rss_gib() -> float:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 2**20


def main() -> None:
    """Writes, exports twice, removes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="must not exist")
    parser.add_argument("--layers", type=int, default=28, help="of the decoder")
    parser.add_argument("--tower-layers", type=int, default=27, help="of the vision tower, the last of which is never run")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    try:
        total = write_checkpoint(options.folder / "checkpoint", options.layers, options.tower_layers)
        write_calibration(options.folder / "calibration")
        killed = export(options.folder, max(1, options.layers // 2), options.quick)
        resumed = export(options.folder, None, options.quick)
        size = sum(file.stat().st_size for file in (options.folder / "bundle").iterdir())
    finally:
        shutil.rmtree(options.folder, ignore_errors=True)
    about = {"machine": machine(), "layers": options.layers, "tower_layers": options.tower_layers, "quick": options.quick}
    print(
        json.dumps(
            {**about, "checkpoint_gib": round(total / 2**30, 2), "bundle_gib": round(size / 2**30, 2), "killed": killed, "resumed": resumed}
        )
    )


if __name__ == "__main__":
    main()
