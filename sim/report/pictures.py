"""Pictures of the page: inside it while they are few, beside it (a relative link, which works from disks too) when they are many."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

EMBEDDED_BYTES = (
    6 << 20
)  # of pictures of one kind: a page of a hundred episodes can be sent to someone, one of two thousand stays quick to open


def sources(paths: Iterable[Path], page: Path) -> dict[Path, str]:
    """What the page at `page` writes as the source of each JPEG: all of them as data, or all as links relative to the page."""
    existing = [path for path in dict.fromkeys(paths) if path.is_file()]
    if sum(path.stat().st_size for path in existing) <= EMBEDDED_BYTES:
        return {path: f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}" for path in existing}
    return {path: link(path, page) for path in existing}


def link(path: Path, page: Path) -> str:
    """The address of a file relative to the page."""
    return quote(Path(os.path.relpath(path.resolve(), page.resolve().parent)).as_posix())
