"""Files of episodes: R2R_VLNCE v1-1 to v1-3 (`{split}/{split}.json.gz`), RxR_VLNCE_v0 (`{split}/{split}_{role}.json.gz`), and the ground
truth beside them (`.._gt.json.gz`). Layout: the dataset page of the VLN-CE project, and jacobkrantz/VLN-CE's loaders."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sim.episode import PAD_INDEX, ROLES, UNK_INDEX, Dataset, Episode, Fault, GroundTruth, Point, Speech, TimedWord, encode
from sim.episode_entries import episode_entry, read_episode, read_truth, text_of, vocabulary_entry

__all__ = [
    "ALL", "PAD_INDEX", "UNK_INDEX", "Choice", "Dataset", "Episode", "Fault", "GroundTruth", "Point", "Speech", "TimedWord", "encode",
    "load_split", "load_usable", "save_split", "split_file",
]  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """Which part of a split: `role` "guide" or "follower" in RxR, "" in R2R; `languages` such as ("en-US", "en-IN"), () for all."""

    role: str = ""
    languages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.role not in ("", *ROLES):
            raise ValueError(f"role {self.role!r} is unknown; allowed are {' and '.join(ROLES)} (RxR), or none (R2R)")


ALL = Choice()


def split_file(folder: Path | str, split: str, ground_truth: bool = False, role: str = "") -> Path:
    """Where a split's file lies: `folder/split/split.json.gz`, or directly in `folder` when only that exists; RxR's names end in the role."""
    name = f"{split}{role and '_' + role}{'_gt' * ground_truth}.json.gz"
    nested, flat = Path(folder) / split / name, Path(folder) / name
    return flat if flat.exists() and not nested.exists() else nested


def load_split(folder: Path | str, split: str, choice: Choice = ALL) -> Dataset:
    """Read a split. The ground truth is optional (R2R's minimal download lacks it).

    Raises ValueError that names the file and the episode for anything malformed, FileNotFoundError when there is no such split.
    """
    dataset = load_usable(folder, split, choice)
    for fault in dataset.faults + dataset.truth_faults:
        raise ValueError(f"{split_file(folder, split, role=choice.role).parent}/{fault.reason}")
    return dataset


def load_usable(folder: Path | str, split: str, choice: Choice = ALL) -> Dataset:
    """Read what can be used of a split; every other entry is one of its `faults`. An id that occurs again is a fault, the first one counts.

    Raises ValueError for a file that is none, or that has nothing in the languages chosen; FileNotFoundError when there is no such split.
    """
    path = _existing(folder, split, choice.role)
    content = _read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("episodes"), list):
        raise ValueError(f'{path}: expected an object with a list "episodes" (R2R_VLNCE or RxR_VLNCE layout)')
    entries = [(number, entry) for number, entry in enumerate(content["episodes"]) if _chosen(entry, choice.languages)]
    if not entries and content["episodes"]:
        known = sorted({language for language in map(_language, content["episodes"]) if language})
        raise ValueError(f"{path}: no episode in {', '.join(choice.languages)}; its languages are {', '.join(known) or 'not given (R2R)'}")
    episodes, faults = _episodes(path.name, entries)
    truth_path = split_file(folder, split, ground_truth=True, role=choice.role)
    truth, truth_faults = _ground_truth(truth_path) if truth_path.exists() else ({}, [])
    return Dataset(split, tuple(episodes), truth, _words(path, content.get("instruction_vocab")), tuple(faults), tuple(truth_faults))


def _words(path: Path, vocabulary: Any) -> tuple[str, ...]:
    """The words of `instruction_vocab`; RxR has none. Raises ValueError for one that is no vocabulary."""
    words = {} if vocabulary is None else vocabulary
    words = words.get("word_list", ["<pad>", "<unk>"]) if isinstance(words, dict) else None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f'{path}: instruction_vocab is {vocabulary!r:.60}; expected an object with a list of words "word_list"')
    return tuple(words)


def said_by_hand(dataset: Dataset, folder: Path) -> Dataset:
    """The episodes that people have said in words of their own, with those: SPLIT_by_hand.json in `folder` maps episode ids to instructions.

    Raises FileNotFoundError without that file, ValueError when it is no such map or names an episode that there is not.
    """
    path = folder / f"{dataset.split}_by_hand.json"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: nobody has said the instructions of {dataset.split} by hand; take --instructions own")
    try:
        texts = {str(key): text_of(text, "instruction") for key, text in json.loads(path.read_bytes()).items()}
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path}: expected an object of instructions by episode id ({error})") from None
    if unknown := sorted(texts.keys() - {episode.episode_id for episode in dataset.episodes}):
        raise ValueError(f"{path}: no episode {', '.join(unknown[:5])} in {dataset.split}")
    said = (replace(episode, instruction=texts[episode.episode_id]) for episode in dataset.episodes if episode.episode_id in texts)
    return replace(dataset, episodes=tuple(said))


def _existing(folder: Path | str, split: str, role: str) -> Path:
    path = split_file(folder, split, role=role)
    if path.exists():
        return path
    there = [other for other in ("", *ROLES) if split_file(folder, split, role=other).exists()]
    if there:
        mend = " or ".join(f"--role {other}" if other else "no --role" for other in there)
        raise FileNotFoundError(f"no {path}, but files of the other dataset: choose {mend}")
    make = f"make one with `nvila-edge data houses --out {folder} --split {split}`"
    raise FileNotFoundError(f"no split {split!r} in {folder}: expected {path}; {make}")


def save_split(folder: Path | str, dataset: Dataset, nested: bool = True) -> Path:
    """Write both files into `folder/split/`, or `folder` itself when not nested; returns the episode file. Same dataset, same bytes.

    Episodes with a role in their speech are written as RxR has them.
    """
    target = Path(folder) / dataset.split if nested else Path(folder)
    role = next((f"_{episode.speech.role}" for episode in dataset.episodes if episode.speech and episode.speech.role), "")
    target.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"episodes": [episode_entry(e) for e in dataset.episodes]}
    if not role:  # RxR has no vocabulary
        content["instruction_vocab"] = vocabulary_entry(dataset.vocabulary)
    path = target / f"{dataset.split}{role}.json.gz"
    _write_json(path, content)
    truth = {
        episode_id: {"actions": list(gt.actions), "forward_steps": gt.forward_steps, "locations": [list(p) for p in gt.locations]}
        for episode_id, gt in dataset.ground_truth.items()
    }
    _write_json(target / f"{dataset.split}{role}_gt.json.gz", truth)
    return path


def _chosen(entry: Any, languages: Sequence[str]) -> bool:
    """Whether an entry is asked for; one whose language cannot be told is, so that it is named as a fault."""
    return not languages or _language(entry) in (*languages, "")


def _language(entry: Any) -> str:
    instruction = entry.get("instruction") if isinstance(entry, dict) else None
    return str(instruction.get("language", "")) if isinstance(instruction, dict) else ""


def _episodes(name: str, entries: Sequence[tuple[int, Any]]) -> tuple[list[Episode], list[Fault]]:
    """The usable episodes, and a fault for every other entry (number in the file, content)."""
    found: dict[str, Episode] = {}
    faults = []
    for number, entry in entries:
        told = entry.get("episode_id") if isinstance(entry, dict) else None
        episode_id = f"#{number}" if told is None else str(told)
        try:
            if episode_id in found:
                raise ValueError(f'episode_id {episode_id} occurs twice; ids must be unique in a split, and 5 is the same as "5"')
            episode = read_episode(entry)
            found[episode.episode_id] = episode
        except ValueError as error:
            faults.append(Fault(episode_id, f"{name}, episode number {number} (episode_id {episode_id}): {error}"))
    return list(found.values()), faults


def _ground_truth(path: Path) -> tuple[dict[str, GroundTruth], list[Fault]]:
    content = _read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected an object keyed by episode id")
    truth, faults = {}, []
    for episode_id, entry in content.items():
        try:
            truth[str(episode_id)] = read_truth(entry)
        except (KeyError, TypeError, ValueError) as error:
            faults.append(Fault(str(episode_id), f"{path.name}, episode_id {episode_id}: {error}"))
    return truth, faults


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
