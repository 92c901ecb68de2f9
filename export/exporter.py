"""From a checkpoint to a bundle: graphs, quantised weights, token table, tokenizer, manifest."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnxruntime

from export import awq, smoothquant
from export.bundle import copy_tokenizer, locked, staged, write_embedding, write_manifest
from export.calibration import Calibration, FusedSequence, Recording, fused_sequences
from export.journal import Journal, journal
from export.language_graph import write_language_graph
from export.quantise import block_weight
from export.source import Checkpoint
from export.verify import verify_bundle
from export.vision_graph import write_projector_graph, write_vision_graph
from nvila_edge.engines.backends.onnxruntime import OnnxVision
from nvila_edge.engines.inputs import Inputs
from nvila_edge.engines.manifest import LANGUAGE, PROJECTOR, VISION, Manifest
from nvila_edge.engines.weights import Weight
from nvila_edge.model.preprocess import pixels
from nvila_edge.model.tokens import ChatTokenizer
from nvila_edge.navigation.agent_profiles import OURS, agent_profile, check_prompt

VISION_KINDS, LANGUAGE_KINDS = ("w8a8", "fp16", "fp32"), ("w4a16", "fp16", "fp32")
CALIBRATION_PATCHES, CALIBRATION_TOKENS = 65536, 8192
LANGUAGE_BUDGET = 2e13  # decoder weights x calibration positions: large models are shown half as many
ACCURACY_BUDGET = 2e13  # decoder weights x positions of the decisions that are compared: four of an 8B model, all of a small one
EXTERNAL_ABOVE = 1_500_000_000  # bytes of weights; protobuf files end at 2 GB
Progress = Callable[[str, int, int], None]  # what is being done, steps done, steps in all
T = TypeVar("T")


def _silent(_what: str, _done: int, _total: int) -> None:
    """No progress wanted."""


def export_bundle(
    checkpoint: str | Path,
    out: str | Path,
    calibration: Calibration,
    vision: str = "w8a8",
    language: str = "w4a16",
    accuracy_on: Sequence[Recording] = (),
    progress: Progress = _silent,
    agent: str = OURS.name,
) -> Manifest:
    """Export a checkpoint folder to the bundle folder `out`, which appears only when it is whole.

    vision: "w8a8", "fp16" or "fp32"; language: "w4a16", "fp16" or "fp32" (how Linear weights are stored; every engine input and output is
    float32).
    accuracy_on: recorded decisions that are not in `calibration`, on which the bundle is compared with the checkpoint for the manifest's accuracy
    report. An export that was killed goes on from its last finished layer. progress is called with (what, done, total).
    agent: the agent that the model is meant for, which evaluations and robots choose unless they are told another one.
    Raises ValueError (CheckpointError for the checkpoint) naming what is wrong; nothing is left in `out` then.
    """
    _check_kinds(vision, language)
    source, started = Checkpoint(checkpoint), time.monotonic()
    calibration.check_enough(vision, "awq" if source.is_awq() else language)
    check_prompt(agent_profile(agent), source.spec.profile)
    about = {"agent": agent, **_about(source, vision, language, calibration)}
    with locked(Path(out)) as out, journal(out, json.dumps(about, sort_keys=True)) as kept, staged(out) as folder:
        copy_tokenizer(source.tokenizer_folder, folder)
        write_embedding(folder, source.embedding())
        _export_vision(source, folder, vision, calibration, kept, progress)
        _export_language(source, folder, language, calibration, kept, progress)
        manifest = write_manifest(folder, source.spec, about)
        if accuracy_on:
            progress("accuracy", 0, 1)
            accuracy = verify_bundle(folder, checkpoint, accuracy_on, budget=ACCURACY_BUDGET)
            if not all(np.isfinite(value) for value in accuracy.to_json().values()):
                raise ValueError(f"the exported model answers with values that are not finite; is {checkpoint} damaged?")
            about["accuracy"] = accuracy.to_json()
            manifest = write_manifest(folder, source.spec, about)
    progress(f"exported in {time.monotonic() - started:.0f} s", 1, 1)
    return manifest


def _check_kinds(vision: str, language: str) -> None:
    for kind, allowed, option in ((vision, VISION_KINDS, "vision"), (language, LANGUAGE_KINDS, "language")):
        if kind not in allowed:
            raise ValueError(f"{option} {kind!r} is unknown; allowed: {', '.join(allowed)}")


def _export_vision(source: Checkpoint, folder: Path, kind: str, calibration: Calibration, kept: Journal, progress: Progress) -> None:
    spec = source.spec.vision
    layers: Iterator[Mapping[str, Weight]] = source.vision_layers()
    if kind == "w8a8":
        layers = smoothquant.quantised_layers(source, pixels(calibration.frames(_frames(spec.grid**2)), spec.image_size), kept)
    store = "float32" if kind == "fp32" else "float16"
    external = _external(folder / f"{VISION}.data", source.vision_numbers(), store)
    tracked = _tracked(layers, "vision", spec.layers, progress)
    write_vision_graph(folder / VISION, spec, source.vision_stem(), tracked, source.projector(), store, external)
    if spec.scales > 1:
        write_projector_graph(folder / PROJECTOR, spec, source.projector(), store)


def _export_language(source: Checkpoint, folder: Path, kind: str, calibration: Calibration, kept: Journal, progress: Progress) -> None:
    spec = source.spec.language
    layers: Iterator[Mapping[str, Weight]] = source.language_layers()
    if kind == "w4a16" and source.is_awq():
        layers = source.awq_layers()  # somebody calibrated it already: the very same codes
    elif kind == "w4a16":
        layers = awq.quantised_layers(source, _sequences(source, folder, calibration), kept)
    store = "float32" if kind == "fp32" else "float16"
    external = _external(folder / f"{LANGUAGE}.data", source.language_numbers(), store)
    tracked = _tracked(layers, "language", spec.layers, progress)
    head = block_weight(source.head(), 8) if kind == "w4a16" else source.head()  # nothing in front of it could take up AWQ's factors
    write_language_graph(folder / LANGUAGE, spec, tracked, source.norm(), head, store, external)


def _sequences(source: Checkpoint, folder: Path, calibration: Calibration) -> list[FusedSequence]:
    """What the decoder is calibrated on; the token table and the vision engine, gigabytes of a large model, are gone when this returns."""
    tokenizer = ChatTokenizer.from_folder(folder, source.spec.template)
    inputs = Inputs(source.spec, tokenizer, source.embedding(), OnnxVision(folder, source.spec.vision, threads=1))
    most = min(CALIBRATION_TOKENS, max(CALIBRATION_TOKENS // 2, int(LANGUAGE_BUDGET / source.language_numbers())))
    return fused_sequences(inputs, calibration.recordings, most)


def _frames(patches: int) -> int:
    """How many calibration frames of so many patches are looked at: large towers take seconds for one."""
    return min(256, max(16, CALIBRATION_PATCHES // patches))


def _external(path: Path, numbers: int, store: str) -> Path | None:
    """`path`, when so many weights need a file of their own; counted as if none were quantised, which is more than they take."""
    return path if numbers * np.dtype(store).itemsize > EXTERNAL_ABOVE else None


def _tracked(items: Iterator[T], what: str, total: int, progress: Progress) -> Iterator[T]:
    for done, item in enumerate(items):
        progress(what, done, total)
        yield item
    progress(what, total, total)


def _about(source: Checkpoint, vision: str, language: str, calibration: Calibration) -> dict[str, Any]:
    """What the manifest says besides shapes and files."""
    return {
        "source": {"checkpoint": source.folder.resolve().name, "sha256": source.sha256()},
        "recipe": {
            "vision": vision,
            "language": language,
            "smoothquant_alpha": smoothquant.ALPHA if vision == "w8a8" else None,
            "awq_grid": awq.GRID if language == "w4a16" and not source.is_awq() else None,
            "awq_imported": language == "w4a16" and source.is_awq(),
        },
        "calibration": {
            "name": calibration.name,
            "recordings": len(calibration.recordings),
            "images": len(calibration.images),
            "decisions": sum(len(recording.frames) for recording in calibration.recordings),
            "sha256": calibration.sha256(),
        },
        "made_with": {"onnx": version("onnx"), "onnxruntime": onnxruntime.__version__, "torch": version("torch")},
    }
