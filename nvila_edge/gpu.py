"""The NVIDIA GPUs of this machine, as their driver tells: no CUDA library is loaded."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_QUERY = ["nvidia-smi", "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits"]
_SECONDS = 10.0


@dataclass(frozen=True)
class Gpu:
    """architecture: "sm89" and the like; memory_bytes: of the device, or of the whole computer where they share it (Jetson)."""

    name: str
    memory_bytes: int
    architecture: str


def gpus() -> list[Gpu]:
    """All of them; none without a driver, or when it does not answer in time."""
    try:
        said = subprocess.run(_QUERY, capture_output=True, text=True, timeout=_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [found for line in said.splitlines() if (found := _parsed(line))]


def gpu_is_there() -> bool:
    """Whether an NVIDIA driver is loaded, or this is a Jetson."""
    return Path("/proc/driver/nvidia/version").exists() or Path("/etc/nv_tegra_release").exists()


def _parsed(line: str) -> Gpu | None:
    """One line of nvidia-smi: name, MiB, 8.9."""
    parts = [part.strip() for part in line.rsplit(",", 2)]
    if len(parts) != 3 or not parts[1].isdigit():
        return None
    return Gpu(parts[0], int(parts[1]) << 20, "sm" + parts[2].replace(".", ""))
