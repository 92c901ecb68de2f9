"""A small real engine for the serving tests: tokens are pixel means, answers a hash of everything seen. Run as a script, it is a server.

Deterministic, and sensitive to every frame, answer and their order, so that a session rebuilt wrongly answers differently.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from dataclasses import dataclass

import numpy as np

from nvila_edge.navigation.actions import ACTIONS, Action, sentence
from nvila_edge.navigation.decision import Decision
from nvila_edge.navigation.profiles import PROFILES, PromptProfile
from nvila_edge.serving.main import serve_engine
from nvila_edge.serving.process import FREE_PORT, ServerProcess, start_process


@dataclass
class PixelSession:
    """`state` digests the instruction, all frame tokens and all answers."""

    profile: PromptProfile
    instruction: str
    state: int
    delay_s: float = 0.0

    def decide(self, tokens: np.ndarray, blocked: bool = False) -> Decision:
        """tokens [k, 4, 3]; two instructions provoke a crash and a rejection."""
        time.sleep(self.delay_s)
        if self.instruction == "crash the engine":
            raise RuntimeError("as told")
        state = zlib.crc32(tokens.tobytes(), self.state)
        if self.instruction == "mumble":
            return Decision(None, "mumble mumble", 0.0)
        action = ACTIONS[1 + state % 9]
        candidates = np.random.default_rng(state).dirichlet(np.ones(10))
        if self.profile.name == "stream":
            self._go_on(tokens, action)
        return Decision(action, sentence(action), float(candidates[ACTIONS.index(action)]), tuple(candidates), {"prefill": 0.0})

    def say(self, tokens: np.ndarray, max_new_tokens: int) -> Decision:
        """tokens [k, 4, 3]; says what the instruction says after "say ", so many letters of it, and how many frames it sees after "count"."""
        time.sleep(self.delay_s)
        text = f"{len(tokens)} frames" if self.instruction == "count" else self.instruction.removeprefix("say ")
        return Decision(None, text[:max_new_tokens], 0.5, timing_ms={"language": 0.0})

    def replay(self, tokens: np.ndarray, action: Action) -> Decision:
        """The same state as after having decided so."""
        self._go_on(tokens, action)
        return Decision(action, sentence(action), 1.0)

    def _go_on(self, tokens: np.ndarray, action: Action) -> None:
        self.state = zlib.crc32(sentence(action).encode(), zlib.crc32(tokens.tobytes(), self.state))


@dataclass
class PixelEngine:
    """Tokens are the means over the four quarters of a frame."""

    profile: PromptProfile
    delay_s: float = 0.0
    encoded: int = 0
    agent: str = "ours"
    runs_on: str = "NumPy"

    def encode(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, 3] -> float32 [N, 4, 3]."""
        self.encoded += len(frames)
        half_h, half_w = max(1, frames.shape[1] // 2), max(1, frames.shape[2] // 2)
        quarters = [frames[:, y : y + half_h, x : x + half_w] for y in (0, half_h) for x in (0, half_w)]
        return np.stack([q.reshape(len(frames), -1, 3).sum(axis=1, dtype=np.float32) for q in quarters], axis=1)

    def session(self, instruction: str) -> PixelSession:
        """A fresh session."""
        return PixelSession(self.profile, instruction, zlib.crc32(instruction.encode()), self.delay_s)


def start_pixel_server(profile: str = "stream", bind: str = FREE_PORT, delay_s: float = 0.0) -> ServerProcess:
    """A process that serves a PixelEngine."""
    return start_process([sys.executable, __file__, "--bind", bind, "--profile", profile, "--delay-s", str(delay_s)], timeout_s=30)


def main() -> None:
    """Serve until SIGTERM or the end of stdin."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bind", required=True)
    parser.add_argument("--profile", default="stream", choices=list(PROFILES))
    parser.add_argument("--delay-s", type=float, default=0.0)
    arguments = parser.parse_args()

    def announce(line: dict) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    engine = PixelEngine(PROFILES[arguments.profile], arguments.delay_s)
    serve_engine(engine, arguments.bind, announce=announce, ends_with_stdin=True)


if __name__ == "__main__":
    main()
