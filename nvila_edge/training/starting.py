"""The model that a stage begins with: opened, checked to be the right one, set up for the stage, its frozen parts frozen."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from nvila_edge.model.checkpoint import checkpoint_folder, parse_config, read_config
from nvila_edge.model.nvila import NVILA
from nvila_edge.model.opening import local_folder
from nvila_edge.model.projector import Projector
from nvila_edge.training.assemble import assemble
from nvila_edge.training.recipe import RecipeError
from nvila_edge.training.stages import StageRecipe
from nvila_edge.training.time_tokens import add_time_tokens

MARK = "nvila_edge_stage"  # in config.json: the stage that made a checkpoint
_MODULES = {"vision": "vision_tower", "projector": "mm_projector", "language": "llm"}


def open_model(recipe: StageRecipe, folder: Path | None = None) -> NVILA:
    """The checkpoint that the recipe names (or, to go on, the one in `folder`), in float32, with the stage's settings.

    Raises RecipeError when there is none, or it is not one that this stage begins with; CheckpointError when it cannot be opened.
    """
    if folder is None and recipe.parts.vision:
        mode = {"image_mode": recipe.image_mode or "resize", "s2_scales": "448,896,1344", "s2_max_split_size": 448}
        kind = recipe.projector if recipe.projector not in ("", "new") else "mlp_downsample"
        torch.manual_seed(recipe.seed)
        model = assemble(recipe.parts.vision, recipe.parts.language, kind, **mode)
    elif folder is None and not recipe.checkpoint:
        raise RecipeError("the recipe names no checkpoint; set checkpoint=FOLDER to a model in the published layout")
    else:
        model = NVILA.from_pretrained(folder or recipe.checkpoint, dtype="float32")
    if folder is None:
        _check_mark(recipe, str(model.config.raw.get(MARK, "")))
    _configure(model, recipe)
    if recipe.projector and folder is None:
        new_projector(model, recipe.projector, recipe.seed)
    if recipe.time_tokens:
        add_time_tokens(model, recipe.time_tokens)
    _check_length(model, recipe)
    return model


def result_dtype(recipe: StageRecipe) -> str:
    """The recipe's save_dtype, or what the checkpoint says it has; "float32" where nobody says anything."""
    if recipe.save_dtype or not recipe.checkpoint:
        return recipe.save_dtype or "float32"
    said = str(read_config(checkpoint_folder(local_folder(recipe.checkpoint))).raw.get("model_dtype", "")).removeprefix("torch.")
    return said if said in ("float32", "bfloat16", "float16") else "float32"


def freeze(model: NVILA, recipe: StageRecipe) -> None:
    """Parts without a learning rate take no gradient and are in eval mode; the others are in training mode."""
    for part, module in parts(model).items():
        trains = getattr(recipe.learning_rate, part) > 0
        module.requires_grad_(trains)
        module.train(trains)


def parts(model: NVILA) -> dict[str, nn.Module]:
    """The parts by the names that recipes give them."""
    return {part: getattr(model, name) for part, name in _MODULES.items()}


def part_of(parameter: str) -> str:
    """The part that a parameter of the model belongs to, by its name."""
    return next(part for part, name in _MODULES.items() if parameter.startswith(f"{name}."))


def new_projector(model: NVILA, kind: str, seed: int) -> None:
    """A projector that has learned nothing, what the first stage begins with: of the same type ("new"), or of another.

    Raises RecipeError for an unknown type.
    """
    raw = dict(model.config.raw)
    kind = model.config.projector if kind == "new" else kind
    raw["mm_projector_cfg"] = {**(raw.get("mm_projector_cfg") or {}), "mm_projector_type": kind}
    model.config = parse_config(raw, model.llm.config.to_dict())
    channels = int(model.vision_tower.config.hidden_size) * (len(model.config.scales) or 1)  # type: ignore[arg-type]
    torch.manual_seed(seed)
    try:
        model.mm_projector = Projector(kind, channels, int(model.llm.config.hidden_size), model.config.column_major)  # type: ignore[arg-type]
    except ValueError as error:
        raise RecipeError(f"projector: {error}") from error


def _check_mark(recipe: StageRecipe, found: str) -> None:
    if recipe.requires and found != recipe.requires:
        what = f"a checkpoint that {found} made" if found else "one that no stage of ours made"
        raise RecipeError(
            f"{recipe.name} begins with what {recipe.requires} made; {recipe.checkpoint} is {what}. "
            f"Run {recipe.requires} first, or take this checkpoint on purpose with requires="
        )


def _configure(model: NVILA, recipe: StageRecipe) -> None:
    raw = dict(model.config.raw)
    if recipe.stage:
        raw[MARK] = recipe.stage
    if recipe.image_mode:
        raw |= {"image_aspect_ratio": recipe.image_mode, "dynamic_s2": recipe.image_mode == "dynamic_s2", "s2": recipe.image_mode == "s2"}
    if recipe.video_frames:
        raw["num_video_frames"] = recipe.video_frames
    if recipe.pools():
        raw["video_encoder"] = {"_target_": "llava.model.encoders.TSPVideoEncoder", "pool_sizes": recipe.pools()}
    scales = len(model.config.scales) or 1
    model.config = parse_config(raw, model.llm.config.to_dict())
    wanted = len(model.config.scales) or 1
    if wanted != scales and not recipe.projector:
        raise RecipeError(
            f"image_mode {recipe.image_mode} joins {wanted} scales, the checkpoint's projector was made for {scales}; "
            f"leave image_mode out, or begin with a checkpoint of that mode"
        )


def _check_length(model: NVILA, recipe: StageRecipe) -> None:
    limit = int(model.llm.config.max_position_embeddings)  # type: ignore[arg-type]
    if recipe.max_length > limit:
        raise RecipeError(f"max_length is {recipe.max_length}; the language model has {limit} positions: set max_length={limit}")
