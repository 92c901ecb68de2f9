"""Recorded decisions: what calibration looks at and what verify compares on.

A recording is one `.npz` file: `instruction` (text), `frames` uint8 [n, H, W, 3] RGB, one per decision, `actions` int64 [n] (indices in
ACTIONS: what was executed). A folder of them is a calibration set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from nvila_edge.engines.cache import UNSEEN
from nvila_edge.engines.greedy import causal
from nvila_edge.engines.inputs import Inputs
from nvila_edge.model.tiling import rgb_image
from nvila_edge.navigation.actions import ACTIONS
from nvila_edge.navigation.window import window

_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MIN_DECISIONS = 16  # fewer frames than this say too little about the range of activations


@dataclass(frozen=True)
class Recording:
    """One followed instruction: frames uint8 [n, H, W, 3], actions int64 [n]."""

    instruction: str
    frames: np.ndarray
    actions: np.ndarray


@dataclass(frozen=True)
class FusedSequence:
    """What the decoder reads: embeds float32 [T, H], additive mask float32 [T, T]; positions count from 0."""

    embeds: np.ndarray
    mask: np.ndarray


def write_recording(path: Path, recording: Recording) -> None:
    """Write one .npz file."""
    np.savez_compressed(path, instruction=np.array(recording.instruction), frames=recording.frames, actions=recording.actions)


@dataclass(frozen=True)
class Calibration:
    """What quantisation looks at: recorded decisions (vision and language), pictures besides (vision only); `name` says in the manifest what they are."""

    recordings: Sequence[Recording]
    images: Sequence[np.ndarray] = ()
    name: str = "given"

    def frames(self, most: int) -> list[np.ndarray]:
        """At most `most` frames, evenly spread over all pictures and recordings."""
        frames = [*self.images, *(frame for recording in self.recordings for frame in recording.frames)]
        return [frames[i] for i in np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).astype(int))]

    def sha256(self) -> str:
        """One hash over everything in it."""
        total = hashlib.sha256()
        for recording in self.recordings:
            for part in (recording.instruction.encode(), recording.frames.tobytes(), recording.actions.tobytes()):
                total.update(part)
        for image in self.images:
            total.update(image.tobytes())
        return total.hexdigest()

    def check_enough(self, vision: str, language: str) -> None:
        """Raises ValueError when there are fewer than MIN_DECISIONS frames for W8A8, or recorded decisions for W4A16."""
        decisions = sum(len(recording.frames) for recording in self.recordings)
        for needed, found, what in (
            (vision == "w8a8", decisions + len(self.images), "frames"),
            (language == "w4a16", decisions, "recorded decisions"),
        ):
            if needed and found < MIN_DECISIONS:
                raise ValueError(
                    f"calibration has {found} {what} in {len(self.recordings)} recordings and {len(self.images)} images; "
                    f"at least {MIN_DECISIONS} are needed, or export with --vision fp16 --language fp16"
                )


def read_calibration(folder: str | Path, besides: Sequence[Recording] = ()) -> Calibration:
    """The recordings (.npz) and pictures of a folder, by file name, and what was read `besides`.

    Raises ValueError when there are none or one cannot be read.
    """
    root = Path(folder)
    recordings = [*besides, *(_read(path) for path in sorted(root.glob("*.npz")))]
    images = [_picture(path) for path in sorted(root.iterdir()) if path.suffix.lower() in _PICTURES] if root.is_dir() else []
    if not recordings and not images:
        raise ValueError(
            f"{folder} holds neither recordings (nvila-edge agent --record, .npz) nor {', '.join(_PICTURES)}; record some, or use --calibration builtin"
        )
    return Calibration(recordings, images, root.name)


def _picture(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as opened:
            return np.asarray(rgb_image(opened))
    except Exception as error:  # PIL raises many kinds, of its own too
        raise ValueError(f"{path} is not a readable picture ({error}); remove it or replace it") from error


def _read(path: Path) -> Recording:
    try:
        with np.load(path, allow_pickle=False) as content:
            recording = Recording(str(content["instruction"]), content["frames"], content["actions"])
    except Exception as error:  # NumPy and zipfile raise many kinds for broken files
        raise ValueError(f"{path} is not a readable recording ({error}); remove it or record it again") from error
    frames, actions = recording.frames, recording.actions
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or actions.shape != frames.shape[:1]:
        raise ValueError(
            f"{path}: frames {frames.dtype} {list(frames.shape)}, actions {list(actions.shape)}; wanted uint8 [n, H, W, 3] and [n]"
        )
    if len(actions) == 0 or actions.dtype.kind not in "iu":
        raise ValueError(f"{path}: {len(actions)} actions of {actions.dtype}; wanted one or more whole numbers")
    if not (0 <= actions.min() and actions.max() < len(ACTIONS)):
        raise ValueError(f"{path}: actions must be indices below {len(ACTIONS)}")
    return recording


def fused_sequences(inputs: Inputs, recordings: Sequence[Recording], most_tokens: int) -> list[FusedSequence]:
    """Recordings as the model reads them under its profile, image tokens included, until `most_tokens` positions are reached."""
    sequences: list[FusedSequence] = []
    held = 0
    for recording in recordings:
        for sequence in [_stream(inputs, recording)] if inputs.profile.keeps_past else _windows(inputs, recording):
            if held >= most_tokens:
                return sequences
            sequences.append(sequence)
            held += len(sequence.embeds)
    return sequences


def _stream(inputs: Inputs, recording: Recording) -> FusedSequence:
    """One episode as one sequence under the `stream` profile's mask."""
    opening = inputs.prompt_ids(inputs.profile.user_text(recording.instruction))
    parts, blocks = [inputs.embed(opening)], [np.full(len(opening), -1)]
    for index, (tokens, action) in enumerate(zip(inputs.encode(recording.frames), recording.actions, strict=True)):
        block = np.concatenate([tokens, inputs.newline, inputs.embed(inputs.tree.answer(int(action)))])
        parts.append(block)
        blocks.append(np.full(len(block), index))
    block_of = np.concatenate(blocks)
    near = (block_of[None] == -1) | (block_of[:, None] - block_of[None] < inputs.spec.frames)
    return FusedSequence(np.concatenate(parts), np.where(near, causal(len(block_of)), UNSEEN))


def _windows(inputs: Inputs, recording: Recording) -> Iterator[FusedSequence]:
    """Four decisions of an episode as prompts under the `navila` profile, each with its answer: the last one first, whose window is full."""
    chunks = inputs.tokenizer.prompt(inputs.profile.user_text(recording.instruction))
    for now in np.unique(np.linspace(0, len(recording.frames) - 1, 4).astype(int))[::-1]:
        seen = window(int(now) + 1, inputs.spec.frames)
        given = sorted({i for i in seen if i is not None})
        tokens = dict(zip(given, inputs.encode(recording.frames[given]), strict=True))
        frames = [inputs.media.image_block(inputs.black_tokens if i is None else tokens[i]) for i in seen]
        answer = inputs.embed(inputs.tree.answer(int(recording.actions[now])))
        embeds = np.concatenate([inputs.fuse(chunks, iter(frames)), answer])
        yield FusedSequence(embeds, causal(len(embeds)))
