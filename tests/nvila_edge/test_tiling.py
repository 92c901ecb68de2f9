"""Tiles: the grid by the published rule, the order in which tiles are cut, and which images are refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nvila_edge.model.tiling import best_grid, cut, dynamic, dynamic_s2, padded, rgb_image

sizes = st.integers(2, 3000)
ranges = st.tuples(st.integers(1, 16), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def by_the_rule(width, height, tile, low, high):
    """The published rule, the other way round: every product is tried in turn. None where two grids of one product are equally near."""
    nearest = min(abs(width / height - i / j) for i in range(1, high + 1) for j in range(1, high + 1) if low <= i * j <= high)
    best = None
    for product in range(low, high + 1):
        grids = [(i, product // i) for i in range(1, product + 1) if product % i == 0]
        equal = [(i, j) for i, j in grids if abs(width / height - i / j) == nearest]
        if len(equal) > 1:
            return None
        if equal and (best is None or width * height > 0.5 * tile * tile * product):
            best = equal[0]
    return best


@given(sizes, sizes, st.sampled_from([14, 70, 448]), ranges)
@settings(max_examples=300, deadline=None)
def test_the_grid_is_the_rules_and_within_its_range(width, height, tile, tiles):
    columns, rows = best_grid(width, height, tile, *tiles)
    assert tiles[0] <= columns * rows <= tiles[1]
    expected = by_the_rule(width, height, tile, *tiles)
    assert expected is None or (columns, rows) == expected


@pytest.mark.parametrize("grid", [(i, j) for i in range(1, 13) for j in range(1, 13) if i * j <= 12])
@pytest.mark.parametrize("scale", [0.3, 0.8, 2.0])
def test_exact_ratios_are_met_by_the_rule_at_every_size(grid, scale):
    width, height = (max(2, round(100 * scale)) * side for side in grid)
    assert best_grid(width, height, 100, 1, 12) == by_the_rule(width, height, 100, 1, 12)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((448, 448), (1, 1)), ((2000, 2000), (3, 3)), ((1600, 1200), (4, 3)), ((1920, 1080), (4, 2)), ((800, 450), (2, 1)), ((500, 3000), (1, 6))],
)  # fmt: skip
def test_grids_computed_by_hand(size, expected):
    assert best_grid(*size, 448, 1, 12) == expected


@pytest.mark.parametrize("tiles", [(0, 4), (5, 4), (-1, 1)])
def test_a_range_that_is_none_is_refused(tiles):
    with pytest.raises(ValueError, match=rf"tile counts {tiles[0]}\.\.{tiles[1]} are not a range"):
        best_grid(10, 10, 448, *tiles)


def numbered(columns, rows, side=4):
    """An image whose tiles each have one grey: their number in row-major order."""
    return Image.fromarray(
        np.repeat(
            np.kron(np.arange(columns * rows, dtype=np.uint8).reshape(rows, columns), np.ones((side, side), np.uint8))[..., None], 3, 2
        )
    )


def greys(tiles):
    return [int(np.asarray(tile)[1, 1, 0]) for tile in tiles]


@given(st.integers(1, 4), st.integers(1, 3))
@settings(deadline=None)
def test_tiles_are_cut_row_by_row(columns, rows):
    tiles = cut(numbered(columns, rows), columns, rows, 4)
    assert greys(tiles) == list(range(columns * rows))
    assert {tile.size for tile in tiles} == {(4, 4)}


@given(st.integers(2, 60), st.integers(2, 60), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_dynamic_gives_the_grids_tiles_and_a_thumbnail_when_there_are_several(width, height, maximum):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))
    columns, rows = best_grid(width, height, 8, 1, maximum)
    tiled = dynamic(image, 8, 1, maximum)
    assert len(tiled.tiles) == columns * rows + (columns * rows > 1)
    assert {tile.size for tile in tiled.tiles} == {(8, 8)}
    assert np.array_equal(tiled.tiles[-1], image.resize((8, 8), Image.Resampling.BICUBIC))


@given(st.integers(2, 60), st.integers(2, 60))
@settings(max_examples=60, deadline=None)
def test_dynamic_s2_gives_1_and_4_tiles_and_the_largest_grid(width, height):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))
    tiled = dynamic_s2(image, (8, 16, 24), 12)
    rows, columns = tiled.grid
    assert (columns, rows) == best_grid(width, height, 8, 9, 12)
    assert len(tiled.tiles) == 1 + 4 + columns * rows
    middle = np.asarray(image.resize((16, 16), Image.Resampling.BICUBIC))
    assert np.array_equal(tiled.tiles[2], middle[:8, 8:])
    whole = np.asarray(image.resize((8 * columns, 8 * rows), Image.Resampling.BICUBIC))
    assert np.array_equal(tiled.tiles[6], whole[:8, 8:16] if columns > 1 else whole[8:16])
    assert np.array_equal(tiled.tiles[-1], whole[-8:, -8:])


def test_padding_centres_on_a_grey_square():
    square = np.asarray(padded(Image.new("RGB", (2, 4), (9, 9, 9))))
    assert square[..., 0].tolist() == [[127, 9, 9, 127]] * 4


def reopened(image, kind, **options):
    """The image written and opened again, as PIL gives what people pass."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Image.open(io.BytesIO(buffer.getvalue()))


GREY = Image.new("L", (4, 4), 7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: reopened(GREY, "GIF", save_all=True, append_images=[Image.new("L", (4, 4), n) for n in (9, 70)]), "animation of 3 frames; expected a still"),
        (lambda: Image.new("CMYK", (4, 4)), "mode CMYK"), (lambda: reopened(Image.new("CMYK", (4, 4)), "JPEG"), "mode CMYK"),
        (lambda: reopened(Image.fromarray(np.zeros((4, 4), np.uint16)), "PNG"), "mode I;16; expected 8-bit"), (lambda: Image.new("F", (4, 4)), "mode F"),
        (lambda: Image.new("RGB", (1, 1)), "1 x 1 pixels; expected at least 2 x 2"), (lambda: np.zeros((1, 5, 3), np.uint8), "5 x 1 pixels"),
        (lambda: np.zeros((4, 4, 3), np.float32), r"uint8 \[H, W, 3\] RGB; got float32 \[4, 4, 3\]"),
        (lambda: np.zeros((4, 4), np.uint8), r"got uint8 \[4, 4\]"),
        (lambda: np.zeros((4, 4, 4), np.uint8), r"got uint8 \[4, 4, 4\]"), (lambda: np.zeros((0, 4, 3), np.uint8), "4 x 0 pixels"),
        (lambda: "picture.png", "got str"), (lambda: None, "got NoneType"),
    ],
)  # fmt: skip
def test_what_is_no_8_bit_still_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        rgb_image(make())


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_truncated_file_is_refused_and_named(kind, tmp_path):
    path = tmp_path / f"cut.{kind.lower()}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path, kind)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match=f"{path.name} cannot be decoded"):
        rgb_image(Image.open(path))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1"])
def test_8_bit_stills_become_rgb_with_their_values(mode):
    assert np.asarray(rgb_image(Image.new("RGB", (2, 3), (255, 255, 255)).convert(mode))).tolist() == [[[255] * 3] * 2] * 3


def test_a_cameras_still_with_a_second_view_is_a_still():
    view = Image.new("RGB", (8, 8), (200, 0, 0))
    picture = reopened(view, "MPO", save_all=True, append_images=[view])
    assert picture.n_frames == 2
    assert rgb_image(picture).size == (8, 8)


def test_arrays_keep_their_values():
    array = np.random.default_rng(0).integers(0, 255, (5, 7, 3), np.uint8)
    assert np.array_equal(rgb_image(array[::-1]), array[::-1])
