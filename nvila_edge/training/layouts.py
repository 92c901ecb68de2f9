"""The layouts of recorded roll-outs that can be trained on: their names, and which one a folder has. Loads neither until it is opened."""

from __future__ import annotations

from pathlib import Path

from nvila_edge.training.recorded import RecordedError, RecordedSet

# NaVILA-Dataset
ANNOTATIONS = "annotations.json"
FRAME_FOLDERS = ("train", "val_seen", "val_unseen", "raw_frames")  # R2R and RxR have train, Human raw_frames
# LeRobot v3.0
VERSION = "v3.0"
INFO, TASKS = "meta/info.json", "meta/tasks.parquet"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
EPISODES = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
CAMERA, ANSWER, COPIES = "observation.images.front", "answer", "copies"  # features; the last two are ours


def open_samples(folder: Path | str) -> RecordedSet:
    """The data set in a folder, in whichever layout it is. Raises RecordedError when it is in none that is known, or not usable."""
    if (Path(folder) / INFO).exists():
        from nvila_edge.training.lerobot_layout import LeRobotSamples

        return LeRobotSamples(folder)
    if (Path(folder) / ANNOTATIONS).exists():
        from nvila_edge.training.navila_layout import NavilaSamples

        return NavilaSamples(folder)
    raise RecordedError(
        f"{folder} has neither {ANNOTATIONS} (NaVILA-Dataset) nor {INFO} (LeRobot); make one with `nvila-edge data collect --out {folder}`"
    )
