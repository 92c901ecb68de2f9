"""A server that does for every decision what evaluations without our short cuts do; `benchmarks.eval_throughput` measures against it.

    python -m benchmarks.naive_server --bundle FOLDER --recorded RUN/results.jsonl

No token cache: the frames of the window are encoded again for every decision. No kept keys and values: the whole prompt (instruction, window,
answers) is prefilled anew. No jumps: the answer is decoded token by token. No encoding on arrival: nothing happens before the question.
What it answers, after that work, is what the recorded run answered, so that both runs walk the same ways: their results are equal to the byte.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from nvila_edge.engines import Engine, load_bundle
from nvila_edge.engines.cache import UNSEEN
from nvila_edge.engines.session import causal
from nvila_edge.navigation.actions import ACTIONS, Action
from nvila_edge.navigation.decision import Decision
from nvila_edge.navigation.profiles import PromptProfile, checked_instruction
from nvila_edge.serving.main import serve_engine
from nvila_edge.serving.process import FREE_PORT

Trace = list[dict[str, Any]]


class NaiveSession:
    """One instruction; keeps pixels and answers, nothing computed. `traces` are the recorded decisions of this instruction."""

    def __init__(self, engine: Engine, instruction: str, trace: Trace) -> None:
        self._engine, self._trace = engine, trace
        self._opening = np.array(engine.prompt_ids(engine.profile.user_text(instruction)), np.int64)
        self._seen: list[tuple[np.ndarray, int]] = []  # frame uint8 [H, W, 3], index in ACTIONS of the answer

    def decide(self, tokens: np.ndarray) -> Decision:
        """tokens uint8 [1, H, W, 3]: the newest frame, as `NaiveEngine.encode` left it."""
        told = self._trace[len(self._seen)]
        self._work(tokens[0], told["action"])
        self._seen.append((tokens[0], told["action"]))
        return Decision(ACTIONS[told["action"]], told["text"], told["probability"], tuple(told["candidates"]), {"language": 0.0})

    def replay(self, tokens: np.ndarray, action: Action) -> Decision:
        """The recorded decision: it is what was executed."""
        return self.decide(tokens)

    def _work(self, newest: np.ndarray, action: int) -> None:
        engine, before = self._engine, self._seen[-(self._engine.spec.frames - 1) :]
        frames = engine.encode(np.stack([*(frame for frame, _ in before), newest]))
        blocks = [np.concatenate([tokens, engine.newline]) for tokens in frames]
        answers = [engine.embed(engine.tree.answer(answered)) for _, answered in before]
        past = [part for pair in zip(blocks[:-1], answers, strict=True) for part in pair]
        embeds = np.concatenate([engine.embed(self._opening), *past, blocks[-1]])
        backend, length, ids = engine.backend, len(embeds), engine.tree.answer(action)
        _, new = backend.prefill(embeds, np.arange(length), causal(length), backend.cache(0), np.array([length - 1]))
        cache = backend.cache(length + len(ids))
        cache.write(new, list(range(length)), cache.take(length))
        mask = np.full((1, cache.capacity + 1), UNSEEN)
        mask[:, :length] = mask[:, -1] = 0
        for at, token in enumerate(ids[:-1], start=length):  # the last token ends the answer: nothing follows from it
            _, new = backend.step(engine.embed([token]), np.array([at]), mask, cache, np.array([0]))
            cache.write(new, [0], cache.take(1))
            mask[:, at] = 0


class NaiveEngine:
    """Serves a bundle naively. `recorded`: results of an evaluation with the same bundle, each instruction once."""

    def __init__(self, engine: Engine, recorded: list[dict[str, Any]]) -> None:
        self._engine = engine
        self._traces = {checked_instruction(result["instruction"]): result["trace"] for result in recorded}
        assert len(self._traces) == len(recorded) and engine.profile.name == "stream"

    @property
    def profile(self) -> PromptProfile:
        """The bundle's."""
        return self._engine.profile

    @property
    def agent(self) -> str:
        """The bundle's."""
        return self._engine.agent

    @property
    def runs_on(self) -> str:
        """The bundle's."""
        return self._engine.runs_on

    def encode(self, frames: np.ndarray) -> np.ndarray:
        """The frames themselves, uint8 [N, H, W, 3]: encoding happens at every decision."""
        return frames

    def session(self, instruction: str) -> NaiveSession:
        """A session that answers as recorded; another instruction (the server's warm-up) gets one certain stop."""
        stop = {"action": 0, "text": "", "probability": 1.0, "candidates": [1.0] + [0.0] * (len(ACTIONS) - 1)}
        return NaiveSession(self._engine, instruction, self._traces.get(instruction, [stop]))


def main() -> None:
    """Serve until SIGTERM or the end of stdin."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--recorded", type=Path, required=True)
    parser.add_argument("--bind", default=FREE_PORT)
    options = parser.parse_args()

    def announce(line: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    recorded = [json.loads(line) for line in options.recorded.read_bytes().splitlines()]
    serve_engine(NaiveEngine(load_bundle(options.bundle), recorded), options.bind, announce=announce, ends_with_stdin=True)


if __name__ == "__main__":
    main()
