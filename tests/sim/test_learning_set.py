"""Learning sets: what is recorded is what happened, whatever was killed, and both layouts give it back."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nvila_edge.navigation.actions import ACTIONS, SENTENCES, Action, Forward, Primitive, Stop, Turn, primitives
from nvila_edge.navigation.decision import Decision
from nvila_edge.training.layouts import ANNOTATIONS, open_samples
from sim.dataset import ground_truth, house_episodes
from sim.env import HouseEnv
from sim.expert import Expert
from sim.geometry import Pose
from sim.houses.library import HouseLibrary
from sim.learning.collect import SUMMARY, CollectOptions, collect
from sim.learning.recording import Recorder, RecordTask, Rollout, Taught, load_rollouts, rollouts_file
from sim.lesson import Lesson
from sim.navmesh import NavMesh
from sim.results import OutputError
from tests.sim.toy import two_rooms

ROOT = Path(__file__).parents[2]
SMALL = {"houses": 2, "episodes": 2, "workers": 1}


def quiet(done: int, total: int) -> None:
    """No progress is shown."""


def digests(out: Path) -> dict[str, str]:
    """Of every file that the data consist of."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("set") / "out"
    collect(CollectOptions(out, **SMALL), quiet)
    return out


def test_samples_are_the_experts_way_frame_by_frame(collected: Path) -> None:
    house, navmesh = HouseLibrary(1)["train_0000"]
    (episode,) = house_episodes(house, navmesh, 1, seed=0)
    (rollout,) = load_rollouts(rollouts_file(collected, "train_0000"))
    assert rollout.instruction == episode.instruction and rollout.success and rollout.ended == "stop"
    assert tuple(rollout.primitives) == ground_truth(navmesh, episode).actions
    assert len(list((collected / "train" / "1").glob("frame_*.jpg"))) == len(rollout.primitives) == len(rollout.poses)
    steps = [int(step) for _, _, done in rollout.decisions for step in primitives(ACTIONS[done])]
    assert steps == list(rollout.primitives) and [frame for frame, _, _ in rollout.decisions][:1] == [0]
    env = HouseEnv(house, navmesh, renderer=None)  # type: ignore[arg-type]
    env.reset(episode.start)
    for primitive, pose in zip(rollout.primitives, rollout.poses, strict=True):
        assert (*env.pose.position_m, env.pose.yaw_rad) == pytest.approx(pose)
        env.execute(primitive)


def test_the_navila_layout_gives_the_samples_back(collected: Path) -> None:
    rollouts = [r for name in ("train_0000", "train_0001") for r in load_rollouts(rollouts_file(collected, name))]
    samples = list(open_samples(collected))
    wanted = [
        (r.instruction, frame + 1, SENTENCES[label])
        for r in rollouts for frame, label, _ in r.decisions for _ in range(3 if label == 0 else 1)
    ]  # fmt: skip
    assert [(s.text, len(s.frames), s.answer) for s in samples] == wanted
    assert samples[0].frames[0].rgb().shape == (224, 224, 3) and samples[0].frames[0].rgb().std() > 5
    entry = json.loads((collected / ANNOTATIONS).read_text())[3]
    assert set(entry) == {"video_id", "q", "a", "frames"} and entry["frames"][0] == f"{entry['video_id']}/frame_0.jpg"


def test_the_report_shows_answers_before_and_after(collected: Path) -> None:
    summary = json.loads((collected / SUMMARY).read_text())
    assert summary["before"][0] == 2 and summary["after"] == [6, *summary["before"][1:]] and summary["samples"] == sum(summary["after"])
    page = (collected / "report.html").read_text()
    assert "before balancing" in page and "<td>stop</td><td>2</td><td>6</td>" in page and "http" not in page.replace("http-equiv", "")


def test_a_killed_collection_goes_on_and_gives_the_same_bytes(collected: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "nvila_edge.cli",
        "data",
        "collect",
        "--out",
        str(out),
        "--houses",
        "2",
        "--episodes",
        "2",
        "--workers",
        "1",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None and not rollouts_file(out, "train_0000").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert rollouts_file(out, "train_0000").exists() and not (out / ANNOTATIONS).exists()
    (out / "train" / "2.part").mkdir(exist_ok=True)  # as a kill within a house leaves it
    told: list[tuple[int, int]] = []
    collect(CollectOptions(out, **SMALL), lambda done, total: told.append((done, total)))
    assert told[0][0] >= 1 and digests(out) == digests(collected)


def test_a_finished_set_is_left_alone_and_other_settings_are_refused(collected: Path) -> None:
    before = digests(collected)
    assert collect(CollectOptions(collected, **SMALL), quiet)["episodes"] == 2 and digests(collected) == before
    with pytest.raises(OutputError, match="seed 0 there, 1 now"):
        collect(CollectOptions(collected, **SMALL, seed=1), quiet)


def test_options_that_cannot_be_are_named_before_anything_is_written(tmp_path: Path) -> None:
    base = CollectOptions(tmp_path / "out", **SMALL)
    for change, message in (
        ({"episodes": 1}, "1 episodes in 2 houses"), ({"workers": 0}, "--workers 0"), ({"expert_share": 2.0}, "--expert-share 2"),
        ({"largest_share": 0.05}, "--largest-share 0.05"), ({"stop_copies": 0}, "stop copies 0"), ({"split": "test"}, "'test' is unknown"),
        ({"source": "policy", "bundle": tmp_path}, "no manifest.json"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            collect(replace(base, **change), quiet)
    assert not base.out.exists()


@pytest.fixture(scope="module")
def lerobot(collected: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same roll-outs in LeRobot's layout."""
    pytest.importorskip("pyarrow")
    from sim.learning.lerobot import write_lerobot

    out = tmp_path_factory.mktemp("lerobot")
    houses = []
    for name in ("train_0000", "train_0001"):
        rollouts = load_rollouts(rollouts_file(collected, name))
        houses.append((rollouts, [np.array([3 if label == 0 else 1 for _, label, _ in r.decisions]) for r in rollouts]))
    write_lerobot(out, "train", collected / "train", houses)
    return out


def test_both_layouts_hold_the_same_samples(collected: Path, lerobot: Path) -> None:
    ours, theirs = list(open_samples(collected)), list(open_samples(lerobot))
    assert [(s.text, len(s.frames), s.answer) for s in ours] == [(s.text, len(s.frames), s.answer) for s in theirs]
    for index in (0, len(ours) // 2, -1):
        assert np.array_equal(ours[index].frames[-1].rgb(), theirs[index].frames[-1].rgb())


def test_lerobots_files_are_as_its_format_says(collected: Path, lerobot: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    info = json.loads((lerobot / "meta/info.json").read_text())
    rollouts = [r for name in ("train_0000", "train_0001") for r in load_rollouts(rollouts_file(collected, name))]
    frames = sum(len(r.primitives) for r in rollouts)
    assert (info["codebase_version"], info["total_episodes"], info["total_frames"], info["splits"]) == ("v3.0", 2, frames, {"train": "0:2"})
    episodes = pq.read_table(lerobot / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    for number, (episode, rollout) in enumerate(zip(episodes, rollouts, strict=True)):
        data = pq.read_table(
            lerobot / info["data_path"].format(chunk_index=episode["data/chunk_index"], file_index=episode["data/file_index"])
        )
        assert set(data.column_names) == set(info["features"])
        assert data["index"].to_pylist() == list(range(episode["dataset_from_index"], episode["dataset_to_index"]))
        assert data["action"].to_pylist() == list(rollout.primitives) and set(data["episode_index"].to_pylist()) == {number}
        assert data["timestamp"].to_pylist() == [frame / info["fps"] for frame in range(episode["length"])]
        assert episode["tasks"] == [rollout.instruction] and episode["stats/action/max"] == [max(rollout.primitives)]
    tasks = pq.read_table(lerobot / "meta/tasks.parquet")
    assert tasks["task"].to_pylist() == list(dict.fromkeys(r.instruction for r in rollouts)) and b"pandas" in tasks.schema.metadata
    stats = json.loads((lerobot / "meta/stats.json").read_text())
    actions = np.concatenate([r.primitives for r in rollouts])
    assert stats["action"]["mean"] == pytest.approx([actions.mean()]) and stats["action"]["std"] == pytest.approx([actions.std()])
    assert np.array(stats["observation.images.front"]["mean"]).shape == (3, 1, 1)


class Stubborn:
    """A policy that always says the same, and remembers what it was told."""

    def __init__(self, action: Action | None) -> None:
        self.action, self.told = action, []

    def reset(self, instruction: str, episode_id: str) -> None:
        pass

    def observe(self, frame: object) -> None:
        pass

    def executed(self, action: object, primitive: Primitive, motion: object) -> None:
        self.told.append(action)

    def decide(self) -> Decision:
        return Decision(self.action, "", 1.0)


def taught(action: Forward | Stop | None, share: float, corrects: bool) -> Taught:
    """Beside an expert whose goal is in the other room, behind it."""
    house = two_rooms()
    navmesh = NavMesh.from_triangles(house.triangle_soup)
    env = HouseEnv(house, navmesh, renderer=None)  # type: ignore[arg-type]
    env.reset(Pose((-2.0, 0.0, 0.0), np.pi / 2))  # looks along -x
    return Taught(Stubborn(action), Expert(navmesh, np.array([2.0, 0.0, 0.0])), env, share, corrects, np.random.default_rng(0))  # type: ignore[arg-type]


def test_the_expert_labels_and_the_policy_drives_unless_it_would_end_the_lesson() -> None:
    driven = taught(Forward(25), 0.0, corrects=True)
    assert driven.decide().action == Forward(25) and isinstance(driven.wanted[0], Turn)
    for bad in (Stop(), None):
        corrected = taught(bad, 0.0, corrects=True)
        assert corrected.decide().action == corrected.wanted[0]
    assert taught(Stop(), 0.0, corrects=False).decide().action == Stop()


def test_the_experts_share_is_how_often_it_drives() -> None:
    lesson = taught(Forward(25), 0.25, corrects=True)
    took_over = sum(lesson.decide().action != Forward(25) for _ in range(400))
    assert 70 < took_over < 130 and len(lesson.wanted) == 400  # 100 expected, 3.5 standard deviations


class BlackRenderer:
    """Shows nothing, quickly."""

    def show(self, house: object) -> None:
        pass

    def rgb(self, pose: Pose) -> np.ndarray:
        return np.zeros((8, 8, 3), np.uint8)


@pytest.mark.parametrize("source", ["dagger", "policy"])
def test_a_roll_out_of_somebody_who_only_turns_ends_at_the_step_limit(source: str) -> None:
    house = two_rooms()
    navmesh = NavMesh.from_triangles(house.triangle_soup)
    task = RecordTask("toy", "", "", 1, 1, "train", 0, source, "", 0.0)
    recorder = Recorder(task, house, navmesh, BlackRenderer(), None)  # type: ignore[arg-type]
    recorder.env.reset(Pose((-2.0, 0.0, 0.0), np.pi / 2))
    expert = Expert(navmesh, np.array([2.0, 0.0, 0.0]))
    lesson = Taught(Stubborn(Turn(45)), expert, recorder.env, 0.0, source == "dagger", np.random.default_rng(0))  # type: ignore[arg-type]
    tape = recorder.follow(lesson, expert, "Turn round.", "1")
    assert (len(tape.decisions), tape.ended) == (167, "limit")  # 500 primitives of 15 degrees
    assert len(tape.frames) == len(tape.primitives) == 500
    turn = ACTIONS.index(Turn(45))
    assert {done for _, _, done in tape.decisions} == {turn}
    labels = {label for _, label, _ in tape.decisions}
    assert labels == {turn} if source == "policy" else ACTIONS.index(Forward(75)) in labels


def test_a_lesson_is_lost_when_it_strays_from_where_it_had_come() -> None:
    lesson = Lesson()
    for distance_m in (6.0, 4.0, 5.0):
        lesson.decided(distance_m)
    assert not lesson.is_lost(7.9) and lesson.is_lost(8.1)


def test_figures_that_are_not_finite_survive_the_file(tmp_path: Path) -> None:
    entry = vars(Rollout("1", "s", "go", [], [], [], "limit", False, float("inf"))) | {"distance_to_goal_m": "inf"}
    (tmp_path / "h.json").write_text(json.dumps({"rollouts": [entry]}))
    assert load_rollouts(tmp_path / "h.json")[0].distance_to_goal_m == float("inf")
