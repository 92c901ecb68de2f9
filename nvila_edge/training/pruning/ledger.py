"""A file of what was found about each sample, a line each, written as it is found: a run that was killed goes on behind the last whole line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Ledger:
    """JSON lines {"key": .., ..} behind a first line that says what they belong to."""

    def __init__(self, path: Path, belongs_to: Mapping[str, Any]) -> None:
        """Raises ValueError when the file holds lines of something else."""
        self._path, found = path, _whole_lines(path)
        head, wanted = (found[0] if found else dict(belongs_to)), dict(belongs_to)
        if head != wanted:
            differ = [
                f"{key} {head.get(key)!r} there, {wanted.get(key)!r} now" for key in head | wanted if head.get(key) != wanted.get(key)
            ]
            raise ValueError(f"{path} was made of something else ({'; '.join(differ)}); give another --out, or remove that file")
        self.lines: dict[str, dict[str, Any]] = {line["key"]: line for line in found[1:]}
        _rewrite(path, [wanted, *self.lines.values()])

    def add(self, lines: list[dict[str, Any]]) -> None:
        """Appends those whose keys are new, and hands them to the system at once."""
        new = [line for line in lines if line["key"] not in self.lines]
        with self._path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(line) + "\n" for line in new))
        self.lines |= {line["key"]: line for line in new}


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """Up to the first that was torn by a kill."""
    found: list[dict[str, Any]] = []
    for text in path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else ():
        try:
            line = json.loads(text) if text.endswith("\n") else None
        except ValueError:
            line = None
        if not isinstance(line, dict):
            break
        found.append(line)
    return found


def _rewrite(path: Path, lines: list[dict[str, Any]]) -> None:
    part = path.with_suffix(".part")
    part.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    os.replace(part, path)
