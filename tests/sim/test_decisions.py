"""What is kept of decisions besides the results: bounded, whole, and never needed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agents.events import Decided
from agents.protocols import Frame
from nvila_edge.navigation.actions import ACTIONS, Action, Stop, Turn
from nvila_edge.navigation.decision import Decision
from sim.decisions import MAX_TILES, DecisionLog, Witness, spread_over
from sim.geometry import Pose


def log_of(count: int, actions: list[Action | None] | None = None, shape: tuple[int, int] = (120, 160)) -> DecisionLog:
    """A log of so many decisions; frame n is grey level n % 250."""
    log = DecisionLog(lambda pose, looked: ACTIONS[1 + len(looked)], looks=True)
    for n in range(count):
        log.captured(Frame(0, np.full((*shape, 3), n % 250, np.uint8), 0.0))
        action = actions[n] if actions else ACTIONS[3]
        log.decided(
            Decided(n, n, Decision(action, "", 1.0, timing_ms={"vision": 2.0, f"odd{n % 2}": 1.0}), 5.0), Pose((0.0, 0.0, 0.0), 0.1 * n)
        )
    return log


def test_what_was_saved_comes_back_and_tiles_show_their_frames(tmp_path: Path) -> None:
    log_of(10).save(tmp_path, "7")
    witness = Witness.load(tmp_path, "7")
    assert witness is not None and witness.sheet is not None and witness.expert == (1,) * 10 and witness.shown == tuple(range(10))
    assert witness.tile_px == (96, 72) and witness.columns == 8 and witness.yaw_deg[1] == 5.7
    assert witness.timing_ms["vision"] == (2.0,) * 10 and witness.timing_ms["odd1"] == (0.0, 1.0) * 5
    sheet = np.asarray(Image.open(witness.sheet))
    assert sheet.shape == (144, 768, 3) and abs(int(sheet[72 + 36, 96 + 48, 0]) - 9) <= 2, "decision 9 is the second of the second row"


def test_the_expert_is_told_what_was_seen_on_the_spot(tmp_path: Path) -> None:
    log_of(4, [Turn(30), Turn(-15), None, Stop()]).save(tmp_path, "1")
    assert json.loads((tmp_path / "decisions" / "1.json").read_bytes())["expert"] == [1, 2, 3, 1]


def test_long_episodes_keep_a_bounded_number_of_frames(tmp_path: Path) -> None:
    kept = spread_over(1000)
    assert len(kept) == len(set(kept)) == MAX_TILES and kept[0] == 0 and kept[-1] == 999
    assert spread_over(MAX_TILES) == list(range(MAX_TILES)) and len(set(spread_over(MAX_TILES + 1))) == MAX_TILES
    rng = np.random.default_rng(0)
    log = DecisionLog(None, looks=True)
    for n in range(MAX_TILES):
        # smooth noise: about what a furnished room is to a JPEG
        log.captured(
            Frame(
                0,
                np.asarray(Image.fromarray(rng.integers(0, 255, (28, 28, 3), np.uint8)).resize((224, 224), Image.Resampling.BICUBIC)),
                0.0,
            )
        )
        log.decided(Decided(n, n, Decision(None, "", 0.0), 1.0), Pose((0.0, 0.0, 0.0), 0.0))
    log.save(tmp_path, "1")
    assert 20_000 < (tmp_path / "frames" / "1.jpg").stat().st_size < 200_000


def test_a_policy_that_does_not_look_leaves_no_frames(tmp_path: Path) -> None:
    log = DecisionLog(None, looks=False)
    log.captured(Frame(0, np.zeros((8, 8, 3), np.uint8), 0.0))
    log.decided(Decided(0, 0, Decision(Stop(), "", 1.0), 1.0), Pose((0.0, 0.0, 0.0), 0.0))
    log.save(tmp_path, "1")
    witness = Witness.load(tmp_path, "1")
    assert witness is not None and witness.sheet is None and witness.expert == (None,) and not (tmp_path / "frames").exists()


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"expert": 3, "yaw_deg": [], "timing_ms": {}}', '{"expert": [], "yaw_deg": ["x"], "timing_ms": {}}']
)
def test_damaged_files_are_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "decisions").mkdir()
    (tmp_path / "decisions" / "1.json").write_text(content)
    assert Witness.load(tmp_path, "1") is None


def test_an_id_that_is_no_file_name_reads_nothing(tmp_path: Path) -> None:
    (tmp_path / "decisions").mkdir()
    log_of(1).save(tmp_path, "1")
    (tmp_path / "secret.json").write_bytes((tmp_path / "decisions" / "1.json").read_bytes())
    assert Witness.load(tmp_path, "../secret") is None
