"""What `nvila-edge bench` can measure: our engines, and what people would run instead. Each knows the same four calls.

BUNDLE              one of our engines
CKPT                its unquantised model in float32, under our sessions (torch on the CPU)
bf16:CKPT           the same in bfloat16
transformers:CKPT   the same weights through transformers' `generate`: no reuse of keys and values between decisions, free decoding
qwen2-vl:CKPT       a random Qwen2-VL of the same widths and depths through transformers, frames encoded anew for every decision. A weaker baseline than
                    the paper's Figure 5, which compares with Qwen2-VL under vLLM in W4A16
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from export.bundle import is_bundle
from nvila_edge.engines import Engine, load_bundle
from nvila_edge.engines.cache import UNSEEN
from nvila_edge.engines.session import Session, causal

INSTRUCTION = "Leave the bedroom, turn left into the hallway, then walk past the red sofa and wait by the kitchen door."
PREFILL_POSITIONS = 256
ANSWER_TOKENS = 11  # of "The next action is move forward 75 cm." in Qwen2's vocabulary (tests/nvila_edge/test_real_tokenizer.py)
KINDS = ("bf16", "transformers", "qwen2-vl")


class Subject(Protocol):
    """Frames are uint8 [S, S, 3]; what `encode` gives goes into `decide`, oldest frame first, one at a time."""

    profile: str
    runs_on: str
    image_size: int

    def start(self) -> None:
        """Begin a new episode."""
        ...

    def encode(self, frame: np.ndarray) -> Any:
        """What the vision side makes of a frame."""
        ...

    def decide(self, newest: Any) -> object:
        """A decision after one more frame."""
        ...

    def prefill(self) -> object:
        """PREFILL_POSITIONS positions of the language model."""
        ...

    def decode(self) -> object:
        """One token after them."""
        ...


def open_subject(named: str, backend: str, threads: int) -> Subject:
    """A subject by its name (see the module). Raises ValueError for an unknown kind or a folder that cannot be opened."""
    kind, _, folder = named.rpartition(":")
    if kind not in ("", *KINDS) or Path(named).exists():
        kind, folder = "", named
    if kind == "":
        return EngineSubject(load_bundle(folder, backend, threads) if is_bundle(folder) else _unquantised(folder, threads, "float32"))
    if is_bundle(folder):
        raise ValueError(f"{named}: {folder} is a bundle; this baseline needs the checkpoint that it was made from")
    if kind == "bf16":
        return EngineSubject(_unquantised(folder, threads, "bfloat16"))
    from export.baselines import QwenVLSubject, TransformersSubject

    return (TransformersSubject if kind == "transformers" else QwenVLSubject)(_unquantised(folder, threads, "float32"), folder)


def _unquantised(folder: str, threads: int, dtype: str) -> Engine:
    """A checkpoint on the CPU, also where there is a GPU: what bundles on the CPU are compared with."""
    from nvila_edge.engines.backends.torch import open_checkpoint

    return Engine(*open_checkpoint(Path(folder), threads, dtype))


class EngineSubject:
    """One of our engines under its session."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.profile, self.image_size = engine, engine.profile.name, engine.spec.vision.image_size
        self.runs_on = engine.runs_on
        self._window: deque[np.ndarray] = deque(maxlen=1 if engine.profile.keeps_past else engine.spec.frames)
        self._session: Session = engine.session(INSTRUCTION)
        self.prefill, self.decode = _language_passes(engine)

    def start(self) -> None:
        """A new session."""
        self._window.clear()
        self._session = self._engine.session(INSTRUCTION)

    def encode(self, frame: np.ndarray) -> np.ndarray:
        """Tokens [1, k, H]."""
        return self._engine.encode(frame[None])

    def decide(self, newest: np.ndarray) -> object:
        """One guided decision; earlier frames are in the cache."""
        self._window.append(newest)
        return self._session.decide(np.concatenate(list(self._window)))


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
