"""What a recipe says about numbers of 8 bits, applied to the model that a stage begins with."""

from __future__ import annotations

from nvila_edge.model.nvila import NVILA
from nvila_edge.training.fp8 import quantise_linears
from nvila_edge.training.recipe import RecipeError
from nvila_edge.training.stages import StageRecipe


def set_precision(model: NVILA, recipe: StageRecipe, processes: int) -> None:
    """Layers that compute in FP8, in place; moments of 8 bits are the optimizer's own.

    Raises RecipeError when no layer is large enough for FP8, and for 8-bit moments on several processes: their groups do not follow FSDP's shards.
    """
    if recipe.precision == "fp8":
        try:
            quantise_linears(model.llm.model.layers, recipe.fp8_least_side)  # type: ignore[arg-type]
        except ValueError as error:
            raise RecipeError(f"precision=fp8: {error}; lower fp8_least_side, or take precision=bfloat16") from error
    if recipe.optimizer == "coat" and processes > 1:
        raise RecipeError(f"optimizer=coat keeps its moments whole, this run has {processes} processes; take optimizer=adamw")
