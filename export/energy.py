"""Energy of a piece of work, where the platform tells: the processor's counters (RAPL) and the GPUs' power (nvidia-smi). Neither needs a library."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_POWERCAP = Path("/sys/class/powercap")
_GPU_WATTS = ["nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits"]
_SECONDS = 5.0


@dataclass
class Energy:
    """joules: of all processor packages and GPUs while the block ran; None before its end, and where nothing is counted."""

    joules: float | None = None


@contextmanager
def measured(powercap: Path = _POWERCAP) -> Iterator[Energy]:
    """Counts what the whole machine takes while the block runs. GPUs: the mean of their power before and after, times the seconds."""
    found, started, before, watts = Energy(), time.monotonic(), _packages(powercap), _gpu_watts()
    yield found
    seconds, after, watts_after = time.monotonic() - started, _packages(powercap), _gpu_watts()
    parts = [(after[name] - start) % most if most else after[name] - start for name, (start, most) in _ranges(powercap, before).items()]
    if watts is not None and watts_after is not None:
        parts.append(seconds * (watts + watts_after) / 2)
    found.joules = sum(parts) if parts else None


def _packages(powercap: Path) -> dict[str, float]:
    """Joules so far of every processor package whose counter may be read (on many systems only by root)."""
    found = {}
    for folder in sorted(powercap.glob("*-rapl:*")):
        if folder.name.count(":") == 1:  # intel-rapl:0:1 and the like are parts of their package
            try:
                found[folder.name] = int((folder / "energy_uj").read_text()) / 1e6
            except (OSError, ValueError):
                continue
    return found


def _ranges(powercap: Path, counts: dict[str, float]) -> dict[str, tuple[float, float]]:
    """The same with the joules at which each counter begins anew, 0 where that is not told."""
    found = {}
    for name, count in counts.items():
        try:
            found[name] = count, int((powercap / name / "max_energy_range_uj").read_text()) / 1e6
        except (OSError, ValueError):
            found[name] = count, 0.0
    return found


def _gpu_watts() -> float | None:
    """All NVIDIA GPUs together; None where there is none, or they do not tell."""
    try:
        said = subprocess.run(_GPU_WATTS, capture_output=True, text=True, timeout=_SECONDS, check=True).stdout
        return sum(float(line) for line in said.split()) if said.strip() else None
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
