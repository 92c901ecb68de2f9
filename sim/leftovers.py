"""What processes that were killed while they wrote have left behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path


def remove_parts(folders: Iterable[Path]) -> None:
    """Remove half-written files and folders (NAME.PID.part) directly in these folders; nothing that lies deeper, or is called otherwise."""
    for part in [part for folder in folders for part in folder.glob("*.*.part")]:
        if not part.suffixes[-2][1:].isdecimal():
            continue
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
