"""A RealSense through the real pipeline of pyrealsense2, playing recordings that its software device made."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

rs = pytest.importorskip("pyrealsense2", reason="needs the extra realsense and the system library libusb-1.0-0")

from agents.cameras.choice import open_camera  # noqa: E402
from agents.cameras.realsense import Device, RealSense, RealSenseSettings, Tape  # noqa: E402
from agents.cameras.watched import Watched  # noqa: E402
from agents.events import Ended  # noqa: E402
from agents.loop import Loop  # noqa: E402
from agents.protocols import CameraError, RecordingOver  # noqa: E402
from agents.robots.dry_run import DryRun  # noqa: E402
from nvila_edge.navigation.actions import Forward  # noqa: E402
from nvila_edge.navigation.agent_profiles import CameraSetup  # noqa: E402
from tests.agents.realsense_tape import FOCAL_PX, HEIGHT, WIDTH, floor_depth, record_tape  # noqa: E402
from tests.agents.support import Script  # noqa: E402

PAIRS = 12  # a recording loses its first pair, on a busy machine a few more
QUICK = RealSenseSettings(wait_s=0.3, reconnects=2, reopen_s=0.5)


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tape") / "walk.db3"
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 200, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    depth = np.full((HEIGHT, WIDTH), 700, np.uint16)
    depth[:10] = 0
    pictures = []
    for number in range(PAIRS):
        rgb = noise.copy()
        rgb[:, :, 0] = 10 * number
        pictures.append((rgb, depth))
    record_tape(path, pictures)
    return path


def test_a_recording_gives_colour_with_depth_in_metres_every_picture_once_and_then_ends(tape: Path) -> None:
    camera = open_camera(f"realsense:{tape}")
    frames = []
    with pytest.raises(RecordingOver, match=r"walk\.db3 is over after \d+ frames"):
        while True:
            frames.append(camera.capture())
            assert len(frames) <= PAIRS
    camera.close()
    reds = [int(np.median(frame.rgb[:, :, 0])) for frame in frames]
    assert reds == sorted(set(reds)) and set(reds) <= set(range(0, 10 * PAIRS, 10)) and len(reds) >= 3
    assert [frame.frame_id for frame in frames] == list(range(len(frames)))
    depth = frames[0].depth_m
    assert depth is not None and depth.dtype == np.float32 and depth.shape == frames[0].rgb.shape[:2] == (HEIGHT, WIDTH)
    assert depth[60, 80] == pytest.approx(0.7, abs=1e-4) and not depth[:10].any()
    assert frames[0].quality is not None and frames[0].quality.sharpness > 100
    assert all(0 <= time.monotonic() - frame.captured_s < 60 for frame in frames)
    assert isinstance(camera, RealSense) and camera.lens is not None and camera.lens.fx_px == pytest.approx(FOCAL_PX)


def test_an_unplugged_camera_is_opened_anew_and_goes_on_counting(tape: Path) -> None:
    camera = RealSense(Tape(tape, unplugs=True), QUICK)
    frames = [camera.capture()]
    while camera.reconnects == 0 and len(frames) <= PAIRS:
        frames.append(camera.capture())
    camera.close()
    assert [frame.frame_id for frame in frames] == list(range(len(frames))) and (camera.misses, camera.reconnects) == (1, 1)
    assert len(frames) > 3 and np.median(frames[-1].rgb[:, :, 0]) < np.median(frames[-2].rgb[:, :, 0]), "it begins anew"


def test_a_camera_that_stays_away_stops_the_robot_and_is_named(tape: Path, tmp_path: Path) -> None:
    copy = tmp_path / "gone.db3"
    copy.write_bytes(tape.read_bytes())
    camera, robot = RealSense(Tape(copy, unplugs=True), QUICK), DryRun()
    copy.unlink()  # the pipeline reads on from the open file, and finds none when it opens it anew
    started_s = time.monotonic()
    events = list(Loop(Script([Forward(25)] * 20), camera, robot).run("go", "e"))
    ended = events[-1]
    assert isinstance(ended, Ended) and ended.reason == "camera" and ended.fault and robot.halts
    assert 3 <= len(robot.begun) <= PAIRS and time.monotonic() - started_s < 20
    assert "gone.db3 gave no picture for 0.3 s" in ended.message and "cameras that are there: none" in ended.message
    assert camera.misses == 1 and camera.reconnects == 0
    with pytest.raises(CameraError):
        camera.capture()
    camera.close()


def test_a_camera_that_is_not_there_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="RealSense 123456 cannot be opened: .*cameras that are there"):
        RealSense(Device("123456"), QUICK)
    with pytest.raises(ValueError, match=r"none\.db3 cannot be opened"):
        open_camera(f"realsense:{tmp_path / 'none.db3'}")
    (tmp_path / "broken.db3").write_bytes(b"no recording")
    with pytest.raises(ValueError, match=r"broken\.db3 cannot be opened"):
        open_camera(f"realsense:{tmp_path / 'broken.db3'}")
    with pytest.raises(ValueError, match=r"recordings are read in the \.db3 format"):
        open_camera("realsense:old.bag")


def test_a_camera_mounted_otherwise_than_the_model_wants_is_told_with_the_figures(tmp_path: Path) -> None:
    tape, grey = tmp_path / "low.db3", np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    record_tape(tape, [(grey, floor_depth(0.40, 12.0))] * PAIRS)
    said: list[str] = []
    camera = Watched(open_camera(f"realsense:{tape}"), CameraSetup(224, 224), said.append)
    for _ in range(4):
        camera.capture()
    camera.close()
    assert "the camera is 0.40 m above the floor, the model has learnt with 1.25 m" in said
    assert "the camera looks 12 degrees down, the model has learnt with 0" in said
    assert sum("above the floor" in text for text in said) == 1 and sum("pictures are blurred" in text for text in said) == 1


def test_an_agent_walks_with_a_recorded_camera_and_records_it_anew_with_its_depth(tape: Path, tmp_path: Path) -> None:
    pytest.importorskip("rosbags", reason="needs the extra record: rosbags")
    from agents.main import run_agent
    from agents.recording.reader import Seen, read_recording
    from agents.telling import Record
    from tests.nvila_edge.pixel_engine import start_pixel_server

    said: list[str] = []
    with start_pixel_server() as server:
        record = Record(tmp_path / "run")
        ended = run_agent(server.address, f"realsense:{tape}", "walk on", on_event=lambda _: None, on_warning=said.append, record=record)
    assert ended.reason == "over" and 3 <= ended.primitives <= PAIRS
    assert "no floor is in view, so the camera's height and tilt could not be checked" in said
    seen = [step for step in read_recording(tmp_path / "run").steps if isinstance(step, Seen)]
    assert (
        [step.frame_id for step in seen] == list(range(len(seen)))
        and len(seen) >= ended.primitives
        and b"/camera/depth" in (tmp_path / "run" / "run.mcap").read_bytes()
    )
