"""Walkable cells, shortest paths and sliding steps: on a toy house by hand, and against what Habitat 0.3.3 recorded."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim._paths import by_length
from sim.navmesh import NavMesh
from tests.sim.toy import box, two_rooms

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "habitat"
needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="../shared/golden/habitat isn't here")
SCENES = ("s1", "s2", "s3")
FLOOR_Y = 0.1  # slab from -0.1 to 0: lowest vertex plus 0.2


@cache
def toy() -> NavMesh:
    return NavMesh.from_triangles(two_rooms().triangle_soup)


@cache
def habitat(scene: str) -> tuple[NavMesh, dict]:
    return NavMesh.from_glb(GOLDEN / scene / "scene.glb"), json.loads((GOLDEN / scene / "geodesic.json").read_text())


def point(*xyz: float) -> np.ndarray:
    return np.array(xyz, dtype=float)


def numbers(values: list) -> np.ndarray:
    return np.array([float(value) for value in values])


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


