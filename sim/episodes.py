"""Episodes in the layout of R2R_VLNCE_v1-3: `{split}/{split}.json.gz` and `{split}/{split}_gt.json.gz` (facts: vln-ce.md 2.1)."""

from __future__ import annotations

import gzip
import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.geometry import Pose, yaw_of

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")

Point = tuple[float, float, float]
GOAL_RADIUS_M = 3.0  # R2R_VLNCE: written in every goal; no metric reads it
PAD_INDEX, UNK_INDEX = 0, 1  # R2R_VLNCE's instruction_vocab
ACTION_IDS = (0, 1, 2, 3)  # stop, forward, left, right


@dataclass(frozen=True)
class Episode:
    """One instruction to follow. Points are feet positions (x, y, z) in metres, +Y up; the rotation is a quaternion x, y, z, w.

    `scene_id` is relative, such as "houses/train_0003/train_0003.glb"; `goals` and `reference_path` are empty in a test split.
    """

    episode_id: str
    trajectory_id: str
    scene_id: str
    start_position: Point
    start_rotation: tuple[float, float, float, float]
    goals: tuple[Point, ...]
    reference_path: tuple[Point, ...]
    instruction: str
    geodesic_distance_m: float
    tokens: tuple[int, ...] = ()

    @property
    def start(self) -> Pose:
        """The pose that the agent starts in."""
        return Pose(self.start_position, yaw_of(self.start_rotation))

    @property
    def goal(self) -> Point:
        """The goal position (x, y, z) in metres. Raises ValueError in a split without goals."""
        if not self.goals:
            raise ValueError(f"episode {self.episode_id} has no goal (a test split?): choose train, val_seen or val_unseen")
        return self.goals[0]


@dataclass(frozen=True)
class GroundTruth:
    """The expert's way: primitive ids (0 stop, 1 forward, 2 left, 3 right) and the start followed by one point per move."""

    actions: tuple[int, ...]
    locations: tuple[Point, ...]

    @property
    def forward_steps(self) -> int:
        """How many of the actions are forward."""
        return self.actions.count(1)


@dataclass(frozen=True)
class Dataset:
    """One split: episodes in file order, ground truth by episode id (empty when there is no file), words by token index."""

    split: str
    episodes: tuple[Episode, ...]
    ground_truth: dict[str, GroundTruth] = field(default_factory=dict)
    vocabulary: tuple[str, ...] = ("<pad>", "<unk>")


def encode(text_words: Sequence[str], vocabulary: Sequence[str], length: int) -> tuple[int, ...]:
    """Token ids of the words, zero-padded at the end (or cut) to `length`; unknown words are UNK_INDEX."""
    index = {word: number for number, word in enumerate(vocabulary)}
    ids = [index.get(word, UNK_INDEX) for word in text_words][:length]
    return tuple(ids + [PAD_INDEX] * (length - len(ids)))


def split_file(folder: Path | str, split: str, ground_truth: bool = False) -> Path:
    """Where a split's file lies: `folder/split/split.json.gz`, or directly in `folder` when only that exists."""
    name = f"{split}_gt.json.gz" if ground_truth else f"{split}.json.gz"
    nested, flat = Path(folder) / split / name, Path(folder) / name
    return flat if flat.exists() and not nested.exists() else nested


def load_split(folder: Path | str, split: str) -> Dataset:
    """Read a split. The ground truth is optional (R2R's minimal download lacks it).

    Raises ValueError that names the file and the episode for anything malformed, FileNotFoundError when there is no such split.
    """
    path = split_file(folder, split)
    if not path.exists():
        make = f"make one with `nvila-edge data houses --out {folder} --split {split}`"
        raise FileNotFoundError(f"no split {split!r} in {folder}: expected {path}; {make}")
    content = _read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("episodes"), list):
        raise ValueError(f'{path}: expected an object with a list "episodes" (R2R_VLNCE layout)')
    words = content.get("instruction_vocab", {}).get("word_list", ["<pad>", "<unk>"])
    episodes = tuple(_episode(entry, f"{path}, episode number {number}") for number, entry in enumerate(content["episodes"]))
    _require_unique(path, [episode.episode_id for episode in episodes])
    truth_path = split_file(folder, split, ground_truth=True)
    truth = _load_ground_truth(truth_path) if truth_path.exists() else {}
    return Dataset(split, episodes, truth, tuple(words))


def save_split(folder: Path | str, dataset: Dataset, nested: bool = True) -> Path:
    """Write both files into `folder/split/`, or `folder` itself when not nested; returns the episode file. Same dataset, same bytes."""
    target = Path(folder) / dataset.split if nested else Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    content = {"episodes": [_episode_entry(e) for e in dataset.episodes], "instruction_vocab": _vocabulary_entry(dataset.vocabulary)}
    path = target / f"{dataset.split}.json.gz"
    _write_json(path, content)
    truth = {
        episode_id: {"actions": list(gt.actions), "forward_steps": gt.forward_steps, "locations": [list(p) for p in gt.locations]}
        for episode_id, gt in dataset.ground_truth.items()
    }
    _write_json(target / f"{dataset.split}_gt.json.gz", truth)
    return path


def _episode(entry: Any, where: str) -> Episode:
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected an object, found {type(entry).__name__}")
    where = f"{where} (episode_id {entry.get('episode_id', '?')})"
    try:
        rotation = tuple(float(v) for v in entry["start_rotation"])
        yaw_of(rotation)  # pyright: ignore[reportArgumentType]
        instruction = entry["instruction"]
        return Episode(
            episode_id=_identifier(entry["episode_id"]),
            trajectory_id=str(entry.get("trajectory_id", entry["episode_id"])),
            scene_id=_text(entry["scene_id"], "scene_id").removeprefix("data/scene_datasets/"),
            start_position=_point(entry["start_position"], "start_position"),
            start_rotation=rotation,  # pyright: ignore[reportArgumentType]
            goals=tuple(_point(goal["position"], "goals") for goal in entry.get("goals") or ()),
            reference_path=tuple(_point(p, "reference_path") for p in entry.get("reference_path") or ()),
            instruction=_text(instruction["instruction_text"], "instruction_text"),
            geodesic_distance_m=float((entry.get("info") or {}).get("geodesic_distance", math.nan)),
            tokens=tuple(int(t) for t in instruction.get("instruction_tokens") or ()),
        )
    except KeyError as error:
        raise ValueError(f"{where}: field {error} is missing") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{where}: {error}") from None


def _identifier(value: Any) -> str:
    """An episode id, which also names its files."""
    if not _IDENTIFIER.fullmatch(str(value)):
        raise ValueError(f"episode_id {value!r} is not usable; allowed are 1 to 64 letters, digits, - and _")
    return str(value)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} {value!r} is not a non-empty text")
    return value


def _point(value: Any, name: str) -> Point:
    point = tuple(float(v) for v in value)
    if len(point) != 3 or not all(math.isfinite(v) for v in point):
        raise ValueError(f"{name} {value!r} is not a finite point [x, y, z]")
    return point


def _require_unique(path: Path, ids: list[str]) -> None:
    seen: set[str] = set()
    for episode_id in ids:
        if episode_id in seen:
            raise ValueError(f"{path}: episode_id {episode_id} occurs twice; ids must be unique in a split")
        seen.add(episode_id)


def _load_ground_truth(path: Path) -> dict[str, GroundTruth]:
    content = _read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected an object keyed by episode id")
    truth = {}
    for episode_id, entry in content.items():
        where = f"{path}, episode_id {episode_id}"
        try:
            actions = tuple(int(a) for a in entry["actions"])
            locations = tuple(_point(p, "locations") for p in entry["locations"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{where}: {error}") from None
        unknown = sorted(set(actions) - set(ACTION_IDS))
        if unknown:
            raise ValueError(f"{where}: actions {unknown} are unknown; allowed are {list(ACTION_IDS)}")
        truth[str(episode_id)] = GroundTruth(actions, locations)
    return truth


def _episode_entry(episode: Episode) -> dict[str, Any]:
    return {
        "episode_id": _number_or_text(episode.episode_id),
        "trajectory_id": _number_or_text(episode.trajectory_id),
        "scene_id": episode.scene_id,
        "start_position": list(episode.start_position),
        "start_rotation": list(episode.start_rotation),
        "info": {"geodesic_distance": episode.geodesic_distance_m} if math.isfinite(episode.geodesic_distance_m) else {},
        "goals": [{"position": list(goal), "radius": GOAL_RADIUS_M} for goal in episode.goals],
        "instruction": {"instruction_text": episode.instruction, "instruction_tokens": list(episode.tokens)},
        "reference_path": [list(p) for p in episode.reference_path],
    }


def _number_or_text(identifier: str) -> int | str:
    return int(identifier) if identifier.isdecimal() and str(int(identifier)) == identifier else identifier


def _vocabulary_entry(words: Sequence[str]) -> dict[str, Any]:
    index = {word: number for number, word in enumerate(words)}
    return {
        "word_list": list(words), "word2idx_dict": index, "itos": list(words), "stoi": index, "num_vocab": len(words),
        "UNK_INDEX": UNK_INDEX, "PAD_INDEX": PAD_INDEX,
    }  # fmt: skip


def _read_json(path: Path) -> Any:
    try:
        return json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{path}: not readable as gzip JSON ({error}); download or generate it again") from None


def _write_json(path: Path, content: Any) -> None:
    """Written beside and renamed, so that a full disk leaves no half file; no time stamp, so that the bytes depend on the content only."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as stream:
        stream.write(json.dumps(content, separators=(",", ":"), allow_nan=False).encode())
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(buffer.getvalue())
    partial.replace(path)
