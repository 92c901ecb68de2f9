"""What becomes of what cameras give: grey, large, empty pictures, depth with holes, blur and exposure, and how the camera is mounted."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from agents.cameras.choice import open_camera
from agents.cameras.mounting import Mounting, mounting, mounting_warnings
from agents.cameras.picture import MAX_SIDE_PX, make_frame, quality
from agents.cameras.watched import Watched
from agents.protocols import CameraError, Frame, Lens
from nvila_edge.navigation.agent_profiles import CameraSetup

NOISE = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)


def test_a_4k_frame_is_made_smaller_by_area_with_its_shape_and_its_depth() -> None:
    picture = np.zeros((2160, 3840, 3), np.uint8)
    picture[:, 1920:] = (10, 20, 30)
    depth = np.full((2160, 3840), 2.0)
    depth[:, 1920:] = 4.0
    frame = make_frame(3, picture, 1.5, depth, bgr=True)
    assert frame.rgb.shape == (756, MAX_SIDE_PX, 3) and frame.frame_id == 3 and frame.captured_s == 1.5
    assert frame.rgb[300, 1000].tolist() == [30, 20, 10] and not frame.rgb[:, :670].any()
    assert frame.depth_m is not None and frame.depth_m.shape == (756, 1344) and set(np.unique(frame.depth_m)) == {2.0, 4.0}
    stripes = np.zeros((2000, 4000), np.uint8)
    stripes[:, ::2] = 200  # finer than the smaller picture: taken by points it would be black or white
    middle = make_frame(0, stripes, 0.0, bgr=True).rgb[100:300, 100:300].astype(int)
    assert abs(middle.mean() - 100) < 3 and middle.std() < 40


def test_folders_and_videos_of_4k_come_smaller_too(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.jpg"), np.full((2160, 3840, 3), 90, np.uint8))
    assert open_camera(tmp_path).capture().rgb.shape == (756, 1344, 3)
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (1920, 1080))
    writer.write(np.full((1080, 1920, 3), 90, np.uint8))
    writer.release()
    camera = open_camera(tmp_path / "v.avi")
    assert camera.capture().rgb.shape == (756, 1344, 3)
    camera.close()


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 1), (48, 64, 4)])
def test_grey_pictures_and_those_with_alpha_become_rgb(shape: tuple[int, ...]) -> None:
    picture = np.full(shape, 77, np.uint8)
    rgb = make_frame(0, picture, 0.0, bgr=True).rgb
    assert rgb.shape == (48, 64, 3) and (rgb == 77).all()


def test_a_grey_image_file_is_a_frame(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "g.png"), np.full((8, 9), 50, np.uint8))
    assert open_camera(tmp_path).capture().rgb.tolist() == np.full((8, 9, 3), 50).tolist()


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((0, 640, 3), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros(4, np.uint8),
    ],
)
def test_what_is_no_picture_is_a_camera_error_never_a_substitute(picture: np.ndarray) -> None:
    with pytest.raises(CameraError, match=r"gave a picture of shape .* at least one pixel is needed"):
        make_frame(0, picture, 0.0, bgr=False)


def test_depth_that_is_no_distance_is_unknown() -> None:
    depth = np.array([[np.nan, np.inf, -np.inf], [-1.0, 0.0, 2.5]])
    frame = make_frame(0, np.zeros((2, 3, 3), np.uint8), 0.0, depth, bgr=False)
    assert frame.depth_m is not None and frame.depth_m.tolist() == [[0, 0, 0], [0, 0, 2.5]] and frame.depth_m.dtype == np.float32
    assert math.isnan(depth[0, 0]), "the camera's own array is left alone"
    with pytest.raises(CameraError, match="align the depth with the picture"):
        make_frame(0, np.zeros((4, 6, 3), np.uint8), 0.0, depth, bgr=False)


def test_sharpness_falls_with_blur_and_not_with_resolution_and_exposure_counts_pixels() -> None:
    room = cv2.resize(NOISE, (640, 480), interpolation=cv2.INTER_CUBIC)
    sharp, blurred, larger = (
        quality(room),
        quality(cv2.blur(room, (31, 31))),
        quality(cv2.resize(room, (1280, 960), interpolation=cv2.INTER_CUBIC)),
    )
    assert sharp.sharpness > 20 * blurred.sharpness and larger.sharpness == pytest.approx(sharp.sharpness, rel=0.25)
    half = np.zeros((10, 10, 3), np.uint8)
    half[:4] = 255
    assert (quality(half).dark, quality(half).bright) == (0.6, 0.4)


class Shown:
    """A camera that shows a list."""

    def __init__(self, pictures: list[np.ndarray]) -> None:
        self._pictures, self._count, self.closed = pictures, 0, False

    def capture(self) -> Frame:
        self._count += 1
        return make_frame(self._count - 1, self._pictures[self._count - 1], 0.0, bgr=False)

    def close(self) -> None:
        self.closed = True


def test_three_blurred_or_dark_frames_in_a_row_are_told_once_and_a_single_one_not() -> None:
    black, blurred, said = np.zeros_like(NOISE), cv2.blur(NOISE, (61, 61)), []
    shown = Shown([NOISE, black, NOISE, blurred, blurred, NOISE, black, black, black, black])
    camera = Watched(shown, CameraSetup(224, 224), said.append)
    for _ in range(8):
        camera.capture()
    assert said == []
    camera.capture()
    camera.capture()
    assert len(said) == 2 and "blurred (sharpness 0)" in said[0] and said[1].startswith("100% of the picture is black")
    camera.close()
    assert shown.closed


def _floor(height_m: float, pitch_deg: float, roll_deg: float, lens: Lens) -> np.ndarray:
    v, u = np.mgrid[0:120, 0:160]
    rays = np.stack([(u - lens.cx_px) / lens.fx_px, (v - lens.cy_px) / lens.fy_px, np.ones_like(u)], axis=-1)
    pitch, roll = math.radians(pitch_deg), math.radians(roll_deg)
    normal = np.array([math.sin(roll), math.cos(roll) * math.cos(pitch), math.cos(roll) * math.sin(pitch)])
    along = rays @ normal
    depth = np.where(along > 1e-3, height_m / np.maximum(along, 1e-3), 0)
    return np.where(depth < 8, depth, 0).astype(np.float32)


@pytest.mark.parametrize(("height_m", "pitch_deg", "roll_deg"), [(1.25, 0, 0), (0.4, 15, 0), (0.9, -6, 0), (1.1, 10, 7), (0.5, 5, -9)])
def test_the_floor_tells_how_the_camera_is_mounted_through_noise_and_furniture(height_m: float, pitch_deg: float, roll_deg: float) -> None:
    lens, rng = Lens(80, 80, 80, 60), np.random.default_rng(1)
    depth = _floor(height_m, pitch_deg, roll_deg, lens)
    depth = np.where(depth > 0, depth + rng.normal(0, 0.004, depth.shape), 0).astype(np.float32)
    depth[70:110, 100:130] = np.minimum(depth[70:110, 100:130], 0.6)  # a box
    depth[:, ::7] = 0  # holes
    found = mounting(depth, lens)
    assert found is not None
    assert (found.height_m, found.pitch_deg, found.roll_deg) == (
        pytest.approx(height_m, abs=0.03), pytest.approx(pitch_deg, abs=1.5), pytest.approx(roll_deg, abs=1.5),
    )  # fmt: skip


def test_without_a_floor_nothing_is_claimed() -> None:
    lens = Lens(80, 80, 80, 60)
    wall, unknown = np.full((120, 160), 1.5, np.float32), np.zeros((120, 160), np.float32)
    assert mounting(unknown, lens) is None and mounting(wall, lens) is None
    assert mounting_warnings(None, lens, 160, CameraSetup(224, 224)) == [
        "no floor is in view, so the camera's height and tilt could not be checked"
    ]


def test_what_the_model_is_used_to_is_not_warned_of_and_a_narrow_lens_is() -> None:
    level = Mounting(1.2, 2.0, -1.0, 0.9)
    assert mounting_warnings(level, Lens(80, 80, 80, 60), 160, CameraSetup(224, 224)) == []
    narrow = mounting_warnings(level, Lens(138.6, 138.6, 80, 60), 160, CameraSetup(224, 224))
    assert narrow == ["the camera sees 60 degrees across, the model has learnt with 90"]
    leaning = mounting_warnings(Mounting(1.2, -9.0, -8.0, 0.9), Lens(80, 80, 80, 60), 160, CameraSetup(224, 224))
    assert leaning == [
        "the camera looks 9 degrees up, the model has learnt with 0",
        "the camera leans 8 degrees to its left; it should be level",
    ]
