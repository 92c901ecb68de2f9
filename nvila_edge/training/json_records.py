"""Records of an annotation file: a JSON list, or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class NotJson(str):
    """Stands in place of a line that is not JSON; the text says why."""


def records(path: Path) -> Iterator[tuple[str, Any]]:
    """(number as text, record) in order. Raises ValueError when the file can't be read, or its list is broken."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if text.lstrip()[:1] == "[":
            yield from ((str(number), record) for number, record in enumerate(json.loads(text)))
            return
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {error}; download or collect it again") from error
    for number, line in enumerate(text.split("\n")):  # not splitlines: JSON may hold U+2028 and its like as they are
        if line.strip():
            try:
                yield str(number), json.loads(line)
            except (ValueError, RecursionError) as error:
                yield f"line {number + 1}", NotJson(f"is not JSON: {error}")
