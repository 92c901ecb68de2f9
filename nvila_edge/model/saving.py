"""Writing a checkpoint in the published layout (of NVlabs/VILA's checkpoints)."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from nvila_edge.model import vision
from nvila_edge.model.checkpoint import PARTS

if TYPE_CHECKING:
    from nvila_edge.model.nvila import NVILA

_TOKENIZER_FILES = (
    "tokenizer_config.json",
    "generation_config.json",
    "added_tokens.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
)


def save(model: NVILA, root: Path, state: dict[str, Tensor] | None = None) -> None:
    """config.json, llm/, vision_tower/ and mm_projector/, weights as safetensors.

    state: tensors under the names of model.state_dict(), where the model's own are not what is to be saved (shards, adapters, another dtype).
    Raises ValueError when other weights lie there already: readers would take those.
    """
    _check_free(root)
    for part in PARTS:
        (root / part).mkdir(parents=True, exist_ok=True)
    tower, llm = model.vision_tower.config, model.llm.config
    state = model.state_dict() if state is None else state
    dtype = state["llm.model.embed_tokens.weight"].dtype
    _write_json(root / "config.json", _published(model, dtype))
    _write_json(root / "vision_tower" / "config.json", {"architectures": ["SiglipVisionModel"], **_plain(tower)})
    _write_json(root / "llm" / "config.json", _described_llm(model, dtype))
    _write_json(root / "mm_projector" / "config.json", {"model_type": "v2l_projector", "mm_projector_type": model.config.projector})
    preprocess = {"do_resize": True, "size": {"height": tower.image_size, "width": tower.image_size}, "resample": 3}
    statistics = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 255}
    kind = {"image_processor_type": "SiglipImageProcessor", "do_normalize": True, "do_rescale": True}
    _write_json(root / "vision_tower" / "preprocessor_config.json", kind | preprocess | statistics)
    _write_weights(root / "vision_tower", vision.published_names(_part(state, "vision_tower")))
    _write_weights(root / "mm_projector", _part(state, "mm_projector"))
    language = _part(state, "llm")
    if llm.tie_word_embeddings:
        language.pop("lm_head.weight", None)
    _write_weights(root / "llm", language)
    _save_tokenizer(model, root / "llm")


def _part(state: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}."): value for name, value in state.items() if name.startswith(f"{part}.")}


def _check_free(root: Path) -> None:
    own = [root / part / "model.safetensors" for part in PARTS]
    patterns = ("*.safetensors", "*.index.json", "*.bin", "*.pt")
    others = [file for part in PARTS for pattern in patterns for file in sorted((root / part).glob(pattern)) if file not in own]
    others += [file for name in ("adapter_config.json", "model/adapter_config.json") if (file := root / name).exists()]
    others += sorted(root.glob("*awq*.pt"))
    if others:
        raise ValueError(
            f"{others[0]} is there already, and would be read in place of the saved weights; choose a new folder, or remove it"
        )


def _published(model: NVILA, dtype: torch.dtype) -> dict[str, Any]:
    """config.json for the three-folder layout, whatever layout the model came from: the parts' own descriptions are in their folders, what the
    class of another layout implies is written out, and the code that it names is not there."""
    config, tower = model.config, model.vision_tower.config
    raw = {key: value for key, value in config.raw.items() if key not in ("text_config", "vision_config", "auto_map")}
    projector = raw.get("mm_projector_cfg")
    raw["mm_projector_cfg"] = {**(projector if isinstance(projector, dict) else {}), "mm_projector_type": config.projector}
    raw["llm_cfg"], raw["vision_tower_cfg"] = _described_llm(model, dtype), _plain(tower)
    implied = {"image_aspect_ratio": config.image_aspect_ratio, "hidden_size": model.llm.config.hidden_size}
    implied |= {"mm_hidden_size": tower.hidden_size * (len(config.scales) or 1)}
    if config.scales:
        implied |= {"s2_scales": ",".join(map(str, config.scales)), "s2_max_split_size": config.max_split_px}
        implied |= {"s2_resize_output_to_scale_idx": config.resize_to_scale}
    raw |= {key: value for key, value in implied.items() if raw.get(key) is None}
    raw |= {"dynamic_s2": True} if config.image_aspect_ratio == "dynamic_s2" else {}
    raw["model_dtype"] = str(dtype)
    raw["architectures"], raw["model_type"] = ["LlavaLlamaModel"], "llava_llama"
    return raw


def _described_llm(model: NVILA, dtype: torch.dtype) -> dict[str, Any]:
    """llm/config.json. transformers 5 moved two keys into `rope_parameters`; the published code reads them with transformers 4, at their old place."""
    config = _plain(model.llm.config)
    rope = dict(config.get("rope_parameters") or {})
    config["rope_theta"] = rope.pop("rope_theta", config.get("rope_theta"))
    config["rope_scaling"] = None if rope.get("rope_type", "default") == "default" else rope
    config["torch_dtype"] = config["dtype"] = str(dtype).removeprefix("torch.")
    return {**config, "architectures": [type(model.llm).__name__]}


def _save_tokenizer(model: NVILA, folder: Path) -> None:
    if model.tokenizer is not None:
        model.tokenizer.tokenizer.save(str(folder / "tokenizer.json"))
    source = model.tokenizer_folder
    for name in _TOKENIZER_FILES:
        if source is not None and (source / name).is_file() and source.resolve() != folder.resolve():
            shutil.copy(source / name, folder / name)


def _plain(config: Any) -> dict[str, Any]:
    return {key: value for key, value in config.to_dict().items() if not key.startswith("_")}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def _write_weights(folder: Path, state: dict[str, Tensor]) -> None:
    """To a new file that then takes the name: the model's own tensors may be mapped from the file that lies there."""
    new = folder / "model.safetensors.new"
    save_file({name: value.detach().cpu().contiguous() for name, value in state.items()}, new, metadata={"format": "pt"})
    os.replace(new, folder / "model.safetensors")
