"""Recordings: what is written, that ROS 2's schemas are in them, the ring, a full disk, a killed process, and a robot that is never kept waiting."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags", reason="needs the extra record: rosbags")

from rosbags.rosbag2 import Reader  # noqa: E402
from rosbags.typesys import Stores, get_typestore  # noqa: E402

from agents.cameras.picture import make_frame  # noqa: E402
from agents.events import Captured, Decided, Ended, Event, Executed, ServerBack, ServerLost, Withheld  # noqa: E402
from agents.protocols import Frame, Motion  # noqa: E402
from agents.recorder import QUEUE, Recorder, RecordingAbout  # noqa: E402
from agents.recording import sinks  # noqa: E402
from agents.recording.reader import Noted, Seen, read_recording  # noqa: E402
from agents.recording.robot import Recorded  # noqa: E402
from nvila_edge.navigation.actions import ACTIONS, Forward, Primitive, sentence  # noqa: E402
from nvila_edge.navigation.decision import Decision  # noqa: E402
from nvila_edge.serving.jpeg import encode_jpeg  # noqa: E402

ABOUT = RecordingAbout("walk to the sofa", "e7", "ours", "tcp://127.0.0.1:5555")
CANDIDATES = tuple(np.arange(1, 11) / 55)


def frame(number: int, depth: bool = False) -> Frame:
    rgb = np.random.default_rng(number).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    depth_m = np.full((48, 64), 1.234, np.float32) if depth else None
    return make_frame(number, rgb, time.monotonic() - 0.2, depth_m, bgr=False)


def decided(n: int, frame_id: int, action=ACTIONS[1]) -> Decided:
    text = "mumble" if action is None else sentence(action)
    return Decided(n, frame_id, Decision(action, text, 0.25, CANDIDATES, {"queue": 1.5, "language": 20.0}), 87.5)


EVENTS: list[Event] = [
    Captured(frame(0, depth=True)), decided(0, 0), Executed(0, 0, Primitive.FORWARD, Motion(0.25, 0.0, False)),
    Captured(frame(1)), decided(1, 1, ACTIONS[5]), Executed(1, 0, Primitive.LEFT, Motion(0.0, 90.0, False)),
    Captured(frame(2)), decided(2, 2), Executed(2, 0, Primitive.FORWARD, Motion(0.20, 0.0, True)),
    Captured(frame(3)), Withheld(2, "too old", (Primitive.FORWARD,)), ServerLost("gone", ()), ServerBack(120.0), Ended("stop", "", 3, 3, 0),
]  # fmt: skip


def recorded(folder: Path, events: list[Event], **options) -> Recorder:
    with Recorder(folder, ABOUT, **options) as recorder:
        for event in events:
            recorder(event)
    return recorder


def messages(folder: Path) -> dict[str, list]:
    """By topic, read by the library itself with the schemas that are in the file."""
    store, found = get_typestore(Stores.EMPTY), {}
    with Reader(folder) as reader:
        from rosbags.typesys import get_types_from_msg

        for connection in reader.connections:
            store.register(get_types_from_msg(connection.msgdef.data, connection.msgtype))
        for connection, at_ns, data in reader.messages():
            found.setdefault(connection.topic, []).append((at_ns, store.deserialize_cdr(data, connection.msgtype), connection.msgtype))
    return found


def test_an_episode_is_written_with_ros_2_schemas_that_the_file_itself_holds(tmp_path: Path) -> None:
    recorder = recorded(tmp_path / "run", EVENTS)
    assert recorder.failure == "" and recorder.lost == 0 and recorder.folders == [tmp_path / "run"]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["metadata.yaml", "run.mcap"]
    found = messages(tmp_path / "run")
    types = {topic: rows[0][2] for topic, rows in found.items()}
    assert types == {
        "/camera/image/compressed": "sensor_msgs/msg/CompressedImage", "/camera/depth/compressed": "sensor_msgs/msg/CompressedImage",
        "/odom": "nav_msgs/msg/Odometry", "/diagnostics": "diagnostic_msgs/msg/DiagnosticArray",
    } | {f"/nvila/{kind}": "std_msgs/msg/String" for kind in ("instruction", "frame", "decision", "motion", "guard", "ended")}  # fmt: skip
    images = [image for _, image, _ in found["/camera/image/compressed"]]
    originals = [event.frame for event in EVENTS if isinstance(event, Captured)]
    assert [image.data.tobytes() for image in images] == [encode_jpeg(original.rgb) for original in originals]
    stamp_s = images[0].header.stamp.sec + images[0].header.stamp.nanosec / 1e9
    assert stamp_s == pytest.approx(time.time() - (time.monotonic() - originals[0].captured_s), abs=0.05), "stamped when captured"
    depth = cv2.imdecode(found["/camera/depth/compressed"][0][1].data, cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16 and (depth == 1234).all()
    poses = [odometry.pose.pose for _, odometry, _ in found["/odom"]]
    assert [(round(pose.position.x, 3), round(pose.position.y, 3)) for pose in poses] == [(0.25, 0.0), (0.25, 0.0), (0.25, 0.2)]
    assert 2 * math.atan2(poses[-1].orientation.z, poses[-1].orientation.w) == pytest.approx(math.pi / 2)
    names = {status.name for _, array, _ in found["/diagnostics"] for status in array.status}
    assert names == {f"nvila_edge: {name}" for name in ("camera", "policy", "guard", "agent")}
    times = sorted(at_ns for rows in found.values() for at_ns in {row[0] for row in rows})
    assert abs(times[0] / 1e9 - time.time()) < 60


def test_a_recording_is_read_back_as_the_events_that_it_was_made_of(tmp_path: Path) -> None:
    recorded(tmp_path / "run", EVENTS)
    for path in (tmp_path / "run", tmp_path / "run" / "run.mcap"):
        recording = read_recording(path)
        assert recording.instruction == "walk to the sofa" and recording.about["episode_id"] == "e7" and recording.about["agent"] == "ours"
        assert recording.whole and recording.ended["reason"] == "stop" and recording.ended["fault"] is False
        kinds = "".join(type(step).__name__[0] for step in recording.steps)
        assert kinds == "SDE" * 3 + "SNNN"
        assert recording.decisions == [event for event in EVENTS if isinstance(event, Decided)]
        assert [step for step in recording.steps if isinstance(step, Executed)] == [
            event for event in EVENTS if isinstance(event, Executed)
        ]
        seen = [step for step in recording.steps if isinstance(step, Seen)]
        assert [step.frame_id for step in seen] == [0, 1, 2, 3] and seen[0].quality["sharpness"] > 100
        notes = [step.content for step in recording.steps if isinstance(step, Noted)]
        assert [note["type"] for note in notes] == ["Withheld", "ServerLost", "ServerBack"] and notes[0]["dropped"] == ["FORWARD"]


def test_what_is_no_recording_is_refused_with_what_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no recording .* nvila-edge agent --record"):
        read_recording(tmp_path)
    recorded(tmp_path / "a", EVENTS)
    with pytest.raises(ValueError, match="it holds a: give one of them"):
        read_recording(tmp_path)
    (tmp_path / "x.mcap").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="has no /nvila/instruction"):
        read_recording(tmp_path / "x.mcap")
    with pytest.raises(ValueError, match="holds something already"):
        Recorder(tmp_path / "a", ABOUT)
    with pytest.raises(ValueError, match="from 1 to 600 seconds"):
        Recorder(tmp_path / "b", ABOUT, last_s=0)


def test_a_ring_is_written_only_when_something_goes_wrong_and_holds_the_last_seconds(tmp_path: Path) -> None:
    calm = recorded(tmp_path / "calm", [*EVENTS[:9], Ended("stop", "", 3, 3, 0)], last_s=5)
    assert calm.folders == [] and list((tmp_path / "calm").iterdir()) == []
    with Recorder(tmp_path / "ring", ABOUT, last_s=1) as recorder:
        for event in EVENTS[:3]:
            recorder(event)
        time.sleep(1.2)
        for event in EVENTS[3:6]:
            recorder(event)
        recorder(decided(2, 1, None))
        recorder(EVENTS[6])
        recorder.dump("e-stop")
        recorder(EVENTS[7])
        recorder(Ended("robot", "wheel off", 3, 3, 1))
    assert [path.name for path in recorder.folders] == ["000-rejected", "001-e-stop", "002-fault-robot"]
    first, second, third = (read_recording(path) for path in recorder.folders)
    assert first.instruction == second.instruction == third.instruction == "walk to the sofa"
    assert [d.n for d in first.decisions] == [1, 2] and not first.whole and first.decisions[-1].decision.rejected
    assert (
        [type(step).__name__ for step in second.steps] == ["Seen"] and third.ended["message"] == "wheel off" and len(third.decisions) == 1
    )


def test_a_ring_is_written_when_the_agent_itself_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Recorder(tmp_path / "box", ABOUT, 10.0) as recorder:
        for event in EVENTS[:3]:
            recorder(event)
        raise ZeroDivisionError
    (written,) = recorder.folders
    assert "crash-ZeroDivisionError" in written.name and len(read_recording(written).decisions) == 1


def test_a_ring_keeps_no_more_than_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "RING_BYTES", 60_000)
    with Recorder(tmp_path / "ring", ABOUT, last_s=600) as recorder:
        for number in range(40):
            recorder(Captured(frame(number)))
        recorder.dump("asked")
    seen = [step for step in read_recording(recorder.folders[0]).steps if isinstance(step, Seen)]
    assert [step.frame_id for step in seen] == list(range(40 - len(seen), 40))
    assert 30_000 < sum(len(step.jpeg) for step in seen) <= 60_000


def test_events_of_other_parts_and_numbers_that_are_not_finite_are_recorded_too(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class EStopPressed:
        message: str
        speed_mps: float
        depth: np.ndarray

    with Recorder(tmp_path / "run", ABOUT) as recorder:
        recorder(EStopPressed("button", math.inf, np.zeros(3)))
        recorder.warned("the lens is dirty")
        recorder.odometry(0.0, 0.0, 0.0, math.inf)
        recorder(Captured(Frame(0, np.zeros((4, 4, 3), np.uint8), -math.inf)))
    assert recorder.failure == ""
    note = read_recording(tmp_path / "run").steps[0]
    assert isinstance(note, Noted) and note.content == {"type": "EStopPressed", "message": "button", "speed_mps": "inf"}
    assert [array.status[0].message for _, array, _ in messages(tmp_path / "run")["/diagnostics"]] == ["the lens is dirty"]


def test_a_robots_velocities_and_its_own_odometry_are_recorded(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Pose:
        x_m: float
        y_m: float
        yaw_rad: float
        stamp_s: float

    class Wheels:
        def __init__(self) -> None:
            self.commanded: list[tuple[float, float]] = []

        def command(self, linear_mps: float, angular_rps: float) -> None:
            self.commanded.append((linear_mps, angular_rps))

        def odometry(self) -> Pose:
            return Pose(float(len(self.commanded)), 0.5, 0.1, 100.0 + len(self.commanded))

        def halt(self) -> None:
            self.commanded.append((0.0, 0.0))

    wheels = Wheels()
    with Recorder(tmp_path / "run", ABOUT) as recorder:
        robot = Recorded(wheels, recorder)
        robot.command(0.4, 0.0)
        assert robot.odometry() == robot.odometry()
        robot.command(0.0, -0.5)
        robot.odometry()
        robot.halt()
        recorder(EVENTS[2])  # dead reckoning ends where a robot tells its odometry
    found = messages(tmp_path / "run")
    twists = [(row[1].twist.linear.x, row[1].twist.angular.z) for row in found["/cmd_vel"]]
    assert twists == [(0.4, 0.0), (0.0, -0.5), (0.0, 0.0)] == wheels.commanded
    assert [row[1].pose.pose.position.x for row in found["/odom"]] == [1.0, 2.0]
    assert found["/cmd_vel"][0][2] == "geometry_msgs/msg/TwistStamped"


FULL_DISK = """
import resource, sys, time
from pathlib import Path
from agents.recorder import Recorder
from tests.agents.test_recorder import ABOUT, Captured, EVENTS, frame
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
said, slowest = [], 0.0
with Recorder(Path(sys.argv[1]), ABOUT, trouble=said.append) as recorder:
    for number in range(600):
        started = time.perf_counter()
        recorder(Captured(frame(number)))
        slowest = max(slowest, time.perf_counter() - started)
        time.sleep(0.003)
print(len(said), said[0], recorder._queue.qsize())
"""


def test_a_full_disk_ends_the_recording_once_and_never_the_run(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"1 recording in {tmp_path / 'run'} ended: [Errno 27] File too large") and done.stdout.split()[-1] == "0"
    recording = read_recording(tmp_path / "run")  # as far as it goes
    assert 0 < len(recording.steps) < 600 and recording.ended == {} and recording.instruction == "walk to the sofa"


KILLED = """
import sys, time
from pathlib import Path
from agents.recorder import Recorder
from tests.agents.test_recorder import ABOUT, Captured, frame
recorder = Recorder(Path(sys.argv[1]), ABOUT)
for number in range(400):
    recorder(Captured(frame(number)))
    time.sleep(0.002)
print("ready", flush=True)
time.sleep(60)
"""


def test_what_a_killed_process_had_recorded_can_be_read(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "run")], stdout=subprocess.PIPE, cwd=root, env=environment
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
    recording = read_recording(tmp_path / "run")
    ids = [step.frame_id for step in recording.steps if isinstance(step, Seen)]
    assert ids == list(range(len(ids))) and len(ids) > 100


def test_a_disk_that_stalls_costs_events_but_never_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from agents.recording.bag import Bag

    write, stalled = Bag.write, []

    def slow(self: Bag, *arguments) -> None:
        if not stalled:
            stalled.append(time.sleep(0.6))
        write(self, *arguments)

    monkeypatch.setattr(Bag, "write", slow)
    events = [Executed(0, index, Primitive.LEFT, Motion(0.0, 15.0, False)) for index in range(2 * QUEUE)]
    said: list[str] = []
    with Recorder(tmp_path / "run", ABOUT, trouble=said.append) as recorder:
        started_s = time.monotonic()
        for event in events:
            recorder(event)
        assert time.monotonic() - started_s < 0.5
        time.sleep(0.7)
    assert recorder.lost >= 3 * QUEUE - 2 and recorder.failure == ""
    assert said == [f"the recording in {tmp_path / 'run'} lacks {recorder.lost} events: the disk was too slow"]
    last = read_recording(tmp_path / "run").steps[-1]
    assert isinstance(last, Noted) and last.content == {"type": "Lost", "events": recorder.lost}


def test_an_unwritable_folder_is_refused_before_anything_moves(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="holds something already"):
        Recorder(tmp_path / "file", ABOUT)
    with pytest.raises(OSError, match="cannot be written"):
        Recorder(tmp_path / "file" / "run", ABOUT)


def test_forward_is_written_as_json_that_names_its_place() -> None:
    from agents.recording.messages import action_json

    assert action_json(Forward(25)) == {"type": "Forward", "distance_cm": 25, "index": 1} and action_json(None) is None
    assert action_json(Forward(250)) == {"type": "Forward", "distance_cm": 250}


def test_a_recording_that_is_damaged_in_the_middle_is_read_once(tmp_path: Path) -> None:
    recorded(tmp_path / "run", [Captured(frame(number)) for number in range(300)])
    path = tmp_path / "run" / "run.mcap"
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 5000] = b"\xff" * 5000
    path.write_bytes(data)
    ids = [step.frame_id for step in read_recording(tmp_path / "run").steps if isinstance(step, Seen)]
    assert ids == sorted(set(ids)) and len(ids) > 10
