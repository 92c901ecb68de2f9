"""SceneTalk on disk: LLaVA's layout, balanced, the same bytes again, and finished houses are not made twice."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from nvila_edge.navigation.actions import SENTENCES
from sim.scenetalk.writer import write_scenetalk


def written(out: Path, stage: int, samples: int) -> list[dict]:
    write_scenetalk(out, stage, "train", 1, samples, 0, lambda *_: None)
    return [json.loads(line) for line in (out / f"stage{stage}" / "annotations.jsonl").read_text().splitlines()]


def test_kinds_take_turns_and_every_picture_is_there(tmp_path: Path) -> None:
    records = written(tmp_path, 4, 18)
    kinds = [record["kind"] for record in records]
    assert len(kinds) == 18 and len(set(kinds)) == 9 and max(kinds.count(kind) for kind in set(kinds)) <= 4
    for record in records:
        asked, answered = record["conversations"]
        assert asked["from"] == "human" and asked["value"].count("<image>") == len(record["image"]) == 1 and answered["from"] == "gpt"
        assert cv2.imread(str(tmp_path / "stage4" / record["image"][0])).shape == (224, 224, 3)
        assert record["kind"] != "action" or answered["value"] in SENTENCES
    part = next((tmp_path / "stage4" / "parts").rglob("*.jsonl"))
    before = part.stat().st_mtime_ns
    assert written(tmp_path, 4, 18) == records and part.stat().st_mtime_ns == before


@pytest.mark.slow
@pytest.mark.parametrize("stage", [1, 2, 3, 4, 5])
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, stage: int) -> None:
    for folder in ("a", "b"):
        written(tmp_path / folder, stage, 12)
    files = [
        sorted(path.relative_to(tmp_path / folder) for path in (tmp_path / folder).rglob("*") if path.is_file()) for folder in ("a", "b")
    ]
    assert [str(f)[1:] for f in files[0]] == [str(f)[1:] for f in files[1]] and len(files[0]) > 12
    for one, other in zip(*files, strict=True):
        assert (tmp_path / one).read_bytes() == (tmp_path / other).read_bytes()


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one of 1, 2, 3, 4, 5"):
        write_scenetalk(tmp_path, 6, "train", 1, 1, 0, lambda *_: None)
    with pytest.raises(ValueError, match="at least one sample of each"):
        write_scenetalk(tmp_path, 1, "train", 5, 2, 0, lambda *_: None)
