"""What a server counts, as Prometheus reads it (text format 0.0.4). Everything may be called from any thread and never waits for the model."""

from __future__ import annotations

import resource
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "nvila_edge_"
# Seconds: from a token cache's answer (1 ms) to a large model on a small computer; a robot that decides at 1 Hz lies in the middle.
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_COUNTERS = {
    "requests_total": "Messages from clients, by type; malformed ones count as errors only.",
    "decisions_total": "Decisions answered.",
    "errors_total": "Error replies, by code.",
    "frames_encoded_total": "Frames that went through the vision tower.",
    "received_bytes_total": "Bytes of messages received.",
    "sent_bytes_total": "Bytes of messages sent.",
    "chat_requests_total": "Chat completions, by HTTP status; those that were streamed count with the status that they began with.",
    "chat_tokens_total": "Tokens of chat completions, by kind: prompt (media included) or completion.",
}
_STAGES = "Seconds by stage. vision: one frame; queue, prefill, decode, answer (arrival to reply): one decision; chat: one chat completion."
_GAUGES = {
    "sessions": "Sessions that the server knows.",
    "waiting": "Frames, decisions and chat steps that wait for the model.",
    "busy_seconds": "How long the model has been at the present piece of work; 0 when idle.",
    "uptime_seconds": "Seconds since the start.",
    "resident_memory_bytes": "Physical memory in use.",
}


@dataclass
class _Histogram:
    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    total_s: float = 0.0


class Metrics:
    """Counters by name and label, and a latency histogram for every stage. Label values must come from this program, never from a client: so their
    number is bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[tuple[str, str], float] = {}
        self._stages: dict[str, _Histogram] = {}
        self._started_s = time.monotonic()

    def count(self, name: str, amount: float = 1, **label: str) -> None:
        """Add to a counter of _COUNTERS; at most one label."""
        assert name in _COUNTERS and len(label) <= 1, name
        key = name, "".join(f'{{{kind}="{value}"}}' for kind, value in label.items())
        with self._lock:
            self._counters[key] = self._counters.get(key, 0) + amount

    def observe(self, stage: str, seconds: float) -> None:
        """Note how long a stage took."""
        with self._lock:
            histogram = self._stages.setdefault(stage, _Histogram())
            histogram.counts[bisect_left(BUCKETS_S, seconds)] += 1
            histogram.total_s += seconds

    def text(self, gauges: Mapping[str, float]) -> str:
        """The exposition; `gauges` are those of _GAUGES that only the server knows."""
        measured = {**gauges, "uptime_seconds": time.monotonic() - self._started_s, "resident_memory_bytes": resident_bytes()}
        lines: list[str] = []
        with self._lock:
            for name, text in _COUNTERS.items():
                lines += _header(name, "counter", text)
                found = {label: value for (counter, label), value in sorted(self._counters.items()) if counter == name}
                lines += [f"{_PREFIX}{name}{label} {value:.15g}" for label, value in found.items()]
            lines += _header("stage_seconds", "histogram", _STAGES)
            for stage, histogram in sorted(self._stages.items()):
                lines += _exposed(stage, histogram)
        for name, text in _GAUGES.items():
            lines += [*_header(name, "gauge", text), f"{_PREFIX}{name} {measured[name]:.15g}"]
        return "\n".join(lines) + "\n"


def _header(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {_PREFIX}{name} {text}", f"# TYPE {_PREFIX}{name} {kind}"]


def _exposed(stage: str, histogram: _Histogram) -> list[str]:
    lines, seen = [], 0
    for bound, count in zip((*BUCKETS_S, "+Inf"), histogram.counts, strict=True):
        seen += count
        lines.append(f'{_PREFIX}stage_seconds_bucket{{stage="{stage}",le="{bound}"}} {seen}')
    total = f"{histogram.total_s:.15g}"
    return [*lines, f'{_PREFIX}stage_seconds_sum{{stage="{stage}"}} {total}', f'{_PREFIX}stage_seconds_count{{stage="{stage}"}} {seen}']


def resident_bytes() -> int:
    """Physical memory of this process; where /proc is missing, the most that it ever had."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
