"""Videos play in browsers and show what happened."""

from __future__ import annotations

import math
from pathlib import Path

import av
import numpy as np
import pytest

from nvila_edge.navigation.actions import ACTIONS, Forward, Stop, Turn
from sim.geometry import Pose
from sim.maps import HouseMap, draw_map
from sim.renderer import MapTransform, Renderer
from sim.results import OutputError
from sim.video import FPS, FRAMES_PER_STEP, HEIGHT, VIEW_PX, WIDTH, Shown, Step, Story, in_words, wrap, write_video
from tests.sim.toy import two_rooms

MAP = HouseMap(np.full((200, 400, 3), 200, np.uint8), MapTransform(-4.0, -2.0, 50.0))


def story(steps: int = 4) -> Story:
    """A walk along x."""
    shown = Shown(Forward(75), 0.8, tuple([0.02] * 3 + [0.82] + [0.02] * 6), 40.0)
    track = [Step(Pose((0.25 * i, 0.0, 0.0), -math.pi / 2), i, 2.0 - 0.25 * i, 1, shown) for i in range(steps)]
    return Story("house · episode 1", "Go to the sofa and stop.", track, np.zeros((2, 3)), np.array([2.0, 0.0, 0.0]), True, True)


def grey(_: Pose) -> np.ndarray:
    """A camera view."""
    return np.full((VIEW_PX, VIEW_PX, 3), 90, np.uint8)


def test_a_video_is_h264_in_yuv420p_with_its_index_in_front(tmp_path: Path) -> None:
    path = tmp_path / "videos" / "1.mp4"
    write_video(path, story(), MAP, grey)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.width, stream.height) == ("h264", "yuv420p", WIDTH, HEIGHT)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(frames) == 3 * FRAMES_PER_STEP + 1 + 2 * FPS
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "faststart: a browser plays before it has everything"
    assert abs(int(frames[0][200, 100].mean()) - 90) < 6, "the camera's view is on the left"
    last = frames[-1][84 + VIEW_PX - 8, 30].astype(int)
    assert last[1] > last[0] + 60 and last[1] > last[2] + 40, "a green banner ends a success"
    assert list(tmp_path.rglob("*.part")) == []


def test_a_video_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "videos").write_text("a file, not a folder")
    with pytest.raises(OutputError, match="cannot write the video"):
        write_video(tmp_path / "videos" / "1.mp4", story(), MAP, grey)


def test_actions_in_words() -> None:
    assert [in_words(action) for action in (Forward(50), Turn(30), Turn(-45), Stop(), None)] == [
        "forward 50 cm",
        "left 30°",
        "right 45°",
        "stop",
        "no valid answer",
    ]
    assert len({in_words(action) for action in ACTIONS}) == 10


def test_long_instructions_end_in_an_ellipsis() -> None:
    assert wrap("go on", 17, 300, 2) == ["go on"]
    lines = wrap("walk " * 200, 17, 300, 2)
    assert len(lines) == 2 and lines[1].endswith("…")


def test_maps_come_back_as_they_were_saved(tmp_path: Path) -> None:
    renderer, house = Renderer(32, 32), two_rooms()
    renderer.load(house)
    drawn = draw_map(renderer, house.rooms, longest_px=320)
    renderer.close()
    drawn.save(tmp_path, "toy")
    loaded = HouseMap.load(tmp_path, "toy")
    assert loaded is not None and loaded.transform == drawn.transform and max(loaded.rgb.shape) in (320, 321)
    assert np.abs(loaded.rgb.astype(int) - drawn.rgb.astype(int)).mean() < 8
    assert HouseMap.load(tmp_path, "nothing") is None
