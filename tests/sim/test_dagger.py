"""A training run's folder and workers: bound to a recipe, complete files only, deadlines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nvila_edge.training.recipe import Recipe, RecipeError, bind_folder, load_recipe
from nvila_edge.training.vision_pretrain import DenseHeads, FrameSet, dense_accuracy
from sim import training_pool
from sim.dagger import shards
from sim.training_pool import ERRANDS, ROUTES, PrepareTask, TrainingPool
from sim.workers import WorkerDied


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("houses=10", "houses must be at least 11, got 10"),
        ("workers=0", "workers must be at least 1, got 0"),
        ("model.image=144", "model.image 144 does not fit the labels.*allowed: 128, 224"),
        ("vision.batch_size=100000", "vision.batch_size 100000 is more than the .* training frames"),
        ("dagger.expert_share=1.5", "dagger.expert_share must be 0 to 1, got 1.5"),
        ("dagger.learning_rate=.nan", "dagger.learning_rate must be"),
    ],
)
def test_values_that_no_run_could_use_are_named(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("builtin", [override])


def test_a_folder_is_bound_to_its_recipe_and_one_without_is_adopted(tmp_path: Path) -> None:
    (tmp_path / "vision.pt").touch()
    bind_folder(tmp_path, Recipe("a"))
    bind_folder(tmp_path, Recipe("a"))
    with pytest.raises(RecipeError, match="houses 240 there, 160 now"):
        bind_folder(tmp_path, Recipe("a", houses=160))
    (tmp_path / "recipe.json").write_text("[1")
    with pytest.raises(RecipeError, match="damaged"):
        bind_folder(tmp_path, Recipe("a"))


def test_shards_of_many_workers_count_and_partial_ones_do_not(tmp_path: Path) -> None:
    for name in ("003-episodes-0", "003-episodes-10", "003-episodes-11.part", "003-errands-0", "004-episodes-0"):
        (tmp_path / name).mkdir()
    assert [shard.name for shard in shards(tmp_path, 3, ROUTES)] == ["003-episodes-0", "003-episodes-10"]
    assert [shard.name for shard in shards(tmp_path, 3, ERRANDS)] == ["003-errands-0"]


def test_accuracy_is_measured_on_frames_from_everywhere() -> None:
    class Tower(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.mean((2, 3))[:, None]

    count = 40
    rooms = np.repeat([0, 1], count // 2)
    labels = np.ones((count, 1, 2), np.uint8)
    frames = FrameSet(np.zeros((count, 2, 2, 3), np.uint8), labels, labels, np.ones((count, 1), np.float16), rooms)
    accuracy = dense_accuracy(Tower(), DenseHeads(3, 2, 2, 2), frames, surfaces=0, limit=4)  # type: ignore[arg-type]
    assert accuracy["rooms"] == 0.5  # the first four alone would be all right or all wrong


def test_workers_prepare_houses_and_say_why_they_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [PrepareTask(f"train_{n:04d}", str(tmp_path), 1, 1, 1, 128, 8, 0) for n in range(2)]
    pool = TrainingPool(1)
    try:
        assert list(pool.prepare(tasks)) == ["train_0000", "train_0001"]
        assert (tmp_path / "frames" / "train_0001" / "rgb.npy").exists()
        with pytest.raises(WorkerDied, match="no_house"):
            list(pool.prepare([PrepareTask("no_house_1", str(tmp_path), 1, 1, 1, 128, 8, 0)]))
        monkeypatch.setattr(training_pool, "HOUSE_S", 0.01)
        slow = TrainingPool(1)
        try:
            with pytest.raises(WorkerDied, match="silent"):
                list(slow.prepare(tasks))
        finally:
            slow.close()
    finally:
        pool.close()
