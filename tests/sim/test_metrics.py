"""Measures of episodes, against what Habitat and VLN-CE's definitions gave for the same runs."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.metrics import dtw, episode_metrics, fast_dtw, locations_of

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "habitat"
needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="../shared/golden/habitat isn't here")
SAME = {
    "distance_to_goal": "distance_to_goal", "success": "success", "spl": "spl", "collisions": "collisions",
    "oracle_success": "oracle_success",
    "oracle_navigation_error": "oracle_navigation_error", "path_length": "path_length", "steps": "steps_taken", "ndtw": "ndtw_exact",
    "ndtw_fastdtw": "ndtw_fastdtw", "sdtw": "sdtw_exact", "sdtw_fastdtw": "sdtw_fastdtw",
}  # fmt: skip


def _truth(scene: str) -> dict[str, list]:
    names = ("episodes_gt.json.gz", "edge_episodes_gt.json.gz")
    return {key: gt["locations"] for name in names for key, gt in json.loads(gzip.decompress((GOLDEN / scene / name).read_bytes())).items()}


@needs_golden
@pytest.mark.parametrize("scene", ["s1", "s2", "s3"])
def test_recorded_runs_get_habitats_figures(scene: str) -> None:
    truth, checked = _truth(scene), 0
    for run in json.loads((GOLDEN / scene / "metrics.json").read_text())["runs"]:
        if run.get("exception_at_reset"):
            continue
        distances = [float(value) for value in run["distance_to_goal_trace"]]
        ours = episode_metrics(run["positions"], run["actions"], distances, run["collided"], truth[str(run["episode_id"])])
        for name, theirs in SAME.items():
            assert ours[name] == pytest.approx(float(run["metrics"][theirs]), rel=1e-6, abs=1e-6, nan_ok=True), (
                run["episode_id"],
                run["agent"],
                name,
            )
        checked += 1
    assert checked >= 80


@needs_golden
def test_recorded_sequences_get_both_dtw_costs() -> None:
    for case in json.loads((GOLDEN / "dtw_cases.json").read_text())["cases"]:
        agent, reference = np.array(case["agent"]), np.array(case["reference"])
        assert dtw(agent, reference) == pytest.approx(case["dtw_exact"], rel=1e-9, abs=1e-9)
        assert fast_dtw(agent, reference) == pytest.approx(case["dtw_fast_radius1"], rel=1e-9, abs=1e-9)


_POINTS = st.lists(st.tuples(*[st.floats(-5, 5)] * 3), min_size=1, max_size=12).map(lambda points: np.array(points, dtype=np.float64))


def _textbook_dtw(first: np.ndarray, second: np.ndarray) -> float:
    table = np.full((len(first) + 1, len(second) + 1), np.inf)
    table[0, 0] = 0
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            table[i + 1, j + 1] = np.linalg.norm(a - b) + min(table[i, j], table[i, j + 1], table[i + 1, j])
    return float(table[-1, -1])


@settings(deadline=None)
@given(_POINTS, _POINTS)
def test_dtw_is_the_textbooks_and_symmetric_and_below_the_fast_one(first: np.ndarray, second: np.ndarray) -> None:
    cost = dtw(first, second)
    assert cost == pytest.approx(_textbook_dtw(first, second), abs=1e-9)
    assert cost == pytest.approx(dtw(second, first), abs=1e-9)
    assert cost <= fast_dtw(first, second) + 1e-9
    assert dtw(first, first) == 0.0


STRAIGHT = [[0, 0, 0], [0, 0, -0.25], [0, 0, -0.5], [0, 0, -0.5]]


def _straight(**changes: object) -> dict[str, float]:
    case = {
        "positions": STRAIGHT,
        "actions": [1, 1, 0],
        "distances": [0.5, 0.25, 0.0, 0.0],
        "collided": [0, 1, 0],
        "gt_locations": STRAIGHT[:3],
    }
    return episode_metrics(**(case | changes))  # type: ignore[arg-type]


def test_a_perfect_walk_scores_one_everywhere() -> None:
    result = _straight()
    assert {result[name] for name in ("success", "spl", "oracle_success", "ndtw", "sdtw", "ndtw_fastdtw")} == {1.0}
    assert result["path_length"] == 0.5 and result["steps"] == 3 and result["collisions"] == 1


def test_three_metres_exactly_is_no_success_and_no_stop_is_none_either() -> None:
    assert _straight(distances=[4, 3.5, 3.0, 3.0])["success"] == 0.0
    assert _straight(distances=[4, 3.5, 2.999, 2.999])["success"] == 1.0
    assert _straight(actions=[1, 1, 2])["success"] == 0.0
    assert _straight(actions=[1, 1, 2])["oracle_success"] == 1.0


def test_unreachable_goals_give_infinite_error_and_nan_spl() -> None:
    result = _straight(distances=[math.inf] * 4)
    assert math.isinf(result["distance_to_goal"]) and math.isnan(result["spl"]) and result["oracle_success"] == 0.0


def test_start_on_the_goal_gives_nan_spl_where_habitat_raises() -> None:
    still = episode_metrics([[1, 0, 1], [1, 0, 1]], [0], [0.0, 0.0], [0], [[1, 0, 1]])
    assert math.isnan(still["spl"]) and still["success"] == 1.0


def test_lengths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="4 positions and distances"):
        _straight(positions=STRAIGHT[:3])
    with pytest.raises(ValueError, match="gt_locations"):
        _straight(gt_locations=[])


def test_locations_leave_out_turns_only() -> None:
    points = np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]], dtype=float)
    assert locations_of(points).tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
