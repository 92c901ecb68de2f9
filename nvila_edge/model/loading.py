"""Making a model of an opened checkpoint: built without memory, every configuration and tensor checked, then read."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nvila_edge.model.checkpoint import CheckpointConfig, CheckpointError, part_config, read_json
from nvila_edge.model.opening import Opened, opened
from nvila_edge.model.projector_layout import projector_layout
from nvila_edge.model.tokens import ChatTokenizer
from nvila_edge.model.weights import StoredTensor, check, fill

if TYPE_CHECKING:
    from nvila_edge.model.nvila import NVILA

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_TOWERS = ("siglip_vision_model", "siglip")
_MOST_LAYERS = 1000


def load(kind: type[NVILA], path_or_hub_id: str | Path, dtype: str | None, device: str | None) -> NVILA:
    """See NVILA.from_pretrained."""
    dtype = str(dtype).removeprefix("torch.") if isinstance(dtype, torch.dtype) else dtype
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f"dtype {dtype!r} is unknown; allowed: {', '.join(DTYPES)} or None")
    place = usable_device(device or "cpu")
    found = opened(path_or_hub_id)
    model = skeleton(kind, found)
    fill_parts(model, found.stored, found.folder, DTYPES[dtype] if dtype else None)
    return model.eval().to(place)


def usable_device(name: str) -> torch.device:
    """The torch device. Raises ValueError when it is unknown or not there."""
    try:
        torch.zeros(1, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}") from error


def skeleton(kind: type[NVILA], found: Opened) -> NVILA:
    """The model with its tokenizer, without weights. Raises CheckpointError for configurations of which none can be made, or that say what we would not do."""
    folder, config = found.folder, found.config
    vision, llm = part_config(folder, "vision_tower"), part_config(folder, "llm")
    _check_tower(folder, config, vision)
    for part, described, name in (("vision_tower", vision, "encoder.layers"), ("llm", llm, "model.layers")):
        _check_depth(folder, part, described, found.stored[part], name)
    try:
        projector_layout(config.projector, 12, 12)
    except ValueError as error:
        raise CheckpointError(f"{folder / 'config.json'}, mm_projector_type: {error}") from error
    try:
        with torch.device("meta"):
            model = kind.from_configs(config, vision, llm)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    except Exception as error:  # noqa: BLE001  transformers' configurations raise their own kinds, and modules whatever a bad size leads to
        raise CheckpointError(f"{folder}: its config.json files describe no model that can be built: {error!r}") from error
    channels, given = int(model.vision_tower.config.hidden_size) * (len(config.scales) or 1), config.raw.get("mm_hidden_size")
    if given and int(given) != channels:
        raise CheckpointError(f"{folder / 'config.json'}: mm_hidden_size is {given}; expected {channels} of the tower and its scales")
    model.tokenizer_folder = found.tokenizer_folder
    model.tokenizer = _tokenizer(found.tokenizer_folder, config.template, int(model.llm.model.embed_tokens.weight.shape[0]))
    return model


def _check_tower(folder: Path, config: CheckpointConfig, vision: dict[str, Any]) -> None:
    """Only SigLIP on all its patches, normalised by 0.5, is what we run: anything else would answer nonsense without a word."""
    kind, feature = vision.get("model_type", _TOWERS[0]), config.raw.get("mm_vision_select_feature") or "cls_patch"
    if kind not in _TOWERS:
        raise CheckpointError(f"{folder}: the vision tower has model_type {kind!r}; known: {', '.join(_TOWERS)}")
    if feature != "cls_patch":
        raise CheckpointError(f"{folder / 'config.json'}: mm_vision_select_feature is {feature!r}; known: 'cls_patch' (all patches)")
    path, size = folder / "vision_tower" / "preprocessor_config.json", vision.get("image_size")
    wanted = read_json(path) if path.is_file() else {}
    for key in ("image_mean", "image_std"):
        if wanted.get(key, [0.5] * 3) != [0.5] * 3:
            raise CheckpointError(f"{path}: {key} is {wanted[key]}; SigLIP's is [0.5, 0.5, 0.5]")
    given = wanted.get("size")
    if isinstance(given, dict) and {given.get("height", size), given.get("width", size)} != {size}:
        raise CheckpointError(f"{path}: size is {given}; the tower's image_size is {size}")
    _check_scales(folder, config, size)


def _check_scales(folder: Path, config: CheckpointConfig, size: Any) -> None:
    scales, mode = config.scales, config.image_aspect_ratio
    if mode == "dynamic_s2":
        fits = scales[0] == size and all(scale % scales[0] == 0 for scale in scales)
    else:
        fits = all(scale // math.ceil(scale / config.max_split_px) == size for scale in scales)
    if not fits:
        raise CheckpointError(
            f"{folder / 'config.json'}: s2_scales {','.join(map(str, scales))} in mode {mode} do not fit a tower of {size} px; expected multiples of it"
        )


def _check_depth(folder: Path, part: str, described: dict[str, Any], stored: dict[str, StoredTensor], name: str) -> None:
    """The files may hold fewer layers than the model has (those that are never run), not more."""
    layers = described.get("num_hidden_layers")
    if not isinstance(layers, int) or not 0 < layers <= _MOST_LAYERS:
        raise CheckpointError(f"{folder}: {part} has num_hidden_layers {layers!r}; expected 1 to {_MOST_LAYERS}")
    indices = [int(match[1]) for key in stored if (match := re.match(rf"{re.escape(name)}\.(\d+)\.", key))]
    if max(indices, default=0) >= layers:
        raise CheckpointError(f"{folder}: {part} stores {max(indices) + 1} layers, its config.json says num_hidden_layers {layers}")


def _tokenizer(folder: Path, template: str, rows: int) -> ChatTokenizer:
    """The tokenizer, when the embedding has a row for everything that text can become (media tokens lie beyond it, trap 3)."""
    try:
        tokenizer = ChatTokenizer.from_folder(folder, template)
    except ValueError as error:
        raise CheckpointError(str(error) if str(folder) in str(error) else f"{folder}: {error}") from error
    words = tokenizer.tokenizer.get_vocab_size(with_added_tokens=False)
    largest = max(*tokenizer.stops, tokenizer.newline, words - 1)
    if largest >= rows:
        raise CheckpointError(
            f"{folder}: its tokenizer has ids up to {largest}, the token embedding {rows} rows; they belong to different models"
        )
    return tokenizer


def fill_parts(model: NVILA, stored: dict[str, dict[str, StoredTensor]], folder: Path, dtype: torch.dtype | None) -> None:
    """Gives a skeleton its tensors; dtype None: as stored. Everything is checked before anything is read."""
    modules = {"vision_tower": model.vision_tower, "mm_projector": model.mm_projector, "llm": model.llm}
    optional = {"llm": ("lm_head.weight",) if model.llm.config.tie_word_embeddings else ()}
    for part, module in modules.items():
        check(module, stored[part], f"{folder}: {part}", optional.get(part, ()))
    found = {stored[part][name].dtype for part, module in modules.items() for name in module.state_dict() if name in stored[part]}
    if dtype is None and len(found) > 1:  # AWQ's and fine-tunes' files mix them, arithmetic can't
        dtype = stored["llm"]["model.embed_tokens.weight"].dtype
    for part, module in modules.items():
        fill(module, stored[part], f"{folder}: {part}", dtype, optional.get(part, ()))
    model.llm.tie_weights()
    reset_buffers(model)


def reset_buffers(model: NVILA) -> None:
    """Non-persistent buffers (rotary frequencies, position ids) are not in any file: compute them anew."""
    decoder: Any = model.llm.model
    decoder.rotary_emb = type(decoder.rotary_emb)(model.llm.config)
    positions = model.vision_tower.embeddings.position_ids
    model.vision_tower.embeddings.register_buffer("position_ids", torch.arange(positions.shape[1]).expand(1, -1), persistent=False)
