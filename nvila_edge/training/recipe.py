"""Training recipes: YAML files that fill frozen dataclasses; unknown keys are errors with a suggestion."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml

from nvila_edge.training.builtin import ModelSize

T = TypeVar("T")
VALIDATION_HOUSES = 10  # the last ones of a recipe; never trained on
# what is not from 1 (whole numbers) or 0 (others) on; a vocabulary holds 256 bytes, 3 special tokens and 10 action phrases
_LEAST = {
    "seed": 0, "houses": VALIDATION_HOUSES + 1, "vocabulary": 269, "vision.steps": 0, "grounding.steps": 0, "dagger.rounds": 0,
    "dagger.errand_steps": 0,
}  # fmt: skip
_SHARES = ("dagger.expert_share", "dagger.question_share", "dagger.recent_share", "dagger.errand_share")
_SAMPLES = 112  # along a side of a frame that labels count (sim/labels.py); a patch has at most 255, one byte


class RecipeError(ValueError):
    """A recipe or an override that cannot be used; the message names the key and what was allowed."""


@dataclass(frozen=True)
class VisionStage:
    """Pre-training of the tower on dense labels; see nvila_edge/training/vision_pretrain.py."""

    frames_per_house: int = 150
    steps: int = 6000
    batch_size: int = 64
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class GroundingStage:
    """Words learn their looks before any walking; see nvila_edge/training/grounding.py. A step asks `batch_size` questions and aligns `aligned_frames`."""

    steps: int = 1500
    batch_size: int = 64
    aligned_frames: int = 128
    learning_rate: float = 1e-3
    alignment_weight: float = 10.0


@dataclass(frozen=True)
class DaggerStage:
    """Cloning (round 0: the expert drives in every house), then DAgger `rounds`; see sim/dagger.py.

    Cloning begins with `errand_steps` batches of errands (short episodes in which nearly every decision depends on the words); later batches are
    errands with a chance of errand_share. question_share: share of each batch's sequences that are grounding questions; recent_share: share
    drawn from the last rounds.
    """

    cloning_episodes_per_house: int = 8
    errand_steps: int = 400
    errand_share: float = 0.3
    cloning_steps: int = 600
    rounds: int = 30
    houses_per_round: int = 40
    episodes_per_house: int = 9
    errands_per_house: int = 9
    steps_per_round: int = 160
    batch_size: int = 16
    learning_rate: float = 1e-3
    expert_share: float = 0.1
    temperature: float = 1.0
    max_decisions: int = 70
    stop_radius_m: float = 1.0
    question_share: float = 0.25
    recent_share: float = 0.4
    validation_episodes: int = 100
    validate_every: int = 5


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a trained model, with the code's version."""

    name: str
    seed: int = 0
    houses: int = 240
    episodes_per_house: int = 40
    errands_per_house: int = 20
    workers: int = 2
    vocabulary: int = 1024
    model: ModelSize = field(default_factory=ModelSize)
    vision: VisionStage = field(default_factory=VisionStage)
    grounding: GroundingStage = field(default_factory=GroundingStage)
    dagger: DaggerStage = field(default_factory=DaggerStage)

    def __post_init__(self) -> None:
        """Raises RecipeError, with the key, for a value that no run could use."""
        for key, value in _flat(dataclasses.asdict(self)).items():
            if not isinstance(value, str):
                _check_range(key, value)
        size, vision, dagger = self.model, self.vision, self.dagger
        grid = size.image // size.patch
        if size.image % size.patch or _SAMPLES % grid or (_SAMPLES // grid) ** 2 > 255:
            sides = ", ".join(str(size.patch * n) for n in range(1, _SAMPLES + 1) if _SAMPLES % n == 0 and (_SAMPLES // n) ** 2 <= 255)
            raise RecipeError(f"model.image {size.image} does not fit the labels; with model.patch {size.patch} allowed: {sides}")
        frames = (self.houses - VALIDATION_HOUSES) * vision.frames_per_house
        if vision.batch_size > frames:
            raise RecipeError(
                f"vision.batch_size {vision.batch_size} is more than the {frames} training frames; raise vision.frames_per_house"
            )
        if 0 < dagger.question_share * 4 * dagger.batch_size < 1:
            raise RecipeError(
                f"dagger.question_share {dagger.question_share} gives no question to a batch; write 0 or {0.25 / dagger.batch_size}"
            )


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe of the built-in model, by name or a YAML file, with `key=value` overrides (dots reach into sections).

    Raises RecipeError for an unknown recipe, an unknown key (with a suggestion), a value of the wrong type or out of range.
    """
    content = recipe_content(name_or_path)
    override(content, overrides, [f.name for f in dataclasses.fields(Recipe)])
    return fill(Recipe, content, "")


def recipe_content(name_or_path: str) -> dict[str, Any]:
    """What the file of a recipe holds: a built-in one by name (nvila_edge/recipes/train/NAME.yaml), or a YAML file. Raises RecipeError."""
    path = Path(name_or_path)
    if not path.is_file():
        folder = Path(str(resources.files("nvila_edge"))) / "recipes" / "train"
        known = sorted(file.stem for file in folder.glob("*.yaml"))
        if name_or_path not in known:
            raise RecipeError(f"no recipe {name_or_path!r}{suggest(name_or_path, known)}; built in: {', '.join(known)}")
        path = folder / f"{name_or_path}.yaml"
    content = parsed_yaml(path.read_text(errors="replace"), str(path)) or {}
    if not isinstance(content, dict):
        raise RecipeError(f"{path} holds {type(content).__name__}; a recipe is a YAML mapping of keys to values")
    return content


def override(content: dict[str, Any], overrides: Sequence[str], allowed: Sequence[str]) -> None:
    """Puts `key=value` overrides into a recipe's content. Raises RecipeError for what is none; `allowed`: keys, for the message."""
    for text in overrides:
        key, separator, value = text.partition("=")
        if not separator:
            raise RecipeError(f"{text!r} is not an override; write key=value, for example dagger.rounds=5")
        *sections, last = key.split(".")
        target = content
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise RecipeError(f"{text!r}: {section} is no section; allowed: {', '.join(allowed)}")
        target[last] = parsed_yaml(value, text)


def parsed_yaml(text: str, where: str) -> Any:
    """The value of a YAML text. Raises RecipeError naming `where`."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{where} is not YAML: {' '.join(str(error).split())}") from error


def bind_folder(folder: Path, recipe: Any) -> None:
    """Writes recipe.json, of a recipe of any kind, to a folder that has none (an older run is adopted).

    Raises RecipeError, with the keys that differ, where another recipe's is: going on with other values would spoil both runs.
    """
    path, wanted = folder / "recipe.json", _flat(dataclasses.asdict(recipe))
    if not path.exists():
        part = path.with_suffix(".part")
        part.write_text(json.dumps(wanted, indent=2) + "\n")
        part.rename(path)
    try:
        stored: dict[str, Any] = json.loads(path.read_bytes())
        changes = [
            f"{key} {stored.get(key)!r} there, {wanted.get(key)!r} now" for key in stored | wanted if stored.get(key) != wanted.get(key)
        ]
    except (ValueError, TypeError, AttributeError) as error:
        raise RecipeError(f"{path} is damaged ({error}); if the folder was made with this very recipe, remove that file") from error
    if changes:
        raise RecipeError(f"{folder} holds a run of another recipe ({', '.join(changes)}); give the same values to go on, or another --out")


def _flat(values: dict[str, Any], where: str = "") -> dict[str, Any]:
    """Sections joined by dots, as overrides name them."""
    parts = (_flat(value, f"{where}{key}.") if isinstance(value, dict) else {where + key: value} for key, value in values.items())
    return {key: value for part in parts for key, value in part.items()}


def _check_range(key: str, value: float) -> None:
    least, most = _LEAST.get(key, 1 if isinstance(value, int) else 0), 1 if key in _SHARES else math.inf
    if not least <= value <= most:
        allowed = f"{least} to {most}" if key in _SHARES else f"at least {least}"
        raise RecipeError(f"{key} must be {allowed}, got {value!r}")


def fill(kind: type[T], content: dict[str, Any], where: str) -> T:
    """The dataclass of a mapping; `where` stands before its keys in messages. Raises RecipeError for keys it does not have and values of another type."""
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in content.items():
        if key not in fields:
            raise RecipeError(f"unknown key {where}{key}{suggest(key, list(fields))}; allowed: {', '.join(fields)}")
        default = fields[key].default_factory() if callable(fields[key].default_factory) else fields[key].default  # type: ignore[misc]
        if dataclasses.is_dataclass(default):
            if not isinstance(value, dict):
                raise RecipeError(f"{where}{key} must be a section with keys, got {value!r}")
            values[key] = fill(type(default), value, f"{where}{key}.")  # type: ignore[arg-type]
            continue
        wanted = type(default) if not isinstance(default, dataclasses._MISSING_TYPE) else str  # noqa: SLF001
        if value is None and default == "":
            value = ""  # key= on the command line
        if wanted is float and isinstance(value, (int, str)) and not isinstance(value, bool):
            try:
                value = float(value)  # YAML reads 1e-3 as text
            except ValueError:
                pass
        if not isinstance(value, wanted) or isinstance(value, bool) != (wanted is bool):
            raise RecipeError(f"{where}{key} must be {wanted.__name__}, got {value!r}")
        values[key] = value
    try:
        return kind(**values)
    except TypeError as error:
        raise RecipeError(f"the recipe is incomplete: {error}") from error


def suggest(word: str, known: Sequence[str]) -> str:
    """ " (did you mean ..?)" where something known is near."""
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
