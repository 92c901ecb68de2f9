"""Layers that are quantised already, kept beside the bundle that is being made: an export that was killed goes on from there.

A kill, Ctrl-C or a full disk leaves a journal behind; success and other errors remove it. It belongs to one checkpoint, recipe and calibration: for
another key it is begun anew.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from nvila_edge.engines.weights import BlockWeight, Int8Weight, Weight

_KEY = "key"


class Journal:
    """One folder; a file per finished layer, and per part what flows into the layer that comes next."""

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        if not (folder / _KEY).is_file() or (folder / _KEY).read_text() != key:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / _KEY).write_text(key)

    def done(self, part: str) -> int:
        """How many layers of "vision" or "language" are finished, and whole: a torn file (power loss) ends the row."""
        count = next(index for index in range(10**6) if not zipfile.is_zipfile(self._layer(part, index)))
        return count if count and zipfile.is_zipfile(self._flow(part, count)) else 0

    def layer(self, part: str, index: int) -> dict[str, Weight]:
        """A finished layer."""
        with np.load(self._layer(part, index), allow_pickle=False) as content:
            fields: dict[str, dict[str, np.ndarray]] = {}
            for key in content:
                name, field = key.rsplit("|", 1)
                fields.setdefault(name, {})[field] = content[key]
            return {name: _unpacked(found) for name, found in fields.items()}

    def flow(self, part: str) -> list[np.ndarray]:
        """What flows into the layer after the last finished one."""
        with np.load(self._flow(part, self.done(part)), allow_pickle=False) as content:
            return [content[name] for name in sorted(content)]

    def keep(self, part: str, index: int, weights: Mapping[str, Weight], flow: Sequence[np.ndarray]) -> None:
        """Layer `index` is finished, and `flow` is what flows into the next one."""
        self._write(self._flow(part, index + 1), {f"{i:06d}": array for i, array in enumerate(flow)})
        fields = {f"{name}|{field}": value for name, weight in weights.items() for field, value in _packed(weight).items()}
        self._write(self._layer(part, index), fields)
        self._flow(part, index).unlink(missing_ok=True)

    def _flow(self, part: str, index: int) -> Path:
        return self._folder / f"{part}.flow.{index}.npz"

    def _layer(self, part: str, index: int) -> Path:
        return self._folder / f"{part}.{index}.npz"

    @staticmethod
    def _write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
        aside = path.with_suffix(".partial")
        with aside.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        aside.rename(path)


@contextmanager
def journal(out: Path, key: str) -> Iterator[Journal]:
    """The journal of an export to `out`."""
    folder = out.with_name(f"{out.name}.journal")
    try:
        yield Journal(folder, key)
    except OSError:
        raise  # a full disk, for example: it goes on once there is room
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _packed(weight: Weight) -> dict[str, np.ndarray]:
    if isinstance(weight, Int8Weight):
        return {"q": weight.q, "scale": weight.scale, "input_scale": np.array(weight.input_scale)}
    if isinstance(weight, BlockWeight):
        offset = {} if weight.offset is None else {"offset": weight.offset}
        return {"q": weight.q, "scale": weight.scale, "bits": np.array(weight.bits)} | offset
    return {"plain": weight}


def _unpacked(fields: Mapping[str, np.ndarray]) -> Weight:
    if "input_scale" in fields:
        return Int8Weight(fields["q"], fields["scale"], float(fields["input_scale"]))
    return BlockWeight(fields["q"], fields["scale"], int(fields["bits"]), fields.get("offset")) if "bits" in fields else fields["plain"]
