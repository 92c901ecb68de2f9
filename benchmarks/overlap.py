"""The share of an episode in which the robot waits for a decision, with thinking overlapped with moving and without.

    python -m benchmarks.overlap [--primitives 24] [--latency-ms 150] [--rounds 3]

A kinematic robot in real time (0.5 m/s, 50 ms lag, 100 ms coast), primitives closed on odometry, a real server process whose engine takes
`--latency-ms` per decision, frames 64x64 of the robot's pose. Waiting: from the end of a primitive to the beginning of the next, the
first decision of an episode included (nothing can overlap it). Still: true velocity under 1 cm/s and 1 degree/s, settling included. Both ways take turns.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from dataclasses import dataclass, field

import numpy as np

from agents.events import Decided, Ended
from agents.executor import Executor
from agents.loop import Loop, LoopConfig
from agents.overlap import Overlapped
from agents.policy import RemotePolicy
from agents.protocols import Frame, Motion
from agents.robots.kinematic import Body, Kinematic
from export.bench import machine
from nvila_edge.navigation.actions import Primitive
from nvila_edge.serving.client import Client
from tests.nvila_edge.pixel_engine import start_pixel_server


class PoseCamera:
    """Frames [64, 64, 3] drawn from a robot's pose."""

    def __init__(self, robot: Kinematic) -> None:
        self._robot, self._count = robot, 0

    def capture(self) -> Frame:
        """What there is to see now."""
        self._count += 1
        seed = [round(1000 * abs(value)) for value in self._robot.pose]
        rgb = np.random.default_rng(np.random.SeedSequence(seed)).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        return Frame(self._count - 1, rgb, time.monotonic())


@dataclass
class Timed:
    """A robot whose primitives are timed: (begin, end) each."""

    robot: Executor
    spans: list[tuple[float, float]] = field(default_factory=list)

    def execute(self, primitive: Primitive) -> Motion:
        """As the robot."""
        began_s = time.monotonic()
        motion = self.robot.execute(primitive)
        self.spans.append((began_s, time.monotonic()))
        return motion

    def halt(self) -> None:
        """As the robot."""
        self.robot.halt()


def still_share(robot: Kinematic, over: threading.Event) -> float:
    """Watch the true velocity every 10 ms until it is over."""
    still = seen = 0
    while not over.wait(0.01):
        linear_mps, angular_rps = robot.velocity
        seen += 1
        still += abs(linear_mps) < 0.01 and abs(angular_rps) < np.radians(1)
    return still / max(seen, 1)


def episode(address: str, overlap: bool, primitives: int) -> dict[str, float]:
    """One episode of that many primitives."""
    robot = Kinematic(Body())
    timed = Timed(Executor(robot))
    over, shares = threading.Event(), list[float]()
    config = LoopConfig(max_primitives=primitives)
    with Client(address) as client:
        client.wait_alive(10)
        client.hello(10)
        parts = (RemotePolicy(client), PoseCamera(robot), timed, client, config)
        loop = Overlapped(*parts, pose=timed.robot.odometry) if overlap else Loop(*parts)
        watcher = threading.Thread(target=lambda: shares.append(still_share(robot, over)))
        watcher.start()
        began_s, decisions = time.monotonic(), 0
        for event in loop.run("walk on", "e"):
            decisions += isinstance(event, Decided)
            if isinstance(event, Ended) and event.fault:
                raise RuntimeError(f"the episode failed: {event}")
        took_s = timed.spans[-1][1] - began_s
        over.set()
        watcher.join()
    waited_s = took_s - sum(end - begin for begin, end in timed.spans)
    found = {"seconds": took_s, "waiting_s": waited_s, "waiting_share": waited_s / took_s, "still_share": shares[0], "decisions": decisions}
    if isinstance(loop, Overlapped):
        found |= {"handed_over": loop.account.handed_over, "revised": loop.account.revised}
    return {name: round(value, 4) for name, value in found.items()}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--primitives", type=int, default=24)
    parser.add_argument("--latency-ms", type=float, default=150.0)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    runs: dict[str, list[dict[str, float]]] = {"without": [], "overlap": []}
    with start_pixel_server("stream", delay_s=arguments.latency_ms / 1000) as server:
        for _ in range(arguments.rounds):
            for name, found in runs.items():
                found.append(episode(server.address, name == "overlap", arguments.primitives))
    median = {name: float(np.median([run["waiting_share"] for run in found])) for name, found in runs.items()}
    ratio = round(median["overlap"] / median["without"], 3)
    print(
        json.dumps(
            {"machine": machine(), "latency_ms": arguments.latency_ms, "runs": runs, "waiting_share": median, "ratio": ratio}, indent=1
        )
    )


if __name__ == "__main__":
    main()
