"""The figures of an evaluation."""

from __future__ import annotations

import math

import pytest

from sim.summary import latency_percentiles, mean_interval, summarise, wilson


def result(episode_id: int, success: int, distance: float | str, spl: float | str = 0.0) -> dict:
    """A result line with what the summary reads."""
    return {
        "episode_id": str(episode_id), "success": success, "oracle_success": 1, "distance_to_goal": distance, "spl": spl, "ndtw": 0.5,
        "sdtw": 0.5 * success, "path_length": 8.0, "rejections": 1, "collisions": 2, "steps": 30, "decisions": 12,
    }  # fmt: skip


def test_rates_are_percent_and_lengths_metres() -> None:
    summary = summarise([result(1, 1, 1.0, 0.8), result(2, 0, 5.0)], [{"latency_ms": [10.0, 30.0]}], {"policy": "engine"})
    assert (summary["SR"], summary["OS"], summary["NE"], summary["SPL"], summary["PL"]) == (50.0, 100.0, 3.0, 40.0, 8.0)
    assert summary["rejections"] == 2 and summary["policy"] == "engine" and summary["latency_ms"]["p50"] == 20.0


def test_values_that_are_not_finite_are_counted_and_left_out_of_the_mean() -> None:
    summary = summarise([result(1, 1, 1.0, 1.0), result(2, 0, "inf", "nan")], [], {})
    assert summary["non_finite"] == 1 and summary["NE"] == 1.0 and summary["SPL"] == 100.0 and summary["latency_ms"] == {}


def test_an_empty_evaluation_has_no_means() -> None:
    summary = summarise([], [], {})
    assert summary["episodes"] == 0 and math.isnan(summary["SR"])


def test_wilson_interval_matches_the_textbook() -> None:
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # Newcombe 1998's formula, 80 % of 10
    assert wilson(0, 0) == (0.0, 1.0) and wilson(0, 20)[0] == 0.0


def test_mean_interval_is_symmetric() -> None:
    low, high = mean_interval([1.0, 2.0, 3.0, 4.0])
    assert (low + high) / 2 == pytest.approx(2.5) and high - low == pytest.approx(2 * 1.959964 * 1.2909944 / 2, abs=1e-5)


def test_latency_percentiles_are_over_all_decisions() -> None:
    assert latency_percentiles([{"latency_ms": list(range(1, 51))}, {"latency_ms": list(range(51, 101))}])["p95"] == pytest.approx(95.05)
