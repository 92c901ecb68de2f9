"""The renderer draws what stands where it stands; checked on a house of boxes whose geometry is known."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.geometry import Pose
from sim.renderer import BACKGROUND, Renderer, RenderError, shade
from tests.sim.toy import two_rooms

ROOT = Path(__file__).resolve().parents[2]
EAST = -math.pi / 2
FLOOR, EAST_WALL, SOFA, BED = 1, 4, 9, 10


@pytest.fixture(scope="module")
def renderer():
    made = Renderer(64, 64)
    made.load(two_rooms())
    yield made
    made.close()


def test_depth_is_along_the_optical_axis_and_ids_name_the_things(renderer: Renderer) -> None:
    seen = renderer.observe(Pose((1.5, 0.0, 0.0), EAST))
    assert seen.rgb.shape == (64, 64, 3) and seen.rgb.dtype == np.uint8
    assert seen.depth_m.dtype == np.float32 and seen.thing.dtype == np.int32
    assert seen.thing[20, 32] == EAST_WALL and seen.depth_m[20, 32] == pytest.approx(2.4, abs=1e-3)
    assert seen.depth_m[20, 4] == pytest.approx(2.4, abs=1e-3) or seen.thing[20, 4] != EAST_WALL
    assert seen.thing[44, 32] == SOFA and seen.depth_m[44, 32] == pytest.approx(1.2, abs=0.4)
    # pixel row r at depth d looks (r + 0.5 - 32) / 32 * d below the camera, 1.25 m up
    row, column = np.argwhere(seen.thing == FLOOR)[-1]
    assert (row + 0.5 - 32) / 32 * seen.depth_m[row, column] == pytest.approx(1.25, abs=1e-3)


def test_left_is_left_and_up_is_up(renderer: Renderer) -> None:
    seen = renderer.observe(Pose((-1.0, 0.0, 1.0), math.pi / 2 - 0.3))  # west and a little north: the bed is left of the middle
    columns = np.nonzero(seen.thing == BED)[1]
    assert len(columns) and columns.max() < 32
    blue = seen.rgb[seen.thing == BED].mean(axis=0)
    assert blue[2] > 2 * blue[0]
    assert seen.thing[-1, 32] == FLOOR and seen.thing[0, 32] != FLOOR


def test_rgb_alone_equals_the_rgb_of_an_observation(renderer: Renderer) -> None:
    pose = Pose((-2.0, 0.0, -1.0), 2.0)
    assert np.array_equal(renderer.rgb(pose), renderer.observe(pose).rgb)
    assert np.array_equal(renderer.rgb(pose), renderer.rgb(pose))


def test_walls_of_one_colour_differ_by_direction_and_nothing_is_white() -> None:
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    brightness = shade(axes)
    assert len(np.unique(brightness.round(3))) == 6 and 0.5 < brightness.min() and brightness.max() < 0.98


def test_nothing_behind_gives_background_zero_depth_and_no_thing() -> None:
    renderer = Renderer(32, 32)
    renderer.load(two_rooms())
    seen = renderer.observe(Pose((50.0, 0.0, 0.0), EAST))
    assert (seen.thing == 0).all() and (seen.depth_m == 0).all()
    assert np.abs(seen.rgb[0, 0] / 255.0 - BACKGROUND).max() < 0.01
    renderer.close()


def test_wide_images_keep_square_pixels() -> None:
    wide, tall = Renderer(96, 48), Renderer(48, 48, hfov_deg=2 * math.degrees(math.atan(0.5)))
    pose = Pose((1.5, 0.0, 0.0), EAST)
    for made in (wide, tall):
        made.load(two_rooms())
    middle = wide.observe(pose).depth_m[:, 24:72]
    assert np.abs(middle - tall.observe(pose).depth_m).max() < 1e-3  # the middle half of 90 degrees
    for made in (wide, tall):
        made.close()


def test_top_down_hides_the_ceiling_and_maps_points(renderer: Renderer) -> None:
    picture, transform = renderer.top_down(20.0)
    assert picture.shape == (84, 164, 3)
    column, row = transform.pixels(np.array([3.0, 0.0, 0.0])).astype(int)  # the red box
    assert picture[row, column, 0] > 2 * picture[row, column, 1]
    column, row = transform.pixels(np.array([-3.0, 0.0, 1.0])).astype(int)  # the blue one
    assert picture[row, column, 2] > 2 * picture[row, column, 1]
    with pytest.raises(ValueError, match="pixels_per_m"):
        renderer.top_down(10000.0)


def test_another_house_replaces_the_first() -> None:
    renderer, house = Renderer(32, 32), two_rooms()
    painted = replace(house, mesh=replace(house.mesh, colour=np.zeros_like(house.mesh.colour)))
    pose = Pose((1.5, 0.0, 0.0), EAST)
    renderer.show(house)
    first = renderer.rgb(pose)
    renderer.show(painted)
    assert renderer.rgb(pose).max() == 0
    renderer.show(house)
    assert np.array_equal(renderer.rgb(pose), first)
    renderer.close()


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="image size 0x10"):
        Renderer(0, 10)
    with pytest.raises(ValueError, match="hfov_deg"):
        Renderer(10, 10, hfov_deg=180)
    empty = Renderer(8, 8)
    with pytest.raises(RenderError, match="load"):
        empty.rgb(Pose((0, 0, 0), 0))
    empty.close()


@pytest.mark.parametrize(
    "environment",
    [{"GLCONTEXT_LINUX_LIBEGL": "absent.so"}, {"__EGL_VENDOR_LIBRARY_DIRS": "/absent", "__EGL_VENDOR_LIBRARY_FILENAMES": "/absent"}],
)
def test_without_egl_the_packages_to_install_are_named(environment: dict[str, str]) -> None:
    code = "from sim.renderer import Renderer, RenderError\ntry: Renderer()\nexcept RenderError as error: print(error)"
    run = subprocess.run([sys.executable, "-c", code], env=os.environ | environment, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "libegl1" in run.stdout and "libgl1-mesa-dri" in run.stdout, run.stderr
