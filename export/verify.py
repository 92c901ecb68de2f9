"""Compares an engine with the unquantised model on recorded decisions, and judges the difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.bundle import is_bundle
from export.calibration import Recording
from export.source import Checkpoint
from nvila_edge.engines.engine import Engine, load_bundle
from nvila_edge.engines.manifest import read_manifest
from nvila_edge.navigation.actions import ACTIONS
from nvila_edge.navigation.window import window

# gates: what quantisation may cost
MIN_AGREEMENT, MIN_COSINE, MEAN_COSINE, MAX_PERPLEXITY_RATIO = 0.95, 0.99, 0.999, 1.03


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


def replay(engine: Engine, recordings: Sequence[Recording]) -> tuple[np.ndarray, np.ndarray]:
    """Candidates [decisions, 10] and vision tokens [decisions, k, H] along the recorded actions."""
    candidates: list[tuple[float, ...]] = []
    tokens: list[np.ndarray] = []
    for recording in recordings:
        encoded = engine.encode(recording.frames)
        session = engine.session(recording.instruction)
        for now, action in enumerate(recording.actions):
            seen = [now] if engine.profile.name == "stream" else [i for i in window(now + 1, engine.spec.frames) if i is not None]
            candidates.append(session.replay(encoded[seen], ACTIONS[int(action)]).candidates)
        tokens.append(encoded)
    return np.array(candidates), np.concatenate(tokens)


def compare(engine: Engine, reference: Engine, recordings: Sequence[Recording]) -> Accuracy:
    """Both engines on the same recordings. Raises ValueError when there are none."""
    if not recordings:
        raise ValueError("no recorded decisions to compare on; give a folder of recordings")
    found, tokens = replay(engine, recordings)
    wanted, wanted_tokens = replay(reference, recordings)
    actions = np.concatenate([recording.actions for recording in recordings])
    cosine = (tokens * wanted_tokens).sum(-1) / (np.linalg.norm(tokens, axis=-1) * np.linalg.norm(wanted_tokens, axis=-1))
    choose = engine.tree.trie.choose
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


def _perplexity(candidates: np.ndarray, actions: np.ndarray) -> float:
    return float(np.exp(-np.log(np.maximum(candidates[np.arange(len(actions)), actions], 1e-9)).mean()))


def verify_bundle(
    bundle: str | Path, checkpoint: str | Path, recordings: Sequence[Recording], backend: str = "onnxruntime", threads: int = 1
) -> Accuracy:
    """A bundle against the checkpoint it was made from, unquantised in torch. Raises ValueError when either cannot be opened."""
    if not is_bundle(bundle) or is_bundle(checkpoint):
        raise ValueError(
            f"{bundle} should be a bundle, and {checkpoint} the checkpoint that it was made from: nvila-edge verify BUNDLE --against CKPT"
        )
    made_of, wanted = read_manifest(bundle).spec, Checkpoint(checkpoint).spec
    if made_of != wanted:
        raise ValueError(f"{bundle} was made from another model than {checkpoint}: their shapes or rules differ")
    return compare(load_bundle(bundle, backend, threads), load_bundle(checkpoint, "torch", threads), recordings)
