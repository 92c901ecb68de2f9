"""Textures: every name draws, repeats without a seam, is the same each time; families share no floor, wall or picture."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from sim.houses.categories import FURNITURE, ROOM_KINDS
from sim.houses.furniture import COLOURS_OF, build_furniture
from sim.houses.textures import FLOOR_TEXTURES, NAMES, WALL_TEXTURES, WINDOW_VIEWS, texture

SURFACES = sorted(
    {name for table in (FLOOR_TEXTURES, WALL_TEXTURES) for kinds in table.values() for names in kinds.values() for name in names}
)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_draws(name: str) -> None:
    image = texture(name)
    assert image.shape == (128, 128, 3) and image.dtype == np.uint8
    assert image is texture(name) and not image.flags.writeable


@pytest.mark.parametrize("name", SURFACES)
def test_surfaces_repeat_without_a_seam(name: str) -> None:
    image = texture(name).astype(int)
    for axis in (0, 1):
        inside = np.abs(np.diff(image, axis=axis)).mean(axis=tuple({0, 1, 2} - {axis}))
        seam = np.abs(np.take(image, 0, axis) - np.take(image, -1, axis)).mean()
        assert seam <= inside.max() * 1.25 + 2


def test_names_look_different() -> None:
    small = {name: texture(name, 32).tobytes() for name in NAMES}
    assert len(set(small.values())) == len(NAMES)


def test_families_share_no_floor_wall_or_picture() -> None:
    for table in (FLOOR_TEXTURES, WALL_TEXTURES):
        train, unseen = ({name for names in table[family].values() for name in names} for family in ("train", "unseen"))
        assert not train & unseen and len(train) >= 8 and len(unseen) >= 8
        assert train | unseen <= set(NAMES)
        for family in table.values():
            assert "any" in family and set(family) - {"any"} <= set(ROOM_KINDS)
    pictures = [
        {name for seed in range(40) for name in build_furniture("painting", np.random.default_rng(seed), family, "black").texture_names}
        for family in ("train", "unseen")
    ]
    assert not {name for name in pictures[0] & pictures[1] if name.startswith("picture")}


def test_furniture_names_only_textures_that_exist() -> None:
    used = {name for c in FURNITURE for name in build_furniture(c, np.random.default_rng(1), "train", COLOURS_OF[c][0]).texture_names}
    assert used <= set(NAMES) and set(WINDOW_VIEWS) <= set(NAMES)


def test_another_process_draws_the_same_pixels() -> None:
    code = "import zlib; from sim.houses.textures import texture; print(*(zlib.crc32(texture(n)) for n in ('oak_planks', 'picture_03')))"
    lines = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in range(2)}
    assert len(lines) == 1 and lines.pop().strip()


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="NAMES lists"):
        texture("lava")
