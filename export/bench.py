"""How long an engine takes on this machine: encoding a frame, prefilling, decoding, and a decision as an agent's loop asks for them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from export.bundle import is_bundle
from nvila_edge.engines import Engine, load_bundle
from nvila_edge.engines.cache import UNSEEN
from nvila_edge.engines.greedy import causal
from nvila_edge.gpu import gpus

INSTRUCTION = "Leave the bedroom, turn left into the hallway, then walk past the red sofa and wait by the kitchen door."
EPISODE_DECISIONS = 40  # about what an episode of the houses takes
PREFILL_POSITIONS = 256
WARM_UP = 5
PERCENTILES = (50, 95, 99)
WHAT = ("encode", "prefill", "decode", "decide")


@dataclass(frozen=True)
class Timing:
    """Of one engine: milliseconds (p50, p95, p99, n) of each of WHAT, and the peak resident memory of a process that runs it alone."""

    name: str
    profile: str
    megabytes: float
    peak_memory_mb: float
    ms: dict[str, tuple[float, float, float, int]]

    @property
    def tokens_per_s(self) -> float:
        """Decoded tokens per second, at the median."""
        return 1000 / self.ms["decode"][0]


@dataclass(frozen=True)
class Benchmark:
    """Timings with what they were taken on."""

    timings: tuple[Timing, ...]
    machine: str
    versions: str
    threads: int
    warm_up: int = WARM_UP

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self), indent=1)


def open_engine(folder: Path, backend: str, threads: int) -> Engine:
    """A bundle's engine, or (for a checkpoint) the unquantised model in torch: the baseline."""
    return load_bundle(folder, backend if is_bundle(folder) else "torch", threads)


def bench(folders: Sequence[Path], decisions: int, threads: int = 1, backend: str = "onnxruntime") -> Benchmark:
    """Measure bundles or checkpoints on random frames, in episodes of 40 decisions, by turns. Raises ValueError for less than one decision."""
    if decisions < 1:
        raise ValueError(f"--decisions {decisions}: at least 1")
    engines = [open_engine(folder, backend, threads) for folder in folders]
    taken: list[dict[str, list[float]]] = [{what: [] for what in WHAT} for _ in folders]
    for engine in engines:
        _episode(engine, WARM_UP)
    for first in range(0, decisions, EPISODE_DECISIONS):
        for index, engine in enumerate(engines):
            for what, ms in _episode(engine, min(EPISODE_DECISIONS, decisions - first)).items():
                taken[index][what] += ms
    timings = [
        Timing(
            str(folder),
            engine.profile.name,
            _megabytes(folder),
            peak_memory_mb(folder, backend, threads),
            {w: _summary(t[w]) for w in WHAT},
        )
        for folder, engine, t in zip(folders, engines, taken, strict=True)
    ]
    return Benchmark(tuple(timings), machine(), versions(), threads)


def _episode(engine: Engine, decisions: int) -> dict[str, list[float]]:
    """Milliseconds of every encode, decide, prefill and decoding step of one episode."""
    frames, session = _frames(decisions, engine.spec.vision.image_size), engine.session(INSTRUCTION)
    prefill, step = _language_passes(engine)
    window: list[np.ndarray] = []
    taken: dict[str, list[float]] = {what: [] for what in WHAT}

    def timed(what: str, call: Callable[[], np.ndarray | object]) -> object:
        started = time.perf_counter()
        answer = call()
        taken[what].append(1000 * (time.perf_counter() - started))
        return answer

    for frame in frames:
        tokens = timed("encode", lambda frame=frame: engine.encode(frame[None]))
        assert isinstance(tokens, np.ndarray)
        window = [*window, tokens][-engine.profile.frames :] if engine.profile.name != "stream" else [tokens]
        timed("decide", lambda window=window: session.decide(np.concatenate(window)))
        timed("prefill", prefill)
        timed("decode", step)
    return taken


def _language_passes(engine: Engine) -> tuple[Callable[[], object], Callable[[], object]]:
    """A prefill of PREFILL_POSITIONS positions, and a decoding step after them."""
    backend, n = engine.backend, PREFILL_POSITIONS
    embeds = np.random.default_rng(0).standard_normal((n + 1, engine.spec.language.hidden), np.float32) * np.float32(0.02)
    empty, cache = backend.cache(0), backend.cache(n + 32)
    last, positions, mask = np.array([n - 1]), np.arange(n), causal(n)
    _, new = backend.prefill(embeds[:n], positions, mask, empty, last)
    cache.write(new, list(range(n)), cache.take(n))
    row = np.full((1, cache.capacity + 1), UNSEEN)
    row[:, :n] = row[:, -1] = 0
    return (
        lambda: backend.prefill(embeds[:n], positions, mask, empty, last),
        lambda: backend.step(embeds[n:], np.array([n]), row, cache, np.array([0])),
    )


def peak_memory_mb(folder: Path, backend: str, threads: int) -> float:
    """Peak resident memory of a process that opens the engine and makes a few decisions."""
    command = [sys.executable, "-m", "export.bench", str(folder), backend, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise ValueError(f"{folder} could not be run in a process of its own: {done.stderr.strip().splitlines()[-1:]}")
    return float(done.stdout.split()[-1])


def _frames(count: int, size: int) -> np.ndarray:
    """Smooth random pictures, uint8 [count, S, S, 3]: times do not depend on what is seen."""
    coarse = np.random.default_rng(np.random.SeedSequence([0])).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return np.repeat(np.repeat(coarse, -(-size // 8), 1), -(-size // 8), 2)[:, :size, :size]


def _summary(values: Sequence[float]) -> tuple[float, float, float, int]:
    low, middle, high = (round(float(np.percentile(values, q)), 3) for q in PERCENTILES)
    return low, middle, high, len(values)


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def machine() -> str:
    """Processor, GPUs, cores, memory and present load."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    )
    parts = [names[0] if names else platform.processor() or platform.machine(), *(gpu.name for gpu in gpus())]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{', '.join(parts)}, {os.cpu_count()} cores, {memory:.0f} GiB, load {os.getloadavg()[0]:.1f}"


def versions() -> str:
    """What the figures were taken with."""
    return f"Python {platform.python_version()}, " + ", ".join(f"{package} {version(package)}" for package in ("onnxruntime", "numpy"))


def table(result: Benchmark) -> str:
    """The benchmark as text to read and to quote."""
    lines = [f"machine   {result.machine}", f"versions  {result.versions}", f"threads   {result.threads}, warm-up {result.warm_up}", ""]
    lines.append(f"{'':<10}{'p50':>9}{'p95':>9}{'p99':>9}{'n':>7}   ms")
    for timing in result.timings:
        lines.append(
            f"{timing.name}: profile {timing.profile}, {timing.megabytes:.1f} MB on disk, {timing.peak_memory_mb:.0f} MB of memory at most"
        )
        for what, (*values, n) in timing.ms.items():
            more = f"   ({timing.tokens_per_s:.0f} tokens/s)" if what == "decode" else ""
            lines.append(f"  {what:<8}" + "".join(f"{value:>9.2f}" for value in values) + f"{n:>7}" + more)
    return "\n".join(lines)


def page(result: Benchmark) -> str:
    """A self-contained HTML page: for each of WHAT a bar per engine, its length the median, with p95 and p99 beside it."""
    style = "body{font:15px sans-serif;max-width:52rem;margin:2rem auto}.b{background:#2a6;height:1.1rem}td{padding:.15rem .5rem}td:nth-child(2){width:60%}"
    parts = [f"<!doctype html><meta charset=utf-8><title>nvila-edge bench</title><style>{style}</style><h1>nvila-edge bench</h1>"]
    parts.append(f"<p>{result.machine}<br>{result.versions}<br>{result.threads} threads, warm-up {result.warm_up}</p>")
    for what in WHAT:
        longest = max(timing.ms[what][0] for timing in result.timings)
        rows = "".join(
            f"<tr><td>{timing.name}<td><div class=b style='width:{100 * timing.ms[what][0] / longest:.1f}%'></div>"
            f"<td>{timing.ms[what][0]:.2f} ms<td>p95 {timing.ms[what][1]:.2f}, p99 {timing.ms[what][2]:.2f}"
            for timing in result.timings
        )
        parts.append(f"<h2>{what}</h2><table>{rows}</table>")
    memory = "".join(
        f"<tr><td>{t.name}<td>{t.peak_memory_mb:.0f} MB of memory at most, {t.megabytes:.1f} MB on disk" for t in result.timings
    )
    return "".join([*parts, f"<h2>memory</h2><table>{memory}</table>"])


def _main() -> None:
    """What `peak_memory_mb` starts."""
    folder, backend, threads = sys.argv[1:]
    _episode(open_engine(Path(folder), backend, int(threads)), WARM_UP)
    status = Path("/proc/self/status").read_text()  # not getrusage: its maximum is inherited from the process that started this one
    peak_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    sys.stdout.write(f"{peak_kb / 1024}\n")


if __name__ == "__main__":
    _main()
