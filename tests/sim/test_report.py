"""The report is one readable file."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from sim.maps import HouseMap
from sim.renderer import MapTransform
from sim.report import build_report
from sim.report.compare import compare, mcnemar_exact
from sim.report.figures import action_counts
from sim.report.svg import nice_top
from sim.results import OutputError, Record, encode_line
from sim.summary import summarise

VOID = {"meta", "input", "br", "image", "use", "circle", "line", "path", "polyline", "rect"}


def result(episode_id: int, success: bool, **more: object) -> Record:
    """An episode of three steps."""
    trace = [{"step": 0, "action": 3, "text": "x", "probability": 0.9, "candidates": [0.0] * 3 + [0.9, 0.1] + [0.0] * 5}]
    trace += [{"step": 3, "action": None, "text": "?", "probability": 0.0, "candidates": []}]
    trace += [{"step": 3, "action": 0, "text": "stop", "probability": 0.8, "candidates": [0.8, 0.2] + [0.0] * 8}]
    base = {
        "episode_id": str(episode_id), "scene_id": "houses/val_unseen_0001/val_unseen_0001.glb", "actions": [1, 1, 1, 0], "steps": 4,
        "instruction": 'Go <b>to</b> the "sofa" & wait.', "positions": [[0, 0, 0], [0.25, 0, 0], [0.5, 0, 0], [0.75, 0, 0], [0.75, 0, 0]],
        "decisions": 3, "rejections": 1, "distance_to_goal": 1.0 if success else "inf", "success": int(success), "spl": 0.8 * success,
        "oracle_success": 1, "ndtw": 0.7, "sdtw": 0.7 * success, "path_length": 0.75, "collisions": 1, "ended": "stop",
        "shortest_path_length": 7.0 + episode_id, "rooms_entered": episode_id % 3, "goal": [1.5, 0, 0],
        "reference": [[0, 0, 0], [1.5, 0, 0]], "expert_actions": [1, 0, 0, 2] + [0] * 6, "trace": trace,
    }  # fmt: skip
    return {**base, **more}


def run(out: Path, results: list[Record], policy: str = "engine") -> Path:
    """The files of a finished evaluation with a map."""
    timings = [{"episode_id": r["episode_id"], "latency_ms": [40.0, 60.0, 55.0]} for r in results]
    out.mkdir()
    (out / "results.jsonl").write_bytes(b"".join(map(encode_line, results)))
    (out / "timings.jsonl").write_bytes(b"".join(map(encode_line, timings)))
    header = {"policy": policy, "dataset": "builtin", "split": "val_unseen", "seed": 0, "config": {"seed": 0}, "commit": "c0ffee"}
    (out / "summary.json").write_text(json.dumps(summarise(results, timings, header)))
    HouseMap(np.full((100, 100, 3), 200, np.uint8), MapTransform(-1.0, -1.0, 25.0)).save(out / "maps", "val_unseen_0001")
    return out


class Balanced(HTMLParser):
    """Collects links, and fails when tags are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(path: Path) -> Balanced:
    """The page, checked."""
    page = Balanced()
    page.feed(path.read_text())
    assert page.open == []
    return page


def test_the_page_stands_alone_and_says_what_was_measured(tmp_path: Path) -> None:
    out = run(tmp_path / "a", [result(i, i % 2 == 0) for i in range(6)])
    page = parsed(build_report(out))
    assert all(link.startswith(("#map-", "data:image/jpeg")) for link in page.links)
    wanted = (
        "Success rate",
        "50.0",
        "Success by path length",
        "Success by rooms entered",
        "policy and expert",
        "Latency",
        '<b>to</b> the "sofa"',
    )
    assert [text for text in wanted if text not in page.text] == []


def test_videos_are_linked_when_they_are_there(tmp_path: Path) -> None:
    out = run(tmp_path / "a", [result(1, True), result(2, True)])
    (out / "videos").mkdir()
    (out / "videos" / "0002.mp4").write_bytes(b"x")
    assert [link for link in parsed(build_report(out)).links if link.endswith(".mp4")] == ["videos/0002.mp4"]


def test_two_runs_stand_side_by_side_with_a_paired_test(tmp_path: Path) -> None:
    first = run(tmp_path / "a", [result(i, i < 2) for i in range(8)])
    second = run(tmp_path / "b", [result(i, i != 0) for i in range(8)], "oracle")
    page = parsed(build_report(first, second))
    assert "A against B" in page.text and "+62.5" in page.text and "6 episodes only B solved, 1 only A" in page.text


def test_an_interrupted_run_can_be_reported_too(tmp_path: Path) -> None:
    out = run(tmp_path / "a", [result(1, True)])
    (out / "summary.json").unlink()
    assert "100.0" in parsed(build_report(out)).text


def test_a_folder_without_an_evaluation_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds no results.jsonl"):
        build_report(tmp_path)


def test_mcnemar_matches_the_binomial() -> None:
    assert mcnemar_exact(0, 0) == 1.0 and mcnemar_exact(1, 6) == pytest.approx(2 * (1 + 7) / 2**7)
    assert mcnemar_exact(5, 5) == 1.0


def test_pairing_uses_common_episodes_only() -> None:
    paired = compare([result(1, True), result(2, False)], [result(2, True), result(3, True)])
    assert (paired.episodes, paired.only_second, paired.sr_difference, paired.spl_difference) == (1, 1, 100.0, 80.0)
    with pytest.raises(ValueError, match="share no episode"):
        compare([result(1, True)], [result(2, True)])


def test_rejections_are_no_actions() -> None:
    assert action_counts([result(1, True)]) == [1, 0, 0, 1, 0, 0, 0, 0, 0, 0]


def test_axes_end_at_round_numbers() -> None:
    assert [nice_top(value) for value in (0, 0.3, 1, 37, 80, 81)] == [1, 0.4, 1, 40, 80, 100]


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 1), (3, 9), (40, 61), (400, 460)])
def test_mcnemar_equals_scipys_binomial_test(only_first: int, only_second: int) -> None:
    theirs = stats.binomtest(only_first, only_first + only_second, 0.5).pvalue
    assert mcnemar_exact(only_first, only_second) == pytest.approx(theirs, rel=1e-9)


def test_the_bootstrap_of_spl_agrees_with_scipys_and_repeats_itself() -> None:
    rng = np.random.default_rng(7)
    first = [result(i, True, spl=float(value)) for i, value in enumerate(rng.random(300))]
    second = [result(i, True, spl=float(value)) for i, value in enumerate(rng.random(300))]
    difference = np.array([100 * (b["spl"] - a["spl"]) for a, b in zip(first, second)])
    theirs = stats.bootstrap(
        (difference,), np.mean, method="percentile", n_resamples=20000, rng=np.random.default_rng(0)
    ).confidence_interval
    paired = compare(first, second)
    assert paired.spl_interval == pytest.approx((theirs.low, theirs.high), abs=0.25)  # points; the interval is about 9 wide
    assert paired == compare(first, second) and paired.spl_difference == pytest.approx(difference.mean())


def test_pairs_with_an_undefined_spl_are_left_out_of_its_difference_only() -> None:
    paired = compare([result(1, True), result(2, False, spl="nan")], [result(1, False), result(2, True)])
    assert (paired.episodes, paired.only_first, paired.only_second, paired.spl_difference) == (2, 1, 1, -80.0)


def test_what_was_left_out_or_not_finite_is_named_with_what_each_rule_makes_of_it(tmp_path: Path) -> None:
    results = [result(1, True), result(2, False, spl="nan", shortest_path_length="inf")]
    out = run(tmp_path / "a", results)
    summary = json.loads((out / "summary.json").read_text())
    summary |= {"left_out": 1, "left_out_episodes": [{"episode_id": "9", "reason": "no house <x>"}]}
    (out / "summary.json").write_text(json.dumps(summary))
    text = parsed(build_report(out, rule="navid")).text
    assert "episode 9: no house <x>" in text and "episode 2: no way leads from the start" in text
    assert "navid (shown)" in text and "nan %" in text and "40.0" in text and "80.00 %" in text  # SPL 80 of one; 40 when the other is 0
