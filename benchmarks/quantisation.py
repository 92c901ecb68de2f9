"""What each quantised part of a bundle costs in accuracy, and what the language model's calibration should look at: navigation prompts with their image
tokens, or text only as in the published recipe.

    python -m benchmarks.quantisation nvila_edge/assets/checkpoint [--houses 20]

Exports the checkpoint once for each variant and compares it with the checkpoint on the expert's decisions in val_unseen houses. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import numpy as np

from export import exporter
from export.bench import machine, versions
from export.calibration import Calibration, FusedSequence, Recording
from export.verify import verify_bundle
from nvila_edge.engines.greedy import causal
from nvila_edge.engines.inputs import Inputs
from sim.recordings import expert_recordings

VARIANTS = {
    "vision w8a8 alone": ("w8a8", "fp32", False),
    "language w4a16 alone": ("fp32", "w4a16", False),
    "language w4a16 alone, calibrated on text": ("fp32", "w4a16", True),
    "both": ("w8a8", "w4a16", False),
}


def text_sequences(inputs: Inputs, recordings: Sequence[Recording], most_tokens: int) -> list[FusedSequence]:
    """Instructions and answers without a single image token, as many positions as there are."""
    sequences: list[FusedSequence] = []
    for recording in recordings:
        answers = [token for action in recording.actions for token in inputs.tree.answer(int(action))]
        embeds = inputs.embed([*inputs.prompt_ids(inputs.profile.user_text(recording.instruction)), *answers])
        sequences.append(FusedSequence(embeds, causal(len(embeds))))
        if sum(len(sequence.embeds) for sequence in sequences) >= most_tokens:
            break
    return sequences


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--houses", type=int, default=20)
    options = parser.parse_args()
    seen = Calibration([Recording(*parts) for parts in expert_recordings("train", 12, 2, 1)])
    judged_on = [Recording(*parts) for parts in expert_recordings("val_unseen", options.houses, 2, 2)]
    result: dict[str, object] = {
        "machine": machine(),
        "versions": versions(),
        "decisions": int(np.sum([len(r.actions) for r in judged_on])),
    }
    for name, (vision, language, text_only) in VARIANTS.items():
        sequences = text_sequences if text_only else exporter.fused_sequences
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(exporter, "fused_sequences", sequences):
            exporter.export_bundle(options.checkpoint, Path(folder) / "bundle", seen, vision, language)
            accuracy = verify_bundle(Path(folder) / "bundle", options.checkpoint, judged_on)
        ratio = accuracy.perplexity_engine / accuracy.perplexity_reference
        result[name] = {**accuracy.to_json(), "perplexity_ratio": round(ratio, 5)}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
