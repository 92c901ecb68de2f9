"""The figures of an evaluation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sim.aggregate import aggregate, differing
from sim.summary import intervals, latency_percentiles, mean_interval, summarise, undefined, wilson


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


@pytest.mark.parametrize(("wins", "n"), [(0, 7), (3, 7), (994, 1839), (1839, 1839)])
def test_wilson_equals_scipys(wins: int, n: int) -> None:
    theirs = stats.binomtest(wins, n).proportion_ci(method="wilson")
    assert wilson(wins, n) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_the_interval_of_a_mean_agrees_with_a_bootstrap_and_stays_a_share() -> None:
    spl = np.where(np.random.default_rng(1).random(400) < 0.5, 0.0, np.random.default_rng(2).uniform(0.4, 1.0, 400))
    theirs = stats.bootstrap((spl,), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(0)).confidence_interval
    assert mean_interval(spl.tolist()) == pytest.approx((theirs.low, theirs.high), abs=0.004)
    assert intervals([result(1, 1, 1.0, 0.9), result(2, 0, 9.0, 0.0)])["SPL"] == (0.0, 100.0)


ODD = [result(1, 1, 1.0, 0.8), result(2, 0, 5.0, 0.0), result(3, 0, "inf", "nan"), result(4, 0, 4.0, "nan")]


def test_the_three_rules_treat_what_is_not_finite_as_their_evaluators_do() -> None:
    assert aggregate(ODD, "navila") | {"nDTW": 0} == aggregate(ODD) | {"nDTW": 0}
    assert (aggregate(ODD, "navila")["SPL"], aggregate(ODD, "navila")["NE"]) == (40.0, pytest.approx(10 / 3, abs=1e-4))
    assert (aggregate(ODD, "navid")["SPL"], aggregate(ODD, "navid")["NE"]) == (20.0, 2.5)
    assert math.isnan(aggregate(ODD, "plain")["SPL"]) and aggregate(ODD, "plain")["NE"] == math.inf
    assert len({figures["SR"] for figures in map(lambda rule: aggregate(ODD, rule), ("plain", "navila", "navid"))}) == 1
    with pytest.raises(ValueError, match="'mean' is unknown; allowed are plain, navila, navid"):
        aggregate(ODD, "mean")


def test_a_summary_has_all_rules_only_where_they_differ_and_keeps_its_own_keys() -> None:
    summary = summarise(ODD, [], {})
    assert summary["NE"] == summary["aggregates"]["navila"]["NE"] and summary["aggregates"]["plain"]["NE"] == math.inf
    assert summary["aggregates"]["navila"]["non_finite_SPL"] == 2 and summary["aggregates"]["navila"]["non_finite_NE"] == 1
    assert differing(ODD[:2]) == {} and "aggregates" not in summarise(ODD[:2], [], {})
    assert summarise(ODD, [], {}, "navid")["SPL"] == 20.0 and summarise(ODD, [], {}, "navid")["ci95"]["SPL"][1] < summary["ci95"]["SPL"][1]


def test_without_ground_truth_ndtw_is_a_mean_of_the_others_under_every_rule() -> None:
    results = [result(1, 1, 1.0, 0.8), result(2, 1, 1.0, 0.8) | {"ndtw": "nan", "sdtw": "nan"}]
    assert [aggregate(results, rule)["nDTW"] for rule in ("plain", "navila", "navid")] == [50.0, 50.0, 50.0]


def test_episodes_with_odd_figures_are_named_with_the_reason() -> None:
    cases = {
        "no way leads from the start": {"shortest_path_length": "inf", "distance_to_goal": "inf", "spl": "nan"},
        "from where it ended": {"shortest_path_length": 5.0, "distance_to_goal": "inf"},
        "the start is the goal": {"shortest_path_length": 0.0, "spl": "nan"},
        "no usable entry": {"ndtw": "nan", "sdtw": "nan"},
    }
    for reason, change in cases.items():
        assert reason in undefined(result(5, 0, 2.0) | change)
    summary = summarise([result(1, 1, 1.0), result(5, 0, "inf", "nan") | {"shortest_path_length": "inf"}], [], {})
    assert [entry["episode_id"] for entry in summary["non_finite_episodes"]] == ["5"] and summary["non_finite"] == 1
