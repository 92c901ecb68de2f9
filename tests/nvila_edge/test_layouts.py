"""Learning sets that are damaged, or not what they say, are named with file and sample."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nvila_edge.navigation.actions import SENTENCES
from nvila_edge.training.layouts import ANSWER, CAMERA, COPIES, INFO, open_samples
from nvila_edge.training.navila_layout import NavilaSamples
from nvila_edge.training.recorded import RecordedError

GOOD = {"video_id": "7", "q": "Go to the sofa.", "a": SENTENCES[3], "frames": ["7/frame_0.jpg", "7/frame_1.jpg"]}


def navila(folder: Path, entries: Any, frames: str = "train") -> Path:
    """A set in NaVILA's layout with two frames, as another program would write it."""
    (folder / frames / "7").mkdir(parents=True)
    for number in range(2):
        Image.fromarray(np.full((8, 10, 3), 100 * number, np.uint8)).save(folder / frames / "7" / f"frame_{number}.jpg")
    (folder / "annotations.json").write_text(json.dumps(entries))
    return folder


@pytest.mark.parametrize("frames", ["train", "raw_frames"])
def test_the_published_layout_is_read(tmp_path: Path, frames: str) -> None:
    (sample,) = open_samples(navila(tmp_path, [GOOD], frames))
    assert (sample.text, sample.answer, len(sample.frames)) == ("Go to the sofa.", "The next action is move forward 75 cm.", 2)
    assert sample.frames[1].rgb().shape == (8, 10, 3) and abs(int(sample.frames[1].rgb()[0, 0, 0]) - 100) <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": " "}, "'q' is ' '"), ({"a": None}, "'a' is None"), ({"frames": []}, "no list of file names"), ({"frames": "7"}, "no list of file"),
        ({"frames": ["../secret.jpg"]}, "no path inside"), ({"frames": ["/etc/passwd"]}, "no path inside"), ({"frames": [3]}, "frame 3"),
    ],
)  # fmt: skip
def test_bad_samples_are_named_with_file_and_number(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    samples = open_samples(navila(tmp_path, [GOOD, GOOD | change]))
    assert samples[0].answer == SENTENCES[3]
    with pytest.raises(RecordedError, match=rf"annotations\.json, sample 1 \(video_id 7\): .*{message}"):
        samples[1]


def test_a_frame_that_is_missing_or_no_picture_is_named(tmp_path: Path) -> None:
    folder = navila(tmp_path, [GOOD | {"frames": ["7/frame_9.jpg", "7/note.jpg"]}])
    (folder / "train/7/note.jpg").write_text("hello")
    for picture, name in zip(open_samples(folder)[0].frames, ("frame_9", "note"), strict=True):
        with pytest.raises(RecordedError, match=rf"{name}\.jpg: not readable"):
            picture.rgb()


def test_folders_without_a_usable_set_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(RecordedError, match="neither annotations.json .* nor meta/info.json"):
        open_samples(tmp_path)
    (tmp_path / "annotations.json").write_text("[")
    with pytest.raises(RecordedError, match=r"annotations\.json cannot be read"):
        open_samples(tmp_path)
    (tmp_path / "annotations.json").write_text("[]")
    with pytest.raises(RecordedError, match="no folder of frames; expected elsewhere"):
        NavilaSamples(tmp_path, "elsewhere")


FEATURES = {CAMERA: {"dtype": "image"}, ANSWER: {}, COPIES: {}}


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"codebase_version": "v2.1", "features": FEATURES}, "format v2.1; this reads v3.0"),
        ({"codebase_version": "v3.0", "features": {CAMERA: {"dtype": "image"}}}, "no feature answer, copies"),
        ({"codebase_version": "v3.0", "features": FEATURES | {CAMERA: {"dtype": "video"}}}, "kept as 'video'"),
        ({"features": {}}, "codebase_version"),
        ({"codebase_version": "v3.0", "features": FEATURES}, "tasks.parquet: not readable"),
    ],
)
def test_lerobot_sets_that_cannot_be_used_say_why(tmp_path: Path, info: dict[str, Any], message: str) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / INFO).parent.mkdir()
    (tmp_path / INFO).write_text(json.dumps(info))
    with pytest.raises(RecordedError, match=message):
        open_samples(tmp_path)


def test_damaged_parquet_and_answers_that_are_none_are_named(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    (tmp_path / "meta").mkdir()
    (tmp_path / INFO).write_text(json.dumps({"codebase_version": "v3.0", "features": FEATURES}))
    pq.write_table(pa.table({"task": ["go"], "task_index": [0]}), tmp_path / "meta/tasks.parquet")
    data = tmp_path / "data/chunk-000/file-000.parquet"
    data.parent.mkdir(parents=True)
    cells = pa.array([{"bytes": b"no picture", "path": None}] * 3)
    columns = {"episode_index": [0] * 3, "task_index": [0, 0, 5], ANSWER: [3, 12, 0], COPIES: [1, 1, 1]}
    pq.write_table(pa.table({CAMERA: cells, **columns}), data)
    samples = open_samples(tmp_path)
    assert len(samples) == 3 and samples[0].answer == SENTENCES[3]
    with pytest.raises(RecordedError, match=r"file-000\.parquet, row group 0, row 0: not readable as a picture"):
        samples[0].frames[0].rgb()
    with pytest.raises(RecordedError, match=r"sample 1 \(episode 0, frame 1\): answer 12 is none of the 10 sentences"):
        samples[1]
    with pytest.raises(RecordedError, match=r"sample 2 .*task_index 5 is not in"):
        samples[2]
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(RecordedError, match=r"file-000\.parquet: not readable as Parquet"):
        open_samples(tmp_path)
