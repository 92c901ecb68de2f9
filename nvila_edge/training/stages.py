"""Recipes of NVILA's training stages: what trains, how fast, on what. YAML files in nvila_edge/recipes/train/, each with named sets of values.

Values: the paper's Table 7 (`paper`) and the released scripts' (`released`, `released-lite`), which disagree (arXiv 2412.04468; NVlabs/VILA, scripts/).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nvila_edge.model.checkpoint import IMAGE_MODES
from nvila_edge.training.recipe import RecipeError, fill, override, recipe_content, suggest

PARTS = ("vision", "projector", "language")
PRECISIONS = ("float32", "bfloat16", "fp8")
OPTIMIZERS = ("adamw", "coat")
TUNINGS = {"vision": ("full", "norms", "lora"), "language": ("full", "lora", "qlora")}


@dataclass(frozen=True)
class Rates:
    """Peak learning rate of each part; 0 freezes it."""

    vision: float = 0.0
    projector: float = 0.0
    language: float = 0.0


@dataclass(frozen=True)
class Tuning:
    """How the parts that train are tuned, and LoRA's sizes (the released scripts' rank 64, alpha 16, dropout 0.05)."""

    vision: str = "full"
    language: str = "full"
    rank: int = 64
    alpha: float = 16.0
    dropout: float = 0.05

    @property
    def adapters(self) -> bool:
        """Whether anything is added to the model while it trains."""
        return self.vision == "lora" or self.language != "full"


@dataclass(frozen=True)
class Parts:
    """In place of a checkpoint: folders or hub ids of a SigLIP tower and a language model that were trained apart."""

    vision: str = ""
    language: str = ""


@dataclass(frozen=True, kw_only=True)
class StageRecipe:
    """One stage. `stage`: the mark that its result carries; `requires`: the mark that the checkpoint it starts from must carry ("" takes any).

    checkpoint: folder or hub id, or in its place `parts`; data: mixture file, mixture and held_out: names in it. global_batch: samples an update, whatever
    the number of processes; steps 0: `epochs` of the mixture. max_length: positions of the longest sample and of a packed row; micro_batch: samples of
    a padded batch, where packing is off. projector: "new", or a type, for one that has learned nothing; "" keeps the checkpoint's. image_mode,
    video_frames and video_pool ("8x1x1": frames x rows x columns, several joined by commas) change the model's own when given; time_tokens: how many
    it gets. read_ahead: samples a process holds pictures of, twice (lower it for long videos). save_dtype: of the result; "" as the checkpoint stored it.
    precision "fp8": bfloat16, and FP8 for the decoder's linear layers with no side below fp8_least_side (training/fp8.py); optimizer "coat": AdamW with
    8-bit moments (training/coat.py).
    """

    name: str
    values: str = "paper"
    stage: str = ""
    requires: str = ""
    checkpoint: str = ""
    parts: Parts = field(default_factory=Parts)
    data: str = ""
    mixture: str = ""
    held_out: str = ""
    seed: int = 0
    learning_rate: Rates = field(default_factory=Rates)
    tuning: Tuning = field(default_factory=Tuning)
    global_batch: int = 2048
    epochs: float = 1.0
    steps: int = 0
    warmup: float = 0.03
    max_grad_norm: float = 1.0
    max_length: int = 8192
    packing: bool = True
    micro_batch: int = 8
    read_ahead: int = 32
    precision: str = "bfloat16"
    fp8_least_side: int = 3584
    optimizer: str = "adamw"
    gradient_checkpointing: bool = True
    projector: str = ""
    image_mode: str = ""
    video_frames: int = 0
    video_pool: str = ""
    time_tokens: int = 0
    save_every: int = 500
    keep: int = 2
    save_dtype: str = ""

    def __post_init__(self) -> None:
        """Raises RecipeError, with the key, for a value that no run could use."""
        rates, tuning = dataclasses.asdict(self.learning_rate), self.tuning
        ranges = {f"learning_rate.{part}": (rate, 0.0, math.inf) for part, rate in rates.items()}
        ranges |= {"epochs": (self.epochs, 1e-9, 1e6), "warmup": (self.warmup, 0, 1), "max_grad_norm": (self.max_grad_norm, 0, math.inf)}
        ranges |= {
            key: (getattr(self, key), 1, 2**40)
            for key in ("global_batch", "max_length", "micro_batch", "read_ahead", "save_every", "keep", "fp8_least_side")
        }
        ranges |= {key: (getattr(self, key), 0, 2**40) for key in ("seed", "steps", "video_frames")}
        ranges |= {
            "tuning.rank": (tuning.rank, 1, 4096),
            "tuning.dropout": (tuning.dropout, 0, 0.99),
            "tuning.alpha": (tuning.alpha, 1e-6, 1e6),
        }
        for key, (value, least, most) in ranges.items():
            if not (least <= value <= most and math.isfinite(value)):
                raise RecipeError(f"{key} is {value!r}; expected {least} to {most}")
        if not any(rates.values()):
            raise RecipeError("every learning rate is 0: nothing would train; set one of learning_rate.vision, .projector, .language")
        choices = {"precision": PRECISIONS, "image_mode": ("", *IMAGE_MODES), "save_dtype": ("", "float32", "bfloat16", "float16")}
        choices["optimizer"] = OPTIMIZERS
        for key, allowed in choices.items():
            _check_choice(key, getattr(self, key), allowed)
        for part, allowed in TUNINGS.items():
            _check_choice(f"tuning.{part}", getattr(tuning, part), allowed)
        if bool(self.parts.vision) != bool(self.parts.language) or (self.parts.vision and (self.checkpoint or tuning.adapters)):
            raise RecipeError("parts.vision and parts.language come together, without a checkpoint and without adapters")
        if self.time_tokens == 1 or self.time_tokens < 0:
            raise RecipeError(f"time_tokens is {self.time_tokens}; expected 0, or 2 and more (NVILA: 100)")
        if self.precision == "fp8" and tuning.adapters:
            raise RecipeError("precision=fp8 is for layers that train whole; with tuning.vision=lora or tuning.language=lora take bfloat16")
        self.pools()

    def pools(self) -> list[list[int]]:
        """video_pool as [frames, rows, columns] of every level."""
        try:
            pools = [[int(size) for size in level.split("x")] for level in self.video_pool.split(",") if level]
            if all(len(pool) == 3 and min(pool) >= 1 for pool in pools):
                return pools
        except ValueError:
            pass
        raise RecipeError(f'video_pool is {self.video_pool!r}; expected frames x rows x columns, for example "8x1x1"')


def load_stages(name_or_path: str, overrides: Sequence[str] = ()) -> list[StageRecipe]:
    """The stages of a recipe: one, or those that its `chain` names; overrides as in `load_recipe`.

    In a chain "nvila-stage2.max_length=4096" is for that stage and "data=mine.yaml" for all; `checkpoint` is where the first begins, each other begins
    with the result of the one before. Raises RecipeError.
    """
    content = recipe_content(name_or_path)
    chain = content.get("chain")
    if chain is None:
        return [_stage(content, overrides)]
    if not isinstance(chain, list) or not chain or set(content) - {"name", "chain"}:
        raise RecipeError(f"{name_or_path}: a chain has a name and a list of recipes, nothing else; found {', '.join(content)}")
    general = [text for text in overrides if text.split("=")[0].split(".")[0] not in chain]
    stages = []
    for number, name in enumerate(chain):
        own = [text.removeprefix(f"{name}.") for text in overrides if text.startswith(f"{name}.")]
        theirs = [text for text in general if number == 0 or not text.startswith("checkpoint=")]
        stages.append(_stage(recipe_content(str(name)), [*theirs, *own]))
    return stages


def is_stage(name_or_path: str) -> bool:
    """Whether a recipe is one of stages, rather than of the built-in model. Raises RecipeError when there is none of that name."""
    content = recipe_content(name_or_path)
    return "chain" in content or "learning_rate" in content or "sets" in content


def _stage(content: dict[str, Any], overrides: Sequence[str]) -> StageRecipe:
    """The chosen set of values (`values=released`) over the recipe's own, and the overrides over both."""
    sets = content.pop("sets", {})
    chosen: dict[str, Any] = {"values": content.get("values", "paper")}
    override(chosen, [text for text in overrides if text.startswith("values=")], ["values"])
    if sets and chosen["values"] not in sets:
        raise RecipeError(
            f"recipe {content.get('name')} has no set of values {chosen['values']!r}{suggest(str(chosen['values']), list(sets))}; there are: {', '.join(sets)}"
        )
    merged = content | sets.get(chosen["values"], {}) | chosen
    override(merged, overrides, [f.name for f in dataclasses.fields(StageRecipe)])
    return fill(StageRecipe, merged, "")


def _check_choice(key: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise RecipeError(f"{key} is {value!r}{suggest(value, allowed)}; allowed: {', '.join(allowed) if any(allowed) else allowed}")
