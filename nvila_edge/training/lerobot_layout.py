"""Reads LeRobot datasets (v3.0) as `nvila-edge data collect` writes them: images in Parquet, answers by index in a column of their own.

Needs pyarrow (extra `lerobot`).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from nvila_edge.navigation.actions import SENTENCES
from nvila_edge.training.layouts import ANSWER, CAMERA, COPIES, INFO, TASKS, VERSION
from nvila_edge.training.recorded import Recorded, RecordedError

_CACHED_EPISODES = 16  # of about 60 frames of 10 KB


@dataclass(frozen=True)
class _Decision:
    """Row `frame` of episode `episode` (row group `group` of data file `file`), and the answer there."""

    file: Path
    group: int
    episode: int
    frame: int
    task: int
    answer: int


@dataclass(frozen=True)
class _PictureCell:
    """A frame in a Parquet file."""

    file: Path
    group: int
    row: int

    def rgb(self) -> np.ndarray:
        """uint8 [H, W, 3]. Raises RecordedError that names the file and the row."""
        cell = _pictures(self.file, self.group)[self.row]["bytes"].as_py()
        try:
            with Image.open(io.BytesIO(cell or b"")) as image:
                return np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError) as error:
            raise RecordedError(f"{self.file}, row group {self.group}, row {self.row}: not readable as a picture ({error})") from None


@lru_cache(maxsize=_CACHED_EPISODES)
def _pictures(file: Path, group: int) -> pa.ChunkedArray:
    return _reading(file, lambda: pq.ParquetFile(file).read_row_group(group, columns=[CAMERA]).column(CAMERA))


def _reading(path: Path, read: Any) -> Any:
    try:
        return read()
    except (OSError, pa.ArrowException, KeyError) as error:
        raise RecordedError(f"{path}: not readable as Parquet ({error}); download or collect it again") from None


class LeRobotSamples:
    """The decisions of a dataset, each as often as its column "copies" says."""

    def __init__(self, folder: Path | str) -> None:
        """Reads everything but the pictures. Raises RecordedError that names the file for another version, missing columns and damage."""
        self.folder = Path(folder)
        _check_info(self.folder / INFO)
        tasks = _reading(self.folder / TASKS, lambda: pq.read_table(self.folder / TASKS))
        self._tasks = dict(zip(tasks.column("task_index").to_pylist(), tasks.column("task").to_pylist(), strict=True))
        files = sorted((self.folder / "data").glob("*/*.parquet"))
        if not files:
            raise RecordedError(f"{self.folder} has no data/*/*.parquet; download or collect it again")
        self._decisions = [decision for file in files for decision in _decisions(file)]

    def __len__(self) -> int:
        """How many samples, copies counted."""
        return len(self._decisions)

    def __iter__(self) -> Iterator[Recorded]:
        """All samples, copies one after the other."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Recorded:
        """One sample; pictures are decoded when they are asked for. Raises RecordedError that names the file and the sample."""
        at = self._decisions[index]
        name = f"{at.file}, sample {index} (episode {at.episode}, frame {at.frame})"
        if not 0 <= at.answer < len(SENTENCES):
            raise RecordedError(f"{name}: {ANSWER} {at.answer} is none of the {len(SENTENCES)} sentences")
        if at.task not in self._tasks:
            raise RecordedError(f"{name}: task_index {at.task} is not in {self.folder / TASKS}")
        frames = tuple(_PictureCell(at.file, at.group, row) for row in range(at.frame + 1))
        return Recorded(name, self._tasks[at.task], frames, SENTENCES[at.answer])


def _check_info(path: Path) -> None:
    try:
        info = json.loads(path.read_bytes())
        version, features = str(info["codebase_version"]), info["features"]
        missing = [name for name in (CAMERA, ANSWER, COPIES) if name not in features]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordedError(f"{path}: not readable as LeRobot's info ({error!r}); download or collect it again") from None
    if version != VERSION:
        raise RecordedError(
            f"{path}: format {version}; this reads {VERSION}. LeRobot converts older ones: lerobot.scripts.convert_dataset_v21_to_v30"
        )
    if missing:
        raise RecordedError(f"{path}: no feature {', '.join(missing)}; only datasets of `nvila-edge data collect` have answers")
    if features[CAMERA].get("dtype") != "image":
        raise RecordedError(f"{path}: {CAMERA} is kept as {features[CAMERA].get('dtype')!r}; only images in Parquet are read")


def _decisions(file: Path) -> Iterator[_Decision]:
    """One per copy of every decision; an episode is a row group."""
    columns = ["episode_index", "task_index", ANSWER, COPIES]
    opened = _reading(file, lambda: pq.ParquetFile(file))
    for group in range(opened.num_row_groups):
        table = _reading(file, lambda group=group: opened.read_row_group(group, columns=columns))
        episodes, tasks, answers, copies = (table.column(name).to_pylist() for name in columns)
        if len(set(episodes)) > 1:
            raise RecordedError(
                f"{file}, row group {group}: holds {len(set(episodes))} episodes; expected one, as `nvila-edge data collect` writes"
            )
        for frame, count in enumerate(copies):
            yield from [_Decision(file, group, episodes[frame], frame, tasks[frame], answers[frame])] * count
