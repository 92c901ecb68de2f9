"""Compares an engine with the unquantised model on recorded decisions, and judges the difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.bundle import is_bundle
from export.calibration import Recording
from export.source import Checkpoint
from nvila_edge.engines.engine import Engine, load_bundle
from nvila_edge.engines.manifest import read_manifest
from nvila_edge.engines.spec import EngineSpec
from nvila_edge.navigation.actions import ACTIONS
from nvila_edge.navigation.profiles import profile
from nvila_edge.navigation.window import window

# gates: what quantisation may cost
MIN_AGREEMENT, MIN_COSINE, MEAN_COSINE, MAX_PERPLEXITY_RATIO = 0.95, 0.99, 0.999, 1.03
BUDGET = 2e14  # decoder weights x positions that either side runs: 12 decisions of an 8B model, hours of a fast CPU; every decision of small ones
LAYERED_ABOVE = 2 << 30  # decoder weights; in float32 they take 8 GiB, and larger references are read layer by layer
Replayed = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Accuracy:
    """How far an engine is from its reference on the same recorded decisions.

    action_agreement: share of decisions with the same action; probability_*: absolute differences over the ten candidates;
    cosine_*: of vision tokens; perplexity_*: of the recorded actions under the ten candidates.
    """

    decisions: int
    action_agreement: float
    probability_max: float
    probability_mean: float
    cosine_min: float
    cosine_mean: float
    perplexity_reference: float
    perplexity_engine: float

    def failures(self) -> list[str]:
        """What misses its gate, in words; empty when all is well."""
        ratio = self.perplexity_engine / self.perplexity_reference
        checks = (
            (self.action_agreement >= MIN_AGREEMENT, f"action agreement {self.action_agreement:.3f}, at least {MIN_AGREEMENT} wanted"),
            (self.cosine_min >= MIN_COSINE, f"least cosine of a vision token {self.cosine_min:.4f}, at least {MIN_COSINE} wanted"),
            (self.cosine_mean >= MEAN_COSINE, f"mean cosine of vision tokens {self.cosine_mean:.5f}, at least {MEAN_COSINE} wanted"),
            (
                ratio <= MAX_PERPLEXITY_RATIO,
                f"perplexity of the recorded actions is {ratio:.3f} times the reference's, at most {MAX_PERPLEXITY_RATIO} wanted",
            ),
        )
        return [text for passed, text in checks if not passed]

    def to_json(self) -> dict[str, Any]:
        """For the manifest and reports, rounded to 6 digits."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


def replay(engine: Engine, recordings: Sequence[Recording], most: int = 10**9) -> Replayed:
    """Candidates [decisions, 10], vision tokens [frames, k, H] and recorded actions [decisions], of at most `most` decisions spread over the recordings."""
    candidates: list[tuple[float, ...]] = []
    tokens: list[np.ndarray] = []
    actions: list[int] = []
    for index, recording in enumerate(recordings):
        judged = _judged(engine, len(recording.actions), most // len(recordings) + (index < most % len(recordings)))
        seen = {now: _frames(engine, now) for now in judged}
        needed = sorted({frame for frames in seen.values() for frame in frames})
        if not needed:
            continue
        encoded = engine.encode(recording.frames[needed])
        session = engine.session(recording.instruction)
        for now, frames in seen.items():
            action = int(recording.actions[now])
            candidates.append(session.replay(encoded[np.searchsorted(needed, frames)], ACTIONS[action]).candidates)
            actions.append(action)
        tokens.append(encoded)
    return np.array(candidates), np.concatenate(tokens), np.array(actions)


def _judged(engine: Engine, decisions: int, share: int) -> list[int]:
    """Which decisions of a recording are compared: the first ones of a stream, which cannot be entered later; of windows some evenly spread."""
    share = min(share, decisions)
    return list(range(share)) if engine.profile.keeps_past else [int((i + 0.5) * decisions / share) for i in range(share)]


def _frames(engine: Engine, now: int) -> list[int]:
    """The frames that decision `now` is given."""
    return [now] if engine.profile.keeps_past else [i for i in window(now + 1, engine.spec.frames) if i is not None]


def compare(engine: Callable[[], Engine], reference: Callable[[], Engine], recordings: Sequence[Recording], most: int = 10**9) -> Accuracy:
    """Both engines on the same recordings; one is opened after the other is gone, so that they need not fit memory together. Raises ValueError when there
    are none.
    """
    if not recordings:
        raise ValueError("no recorded decisions to compare on; give a folder of recordings")
    opened = engine()
    choose = opened.tree.trie.choose
    found, tokens, actions = replay(opened, recordings, most)
    del opened
    wanted, wanted_tokens, _ = replay(reference(), recordings, most)
    cosine = (tokens * wanted_tokens).sum(-1) / (np.linalg.norm(tokens, axis=-1) * np.linalg.norm(wanted_tokens, axis=-1))
    return Accuracy(
        decisions=len(actions),
        action_agreement=float(np.mean([choose(a) == choose(b) for a, b in zip(found, wanted, strict=True)])),
        probability_max=float(np.abs(found - wanted).max()),
        probability_mean=float(np.abs(found - wanted).mean()),
        cosine_min=float(cosine.min()),
        cosine_mean=float(cosine.mean()),
        perplexity_reference=_perplexity(wanted, actions),
        perplexity_engine=_perplexity(found, actions),
    )


def affordable(spec: EngineSpec, weights: int, budget: float) -> int:
    """How many decisions of a model with so many decoder weights are compared: at least four."""
    frames = 1 if profile(spec.profile).keeps_past else spec.frames
    return max(4, int(budget / (weights * frames * (spec.vision.tokens + 1))))


def _perplexity(candidates: np.ndarray, actions: np.ndarray) -> float:
    return float(np.exp(-np.log(np.maximum(candidates[np.arange(len(actions)), actions], 1e-9)).mean()))


def verify_bundle(
    bundle: str | Path,
    checkpoint: str | Path,
    recordings: Sequence[Recording],
    backend: str = "onnxruntime",
    threads: int = 1,
    budget: float = BUDGET,
) -> Accuracy:
    """A bundle against the checkpoint it was made from, unquantised in torch. Raises ValueError when either cannot be opened.

    budget: decoder weights times positions; large models are compared on fewer decisions.
    """
    if not is_bundle(bundle) or is_bundle(checkpoint):
        raise ValueError(
            f"{bundle} should be a bundle, and {checkpoint} the checkpoint that it was made from: nvila-edge verify BUNDLE --against CKPT"
        )
    source = Checkpoint(checkpoint)
    if read_manifest(bundle).spec != source.spec:
        raise ValueError(f"{bundle} was made from another model than {checkpoint}: their shapes or rules differ")
    weights = source.language_numbers()
    return compare(
        lambda: load_bundle(bundle, backend, threads),
        lambda: reference(checkpoint, weights, threads),
        recordings,
        affordable(source.spec, weights, budget),
    )


def reference(checkpoint: str | Path, weights: int, threads: int) -> Engine:
    """The unquantised model in torch, in float32 on the CPU also where there is a GPU; above LAYERED_ABOVE decoder weights its layers stay on disk."""
    from nvila_edge.engines.backends.torch import of_model, open_checkpoint

    if weights <= LAYERED_ABOVE:
        return Engine(*open_checkpoint(Path(checkpoint), threads))
    from nvila_edge.model.layered import load_layered

    return Engine(*of_model(Checkpoint(checkpoint).spec, load_layered(checkpoint), threads))
