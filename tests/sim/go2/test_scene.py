"""A house as boxes: what stands is there, what can be walked is free. Needs no MuJoCo."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from sim.go2.scene import BAND_M, CELL_M, house_mjcf, occupied_cells, rectangles
from sim.houses.library import HouseLibrary


def test_rectangles_cover_exactly_the_occupied_cells() -> None:
    grid = np.random.default_rng(0).random((40, 60)) < 0.4
    covered = np.zeros(grid.shape, dtype=int)
    found = rectangles(grid)
    for row, column, row_end, column_end in found:
        covered[row:row_end, column:column_end] += 1
    assert np.array_equal(covered, grid.astype(int)) and len(found) < grid.sum()
    assert rectangles(np.ones((7, 5), dtype=bool)) == [(0, 0, 7, 5)]


def test_only_what_a_go2_can_meet_counts() -> None:
    def square(height_m: float) -> list[list[list[float]]]:
        a, b, c, d = ([x, height_m, z] for x, z in ((0, 0), (0.98, 0), (0.98, 0.98), (0, 0.98)))
        return [[a, b, c], [a, c, d]]

    tilted = [[[2.02, 0.0, 0.0], [2.02, 2.6, 0.0], [2.02, 2.6, 0.98]], [[2.02, 0.0, 0.0], [2.02, 0.0, 0.98], [2.02, 2.6, 0.98]]]
    grid, corner = occupied_cells(np.array(square(0.0) + square(0.75) + tilted, dtype=np.float32))
    assert corner == (0.0, 0.0)
    columns = np.nonzero(grid.any(axis=0))[0]
    assert columns.tolist() == [round(2.0 / CELL_M)] and grid.sum() == 20  # the wall of 1 m; the floor and the table's top are none
    grid, _ = occupied_cells(np.array(square(0.0) + square(0.3), dtype=np.float32))
    assert grid.sum() == 20 * 20


@pytest.fixture(scope="module")
def boxes_and_navmesh():
    house, navmesh = HouseLibrary(1)["val_unseen_0003"]
    geoms = [geom.attrib for geom in ET.fromstring(house_mjcf(house)).iter("geom") if geom.get("type") == "box"]
    place = np.array([[float(v) for v in geom["pos"].split()] for geom in geoms])
    half = np.array([[float(v) for v in geom["size"].split()] for geom in geoms])
    return house, navmesh, place, half


def test_a_houses_furniture_is_in_the_way_and_its_floor_is_free(boxes_and_navmesh) -> None:
    house, navmesh, place, half = boxes_and_navmesh
    assert 50 < len(place) < 2000 and np.allclose(place[:, 2], half[:, 2]) and np.allclose(2 * half[:, 2], BAND_M[1])

    def blocked(x_m: float, z_m: float, margin_m: float) -> bool:
        return bool(((np.abs(place[:, 0] - x_m) <= half[:, 0] + margin_m) & (np.abs(place[:, 1] + z_m) <= half[:, 1] + margin_m)).any())

    tall = [thing for thing in house.things if thing.category in ("sofa", "bed", "wardrobe", "bookshelf", "fridge", "washing machine")]
    assert tall and all(blocked(thing.centre[0], thing.centre[2], max(thing.size[0], thing.size[2]) / 2) for thing in tall)
    rng, free = np.random.default_rng(0), []
    low, high = house.mesh.position.min(axis=0), house.mesh.position.max(axis=0)
    while len(free) < 200:
        point = rng.uniform(low, high)
        point[1] = 0.03
        if navmesh.is_navigable(point):
            free.append(blocked(point[0], point[2], 0.0))
    assert np.mean(free) < 0.02
