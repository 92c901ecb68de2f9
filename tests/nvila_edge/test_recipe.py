"""Recipes: names, overrides, and errors that suggest."""

from __future__ import annotations

import pytest

from nvila_edge.training.recipe import RecipeError, load_recipe


def test_builtin_recipe_with_overrides():
    recipe = load_recipe("builtin", ["dagger.rounds=3", "dagger.learning_rate=1e-4", "seed=7"])
    assert (recipe.name, recipe.seed, recipe.dagger.rounds, recipe.dagger.learning_rate) == ("builtin", 7, 3, 1e-4)
    assert recipe.model.projector == "mlp_downsample_8x2"


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("bultin", [], "did you mean 'builtin'"),
        ("builtin", ["dager.rounds=3"], "did you mean 'dagger'"),
        ("builtin", ["dagger.round=3"], "unknown key dagger.round .did you mean 'rounds'"),
        ("builtin", ["dagger.rounds=many"], "dagger.rounds must be int, got 'many'"),
        ("builtin", ["dagger=3"], "dagger must be a section"),
        ("builtin", ["houses"], "write key=value"),
        ("builtin", ["houses=true"], "houses must be int"),
    ],
)
def test_mistakes_are_named_with_a_suggestion(name, overrides, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(name, overrides)


def test_a_recipe_file_without_a_name_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("houses: 3\n")
    with pytest.raises(RecipeError, match="name"):
        load_recipe(str(path))
