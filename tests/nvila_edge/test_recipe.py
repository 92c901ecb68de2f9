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
        ("builtin", ["dagger.rounds.x=1"], "rounds is no section"),
        ("builtin", ["seed=[1"], "is not YAML"),
        ("builtin", ["workers=0"], "workers"),
        ("builtin", ["houses=0"], "houses"),
        ("builtin", ["dagger.rounds=-1"], "rounds"),
        ("builtin", ["dagger.learning_rate=nan"], "learning_rate"),
        ("builtin", ["model.hidden=0"], "hidden"),
    ],
)
def test_mistakes_are_named_with_a_suggestion(name, overrides, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(name, overrides)


def test_a_file_that_is_no_recipe_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("just words\n")
    with pytest.raises(RecipeError, match="holds str"):
        load_recipe(str(path))


def test_a_recipe_file_without_a_name_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("houses: 3\n")
    with pytest.raises(RecipeError, match="name"):
        load_recipe(str(path))
