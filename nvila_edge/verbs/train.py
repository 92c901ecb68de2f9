"""`nvila-edge train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tyro.conf import Positional


@dataclass(frozen=True)
class Train:
    """Train a model from a recipe; the same command goes on after an interruption. Uses a GPU when there is one; stages of NVILA train on
    several processes under torchrun: torchrun --nproc-per-node 8 -m nvila_edge.cli train nvila-stage1 ..
    """

    example: ClassVar[str] = "nvila-edge train builtin --out runs/train dagger.rounds=5"
    recipe: Positional[str]
    """Name of a built-in recipe, or a YAML file."""
    overrides: Positional[tuple[str, ...]] = ()
    """key=value, dots reach into sections."""
    out: Path | None = None
    """Working folder; runs/train/RECIPE when left out."""

    def run(self) -> None:
        from nvila_edge.training.recipe import load_recipe
        from nvila_edge.training.stages import is_stage, load_stages

        if is_stage(self.recipe):
            stages = load_stages(self.recipe, self.overrides)
            from nvila_edge.training.trainer import run_stages

            out = self.out or Path("runs/train") / Path(self.recipe).stem
            run_stages(stages, out, lambda line: print(line, flush=True))
            return
        recipe = load_recipe(self.recipe, self.overrides)  # before the seconds that torch takes
        from sim.dagger import DaggerRun

        out = self.out or Path("runs/train") / recipe.name
        print(f"checkpoint: {DaggerRun(recipe, out, lambda line: print(line, flush=True)).run()}")
