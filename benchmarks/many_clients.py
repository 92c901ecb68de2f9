"""Several robots on one server: whether each gets its share, how long decisions take, and whether memory grows.

    python -m benchmarks.many_clients [--clients 8] [--minutes 10] [--bundle DIR] [--period-s 0]

Every client follows episodes of 100 decisions over 320x240 frames, asking again as soon as it is answered (or every --period-s), in a process of
its own. The first fifth of the time is warm-up: memory counts from then on, and its slope is the least-squares line through samples taken every
second. Prints one JSON object; exit status 1 when the busiest client got over 20 % more than the slowest, a request failed, or memory grew by
more than 1 MiB a minute.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np

from benchmarks.wire_fuzz import rss_mib
from nvila_edge.serving.client import Client
from nvila_edge.serving.episode import RemoteEpisode
from nvila_edge.serving.process import start_server
from nvila_edge.shipped import BUNDLE

EPISODE = 100  # decisions
SLOPE_LIMIT_MIB = 1.0  # a minute; 10 minutes at the limit would be 10 MiB


def follow(address: str, seed: int, seconds: float, period_s: float, together: Barrier, out: Connection) -> None:
    """One client: sends (latencies in ms, ages in ms, queue waits in ms, what went wrong) when the time is over."""
    frames = np.random.default_rng(seed).integers(0, 255, (16, 240, 320, 3), dtype=np.uint8)
    latencies_ms, ages_ms, queued_ms, wrong = [], [], [], ""
    try:
        with Client(address, silence_s=10.0) as client:
            client.wait_alive(30)
            profile = client.hello(30).profile
            together.wait(60)
            over_s = time.monotonic() + seconds
            while time.monotonic() < over_s:
                episode = RemoteEpisode(client, f"Leave room {seed} and walk to the bed.", profile)
                for frame_id in range(EPISODE):
                    began_s = time.monotonic()
                    if began_s >= over_s:
                        break
                    episode.send(frame_id, frames[frame_id % len(frames)], began_s)
                    window = (frame_id,) if profile == "stream" else tuple(range(max(0, frame_id - 7), frame_id + 1))
                    decision = episode.decide(window, 30.0)
                    latencies_ms.append(1000 * (time.monotonic() - began_s))
                    ages_ms.append(decision.age_ms or 0.0)
                    queued_ms.append(decision.timing_ms["queue"])
                    if decision.action is not None:
                        episode.begun(frame_id, decision.action)
                    time.sleep(max(0.0, began_s + period_s - time.monotonic()))
                episode.close()
    except Exception as error:  # told to the parent, whose run it spoils
        wrong = f"{type(error).__name__}: {error}"
    out.send((latencies_ms, ages_ms, queued_ms, wrong))


@dataclass(frozen=True)
class Outcome:
    """What the clients saw. `unfairness`: how much more the busiest client got than the slowest, as a fraction."""

    clients: int
    seconds: float
    decisions: list[int]
    decisions_per_s: float
    unfairness: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    age_p99_ms: float
    queue_p99_ms: float
    rss_first_mib: float
    rss_last_mib: float
    slope_mib_per_minute: float
    wrong: list[str]

    @property
    def good(self) -> bool:
        """Fair, without failures and without a leak."""
        return self.unfairness <= 0.2 and not self.wrong and self.slope_mib_per_minute <= SLOPE_LIMIT_MIB


def measure(bundle: Path, clients: int, seconds: float, period_s: float) -> Outcome:
    """Run it."""
    context = multiprocessing.get_context("spawn")
    with start_server(bundle) as server:
        pipes = [context.Pipe(duplex=False) for _ in range(clients)]
        together = context.Barrier(clients + 1)
        asked = (seconds, period_s, together)
        workers = [context.Process(target=follow, args=(server.address, seed, *asked, pipe[1])) for seed, pipe in enumerate(pipes)]
        for worker in workers:
            worker.start()
        together.wait(60)
        began_s, samples = time.monotonic(), []
        while time.monotonic() < began_s + seconds:
            time.sleep(1.0)
            samples.append((time.monotonic() - began_s, rss_mib(server.process.pid)))
        found = [pipe[0].recv() if pipe[0].poll(60) else ([], [], [], "said nothing") for pipe in pipes]
        for worker in workers:
            worker.join(10)
    return _outcome(found, seconds, [sample for sample in samples if sample[0] >= seconds / 5])


def _outcome(found: list[tuple[list[float], list[float], list[float], str]], seconds: float, samples: list[tuple[float, float]]) -> Outcome:
    counts = [len(latencies) for latencies, *_ in found]
    latencies, ages, queued = (np.concatenate([np.asarray(one[at], float) for one in found]) for at in range(3))
    p50, p95, p99 = (float(np.percentile(latencies, percent)) for percent in (50, 95, 99))
    times_s, memory = np.array(samples).T
    return Outcome(
        len(found), seconds, counts, sum(counts) / seconds, max(counts) / max(1, min(counts)) - 1, p50, p95, p99, float(latencies.max()),
        float(np.percentile(ages, 99)), float(np.percentile(queued, 99)), float(memory[0]), float(memory[-1]),
        float(np.polyfit(times_s / 60, memory, 1)[0]), [wrong for *_, wrong in found if wrong],
    )  # fmt: skip


def main() -> int:
    """Exit status 1 when it was unfair, leaked, or a request failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--period-s", type=float, default=0.0)
    options = parser.parse_args()
    outcome = measure(options.bundle, options.clients, 60 * options.minutes, options.period_s)
    print(json.dumps(asdict(outcome) | {"good": outcome.good}, indent=1))
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
