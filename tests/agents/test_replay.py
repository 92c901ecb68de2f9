"""A dry run against a real server, recorded, then shown again: to the same model, to another, through the command line."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags", reason="needs the extra record: rosbags")

from agents.main import run_agent  # noqa: E402
from agents.recording.reader import Recording, Seen, read_recording  # noqa: E402
from agents.replay import replay  # noqa: E402
from agents.telling import Record  # noqa: E402
from nvila_edge import cli  # noqa: E402
from nvila_edge.navigation.actions import ACTIONS  # noqa: E402
from nvila_edge.serving.errors import LinkDown  # noqa: E402
from nvila_edge.serving.process import start_server  # noqa: E402
from nvila_edge.verbs.recorded import calibration  # noqa: E402
from sim.report.recording import page  # noqa: E402
from tests.nvila_edge.pixel_engine import start_pixel_server  # noqa: E402

INSTRUCTION = "Walk past the <sofa> & stop."


def images(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        rgb = np.random.default_rng(number).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number:03}.png"), rgb)
    return folder


def record(server: str, folder: Path, pictures: Path, **options) -> Recording:
    run_agent(server, pictures, INSTRUCTION, on_event=lambda _: None, record=Record(folder), **options)
    return read_recording(folder)


@pytest.mark.parametrize("prompt", ["stream", "navila"])
def test_the_same_model_decides_as_it_did_to_the_bit_and_another_one_otherwise(tmp_path: Path, prompt: str) -> None:
    with start_pixel_server(prompt) as server:
        recording = record(server.address, tmp_path / "run", images(tmp_path / "frames", 30))
        assert len(recording.decisions) > 8 and recording.ended["reason"] == "over" and recording.whole
        same = replay(recording, server.address)
        again = replay(recording, server.address)
    assert [pair.now.candidates for pair in same.pairs] == [decided.decision.candidates for decided in recording.decisions]
    figures = same.figures()
    assert figures["agreement"] == 1.0 and figures["shift_max"] == 0.0 and figures["decisions"] == len(recording.decisions)
    assert 0 < figures["now_p50_ms"] <= figures["now_p95_ms"] and [pair.now.action for pair in again.pairs] == [
        p.now.action for p in same.pairs
    ]
    with start_pixel_server({"stream": "navila", "navila": "stream"}[prompt]) as other:
        different = replay(recording, other.address, "the other one").figures()
    assert different["agreement"] < 0.7 and 0.1 < different["shift_mean"] <= different["shift_max"] <= 1


def test_the_past_is_what_was_executed_whatever_the_model_answers_now(tmp_path: Path) -> None:
    """The first recorded action is altered: a model of the stream profile then answers otherwise from the second decision on, not at the first."""
    with start_pixel_server("stream") as server:
        recording = record(server.address, tmp_path / "run", images(tmp_path / "frames", 30))
        first = recording.decisions[0]
        place = recording.steps.index(first)
        other = next(action for action in ACTIONS if action != first.decision.action)
        altered = replace(first, decision=replace(first.decision, action=other))
        steps = (*recording.steps[:place], altered, *recording.steps[place + 1 :])
        pairs = replay(replace(recording, steps=steps), server.address).pairs
    assert not pairs[0].agrees and pairs[0].shift == 0.0, "it answers as before, which is not what the altered recording says"
    assert all(pair.shift is not None and pair.shift > 0.01 for pair in pairs[1:])


def test_answers_that_came_while_the_robot_moved_on_are_asked_on_their_own_frames(tmp_path: Path) -> None:
    with start_pixel_server("navila") as server:
        recording = record(server.address, tmp_path / "run", images(tmp_path / "frames", 20))
        steps = list(recording.steps)
        for decided in recording.decisions:
            place = steps.index(decided)
            steps.insert(min(place + 2, len(steps) - 1), steps.pop(place))  # after the next primitive and its frame
        assert steps != list(recording.steps)
        late = replace(recording, steps=tuple(steps))
        assert replay(late, server.address).figures()["agreement"] == 1.0


def test_without_decisions_or_a_server_there_is_nothing_to_compare(tmp_path: Path) -> None:
    with start_pixel_server() as server:
        recording = record(server.address, tmp_path / "run", images(tmp_path / "frames", 3))
        with pytest.raises(ValueError, match="made for 'stream'"):
            replay(replace(recording, about={**recording.about, "agent": "navila"}), server.address)
        with pytest.raises(ValueError, match="holds no decisions"):
            replay(replace(recording, steps=()), server.address)
    with pytest.raises(LinkDown, match="no server answers"):
        replay(recording, "tcp://127.0.0.1:9", connect_s=0.1)


def test_decisions_without_their_frames_are_nothing_to_compare(tmp_path: Path) -> None:
    with start_pixel_server() as server:
        recording = record(server.address, tmp_path / "run", images(tmp_path / "frames", 5))
        with pytest.raises(ValueError, match="not the frames"):
            replay(replace(recording, steps=tuple(step for step in recording.steps if not isinstance(step, Seen))), server.address)


def test_the_page_shows_every_decision_and_needs_nothing_else(tmp_path: Path) -> None:
    with start_pixel_server() as server:
        recording = record(server.address, tmp_path / "run", images(tmp_path / "frames", 20))
    with start_pixel_server("navila") as other:
        comparison = replay(recording, other.address, "navila bundle")
    alone, beside = page(recording, None), page(recording, comparison)
    for text in (alone, beside):
        assert "Walk past the &lt;sofa&gt; &amp; stop." in text and "<sofa>" not in text and "<script" not in text
        assert re.findall(r'(?:src|href)="(?!data:)', text) == []
        assert text.count('src="data:image/jpeg;base64,') == len(recording.decisions) == text.count('class="bars"')
    assert beside.count('<tr class="differs">') == sum(not pair.agrees for pair in comparison.pairs) > 0
    assert '<tr class="differs">' not in alone and "navila bundle answers now" in beside


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of the built-in bundle, made by the command line."""
    root = tmp_path_factory.mktemp("shipped")
    frames = images(root / "frames", 8)
    from nvila_edge.shipped import BUNDLE

    with start_server(BUNDLE) as server:
        options = ["--camera", str(frames), "--robot", "dry-run", "--instruction", INSTRUCTION, "--record", str(root / "run")]
        assert cli.main(["agent", "--server", server.address, *options]) == 0
    return root / "run"


def test_the_built_in_bundle_agrees_with_itself_through_the_command_line(
    shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert cli.main(["replay", str(shipped), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "agreement                    100.0 %" in said and "mean 0.0000, most 0.0000" in said and "replay.html" in said
    stored = json.loads((tmp_path / "out" / "replay.json").read_text())
    assert stored["agreement"] == 1.0 and len(stored["decisions_list"]) == stored["decisions"] and stored["recording"]["agent"] == "ours"
    assert cli.main(["report", str(shipped)]) == 0
    assert (shipped / "report.html").stat().st_size > 5000 and capsys.readouterr().out.strip().endswith("report.html")


def test_another_server_disagrees_through_the_command_line(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with start_pixel_server() as server:
        assert cli.main(["replay", str(shipped), "--server", server.address]) == 0
    said = capsys.readouterr().out
    share = re.search(r"agreement +([\d.]+) %", said)
    assert (
        share and float(share[1]) < 100 and re.search(r"^decision \d+: 'The next action is .* -> '.*' {2}shift 0\.\d\d$", said, flags=re.M)
    )


def test_mistakes_of_replay_and_record_are_one_line(shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (("replay", str(tmp_path)), "is no recording"),
        (("replay", str(shipped), "--bundle", "x", "--server", "tcp://127.0.0.1:9"), "give one of them"),
        (("replay", str(shipped), "--bundle", str(tmp_path)), "is not a bundle"),
        (("report", str(shipped), str(shipped)), "nvila-edge replay"),
        (("agent", "--server", "tcp://127.0.0.1:9", "--camera", "x", "--instruction", "go", "--record-last", "9"), "needs a folder"),
    ):
        capsys.readouterr()
        status, said = cli.main(arguments), capsys.readouterr().err
        assert status in (1, 2) and said.startswith("error: ") and message in said, said


def test_the_ring_of_an_agent_keeps_what_went_before_an_answer_that_is_no_action(tmp_path: Path) -> None:
    with start_pixel_server() as server:
        ended = run_agent(
            server.address, images(tmp_path / "frames", 6), "mumble", on_event=lambda _: None, record=Record(tmp_path / "ring", 30)
        )
    assert ended.reason == "rejected"
    folders = sorted((tmp_path / "ring").iterdir())
    assert [folder.name for folder in folders] == ["000-rejected", "001-rejected"]
    assert [read_recording(folder).decisions[-1].decision.text for folder in folders] == ["mumble mumble"] * 2


def test_what_an_agent_recorded_calibrates_an_export(tmp_path: Path) -> None:
    with start_pixel_server("stream") as server:
        recordings = [record(server.address, tmp_path / "runs" / name, images(tmp_path / name, 6)) for name in ("a", "b")]
    both, one = calibration(str(tmp_path / "runs"), "train", 1, 0), calibration(str(tmp_path / "runs" / "a"), "train", 1, 0)
    assert [found.instruction for found in both.recordings] == [INSTRUCTION] * 2 and len(one.recordings) == 1
    for recording, found in zip(recordings, both.recordings, strict=True):
        assert [ACTIONS[index] for index in found.actions] == [decided.decision.action for decided in recording.decisions]
        assert found.frames.shape == (len(recording.decisions), 48, 64, 3)
    assert np.array_equal(one.recordings[0].frames, both.recordings[0].frames)
