"""Entries of R2R_VLNCE's and RxR_VLNCE's files: one episode or one ground truth as JSON has it, read with its mistakes named, and written."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from sim.episode import PAD_INDEX, UNK_INDEX, Episode, GroundTruth, Point, Speech, TimedWord
from sim.geometry import yaw_of

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")
GOAL_RADIUS_M = 3.0  # R2R_VLNCE: written in every goal; no metric reads it
ACTION_IDS = (0, 1, 2, 3)  # stop, forward, left, right


def read_episode(entry: Any) -> Episode:
    """An episode of its entry. Raises ValueError that names the field for anything malformed."""
    if not isinstance(entry, dict):
        raise ValueError(f"expected an object, found {type(entry).__name__}")
    try:
        rotation = tuple(float(v) for v in entry["start_rotation"])
        yaw_of(rotation)  # pyright: ignore[reportArgumentType]
        instruction, info = entry["instruction"], entry.get("info") or {}
        return Episode(
            episode_id=_identifier(entry["episode_id"]),
            trajectory_id=str(entry.get("trajectory_id", entry["episode_id"])),
            scene_id=text_of(entry["scene_id"], "scene_id").removeprefix("data/scene_datasets/"),
            start_position=_point(entry["start_position"], "start_position"),
            start_rotation=rotation,  # pyright: ignore[reportArgumentType]
            goals=tuple(_point(goal["position"], "goals") for goal in entry.get("goals") or ()),
            reference_path=tuple(_point(p, "reference_path") for p in entry.get("reference_path") or ()),
            instruction=text_of(instruction["instruction_text"], "instruction_text"),
            geodesic_distance_m=float(info.get("geodesic_distance", math.nan)),
            tokens=tuple(int(t) for t in instruction.get("instruction_tokens") or ()),
            speech=_speech(instruction, str(info.get("role", ""))),
        )
    except KeyError as error:
        raise ValueError(f"field {error} is missing") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(str(error)) from None


def _speech(instruction: dict[str, Any], role: str) -> Speech | None:
    """RxR's part of an instruction; None for R2R's."""
    if "language" not in instruction:
        return None
    distance = instruction.get("edit_distance")
    words = tuple(
        TimedWord(str(word.get("word", "")), _seconds(word.get("start_time")), _seconds(word.get("end_time")))
        for word in instruction.get("timed_instruction") or ()
    )
    language, instruction_id, annotator_id = (str(instruction.get(key) or "") for key in ("language", "instruction_id", "annotator_id"))
    return Speech(language, instruction_id, annotator_id, role, None if distance is None else float(distance), words)


def _seconds(value: Any) -> float:
    return math.nan if value is None else float(value)


def _identifier(value: Any) -> str:
    """An episode id, which also names its files."""
    if not _IDENTIFIER.fullmatch(str(value)):
        raise ValueError(f"episode_id {value!r} is not usable; allowed are 1 to 64 letters, digits, - and _")
    return str(value)


def text_of(value: Any, name: str) -> str:
    """The value of field `name`. Raises ValueError unless it is a text that says something."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} {value!r} is not a non-empty text")
    return value


def _point(value: Any, name: str) -> Point:
    point = tuple(float(v) for v in value)
    if len(point) != 3 or not all(math.isfinite(v) for v in point):
        raise ValueError(f"{name} {value!r} is not a finite point [x, y, z]")
    return point


def read_truth(entry: Any) -> GroundTruth:
    """A ground truth of its entry. Raises ValueError, TypeError or KeyError for anything malformed."""
    actions = tuple(int(a) for a in entry["actions"])
    locations = tuple(_point(p, "locations") for p in entry["locations"])
    unknown = sorted(set(actions) - set(ACTION_IDS))
    if unknown:
        raise ValueError(f"actions {unknown} are unknown; allowed are {list(ACTION_IDS)}")
    if not locations:
        raise ValueError("locations are empty; the start is the least")
    return GroundTruth(actions, locations)


def episode_entry(episode: Episode) -> dict[str, Any]:
    """What `read_episode` reads; with a speech as RxR has it."""
    instruction: dict[str, Any] = {"instruction_text": episode.instruction, "instruction_tokens": list(episode.tokens)}
    info: dict[str, Any] = {"geodesic_distance": episode.geodesic_distance_m} if math.isfinite(episode.geodesic_distance_m) else {}
    if episode.speech is not None:
        instruction |= _speech_entry(episode.speech)
        info |= {"role": episode.speech.role} if episode.speech.role else {}
    return {
        "episode_id": _number_or_text(episode.episode_id),
        "trajectory_id": _number_or_text(episode.trajectory_id),
        "scene_id": episode.scene_id,
        "start_position": list(episode.start_position),
        "start_rotation": list(episode.start_rotation),
        "info": info,
        "goals": [{"position": list(goal), "radius": GOAL_RADIUS_M} for goal in episode.goals],
        "instruction": instruction,
        "reference_path": [list(p) for p in episode.reference_path],
    }


def _speech_entry(speech: Speech) -> dict[str, Any]:
    words = [{"word": word.word, "start_time": _finite(word.start_s), "end_time": _finite(word.end_s)} for word in speech.words]
    return {
        "instruction_id": speech.instruction_id, "language": speech.language, "annotator_id": speech.annotator_id,
        "edit_distance": speech.edit_distance, "timed_instruction": words,
    }  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number_or_text(identifier: str) -> int | str:
    return int(identifier) if identifier.isdecimal() and str(int(identifier)) == identifier else identifier


def vocabulary_entry(words: Sequence[str]) -> dict[str, Any]:
    """R2R's table of words, as VLN-CE's loader needs it."""
    index = {word: number for number, word in enumerate(words)}
    return {
        "word_list": list(words), "word2idx_dict": index, "itos": list(words), "stoi": index, "num_vocab": len(words),
        "UNK_INDEX": UNK_INDEX, "PAD_INDEX": PAD_INDEX,
    }  # fmt: skip
