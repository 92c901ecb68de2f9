"""Furniture: every category and family builds, sizes are real, solids are closed and face outward, families differ, seeds decide."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from sim.houses.categories import COLOURS, FURNITURE
from sim.houses.furniture import COLOURS_OF, FAMILIES, RGB, Model, build_furniture, variants
from sim.houses.textures import NAMES

MOST_TRIANGLES = 800
SEEDS = 5  # draws most shapes of every category
BOTH = [(category, family) for category in FURNITURE for family in FAMILIES]
ids = [f"{category}-{family}" for category, family in BOTH]


@cache
def models_of(category: str, family: str) -> tuple[Model, ...]:
    colours = COLOURS_OF[category]
    return tuple(build_furniture(category, np.random.default_rng(seed), family, colours[seed % len(colours)]) for seed in range(SEEDS))


def corners(model: Model) -> np.ndarray:
    return model.position.astype(np.float64)[model.triangles]


def welded(model: Model) -> np.ndarray:
    """Index of each triangle corner's point, equal points (to 0.1 mm) having one index; int [T, 3]."""
    keys = np.rint(corners(model).reshape(-1, 3) * 1e4).astype(np.int64)
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1, 3)


@pytest.mark.parametrize(("category", "family"), BOTH, ids=ids)
def test_arrays_fit_together_and_stay_within_the_budget(category: str, family: str) -> None:
    for model in models_of(category, family):
        count = len(model.position)
        for values, width in ((model.position, 3), (model.normal, 3), (model.uv, 2), (model.colour, 3)):
            assert values.shape == (count, width) and values.dtype == np.float32 and np.isfinite(values).all()
        assert model.texture.shape == (count,) and model.texture.dtype == np.int32
        assert model.triangles.dtype == np.int32 and 12 <= len(model.triangles) <= MOST_TRIANGLES
        assert 0 <= model.triangles.min() and model.triangles.max() < count
        assert 0 <= model.texture.min() and model.texture.max() < len(model.texture_names)
        assert set(model.texture_names) <= set(NAMES)
        assert 0 <= model.colour.min() and model.colour.max() <= 1
        assert np.allclose(np.linalg.norm(model.normal[model.triangles], axis=-1), 1, atol=1e-3)


@pytest.mark.parametrize(("category", "family"), BOTH, ids=ids)
def test_size_is_the_bounding_box_centred_on_the_floor(category: str, family: str) -> None:
    for model in models_of(category, family):
        low, high = model.position.min(0), model.position.max(0)
        assert np.allclose(high - low, model.size, atol=1e-4)
        assert np.allclose(low + high, (0, model.size[1], 0), atol=1e-4)
        assert all(0.005 < edge < 2.75 for edge in model.size) and model.size[1] <= 2.35


@pytest.mark.parametrize(("category", "family"), BOTH, ids=ids)
def test_solids_are_closed_and_face_outward(category: str, family: str) -> None:
    for model in models_of(category, family):
        index, points = welded(model), corners(model)
        edges = np.concatenate([index[:, [0, 1]], index[:, [1, 2]], index[:, [2, 0]]])
        edges = edges[edges[:, 0] != edges[:, 1]]
        size = int(index.max()) + 1
        forward = np.sort(edges[:, 0] * size + edges[:, 1])
        assert np.array_equal(forward, np.sort(edges[:, 1] * size + edges[:, 0]))  # each edge is passed both ways equally often
        graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(size, size))
        part = connected_components(graph, directed=False)[1][index[:, 0]]
        volumes = np.bincount(part, np.einsum("ij,ij->i", points[:, 0], np.cross(points[:, 1], points[:, 2])) / 6)
        assert volumes.min() > -1e-7  # doubled faces enclose nothing
        crossed = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
        assert (np.einsum("ij,ij->i", crossed, model.normal[model.triangles[:, 0]]) > 0).all()


@pytest.mark.parametrize("category", FURNITURE)
def test_families_have_shapes_of_their_own(category: str) -> None:
    train, unseen = (variants(category, family) for family in FAMILIES)
    assert 1 <= len(train) <= 4 and 1 <= len(unseen) <= 3
    assert len(set(train + unseen)) == len(train) + len(unseen)
    sizes = [{(len(model.triangles), model.size) for model in models_of(category, family)} for family in FAMILIES]
    assert not sizes[0] & sizes[1]


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(FURNITURE), st.sampled_from(FAMILIES), st.integers(0, 2**31), st.data())
def test_the_same_seed_gives_the_same_model(category: str, family: str, seed: int, data: st.DataObject) -> None:
    colour = data.draw(st.sampled_from(COLOURS_OF[category]))
    first, second = (build_furniture(category, np.random.default_rng(seed), family, colour) for _ in range(2))
    for name in ("position", "normal", "uv", "colour", "texture", "triangles"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert (first.texture_names, first.size) == (second.texture_names, second.size)
    assert len(first.triangles) <= MOST_TRIANGLES


@pytest.mark.parametrize("category", ["sofa", "armchair", "wardrobe", "bicycle", "rug", "vase", "fridge", "bed", "toy chest"])
def test_the_named_colour_is_seen(category: str) -> None:
    """Of all the names, the asked one is nearest to the colour of a good part of the surface."""
    palette = np.array([RGB[name] for name in COLOURS])
    for family in FAMILIES:
        for seed, colour in enumerate(COLOURS_OF[category]):
            model = build_furniture(category, np.random.default_rng(seed), family, colour)
            points = corners(model)
            area = np.linalg.norm(np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]), axis=1)
            nearest = np.linalg.norm(model.colour[model.triangles[:, 0], None] - palette, axis=-1).argmin(1)
            share = area[nearest == COLOURS.index(colour)].sum() / area.sum()
            assert share > 0.12, (variants(category, family), colour, share)


def test_seats_and_fronts_face_minus_z() -> None:
    for model in models_of("sofa", "train"):
        tall = model.position[model.position[:, 1] > 0.9 * model.size[1]]
        assert tall[:, 2].mean() > 0.1  # the back of the seat
    for category in ("painting", "mirror", "clock"):
        for family in FAMILIES:
            for model in models_of(category, family):
                back = model.position[:, 2] > model.size[2] / 2 - 1e-4
                assert back.sum() >= 4 and model.size[2] < 0.2
    for model in models_of("painting", "train"):
        picture = np.array(["picture" in name for name in model.texture_names])[model.texture]
        assert (model.normal[picture][:, 2] < -0.99).all()


def test_pictures_are_not_mirrored() -> None:
    """Who stands in front (at -Z, looking to +Z) has +x at the left, where u is 0; v is 0 at the top."""
    model = models_of("painting", "train")[0]
    picture = np.array(["picture" in name for name in model.texture_names])[model.texture]
    used = picture & (model.normal[:, 2] < -0.99)
    for corner in np.flatnonzero(used).reshape(-1, 4):
        position, uv = model.position[corner], model.uv[corner]
        assert position[uv[:, 0] < 0.5][:, 0].min() > position[uv[:, 0] > 0.5][:, 0].max()
        assert position[uv[:, 1] < 0.5][:, 1].min() > position[uv[:, 1] > 0.5][:, 1].max()


@pytest.mark.parametrize("wrong", [("throne", "train", "red"), ("sofa", "test", "red"), ("sofa", "train", "mauve")])
def test_unknown_names_are_refused_with_the_allowed_ones(wrong: tuple[str, str, str]) -> None:
    category, family, colour = wrong
    with pytest.raises(ValueError, match="use one of"):
        build_furniture(category, np.random.default_rng(0), family, colour)


def test_every_category_has_colours() -> None:
    assert set(COLOURS_OF) == set(FURNITURE) and set(RGB) == set(COLOURS)
    assert all(colours and set(colours) <= set(COLOURS) for colours in COLOURS_OF.values())
