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
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from export.energy import measured
from export.subjects import Subject, open_subject
from nvila_edge.gpu import gpus

EPISODE_DECISIONS = 40  # about what an episode of the houses takes
MEMORY_SECONDS = 1800.0  # opening a large model and two decisions on a busy machine
WARM_UP = 5
PERCENTILES = (50, 95, 99)
WHAT = ("encode", "prefill", "decode", "decide")


@dataclass(frozen=True)
class Timing:
    """Of one subject: milliseconds (p50, p95, p99, n) of each of WHAT, the peak resident memory of a process that runs it alone, and the energy of encoding a
    frame and deciding (of the whole machine; None where the platform does not tell)."""

    name: str
    profile: str
    runs_on: str
    megabytes: float
    peak_memory_mb: float
    ms: dict[str, tuple[float, float, float, int]]
    energy_j: float | None

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


def bench(names: Sequence[str], decisions: int, threads: int = 1, backend: str = "onnxruntime") -> Benchmark:
    """Measure subjects (export/subjects.py) on random frames, in episodes of 40 decisions, by turns. Raises ValueError for less than one decision."""
    if decisions < 1:
        raise ValueError(f"--decisions {decisions}: at least 1")
    subjects = [open_subject(name, backend, threads) for name in names]
    taken: list[dict[str, list[float]]] = [{what: [] for what in WHAT} for _ in names]
    joules: list[list[float | None]] = [[] for _ in names]
    for subject in subjects:
        _episode(subject, WARM_UP)
    for first in range(0, decisions, EPISODE_DECISIONS):
        for index, subject in enumerate(subjects):
            count = min(EPISODE_DECISIONS, decisions - first)
            for what, ms in _episode(subject, count).items():
                taken[index][what] += ms
            joules[index].append(_joules(subject, min(count, WARM_UP)))
    timings = [
        Timing(
            name,
            subject.profile,
            subject.runs_on,
            _megabytes(Path(name.rpartition(":")[2])),
            peak_memory_mb(name, backend, threads),
            {w: _summary(t[w]) for w in WHAT},
            None if None in j else round(float(np.median([one for one in j if one is not None])), 3),
        )
        for name, subject, t, j in zip(names, subjects, taken, joules, strict=True)
    ]
    return Benchmark(tuple(timings), machine(), versions(), threads)


def _episode(subject: Subject, decisions: int) -> dict[str, list[float]]:
    """Milliseconds of every encode, decide, prefill and decoding step of one episode."""
    taken: dict[str, list[float]] = {what: [] for what in WHAT}

    def timed(what: str, call: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        answer = call()
        taken[what].append(1000 * (time.perf_counter() - started))
        return answer

    subject.start()
    for frame in _frames(decisions, subject.image_size):
        tokens = timed("encode", lambda frame=frame: subject.encode(frame))
        timed("decide", lambda tokens=tokens: subject.decide(tokens))
        timed("prefill", subject.prefill)
        timed("decode", subject.decode)
    return taken


def _joules(subject: Subject, decisions: int) -> float | None:
    """Of the whole machine per decision (encoding and deciding); None where the platform does not tell."""
    subject.start()
    with measured() as energy:
        for frame in _frames(decisions, subject.image_size):
            subject.decide(subject.encode(frame))
    return None if energy.joules is None else energy.joules / decisions


def peak_memory_mb(name: str, backend: str, threads: int) -> float:
    """Peak resident memory of a process that opens the subject and makes a few decisions."""
    command = [sys.executable, "-m", "export.bench", name, backend, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MEMORY_SECONDS)
    if done.returncode != 0:
        raise ValueError(f"{name} could not be run in a process of its own: {done.stderr.strip().splitlines()[-1:]}")
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
    return f"Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}, numpy {np.__version__}"  # onnxruntime-gpu is the same module


def table(result: Benchmark) -> str:
    """The benchmark as text to read and to quote."""
    lines = [f"machine   {result.machine}", f"versions  {result.versions}", f"threads   {result.threads}, warm-up {result.warm_up}", ""]
    lines.append(f"{'':<10}{'p50':>9}{'p95':>9}{'p99':>9}{'n':>7}   ms")
    for timing in result.timings:
        lines.append(
            f"{timing.name}: profile {timing.profile}, by {timing.runs_on}, {timing.megabytes:.1f} MB on disk, "
            f"{timing.peak_memory_mb:.0f} MB of memory at most, energy {'not available' if timing.energy_j is None else f'{timing.energy_j:.2f} J a decision'}"
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
        f"<tr><td>{t.name}<td>{t.runs_on}, {t.peak_memory_mb:.0f} MB of memory at most, {t.megabytes:.1f} MB on disk"
        for t in result.timings
    )
    return "".join([*parts, f"<h2>memory</h2><table>{memory}</table>"])


def _main() -> None:
    """What `peak_memory_mb` starts."""
    name, backend, threads = sys.argv[1:]
    _episode(open_subject(name, backend, int(threads)), 2)
    status = Path("/proc/self/status").read_text()  # not getrusage: its maximum is inherited from the process that started this one
    peak_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    sys.stdout.write(f"{peak_kb / 1024}\n")


if __name__ == "__main__":
    _main()
