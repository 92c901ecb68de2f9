"""Writing a checkpoint in the published layout (facts/nvila.md section 2)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def save(model: NVILA, root: Path) -> None:
    """config.json, llm/, vision_tower/ and mm_projector/, weights as safetensors."""
    for part in PARTS:
        (root / part).mkdir(parents=True, exist_ok=True)
    tower, llm = model.vision_tower.config, model.llm.config
    _write_json(root / "config.json", _published(model))
    _write_json(root / "vision_tower" / "config.json", {"architectures": ["SiglipVisionModel"], **_plain(tower)})
    _write_json(root / "llm" / "config.json", {"architectures": [type(model.llm).__name__], **_plain(llm)})
    _write_json(root / "mm_projector" / "config.json", {"model_type": "v2l_projector", "mm_projector_type": model.config.projector})
    preprocess = {"do_resize": True, "size": {"height": tower.image_size, "width": tower.image_size}, "resample": 3}
    statistics = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 255}
    kind = {"image_processor_type": "SiglipImageProcessor", "do_normalize": True, "do_rescale": True}
    _write_json(root / "vision_tower" / "preprocessor_config.json", kind | preprocess | statistics)
    save_file(_contiguous(vision.published_names(model.vision_tower.state_dict())), root / "vision_tower" / "model.safetensors")
    save_file(_contiguous(model.mm_projector.state_dict()), root / "mm_projector" / "model.safetensors")
    state = model.llm.state_dict()
    if llm.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    save_file(_contiguous(state), root / "llm" / "model.safetensors")
    _save_tokenizer(model, root / "llm")


def _published(model: NVILA) -> dict[str, Any]:
    """config.json for the three-folder layout, whatever layout the model came from: the parts' own descriptions are in their folders."""
    raw = dict(model.config.raw)
    for name, value in (
        ("text_config", None),
        ("vision_config", None),
        ("mm_projector_cfg", {"mm_projector_type": model.config.projector}),
    ):
        raw.pop(name, None)
        if value is not None:
            raw[name] = {**(model.config.raw.get(name) or {}), **value}
    raw["llm_cfg"], raw["vision_tower_cfg"] = _plain(model.llm.config), _plain(model.vision_tower.config)
    raw.setdefault("image_aspect_ratio", model.config.image_aspect_ratio)
    raw["architectures"], raw["model_type"] = ["LlavaLlamaModel"], "llava_llama"
    return raw


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


def _contiguous(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}
