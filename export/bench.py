"""How long a bundle takes on this machine: encoding one frame, and one decision, as an agent's loop asks for them."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from nvila_edge.engines import load_bundle

INSTRUCTION = "Leave the bedroom, turn left into the hallway, then walk past the red sofa and wait by the kitchen door."
EPISODE_DECISIONS = 40  # about what an episode of the houses takes
WARM_UP = 5
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Timing:
    """Milliseconds: p50, p95, p99 of encoding a frame and of a decision (its frame encoded already), and how many of each."""

    bundle: str
    profile: str
    megabytes: float
    encode_ms: tuple[float, float, float]
    decide_ms: tuple[float, float, float]
    decisions: int


@dataclass(frozen=True)
class Benchmark:
    """Timings with what they were taken on."""

    timings: tuple[Timing, ...]
    machine: str
    versions: str
    threads: int


def bench(bundles: Sequence[Path], decisions: int, threads: int = 1) -> Benchmark:
    """Measure bundles on random frames, in episodes of 40 decisions, by turns. Raises ValueError for less than one decision."""
    if decisions < 1:
        raise ValueError(f"--decisions {decisions}: at least 1")
    frames = _frames(EPISODE_DECISIONS)
    engines = [load_bundle(folder, threads=threads) for folder in bundles]
    encode: list[list[float]] = [[] for _ in bundles]
    decide: list[list[float]] = [[] for _ in bundles]
    for engine in engines:
        _episode(engine, frames[:WARM_UP])
    for first in range(0, decisions, EPISODE_DECISIONS):
        for index, engine in enumerate(engines):
            encoding, deciding = _episode(engine, frames[: min(EPISODE_DECISIONS, decisions - first)])
            encode[index] += encoding
            decide[index] += deciding
    timings = tuple(
        Timing(str(folder), engine.profile.name, _megabytes(folder), _percentiles(encode[i]), _percentiles(decide[i]), len(decide[i]))
        for i, (folder, engine) in enumerate(zip(bundles, engines, strict=True))
    )
    return Benchmark(timings, machine(), versions(), threads)


def _episode(engine: object, frames: np.ndarray) -> tuple[list[float], list[float]]:
    """Milliseconds of every encode and decide of one episode."""
    from nvila_edge.engines.engine import Engine

    assert isinstance(engine, Engine)
    session = engine.session(INSTRUCTION)
    window: list[np.ndarray] = []
    encoding, deciding = [], []
    for frame in frames:
        started = time.perf_counter()
        tokens = engine.encode(frame[None])
        encoding.append(1000 * (time.perf_counter() - started))
        window = [*window, tokens][-engine.profile.frames :] if engine.profile.name != "stream" else [tokens]
        started = time.perf_counter()
        session.decide(np.concatenate(window))
        deciding.append(1000 * (time.perf_counter() - started))
    return encoding, deciding


def _frames(count: int) -> np.ndarray:
    """Smooth random pictures, uint8 [count, 224, 224, 3]: times do not depend on what is seen."""
    rng = np.random.default_rng(np.random.SeedSequence([0]))
    return np.repeat(np.repeat(rng.integers(0, 256, (count, 14, 14, 3), np.uint8), 16, 1), 16, 2)


def _percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, middle, high = (float(np.percentile(values, q)) for q in PERCENTILES)
    return low, middle, high


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file()) / 1e6


def machine() -> str:
    """Processor, cores, memory and present load."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, load {load:.1f}"


def versions() -> str:
    """What the figures were taken with."""
    return f"Python {platform.python_version()}, " + ", ".join(f"{package} {version(package)}" for package in ("onnxruntime", "numpy"))


def table(result: Benchmark) -> str:
    """The benchmark as text to read and to quote."""
    lines = [f"machine   {result.machine}", f"versions  {result.versions}", f"threads   {result.threads}", ""]
    lines.append(f"{'':<10}{'p50':>9}{'p95':>9}{'p99':>9}   ms")
    for timing in result.timings:
        lines.append(f"{timing.bundle}: profile {timing.profile}, {timing.megabytes:.1f} MB, {timing.decisions} decisions")
        for name, values in (("encode", timing.encode_ms), ("decide", timing.decide_ms)):
            lines.append(f"  {name:<8}" + "".join(f"{value:>9.2f}" for value in values))
    return "\n".join(lines)
