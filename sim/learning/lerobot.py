"""LeRobot's dataset format v3.0: a row per frame in Parquet, images inside, episodes and tasks as tables, info and statistics as JSON.

Public facts: huggingface/lerobot, docs/source/lerobot-dataset-v3.mdx and src/lerobot/datasets/{utils,io_utils,dataset_metadata}.py. One data file
per house, one row group per episode, so that a reader fetches an episode at a time. Needs pyarrow (extra `lerobot`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nvila_edge.serving.jpeg import decode_jpeg, jpeg_size
from nvila_edge.training.layouts import ANSWER, CAMERA, COPIES, DATA_PATH, EPISODES, INFO, TASKS, VERSION
from sim.learning.recording import FRAME_NAME, Rollout
from sim.results import write_json

FPS = 1  # nominal: a frame per primitive, and primitives have no duration
FILES_PER_CHUNK = 1000  # LeRobot's default, as are the two sizes in info.json
STATS = "meta/stats.json"
_SEEN = 8  # frames per episode that image statistics are measured on
_NUMBERS: dict[str, tuple[str, int, list[str] | None]] = {  # feature -> dtype, length, names
    "observation.state": ("float32", 4, ["x_m", "y_m", "z_m", "yaw_rad"]),
    "action": ("int64", 1, ["primitive"]),  # 0 stop, 1 forward 25 cm, 2 left 15 degrees, 3 right 15 degrees
    ANSWER: ("int64", 1, ["index"]),  # in SENTENCES; -1 where nothing was decided
    COPIES: ("int64", 1, ["count"]),  # how often the sample counts after balancing
    "timestamp": ("float32", 1, None),
    "frame_index": ("int64", 1, None),
    "episode_index": ("int64", 1, None),
    "index": ("int64", 1, None),
    "task_index": ("int64", 1, None),
}
Stats = dict[str, dict[str, np.ndarray]]


def write_lerobot(
    out: Path, split: str, frames: Path, houses: Iterable[tuple[Sequence[Rollout], Sequence[np.ndarray]]], robot: str = "simulated"
) -> None:
    """Write the dataset to `out`: `frames`/ID/ has the JPEGs, `houses` are roll-outs with the copies [decisions] of each.

    Every file is whole or not there, and info.json comes last: without it there is no dataset. Raises OSError.
    """
    tasks: dict[str, int] = {}
    episodes: list[dict[str, Any]] = []
    totals: list[Stats] = []
    size, rows = (0, 0), 0
    for number, (rollouts, copies) in enumerate(houses):
        chunk, file = divmod(number, FILES_PER_CHUNK)
        with _writing(out / DATA_PATH.format(chunk_index=chunk, file_index=file), _schema()) as writer:
            for rollout, counts in zip(rollouts, copies, strict=True):
                images = [(frames / rollout.video_id / FRAME_NAME.format(i)).read_bytes() for i in range(len(rollout.primitives))]
                task = tasks.setdefault(rollout.instruction, len(tasks))
                columns = _columns(rollout, counts, len(episodes), rows, task)
                writer.write_table(_table(columns, images))
                totals.append(_statistics(columns, images))
                place = {
                    "data/chunk_index": chunk,
                    "data/file_index": file,
                    "dataset_from_index": rows,
                    "dataset_to_index": rows + len(images),
                }
                episodes.append(_episode(len(episodes), rollout, place, totals[-1]))
                size, rows = jpeg_size(images[0]), rows + len(images)
    _write_table(out / EPISODES.format(chunk_index=0, file_index=0), pa.Table.from_pylist(episodes))
    _write_table(out / TASKS, _tasks(tasks))
    write_json(out / STATS, _pooled(totals))
    write_json(out / INFO, _info(size, len(episodes), rows, len(tasks), split, robot))


def _schema() -> pa.Schema:
    numbers = [
        (name, pa.type_for_alias(kind) if length == 1 else pa.list_(pa.type_for_alias(kind), length))
        for name, (kind, length, _) in _NUMBERS.items()
    ]
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])  # how Hugging Face datasets keep images
    return pa.schema([(CAMERA, image), *numbers])


def _columns(rollout: Rollout, copies: np.ndarray, episode: int, first: int, task: int) -> dict[str, np.ndarray]:
    """One array [n] (or [n, length]) per feature."""
    count = len(rollout.primitives)
    answers, repeats = np.full(count, -1), np.zeros(count)
    for (frame, label, _), copy in zip(rollout.decisions, copies, strict=True):
        answers[frame], repeats[frame] = label, copy
    steps = np.arange(count)
    values = (
        rollout.poses,
        rollout.primitives,
        answers,
        repeats,
        steps / FPS,
        steps,
        np.full(count, episode),
        first + steps,
        np.full(count, task),
    )
    return {name: np.asarray(value, kind) for (name, (kind, _, _)), value in zip(_NUMBERS.items(), values, strict=True)}


def _table(columns: dict[str, np.ndarray], images: Sequence[bytes]) -> pa.Table:
    schema = _schema()
    arrays = [pa.array([{"bytes": data, "path": None} for data in images], schema.field(CAMERA).type)]
    arrays += [pa.array(column.tolist(), schema.field(name).type) for name, column in columns.items()]
    return pa.Table.from_arrays(arrays, schema=schema)


def _statistics(columns: dict[str, np.ndarray], images: Sequence[bytes]) -> Stats:
    """min, max, mean, std [length] and count [1] of every feature; of the camera per channel [3, 1, 1] in 0..1, as LeRobot has them."""
    stats = {name: _moments(column.reshape(len(column), -1).astype(np.float64)) for name, column in columns.items()}
    chosen = np.unique(np.linspace(0, len(images) - 1, min(_SEEN, len(images))).astype(int))
    pixels = np.concatenate([decode_jpeg(images[index]).reshape(-1, 3) for index in chosen]) / 255.0
    camera = {name: value if name == "count" else value[:, None, None] for name, value in _moments(pixels).items()}
    return {CAMERA: camera | {"count": np.array([len(chosen)])}, **stats}


def _moments(values: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "min": values.min(0), "max": values.max(0), "mean": values.mean(0), "std": values.std(0), "count": np.array([len(values)]),
    }  # fmt: skip


def _pooled(parts: Sequence[Stats]) -> Stats:
    """The statistics of all episodes together."""
    pooled: Stats = {}
    for name in parts[0] if parts else ():
        each = [part[name] for part in parts]
        counts = np.array([float(stats["count"][0]) for stats in each])
        means, squares = np.stack([s["mean"] for s in each]), np.stack([s["std"] ** 2 + s["mean"] ** 2 for s in each])
        mean, square = np.average(means, axis=0, weights=counts), np.average(squares, axis=0, weights=counts)
        pooled[name] = {
            "min": np.min([s["min"] for s in each], axis=0), "max": np.max([s["max"] for s in each], axis=0), "mean": mean,
            "std": np.sqrt(np.maximum(0.0, square - mean**2)), "count": np.array([int(counts.sum())]),
        }  # fmt: skip
    return pooled


def _episode(index: int, rollout: Rollout, place: dict[str, int], stats: Stats) -> dict[str, Any]:
    told = {
        "episode_index": index, "tasks": [rollout.instruction], "length": len(rollout.primitives), **place,
        "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0,
        "video_id": rollout.video_id, "scene_id": rollout.scene_id, "success": rollout.success, "ended": rollout.ended,
    }  # fmt: skip
    return told | {f"stats/{name}/{key}": value.tolist() for name, each in stats.items() for key, value in each.items()}


def _tasks(tasks: dict[str, int]) -> pa.Table:
    """Instructions as the index of a pandas table with the column task_index: LeRobot looks them up by row."""
    table = pa.table({"task_index": pa.array(list(tasks.values()), pa.int64()), "task": pa.array(list(tasks), pa.string())})
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy, "metadata": None}
        for name, kind, numpy in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ]
    pandas = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    return table.replace_schema_metadata({b"pandas": json.dumps(pandas).encode()})


def _info(size: tuple[int, int], episodes: int, frames: int, tasks: int, split: str, robot: str) -> dict[str, Any]:
    features: dict[str, Any] = {CAMERA: {"dtype": "image", "shape": [*size, 3], "names": ["height", "width", "channels"]}}
    features |= {name: {"dtype": kind, "shape": [length], "names": names} for name, (kind, length, names) in _NUMBERS.items()}
    return {
        "codebase_version": VERSION, "robot_type": robot, "total_episodes": episodes, "total_frames": frames, "total_tasks": tasks,
        "chunks_size": FILES_PER_CHUNK, "data_files_size_in_mb": 100, "video_files_size_in_mb": 200, "fps": FPS,
        "splits": {split: f"0:{episodes}"}, "data_path": DATA_PATH, "video_path": None, "features": features,
    }  # fmt: skip


@contextmanager
def _writing(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """A Parquet file that is there when it is whole; a row group per table written to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with pq.ParquetWriter(part, schema, compression="snappy") as writer:
        yield writer
    part.replace(path)


def _write_table(path: Path, table: pa.Table) -> None:
    with _writing(path, table.schema) as writer:
        writer.write_table(table)
