"""Hostile messages against a server process while an honest client asks it for decisions.

    python -m benchmarks.wire_fuzz [--messages 100000] [--bundle DIR] [--seed 0]

Malformed, truncated, oversized, reordered and replayed messages, wrong types, floods of sessions, and bytes that are not ZeroMQ's at all. Prints one
JSON object: what was sent, what was answered, the server's memory, and how the honest client fared. Exit status 1 when the server went down, a
decision failed or was another than in quiet, or memory grew by more than 32 MiB once the first fifth was sent.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import zmq

from nvila_edge.serving import wire
from nvila_edge.serving.client import Client
from nvila_edge.serving.episode import RemoteEpisode
from nvila_edge.serving.errors import ServingError
from nvila_edge.serving.jpeg import encode_jpeg
from nvila_edge.serving.process import ServerProcess, start_server
from nvila_edge.shipped import BUNDLE

GROWTH_LIMIT_MIB = 32.0
Parts = list[bytes]


def rss_mib(pid: int) -> float:
    """Physical memory of a process (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


class Fuzz:
    """An endless, repeatable stream of hostile messages, each with the kind of its malice."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(np.random.SeedSequence([seed, 5]))
        self._jpegs = [encode_jpeg(self._rng.integers(0, 255, (side, side, 3), dtype=np.uint8)) for side in (8, 32, 64)]
        self._sent: list[Parts] = []
        self._id = 0

    def __iter__(self) -> Iterator[tuple[str, Parts]]:
        kinds = (
            self.noise,
            self.truncated,
            self.flipped,
            self.appended,
            self.mistyped,
            self.reordered,
            self.replayed,
            self.flood,
            self.nested,
        )
        while True:
            self._id += 1
            if self._id % 2000 == 0:
                yield "oversized", [wire.pack("frame", self._id, "big", frame_id=1), b"\xff\xd8" + bytes(wire.MAX_MESSAGE_BYTES)]
            kind = kinds[int(self._rng.integers(len(kinds)))]
            parts = kind()
            if len(self._sent) < 500:
                self._sent.append(parts)
            else:
                self._sent[int(self._rng.integers(500))] = parts
            yield kind.__name__, parts

    def _number(self, limit: int) -> int:
        return int(self._rng.integers(limit))

    def _whole(self) -> Parts:
        session = f"fuzz {self._number(4)}"
        if self._number(8):
            stamp = {"captured_s": float(self._number(10**6))} if self._number(2) else {}
            jpeg = self._jpegs[self._number(len(self._jpegs))]
            return [wire.pack("frame", self._id, session, frame_id=self._number(20), **stamp), jpeg]
        fields = {"instruction": "go to the bed", "n": self._number(9), "past": [], "deadline_ms": 200}
        return [wire.pack("decide", self._id, session, frames=[self._number(20)], **fields)]

    def noise(self) -> Parts:
        """Random bytes, in up to four parts."""
        return [self._rng.bytes(self._number(200)) for _ in range(1 + self._number(4))]

    def truncated(self) -> Parts:
        """A message whose parts end early, or are missing."""
        parts = self._whole()
        at = self._number(len(parts))
        return [*parts[:at], parts[at][: self._number(len(parts[at]))]]

    def flipped(self) -> Parts:
        """Some bytes changed."""
        parts = [bytearray(part) for part in self._whole()]
        for _ in range(1 + self._number(4)):
            part = parts[self._number(len(parts))]
            part[self._number(len(part))] = self._number(256)
        return [bytes(part) for part in parts]

    def appended(self) -> Parts:
        """More than there should be: bytes after a header, or parts after a message."""
        parts = self._whole()
        return [parts[0] + self._rng.bytes(1 + self._number(50)), *parts[1:]] if self._number(2) else parts * (2 + self._number(20))

    def mistyped(self) -> Parts:
        """A field of another type, or far out of range."""
        values = [None, True, -1, 2**63, float("nan"), float("inf"), "x" * self._number(5000), [], [[]], {"a": {}}, b"\0", [2**60] * 70]
        parts = self._whole()
        header = msgpack.unpackb(parts[0])
        names = [*header, "frames", "past", "captured_s", "deadline_ms", "max_new_tokens", "blocked"]
        header[names[self._number(len(names))]] = values[self._number(len(values))]
        return [msgpack.packb(header) or b"", *parts[1:]]

    def reordered(self) -> Parts:
        """A decision about frames and a past that never came, or come later."""
        past = [[self._number(1000), self._number(10)] for _ in range(self._number(40))]
        fields = {"instruction": "go", "n": self._number(10**6), "past": past, "deadline_ms": 50}
        return [wire.pack("decide", self._id, f"fuzz {self._number(4)}", frames=[self._number(1000)], **fields)]

    def replayed(self) -> Parts:
        """A message from before, byte for byte."""
        return self._sent[self._number(len(self._sent))] if self._sent else self._whole()

    def flood(self) -> Parts:
        """A session that nobody heard of, or its end."""
        name = f"flood {self._number(10**6)}"
        return [wire.pack("bye", self._id, name)] if self._number(2) else [wire.pack("frame", self._id, name, frame_id=1), self._jpegs[0]]

    def nested(self) -> Parts:
        """Headers that promise more than they hold: deep nesting, and lengths of four billion."""
        heads = [
            b"\x91" * (1 + self._number(60000)),
            b"\xdd\xff\xff\xff\xff",
            b"\xdf\xff\xff\xff\xff",
            b"\xc6\xff\xff\xff\xffxx",
            b"\xc7\xff\x05x",
        ]
        return [heads[self._number(len(heads))]]


@dataclass
class Honest:
    """A client that asks for decisions about the same frame, over and over, and expects the same answer."""

    address: str
    latencies_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def run(self, over: threading.Event) -> None:
        frame = np.random.default_rng(9).integers(0, 255, (120, 160, 3), dtype=np.uint8)
        expected: Any = None
        with Client(self.address, silence_s=30.0) as client:
            client.wait_alive(10)
            while not over.wait(0.1):
                episode = RemoteEpisode(client, "walk to the honest end", "stream")
                began_s = time.monotonic()
                try:
                    episode.send(0, frame, began_s)
                    decision = episode.decide((0,), 30.0)
                except ServingError as error:
                    self.failures.append(str(error))
                    continue
                self.latencies_ms.append(1000 * (time.monotonic() - began_s))
                expected = expected or decision.candidates
                if decision.candidates != expected:
                    self.failures.append("another answer than in quiet")


@dataclass(frozen=True)
class Outcome:
    """What came of it. Memory in MiB: when a fifth of the messages was sent, at most after that, and at the end."""

    messages: int
    seconds: float
    kinds: dict[str, int]
    replies: dict[str, int]
    rss_mib: tuple[float, float, float]
    honest_decisions: int
    honest_p50_ms: float
    honest_max_ms: float
    failures: list[str]
    up: bool

    @property
    def good(self) -> bool:
        """Up, memory flat, the honest client served."""
        return self.up and not self.failures and self.honest_decisions > 0 and self.rss_mib[1] - self.rss_mib[0] <= GROWTH_LIMIT_MIB


def fuzz(server: ServerProcess, messages: int, seed: int) -> Outcome:
    """Send that many hostile messages to a server of the stream profile; returns what came of it."""
    honest, over = Honest(server.address), threading.Event()
    thread = threading.Thread(target=honest.run, args=(over,))
    thread.start()
    deadline_s = time.monotonic() + 20
    while not honest.latencies_ms and time.monotonic() < deadline_s:
        time.sleep(0.02)
    kinds: Counter[str] = Counter()
    replies: Counter[str] = Counter()
    memory: list[float] = []
    began_s = time.monotonic()
    stream = iter(Fuzz(seed))
    with zmq.Context() as context:
        for at in range(0, messages, 1000):
            _batch(context, server.address, [next(stream) for _ in range(min(1000, messages - at))], kinds, replies)
            _not_zeromq(server.address, seed + at)
            if at >= messages // 5:
                memory.append(rss_mib(server.process.pid))
    seconds = time.monotonic() - began_s
    time.sleep(0.5)
    over.set()
    thread.join(60)
    memory.append(rss_mib(server.process.pid))
    times = honest.latencies_ms or [float("inf")]
    return Outcome(
        messages, seconds, dict(kinds), dict(replies), (memory[0], max(memory), memory[-1]), len(honest.latencies_ms),
        float(np.percentile(times, 50)), max(times), honest.failures, server.alive,
    )  # fmt: skip


def _batch(context: zmq.Context, address: str, batch: list[tuple[str, Parts]], kinds: Counter[str], replies: Counter[str]) -> None:
    """Over a connection of its own, which then breaks off."""
    with context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(address)
        for kind, parts in batch:
            kinds[kind] += 1
            if not dealer.poll(10_000, zmq.POLLOUT):
                raise TimeoutError("the server takes no more messages")
            dealer.send_multipart(parts)
            _count_replies(dealer, 0, replies)
        _count_replies(dealer, 200, replies)


def _count_replies(dealer: zmq.Socket, wait_ms: int, replies: Counter[str]) -> None:
    while dealer.poll(wait_ms):
        reply = msgpack.unpackb(dealer.recv())
        replies[f"error {reply['code']}" if reply["type"] == "error" else reply["type"]] += 1


def _not_zeromq(address: str, seed: int) -> None:
    host, port = address.removeprefix("tcp://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        raw.sendall(np.random.default_rng(seed).bytes(300))


def main() -> int:
    """Exit status 1 when something gave way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with start_server(options.bundle) as server:
        outcome = fuzz(server, options.messages, options.seed)
    print(json.dumps(asdict(outcome) | {"good": outcome.good}, indent=1))
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
