"""The report is one readable file that says what was measured, and runs nothing that an episode says."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from agents.events import Decided
from agents.protocols import Frame
from nvila_edge.navigation.actions import ACTIONS
from nvila_edge.navigation.decision import Decision
from sim.decisions import DecisionLog
from sim.geometry import Pose
from sim.maps import HouseMap
from sim.renderer import MapTransform
from sim.report import build_report, pictures
from sim.report.compare import compare, mcnemar_exact
from sim.report.confusion import confusion
from sim.report.figures import action_counts
from sim.report.payload import DIGITS
from sim.report.run import Run
from sim.report.svg import nice_top
from sim.results import OutputError, Record, encode_line
from sim.summary import summarise

VOID = {"meta", "input", "br", "image", "use", "circle", "line", "path", "polyline", "rect"}
EVIL = 'Go to the "sofa" & </script><script>document.title="owned"</script><img src=x onerror=alert(1)>'


def result(episode_id: int, success: bool, **more: object) -> Record:
    """An episode of three steps."""
    trace = [{"step": 0, "action": 3, "text": "x", "probability": 0.9, "candidates": [0.0] * 3 + [0.9, 0.1] + [0.0] * 5}]
    trace += [{"step": 3, "action": None, "text": "<i>what?</i>", "probability": 0.0, "candidates": []}]
    trace += [{"step": 3, "action": 0, "text": "stop", "probability": 0.8, "candidates": [0.8, 0.2] + [0.0] * 8}]
    base = {
        "episode_id": str(episode_id), "scene_id": "houses/val_unseen_0001/val_unseen_0001.glb", "actions": [1, 1, 1, 0], "steps": 4,
        "instruction": EVIL, "positions": [[0, 0, 0], [0.25, 0, 0], [0.5, 0, 0], [0.75, 0, 0], [0.75, 0, 0]],
        "decisions": 3, "rejections": 1, "distance_to_goal": 1.0 if success else "inf", "success": int(success), "spl": 0.8 * success,
        "oracle_success": 1, "ndtw": 0.7, "sdtw": 0.7 * success, "path_length": 0.75, "collisions": 1, "ended": "stop",
        "shortest_path_length": 7.0 + episode_id, "rooms_entered": episode_id % 3, "goal": [1.5, 0, 0],
        "reference": [[0, 0, 0], [1.5, 0, 0]], "expert_actions": [1, 0, 0, 2] + [0] * 6, "trace": trace,
    }  # fmt: skip
    return {**base, **more}


def run(out: Path, results: list[Record], policy: str = "engine") -> Path:
    """The files of a finished evaluation with a map."""
    timings = [
        {"episode_id": r["episode_id"], "wall_s": 4.0, "render_s": 1.0, "latency_ms": [40.0, 60.0, 55.0], "stages_ms": {"language": 90.0}}
        for r in results
    ]
    out.mkdir()
    (out / "results.jsonl").write_bytes(b"".join(map(encode_line, results)))
    (out / "timings.jsonl").write_bytes(b"".join(map(encode_line, timings)))
    header = {"policy": policy, "dataset": "builtin", "split": "val_unseen", "seed": 0, "config": {"seed": 0}, "commit": "c0ffee"}
    (out / "summary.json").write_text(json.dumps(summarise(results, timings, header)))
    HouseMap(np.full((100, 100, 3), 200, np.uint8), MapTransform(-1.0, -1.0, 25.0)).save(out / "maps", "val_unseen_0001")
    return out


def witnessed(out: Path, episode_id: str) -> None:
    """Frames and expert's answers of the three decisions of `result`: the expert says ahead 75 throughout."""
    log = DecisionLog(lambda pose, looked: ACTIONS[3], looks=True)
    for n, action in enumerate((ACTIONS[3], None, ACTIONS[0])):
        log.captured(Frame(0, np.full((64, 64, 3), 80 * n, np.uint8), 0.0))
        log.decided(Decided(n, n, Decision(action, "x", 0.5, timing_ms={"language": 10.0 + n}), 20.0), Pose((0.0, 0.0, 0.0), 0.5))
    log.save(out, episode_id)


class Balanced(HTMLParser):
    """Collects links and data, and fails when tags are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.scripts: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        else:
            self.text += data


def parsed(path: Path) -> Balanced:
    """The page, checked."""
    page = Balanced()
    page.feed(path.read_text())
    page.close()
    assert page.open == []
    return page


def data_of(path: Path) -> Record:
    """What the page's script is given."""
    return json.loads("".join(parsed(path).scripts[:-1]))


def test_the_page_stands_alone_and_says_what_was_measured(tmp_path: Path) -> None:
    page = parsed(build_report(run(tmp_path / "a", [result(i, i % 2 == 0) for i in range(6)])))
    assert page.links == [], "everything is inside the page"
    wanted = (
        "Success rate", "50.0", "Success by path length", "Success by doorways", "Success by what the instruction says", "Actions", "Latency",
        "Where the time goes", "900 episodes and 3,600 steps per hour", "Rejected answers", "<i>what?</i>", "NaVILA 8B", "54.0",
    )  # fmt: skip
    assert [text for text in wanted if text not in page.text] == []


def test_every_published_row_is_flagged_beside_generated_houses(tmp_path: Path) -> None:
    page = parsed(build_report(run(tmp_path / "a", [result(1, True)])))
    assert page.text.count("not comparable") == 1 + 14 + 1, "the shared reasons, fourteen rows, and the note below"
    assert "other scenes and instructions; 1 episodes, not 1,839" in page.text


def test_what_an_episode_says_stays_text(tmp_path: Path) -> None:
    path = build_report(run(tmp_path / "a", [result(1, True)]))
    page = parsed(path)
    assert len(page.scripts) == 2, "the data and the script: the instruction opens no other"
    assert data_of(path)["episodes"][0]["runs"][0]["t"] == EVIL
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', path.read_text())
    digest = base64.b64encode(hashlib.sha256(page.scripts[-1].encode()).digest()).decode()
    assert policy and f"script-src 'sha256-{digest}';" in policy[1] and "default-src 'none'" in policy[1]


def test_half_a_surrogate_pair_does_not_stop_the_report(tmp_path: Path) -> None:
    out = run(tmp_path / "a", [result(1, True)])
    (out / "results.jsonl").write_bytes((out / "results.jsonl").read_bytes().replace(b"Go to", b"\\ud800 to"))
    assert data_of(build_report(out))["episodes"][0]["runs"][0]["t"].startswith("? to")


def test_decisions_come_with_probabilities_expert_stages_and_frames(tmp_path: Path) -> None:
    out = run(tmp_path / "a", [result(1, True)])
    witnessed(out, "1")
    side = data_of(build_report(out))["episodes"][0]["runs"][0]
    more = json.loads(side["more"])
    level = [DIGITS.index(more["p"][0][2 * i]) * 64 + DIGITS.index(more["p"][0][2 * i + 1]) for i in range(10)]
    assert np.allclose(np.array(level) / 4095, result(1, True)["trace"][0]["candidates"], atol=2e-4)
    assert more["a"] == [3, -1, 0] and more["x"] == [3, 3, 3] and more["said"] == {"1": "<i>what?</i>"}
    assert more["ms"] == [40, 60, 55] and more["st"] == {"language": [10, 11, 12]} and more["yaw"] == [29, 29, 29]
    assert more["at"] == [0, 3, 3] and side["way"] == [0, 0, 25, 0, 25, 0, 25, 0] and more["tile"] == [96, 96, 3]
    assert side["sheet"].startswith("data:image/jpeg;base64,")


def test_a_folder_from_before_decisions_were_kept_is_shown_without_them(tmp_path: Path) -> None:
    path = build_report(run(tmp_path / "a", [result(1, True)]))
    side = data_of(path)["episodes"][0]["runs"][0]
    assert side["sheet"] is None and "x" not in json.loads(side["more"]) and "against the expert" not in parsed(path).text


def test_many_pictures_are_linked_instead_of_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = run(tmp_path / "a", [result(1, True)])
    witnessed(out, "1")
    monkeypatch.setattr(pictures, "EMBEDDED_BYTES", 100)
    data = data_of(build_report(out))
    assert data["episodes"][0]["runs"][0]["sheet"] == "frames/1.jpg" and data["maps"][0]["src"] == "maps/val_unseen_0001.jpg"


def test_the_second_runs_pictures_and_videos_are_found_from_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = run(tmp_path / "a", [result(1, True)]), run(tmp_path / "b#2", [result(1, False)], "oracle")
    witnessed(second, "1")
    (second / "videos").mkdir()
    (second / "videos" / "0001.mp4").write_bytes(b"x")
    monkeypatch.setattr(pictures, "EMBEDDED_BYTES", 100)
    side = data_of(build_report(first, second))["episodes"][0]["runs"][1]
    assert side["sheet"] == "../b%232/frames/1.jpg" and side["video"] == "../b%232/videos/0001.mp4"


def test_the_confusion_counts_what_the_expert_would_have_done(tmp_path: Path) -> None:
    out = run(tmp_path / "a", [result(1, True), result(2, True)])
    witnessed(out, "1")
    found = confusion(Run.load(out))
    assert found.decisions == 3 and found.same_action == 1 and found.counts[3].tolist() == [1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    assert "33.3 %" in parsed(build_report(out)).text


def test_damaged_decisions_and_maps_are_as_none(tmp_path: Path) -> None:
    out = run(tmp_path / "a", [result(1, True), result(2, True)])
    witnessed(out, "1")
    (out / "decisions" / "1.json").write_text('{"expert": 3}')
    (out / "maps" / "val_unseen_0001.json").write_text("[]")
    data = data_of(build_report(out))
    assert data["maps"] == [None] and data["episodes"][0]["runs"][0]["sheet"] is None


def test_two_runs_stand_side_by_side_with_a_paired_test(tmp_path: Path) -> None:
    first = run(tmp_path / "a", [result(i, i < 2) for i in range(8)])
    second = run(tmp_path / "b", [result(i, i != 0) for i in range(12)], "oracle")
    path = build_report(first, second)
    page = parsed(path)
    assert "+62.5" in page.text and "6 episodes only B solved, 1 only A" in page.text and "Both succeeded in 1, neither in 0" in page.text
    assert "B: oracle, b: 8 episodes" in page.text, "B's figures are about the common episodes too"
    assert [side["o"] for side in data_of(path)["episodes"][0]["runs"]] == ["success", "missed"]


def test_runs_that_mean_different_episodes_are_refused(tmp_path: Path) -> None:
    first = run(tmp_path / "a", [result(1, True)])
    with pytest.raises(ValueError, match="share no episode"):
        build_report(first, run(tmp_path / "b", [result(2, True)]))
    with pytest.raises(ValueError, match="episode 1 has another scene or goal"):
        build_report(first, run(tmp_path / "c", [result(1, True, goal=[9, 0, 9])]))


def test_an_interrupted_run_can_be_reported_too(tmp_path: Path) -> None:
    out = run(tmp_path / "a", [result(1, True)])
    (out / "summary.json").unlink()
    (out / "timings.jsonl").unlink()
    config = {"policy": "forward", "split": "val_unseen", "turn_deg": 15}
    (out / "run.json").write_text(json.dumps({"config": config, "commits": []}))
    text = parsed(build_report(out)).text
    assert "100.0" in text and "forward on  val_unseen" in text and "15°" in text


def test_a_folder_without_an_evaluation_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds no results.jsonl"):
        build_report(tmp_path)


def test_mcnemar_matches_the_binomial() -> None:
    assert mcnemar_exact(0, 0) == 1.0 and mcnemar_exact(1, 6) == pytest.approx(2 * (1 + 7) / 2**7)
    assert mcnemar_exact(5, 5) == 1.0


def test_pairing_uses_common_episodes_only() -> None:
    paired = compare([result(1, True), result(2, False)], [result(2, True), result(3, True)])
    assert (paired.episodes, paired.both, paired.only_second, paired.sr_difference, paired.spl_difference) == (1, 0, 1, 100.0, 80.0)
    with pytest.raises(ValueError, match="share no episode"):
        compare([result(1, True)], [result(2, True)])


def test_rejections_are_no_actions() -> None:
    assert action_counts([result(1, True)]) == [1, 0, 0, 1, 0, 0, 0, 0, 0, 0]


def test_a_rejection_that_something_was_done_instead_of_is_one_everywhere(tmp_path: Path) -> None:
    done = result(1, True)
    done["trace"][1] |= {"action": 5, "rejected": True}  # navid's agent draws an action
    out = run(tmp_path / "a", [done])
    witnessed(out, "1")
    path = build_report(out)
    more = json.loads(data_of(path)["episodes"][0]["runs"][0]["more"])
    assert more["a"] == [3, 5, 0] and more["said"] == {"1": "<i>what?</i>"}, "the strip marks it, and shows what was done"
    assert "1 of 3 decisions, in 1 episode." in parsed(path).text and action_counts([done]) == action_counts([result(1, True)])
    assert confusion(Run.load(out)).counts[3].tolist() == [1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]


def test_axes_end_at_round_numbers() -> None:
    assert [nice_top(value) for value in (0, 0.3, 1, 37, 80, 81)] == [1, 0.4, 1, 40, 80, 100]


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no browser")
def test_a_browser_shows_the_episodes_and_runs_nothing_of_theirs(tmp_path: Path) -> None:
    out = run(tmp_path / "a", [result(i, i % 2 == 0) for i in range(3)])
    witnessed(out, "1")
    address = build_report(out).as_uri() + "#ep-1"
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
        address,
    ]
    page = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert page.count('class="row"') == 3 and "3 of 3 episodes" in page
    assert page.count('class="decision') == 3 and "Decision 1 of 3: ahead 75" in page
    assert "<title>engine on builtin val_unseen</title>" in page and "onerror" in page and "<img src=" + '"x"' not in page


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
