"""Reads the NaVILA-Dataset layout: `annotations.json` (a list, or JSON lines) with {video_id, q, a, frames} beside a folder of frames.

R2R, RxR and Human have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from nvila_edge.training.json_records import NotJson, records
from nvila_edge.training.layouts import ANNOTATIONS, FRAME_FOLDERS
from nvila_edge.training.recorded import PictureFile, Recorded, RecordedError


class NavilaSamples:
    """The samples of one folder. Frames lie in `frames` (by default the one of FRAME_FOLDERS that is there)."""

    def __init__(self, folder: Path | str, frames: str | None = None) -> None:
        """Raises RecordedError for a file that cannot be read, or when no folder of frames is there."""
        self.path = Path(folder) / ANNOTATIONS
        try:
            self._entries = list(records(self.path))
        except ValueError as error:
            raise RecordedError(str(error)) from None
        there = [name for name in ([frames] if frames else FRAME_FOLDERS) if (Path(folder) / name).is_dir()]
        if not there:
            raise RecordedError(f"{folder} has no folder of frames; expected {frames or ', '.join(FRAME_FOLDERS)}")
        self.frames = Path(folder) / there[0]
        self._pictures: dict[str, PictureFile] = {}  # a frame is in all later samples of its episode

    def __len__(self) -> int:
        """How many samples."""
        return len(self._entries)

    def __iter__(self) -> Iterator[Recorded]:
        """All samples in the file's order."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Recorded:
        """One sample; frames are opened when they are asked for. Raises RecordedError that names the file, the sample and the field."""
        number, entry = self._entries[index]
        name = f"{self.path}, sample {number}"
        if not isinstance(entry, dict):
            raise RecordedError(f"{name}: {entry if isinstance(entry, NotJson) else f'expected an object, found {type(entry).__name__}'}")
        name += f" (video_id {entry.get('video_id', '?')})"
        frames = entry.get("frames")
        if not isinstance(frames, list) or not frames:
            raise RecordedError(
                f"{name}: frames {frames!r} are no list of file names; parts without frames, such as EnvDrop, must be rendered"
            )
        return Recorded(name, _text(entry, "q", name), tuple(self._frame(frame, name) for frame in frames), _text(entry, "a", name))

    def _frame(self, value: Any, name: str) -> PictureFile:
        if isinstance(value, str) and value in self._pictures:
            return self._pictures[value]
        inside = PurePosixPath(value) if isinstance(value, str) else None
        if inside is None or inside.is_absolute() or ".." in inside.parts:
            raise RecordedError(f"{name}: frame {value!r} is no path inside {self.frames}")
        return self._pictures.setdefault(value, PictureFile(self.frames / inside))


def _text(entry: dict[str, Any], key: str, name: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise RecordedError(f"{name}: field {key!r} is {value!r}; expected a text")
    return value
