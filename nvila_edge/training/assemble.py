"""A model of pretrained parts: what the first stage begins with. A SigLIP tower and a Qwen2 (or Llama) language model in transformers' layout, and a
projector that has learned nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from nvila_edge.model.checkpoint import CheckpointError, parse_config, read_json
from nvila_edge.model.loading import DTYPES, reset_buffers
from nvila_edge.model.nvila import NVILA
from nvila_edge.model.opening import local_folder
from nvila_edge.model.projector import Projector
from nvila_edge.model.tokens import ChatTokenizer
from nvila_edge.model.weights import StoredTensor, fill, safetensors_tensors

PATCH_LAYER = -2  # the layer whose features NVILA takes (mm_vision_select_layer)


def assemble(vision: str | Path, language: str | Path, projector: str = "mlp_downsample", image_mode: str = "resize", **keys: Any) -> NVILA:
    """vision and language: folders or hub ids with config.json and safetensors, the language model's with tokenizer.json; keys: more of config.json.

    Raises CheckpointError when a part is missing, of another architecture, or does not fit its configuration; ValueError for an unknown projector.
    """
    tower, llm = local_folder(vision), local_folder(language)
    described, spoken = read_json(tower / "config.json"), read_json(llm / "config.json")
    described = described.get("vision_config", described)
    if described.get("model_type", "siglip_vision_model") != "siglip_vision_model":
        raise CheckpointError(f"{tower} is a {described['model_type']}; expected a siglip_vision_model")
    raw = {
        "architectures": ["LlavaLlamaModel"], "model_type": "llava_llama", "hidden_size": spoken["hidden_size"],
        "mm_projector_cfg": {"mm_projector_type": projector}, "image_aspect_ratio": image_mode, "mm_vision_select_layer": PATCH_LAYER,
        "mm_vision_select_feature": "cls_patch", "num_video_frames": 8, "llm_cfg": spoken, "vision_tower_cfg": described, **keys,
    }  # fmt: skip
    config = parse_config(raw, spoken)
    with torch.device("meta"):
        model = NVILA.from_configs(config, described, spoken)
    model.tokenizer_folder, model.tokenizer = llm, ChatTokenizer.from_folder(llm, config.template)
    tied = ("lm_head.weight",) if model.llm.config.tie_word_embeddings else ()
    fill(model.vision_tower, _tower_names(_tensors(tower)), f"{tower}", DTYPES["float32"])
    fill(model.llm, _tensors(llm), f"{llm}", DTYPES["float32"], tied)
    model.llm.tie_weights()
    channels = int(described["hidden_size"]) * (len(config.scales) or 1)
    model.mm_projector = Projector(projector, channels, int(spoken["hidden_size"]), config.column_major)
    reset_buffers(model)
    _check_vocabulary(model, llm)
    return model.to(torch.float32).eval()


def _tensors(folder: Path) -> dict[str, StoredTensor]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(f"{folder} has no *.safetensors; is the download complete?")
    return {name: value for file in files for name, value in safetensors_tensors(file).items()}


def _tower_names(found: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    return {name.rsplit("vision_model.", 1)[-1]: value for name, value in found.items() if "text_model." not in name}


def _check_vocabulary(model: NVILA, folder: Path) -> None:
    assert model.tokenizer is not None
    rows = len(model.llm.model.embed_tokens.weight)
    largest = max(*model.tokenizer.stops, model.tokenizer.newline)
    if largest >= rows:
        raise CheckpointError(f"{folder}: mismatched vocabulary: its tokenizer has ids up to {largest}, its embedding {rows} rows")
