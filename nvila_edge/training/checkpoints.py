"""Checkpoints of a run: whole or not at all, in folders step-000123 with a model in the published layout, the optimizer and the place in the data.

No random state is kept: every step seeds itself by its number.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

_STEP = re.compile(r"step-(\d{6,})")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class TrainingError(RuntimeError):
    """A run that cannot go on; the message says why, what stays, and how to go on."""


def step_of(folder: Path) -> int:
    """The step of a checkpoint's folder."""
    match = _STEP.fullmatch(folder.name)
    assert match
    return int(match[1])


def complete(root: Path) -> list[Path]:
    """Whole checkpoints in a folder, oldest first."""
    found = [path for path in root.glob("step-*") if _STEP.fullmatch(path.name) and (path / "state.json").is_file()]
    return sorted(found, key=step_of)


def write_whole(folder: Path, write: Callable[[Path], None]) -> None:
    """Makes a folder by `write`, beside its place, and moves it there when it is complete and on the disk.

    Raises TrainingError when it cannot be written; what lay there before stays.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        write(part)
        for file in part.rglob("*"):
            if file.is_file():
                _flush(file)
        os.replace(part, folder)
        _flush(folder.parent)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(part, ignore_errors=True)
        good = complete(folder.parent)
        full = getattr(error, "errno", None) in _FULL or any(word in str(error) for word in ("No space left", "File too large", "quota"))
        raise TrainingError(
            f"{'the disk is full' if full else 'it could not be written'}: {folder} was not saved ({error}). "
            + (f"The last good checkpoint is {good[-1]}; " if good else "There is no earlier one; ")
            + "free some space and give the same command to go on"
        ) from error


def write_state(folder: Path, optimizer: dict[str, Tensor], trainable: dict[str, Tensor], state: dict[str, Any]) -> None:
    """The optimizer's moments, the adapters' parameters (where there are any), and state.json, which comes last."""
    save_file(optimizer, folder / "optimizer.safetensors")
    if trainable:
        save_file(trainable, folder / "trainable.safetensors")
    (folder / "state.json").write_text(json.dumps(state, indent=2) + "\n")


def read_state(folder: Path) -> dict[str, Any]:
    """state.json. Raises TrainingError when it is damaged."""
    try:
        state = json.loads((folder / "state.json").read_bytes())
        assert isinstance(state["step"], int)
        return state
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise TrainingError(
            f"{folder / 'state.json'} is damaged ({error!r}); remove {folder} to go on from the checkpoint before"
        ) from error


def remove_old(root: Path, keep: int) -> None:
    """All but the newest `keep`, and what was left unfinished."""
    for path in [*complete(root)[:-keep], *root.glob(".*.part")]:
        shutil.rmtree(path, ignore_errors=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
