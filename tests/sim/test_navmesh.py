"""Walkable polygons, shortest paths and sliding steps on scenes by hand."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim._contours import Contour
from sim._paths import by_length
from sim._polygons import polygons
from sim.navmesh import NavMesh
from tests.sim.toy import box, two_rooms

FLOOR_Y = 0.1  # slab from -0.1 to 0: lowest vertex plus 0.2


@cache
def toy() -> NavMesh:
    return NavMesh.from_triangles(two_rooms().triangle_soup)


def point(*xyz: float) -> np.ndarray:
    return np.array(xyz, dtype=float)


def test_a_single_sheet_floor_lies_one_level_up_as_in_habitat() -> None:
    sheet = np.array([[[0, 0, 0], [0, 0, 4], [4, 0, 4]], [[0, 0, 0], [4, 0, 4], [4, 0, 0]]], dtype=np.float32)
    mesh = NavMesh.from_triangles(sheet)
    assert mesh.main_island.y_min_m == pytest.approx(0.2) and mesh.main_island.y_max_m == pytest.approx(0.2)
    assert mesh.main_island.area_m2 == pytest.approx(3.7**2)  # a ledge cell and two eroded ones on each side
    upside_down = NavMesh.from_triangles(sheet[:, ::-1])
    assert upside_down.islands() == () and math.isnan(upside_down.snap(point(2, 0, 2))[0])
    with pytest.raises(ValueError, match="nothing to stand on"):
        _ = upside_down.main_island


def test_clearance_is_two_cells_from_walls_that_lie_on_the_grid() -> None:
    mesh = toy()  # grid from x = -4.1; west wall face -3.9, east 3.9
    assert mesh.main_island.y_min_m == pytest.approx(FLOOR_Y)
    for x, inside in ((-3.815, False), (-3.79, True), (3.79, True), (3.815, False)):
        assert mesh.is_navigable(point(x, FLOOR_Y, -1.0)) is inside, x
    assert mesh.is_navigable(point(0, FLOOR_Y, 0)) and not mesh.is_navigable(point(0, FLOOR_Y, -1))
    assert mesh.is_navigable(point(1, FLOOR_Y + 0.45, 1)) and not mesh.is_navigable(point(1, FLOOR_Y + 0.55, 1))
    assert not mesh.is_navigable(point(math.nan, 0, 0))


def test_low_ceilings_and_hanging_things_block_and_high_ones_do_not() -> None:
    floor = box((0, -0.05, 0), (6, 0.1, 6))[0]
    for bottom, blocks in ((1.2, True), (1.8, False)):
        corners = np.concatenate([floor, box((0, bottom + 0.1, 0), (1, 0.2, 1))[0]])
        quads = 4 * np.arange(12)[:, None]
        mesh = NavMesh.from_triangles(corners[np.concatenate([quads + [0, 1, 2], quads + [0, 2, 3]])])
        assert mesh.is_navigable(point(0, FLOOR_Y, 0)) is not blocks


def test_paths_bend_at_the_door_and_are_as_long_both_ways() -> None:
    mesh, west, east = toy(), point(-2, FLOOR_Y, 1.5), point(2, FLOOR_Y, 1.5)
    path = mesh.path(west, east)
    assert np.allclose(path[0], west) and np.allclose(path[-1], east) and len(path) == 5
    assert np.abs(path[1:4, 0]).max() < 0.35 and 0.39 < path[1:4, 2].min() and path[1:4, 2].max() < 0.46
    length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
    assert mesh.geodesic(west, east) == pytest.approx(length) == pytest.approx(mesh.geodesic(east, west))
    assert mesh.geodesic(west, west) == 0.0


def test_no_corner_is_skipped_where_ways_are_equally_long() -> None:
    totals = np.array([1.0] * 20 + [0.5])
    assert set(by_length(totals)) == set(range(21)) and next(by_length(totals)) == 20


def test_unreachable_and_absent_goals_are_infinitely_far() -> None:
    mesh = toy()
    assert math.isinf(mesh.geodesic(point(1, FLOOR_Y, 0), point(50, 0, 0)))
    assert mesh.path(point(1, FLOOR_Y, 0), point(50, 0, 0)).shape == (0, 3)
    assert math.isinf(mesh.geodesic(point(1, FLOOR_Y, 0), point(0, 2.9, 0)))  # the roof
    assert np.isnan(mesh.snap(point(50, 0, 0))).all()
    assert mesh.main_island.covered > 0.9 and len(mesh.islands()) == 2


def _sampled(mesh: NavMesh, a: np.ndarray, b: np.ndarray) -> bool:
    return all(np.linalg.norm(mesh.snap(p) - p) < 2e-5 for p in (a + (b - a) * t for t in np.linspace(0, 1, 200)))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31))
def test_paths_stay_on_the_mesh_and_obey_the_triangle_inequality(seed: int) -> None:
    mesh, rng = toy(), np.random.default_rng(seed)
    a, b, c = (mesh.random_point(rng) for _ in range(3))
    path = mesh.path(a, b)
    assert all(_sampled(mesh, p, q) for p, q in zip(path, path[1:], strict=False))
    field = mesh.distances_to(b)
    assert field.distance(a) == pytest.approx(mesh.geodesic(b, a), abs=1e-9)
    assert np.linalg.norm(a - b) - 1e-9 <= field.distance(a) <= mesh.geodesic(a, c) + field.distance(c) + 1e-9


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31), st.booleans())
@example(11859, False)  # ends on a border, where rounding once lost the sight of it
@example(1855, False)  # the same, in another polygon
def test_steps_end_on_the_mesh_near_the_start_and_never_beyond_a_wall(seed: int, sliding: bool) -> None:
    mesh, rng = toy(), np.random.default_rng(seed)
    start, angle = mesh.random_point(rng), rng.uniform(-math.pi, math.pi)
    target = start + 0.25 * point(math.cos(angle), 0, math.sin(angle))
    end = mesh.try_step(start, target, sliding=sliding)
    assert mesh.is_navigable(end) and np.linalg.norm(end - start) < 0.3
    assert mesh.geodesic(start, end) < 0.4
    assert np.linalg.norm(end - target) <= np.linalg.norm(start - target) + 1e-9
    if _sampled(mesh, start, target):
        assert np.allclose(end, target, atol=1e-6)


def test_a_step_into_a_wall_slides_along_it_or_stops_at_it() -> None:
    mesh, start = toy(), point(3.7, FLOOR_Y, -1.0)
    target = start + point(0.2, 0, 0.15)
    assert np.allclose(mesh.try_step(start, target), [3.8, FLOOR_Y, -0.85], atol=1e-6)
    assert np.allclose(mesh.try_step(start, target, sliding=False), [3.8, FLOOR_Y, -0.925], atol=1e-5)


def test_input_that_is_no_scene_is_refused(tmp_path: Path) -> None:
    for triangles, text in ((np.zeros((0, 3, 3)), "T > 0"), (np.zeros((4, 3)), "shape"), (np.full((1, 3, 3), np.nan), "finite")):
        with pytest.raises(ValueError, match=text):
            NavMesh.from_triangles(triangles)
    with pytest.raises(ValueError, match="units"):
        NavMesh.from_triangles(two_rooms().triangle_soup * 1000)
    with pytest.raises(ValueError, match="radius_m"):
        NavMesh.from_triangles(two_rooms().triangle_soup, radius_m=-1)
    with pytest.raises(FileNotFoundError):
        NavMesh.from_glb(tmp_path / "absent.glb")
    (tmp_path / "broken.glb").write_bytes(b"glTF but not really")
    with pytest.raises(ValueError, match="glTF"):
        NavMesh.from_glb(tmp_path / "broken.glb")


def _stairs() -> np.ndarray:
    """Two floors 1 m apart in height, joined by a flight of six steps, 2 m wide: triangles [T, 3, 3]."""
    parts = [box((-2, -0.05, 0), (4, 0.1, 2)), box((4.4, 0.95, 0), (4, 0.1, 2))]
    parts += [box((0.2 + 0.4 * step, (step + 1) / 12, 0), (0.4, (step + 1) / 6, 2)) for step in range(6)]
    quads = 4 * np.arange(6)[:, None]
    faces = np.concatenate([quads + [0, 1, 2], quads + [0, 2, 3]])
    return np.concatenate([corners[faces] for corners, _ in parts])


def test_stairs_are_climbed_and_heights_follow_them() -> None:
    mesh = NavMesh.from_triangles(_stairs())
    low, high = mesh.snap(point(-2, 0, 0)), mesh.snap(point(5, 1, 0))
    assert low[1] == pytest.approx(0.1) and high[1] == pytest.approx(1.1)
    assert 7.07 < mesh.geodesic(low, high) < 7.3 and mesh.geodesic(low, high) <= mesh.habitat_geodesic(low, high) + 1e-9
    here = low
    for _ in range(28):
        here = mesh.try_step(here, here + point(0.25, 0, 0))
        assert abs(here[1] - 0.1 - np.clip(here[0] / 2.4, 0, 1)) < 0.45  # Recast's polygons cut corners by a level
    assert here == pytest.approx(high, abs=0.02)


def test_polygons_are_convex_cover_the_cells_and_make_the_same_mesh_again() -> None:
    mesh = toy()
    again = NavMesh.from_polygons([polygon[:: (-1) ** number] for number, polygon in enumerate(mesh.polygons())])  # either side up
    assert [island.area_m2 for island in again.islands()] == pytest.approx([island.area_m2 for island in mesh.islands()])
    for polygon in mesh.polygons():
        assert 3 <= len(polygon) <= 6
        side = np.roll(polygon, -1, axis=0) - polygon
        following = np.roll(side, -1, axis=0)
        assert (side[:, 0] * following[:, 2] - side[:, 2] * following[:, 0] > -1e-9).all()
    rng = np.random.default_rng(0)
    for _ in range(40):
        a, b = mesh.random_point(rng), mesh.random_point(rng)
        assert again.geodesic(a, b) == pytest.approx(mesh.geodesic(a, b))
        target = a + 0.25 * (b - a) / np.linalg.norm(b - a)
        assert again.try_step(a, target) == pytest.approx(mesh.try_step(a, target))
    assert again.is_navigable(again.random_point(rng))


def _square(x: float, z: float, size: float = 1.0, y: float = 0.0) -> np.ndarray:
    return np.array([[x, y, z], [x + size, y, z], [x + size, y, z + size], [x, y, z + size]])


def test_given_polygons_may_lie_above_each_other_and_touch_at_corners_only() -> None:
    ramp = np.array([[1, 0, 0], [3, 3, 0], [3, 3, 1], [1, 0, 1]], dtype=float)
    back = np.array([[1, 3, 1], [3, 3, 1], [3, 3, 2], [1, 3, 2]], dtype=float)
    mesh = NavMesh.from_polygons(
        [_square(0, 0), ramp, _square(3, 0, y=3), _square(3, 1, y=3), back, _square(0, 1, y=3), _square(0, 0, y=3)]
    )
    assert len(mesh.islands()) == 1
    assert mesh.snap(point(0.5, 0.2, 0.5))[1] == 0 and mesh.snap(point(0.5, 2.9, 0.5))[1] == 3 and mesh.snap(point(2, 1.4, 0.5))[1] == 1.5
    around = math.dist((0.5, 0, 0.5), (3, 3, 1)) + 2 + math.dist((1, 1), (0.5, 0.5))
    assert mesh.geodesic(point(0.5, 0, 0.5), point(0.5, 3, 0.5)) == pytest.approx(around)
    pinched = NavMesh.from_polygons([_square(0, 0), _square(1, 1)])
    assert len(pinched.islands()) == 2 and math.isinf(pinched.geodesic(point(0.5, 0, 0.5), point(1.5, 0, 1.5)))
    assert pinched.try_step(point(0.9, 0, 0.9), point(1.1, 0, 1.1)) == pytest.approx(point(0.9, 0, 0.9))  # it aims at another island
    ring = [_square(x, z) for x in range(3) for z in range(3) if (x, z) not in ((1, 1), (2, 0))]
    corner = NavMesh.from_polygons(ring)  # the squares (1, 0) and (2, 1) meet in a corner: the way leads around the hole
    assert corner.geodesic(point(1.5, 0, 0.9), point(2.1, 0, 1.5)) > 3


def test_a_step_slides_only_where_half_a_step_reaches() -> None:
    thin = NavMesh.from_polygons([_square(0, 0), _square(0, 1.01), _square(-1, 0), np.array([[-1, 0, 1], [0, 0, 1], [0, 0, 1.01], [-1, 0, 1.01]]),
                                  np.array([[-1, 0, 1.01], [0, 0, 1.01], [0, 0, 2.01], [-1, 0, 2.01]])])  # fmt: skip
    assert len(thin.islands()) == 1  # joined on the left, a gap of 1 cm between the right squares
    assert thin.try_step(point(0.8, 0, 0.9), point(0.8, 0, 1.15)) == pytest.approx(point(0.8, 0, 1.0))
    assert thin.try_step(point(-0.5, 0, 0.9), point(-0.5, 0, 1.15)) == pytest.approx(point(-0.5, 0, 1.15))


def test_polygons_that_are_none_are_refused() -> None:
    arrow = np.array([[0, 0, 0], [2, 0, 1], [0, 0, 2], [1, 0, 1]], dtype=float)
    for rings, text in (([], "at least one"), ([np.zeros((2, 3))], "shape"), ([np.full((3, 3), np.nan)], "finite"), ([arrow], "convex")):
        with pytest.raises(ValueError, match=text):
            NavMesh.from_polygons(rings)


def test_numbers_that_are_not_finite_move_nothing_and_reach_nothing() -> None:
    mesh, here = toy(), point(1, FLOOR_Y, 0)
    for bad in (point(math.nan, 0, 0), point(0, math.inf, 0)):
        assert (
            math.isinf(mesh.geodesic(here, bad)) and math.isinf(mesh.geodesic(bad, here)) and math.isinf(mesh.habitat_geodesic(here, bad))
        )
        assert not mesh.is_navigable(bad) and np.isnan(mesh.snap(bad)).all()
        assert np.array_equal(mesh.try_step(here, bad), here) and np.array_equal(mesh.try_step(bad, here), bad, equal_nan=True)


def test_a_start_inside_a_wall_is_put_beside_it() -> None:
    mesh = toy()
    inside = point(0.0, FLOOR_Y, -1.2)  # in the wall between the rooms
    assert not mesh.is_navigable(inside) and mesh.is_navigable(mesh.snap(inside))
    assert math.isfinite(mesh.geodesic(inside, point(2, FLOOR_Y, 0)))
    assert mesh.is_navigable(mesh.try_step(inside, inside + point(0.25, 0, 0)))


def test_outlines_with_holes_become_polygons_of_the_same_area() -> None:
    outline = Contour(1, ((0, 0), (0, 10), (12, 10), (12, 0)))
    holes = [Contour(1, ((x, 3), (x + 2, 3), (x + 2, 6), (x, 6))) for x in (2, 7)]
    assert not outline.is_hole and all(hole.is_hole for hole in holes)
    found = polygons([outline, *holes])
    areas = [sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:] + ring[:1], strict=True)) / 2 for ring in found]
    assert sum(abs(area) for area in areas) == 120 - 12 and max(len(ring) for ring in found) <= 6


def test_points_may_be_lists_and_tuples() -> None:
    mesh, here, there = toy(), point(-1.5, FLOOR_Y, 0.5), point(1.5, FLOOR_Y, 0.5)
    for kind in (list, tuple):
        a, b = kind(here.tolist()), kind(there.tolist())
        assert mesh.geodesic(a, b) == mesh.geodesic(here, there) and np.array_equal(mesh.path(a, b), mesh.path(here, there))
        assert mesh.is_navigable(a) == mesh.is_navigable(here) and np.array_equal(mesh.snap(a), mesh.snap(here))
        assert np.array_equal(mesh.try_step(a, b), mesh.try_step(here, there))
