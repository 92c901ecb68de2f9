"""How fast an evaluation was and where its time went, for throughput.json: apart from summary.json, whose bytes no clock may change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sim.results import THROUGHPUT, Record, number, read_json

SERVER_STAGES = ("rebuild", "encode", "decide")  # what the server did between a question and its answer (serving/sessions.py)
PARTS = ("policy", "wait", "render", "send", "load", "video", "other")


def spent(seconds: Mapping[str, float], stages_ms: Mapping[str, float]) -> Record:
    """Seconds of one episode by `PARTS`, from a stage's stopwatch and what the server said of its own time.

    "policy": the model, or a policy without server; "wait": the rest of what a decision took (queue, wire, wake-up); "render": drawing;
    "send": JPEG and handing over; "load": house and navmesh; "video": videos and maps; "other": moving, metrics, the loop.
    """
    served = sum(stages_ms.get(stage, 0.0) for stage in SERVER_STAGES) / 1000
    decide = seconds.get("decide", 0.0)
    policy = min(served, decide) if stages_ms else decide
    parts = {**seconds, "policy": policy, "wait": decide - policy}
    return {name: round(parts.get(name, 0.0), 3) for name in PARTS}


def throughput(results: Sequence[Record], timings: Sequence[Record], elapsed_s: float) -> Record:
    """Rates over `elapsed_s` of these episodes, and the share of each part in the workers' time, together and for each worker."""
    steps, decisions = (sum(int(result[field]) for result in results) for field in ("steps", "decisions"))
    places = sorted({int(timing["worker"]) for timing in timings})
    return {
        "episodes": len(results), "elapsed_s": round(elapsed_s, 3), "workers": len(places),
        "episodes_per_h": round(3600 * len(results) / elapsed_s, 1), "env_steps_per_s": round(steps / elapsed_s, 2),
        "decisions_per_s": round(decisions / elapsed_s, 2), "share": _shares(timings),
        "per_worker": {str(place): _of_worker([timing for timing in timings if timing["worker"] == place]) for place in places},
    }  # fmt: skip


def _of_worker(timings: Sequence[Record]) -> Record:
    return {"episodes": len(timings), "busy_s": round(sum(number(timing["wall_s"]) for timing in timings), 3), "share": _shares(timings)}


def _shares(timings: Sequence[Record]) -> Record:
    total_s = sum(sum(timing["spent_s"].values()) for timing in timings)
    return {part: round(sum(timing["spent_s"].get(part, 0.0) for timing in timings) / total_s, 4) if total_s else 0.0 for part in PARTS}


def last_words(out: Path) -> str:
    """A line for people, from an evaluation's throughput.json; "" without one (a call that found every episode played)."""
    if not (out / THROUGHPUT).exists():
        return ""
    measured = read_json(out / THROUGHPUT, ("episodes_per_h", "env_steps_per_s", "workers", "share"))
    shares = ", ".join(f"{part} {100 * share:.0f} %" for part, share in measured["share"].items() if share >= 0.005)
    workers = f"{measured['workers']} worker{'s' * (measured['workers'] != 1)}"
    return f"{measured['episodes_per_h']:.0f} episodes/h, {measured['env_steps_per_s']:.0f} steps/s, {workers}: {shares}\n"
