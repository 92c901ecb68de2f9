"""What a checkpoint is, what it needs and what to beware of, from its configuration and its files' headers: `nvila-edge doctor CKPT`.

No weight is read: the model is built without memory, and every tensor's name and shape is compared with it.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nvila_edge.gpu import Gpu
from nvila_edge.model import tiling
from nvila_edge.model.checkpoint import CheckpointConfig, is_single_file
from nvila_edge.model.loading import skeleton
from nvila_edge.model.nvila import NVILA
from nvila_edge.model.opening import opened
from nvila_edge.model.weights import StoredTensor, check
from nvila_edge.traps import traps

EXPORTED = "exported W8A8 + W4A16"
POSITIONS = 4096  # of the key/value cache in `memory_bytes`
IMAGES = {"448 x 448": (448, 448), "640 x 480 (4:3)": (640, 480), "1280 x 720 (16:9)": (1280, 720)}
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Part:
    """One part of the model. `used` counts the parameters that are loaded, `stored` those in the files."""

    name: str
    about: str
    used: int
    stored: int


@dataclass(frozen=True)
class Description:
    """What `describe` found. tokens: kind of image or video -> language tokens, line breaks included; memory: dtype -> (weights, key/value cache)
    in bytes; traps: (number, what is done about it); str() is the page that people read."""

    source: str
    folder: Path
    layout: str
    generation: str
    parts: tuple[Part, ...]
    image_mode: str
    video: str
    template: str
    tokens: Mapping[str, int]
    memory: Mapping[str, tuple[int, int]]
    traps: tuple[tuple[int, str], ...]

    def __str__(self) -> str:
        total = sum(part.used for part in self.parts)
        rows = [("checkpoint", str(self.folder)), ("layout", self.layout), ("generation", self.generation)]
        rows += [(part.name, _part_text(part)) for part in self.parts]
        rows += [("parameters", f"{_count(total)} loaded"), ("images", self.image_mode), ("video", self.video), ("template", self.template)]
        rows += [("tokens", f"{kind}: {number}") for kind, number in self.tokens.items()]
        for dtype, (weights, cache) in self.memory.items():
            text = f"{dtype}: {_gigabytes(weights)} weights + {_gigabytes(cache)} cache at {POSITIONS} positions"
            rows.append(("memory", text))
        rows += [(f"trap {number}", text) for number, text in self.traps]
        return "\n".join(textwrap.fill(text, 140, initial_indent=f"{name.strip():<13}", subsequent_indent=" " * 13) for name, text in rows)

    def fits(self, found: Sequence[Gpu]) -> list[str]:
        """A line for every GPU: in which forms the model fits its memory, with a tenth and 1 GB left for everything else."""
        lines = []
        for gpu in found:
            room = 0.9 * gpu.memory_bytes - 1e9
            good = [form for form, (weights, cache) in self.memory.items() if weights + cache <= room]
            text = (
                f"{gpu.name} ({gpu.architecture}, {_gigabytes(gpu.memory_bytes)}): fits as {', '.join(good)}"
                if good
                else f"{gpu.name} is too small"
            )
            lines.append(f"{'GPU':<13}{text}")
        return lines or [f"{'GPU':<13}none found on this machine"]


def describe(path_or_hub_id: str | Path) -> Description:
    """Reads configurations, the tokenizer and headers. Raises CheckpointError (a ValueError) for whatever would keep the checkpoint from loading:
    a missing or truncated file, a tensor that is missing or has another shape than the configuration says."""
    found = opened(path_or_hub_id, download=False)
    folder, config, adapter, stored = found.folder, found.config, found.adapter, found.stored
    model = skeleton(NVILA, found)
    parts = _parts(model, stored, folder)
    return Description(
        source=str(path_or_hub_id), folder=folder, layout=_layout(folder, adapter, stored), generation=_generation(str(path_or_hub_id), folder, config),
        parts=parts, image_mode=_image_mode(config), video=_video(config), template=config.template, tokens=tokens(model),
        memory=memory_bytes(sum(part.used for part in parts), model.llm.config) | {EXPORTED: exported_bytes(model)}, traps=traps(model),
    )  # fmt: skip


def tokens(model: NVILA) -> dict[str, int]:
    """Language tokens that an image alone, and a video of the usual length, become. Without memory: the projector runs on torch's meta device."""
    config, size = model.config, model.vision_tower.image_size
    projected, around = _projected(model), _around(model, config.image_encoder.start, config.image_encoder.end)
    alone, tile = {}, projected + around
    for name, (width, height) in IMAGES.items():
        if config.image_aspect_ratio == "dynamic":
            columns, rows = tiling.best_grid(width, height, size, config.min_tiles, config.max_tiles)
            tiles = columns * rows + (columns * rows > 1)
            alone[f"an image {name}"] = tiles * (tile + 1)  # a line break in the text after every tile
        elif config.image_aspect_ratio == "dynamic_s2":
            splits = (config.scales[-1] // config.scales[0]) ** 2
            columns, rows = tiling.best_grid(width, height, config.scales[0], splits, max(config.max_tiles, splits))
            alone[f"an image {name}"] = columns * rows * projected + around
        else:
            alone[f"an image {name}"] = tile
    return alone | {"an image among others": tile} | _video_tokens(model)


def memory_bytes(parameters: int, llm: Any) -> dict[str, tuple[int, int]]:
    """dtype -> bytes of (weights, key/value cache): parameters x size, and 2 x layers x key/value heads x head size x 4096 positions x size.

    What passes through the layers, and the libraries themselves, come on top: about 1 GB.
    """
    head = getattr(llm, "head_dim", None) or llm.hidden_size // llm.num_attention_heads
    cached = 2 * llm.num_hidden_layers * llm.num_key_value_heads * head * POSITIONS
    return {dtype: (parameters * size, cached * size) for dtype, size in _BYTES.items()}


def exported_bytes(model: NVILA) -> tuple[int, int]:
    """Bytes of (weights, key/value cache) of an export with W8A8 vision and W4A16 language on a GPU: a byte for each weight of the tower's layers, 4.25 bits
    for those of the decoder's, two bytes for everything else; the token table stays in host memory."""
    llm = model.llm.config
    decoder = sum(p.numel() for p in model.llm.model.layers.parameters())
    tower = sum(p.numel() for p in model.vision_tower.encoder.parameters())
    everything = sum(p.numel() for p in model.parameters()) - decoder - tower
    everything += llm.vocab_size * llm.hidden_size if llm.tie_word_embeddings else 0
    everything -= llm.vocab_size * llm.hidden_size
    cache = memory_bytes(0, llm)["float16"][1]
    return int(tower + decoder * 4.25 / 8 + 2 * everything), cache


def _patches(model: NVILA) -> int:
    """Patches that the projector gets at once: a tile's, or with S2 those of the map of all tiles of one scale."""
    config, side = model.config, model.vision_tower.image_size // int(model.vision_tower.config.patch_size)  # type: ignore[arg-type]
    if config.image_aspect_ratio == "s2":
        side *= math.ceil(config.scales[config.resize_to_scale] / config.max_split_px)
    return side * side


def _projected(model: NVILA) -> int:
    weight = next(model.mm_projector.parameters(), torch.empty(0, device="meta"))
    channels = int(model.config.raw.get("mm_hidden_size") or int(model.vision_tower.config.hidden_size) * (len(model.config.scales) or 1))
    return model.mm_projector(torch.empty(1, _patches(model), channels, device="meta", dtype=weight.dtype)).shape[1]


def _around(model: NVILA, *texts: str) -> int:
    assert model.tokenizer is not None
    return sum(len(model.tokenizer.encode(text)) for text in texts if text)


def _video_tokens(model: NVILA) -> dict[str, int]:
    config, frames, each = model.config, model.config.num_video_frames, _projected(model)
    encoder, total = config.video_encoder, 0
    around, separator = _around(model, encoder.start, encoder.end), _around(model, encoder.separator)
    for t, h, w in encoder.pool_sizes:
        total += -(-frames // t) * (each // (h * w) + around) + separator
    single = each + around + config.column_major  # the older generation's line break is in the text
    total = total or frames * single
    return {"a video frame" + (" before pooling" if encoder.pool_sizes else ""): single, f"a video of {frames} frames": total}


def _parts(model: NVILA, stored: Mapping[str, dict[str, StoredTensor]], folder: Path) -> tuple[Part, ...]:
    """Compares every tensor with the model, as loading does, then counts."""
    modules = {"llm": model.llm, "vision_tower": model.vision_tower, "mm_projector": model.mm_projector}
    llm, seen, found = model.llm.config, model.vision_tower.config, []
    about = {
        "llm": f"{llm.model_type}, {llm.num_hidden_layers} layers of {llm.hidden_size}, {llm.num_attention_heads} heads "
        f"({llm.num_key_value_heads} key/value), feed-forward {llm.intermediate_size}, vocabulary {llm.vocab_size}",
        "vision_tower": f"SigLIP, {seen.num_hidden_layers} layers of {seen.hidden_size}, {seen.num_attention_heads} heads, "
        f"{seen.image_size} px in patches of {seen.patch_size}, output of layer {model.config.select_layer}",
        "mm_projector": f"{model.mm_projector.kind}, {model.config.raw.get('mm_hidden_size') or seen.hidden_size} to {llm.hidden_size}",
    }
    names = {"llm": "language", "vision_tower": "vision", "mm_projector": "projector"}
    for part, module in modules.items():
        used = sum(parameter.numel() for parameter in module.parameters())
        check(module, stored[part], f"{folder}: {part}", ("lm_head.weight",) if part == "llm" and llm.tie_word_embeddings else ())
        found.append(Part(names[part], about[part], used, sum(math.prod(value.shape) for value in stored[part].values())))
    return tuple(found)


def _layout(folder: Path, adapter: Path | None, stored: Mapping[str, dict[str, StoredTensor]]) -> str:
    text = "one folder, one set of files" if is_single_file(folder) else "three folders (llm, vision_tower, mm_projector)"
    if any(value.origin.endswith(".qweight") for value in stored["llm"].values()):
        text += ", AWQ 4-bit language weights (unpacked while loading)"
    dtypes = sorted({str(value.dtype).removeprefix("torch.") for part in stored.values() for value in part.values()})
    text += f", stored as {' and '.join(dtypes)}"
    return f"LoRA adapter {adapter} on {text}" if adapter else text


def _generation(source: str, folder: Path, config: CheckpointConfig) -> str:
    """By the language model; NaVILA and VILA-1.5 are told apart by name only, their configurations say the same."""
    if "nvila_edge_prompt_profile" in config.raw:
        return f"nvila-edge's own (prompt profile {config.prompt_profile}), of NVILA's structure"
    names = " ".join([source, folder.name, *(str(config.raw.get(key) or "") for key in ("_name_or_path", "resume_path"))]).lower()
    if config.column_major:
        if "navila" in names:
            return "NaVILA (Llama; VILA-1.5's structure)"
        return "VILA-1.5-S2 (Llama)" if config.image_aspect_ratio == "s2" else "VILA-1.5 or NaVILA (Llama; their configurations are alike)"
    if config.video_encoder.pool_sizes:
        return "NVILA-Video (Qwen2; pools video frames)"
    return {"dynamic_s2": "NVILA (Qwen2; dynamic S2)", "dynamic": "NVILA-Lite (Qwen2; dynamic tiles)"}.get(
        config.image_aspect_ratio, "NVILA (Qwen2)"
    )


def _image_mode(config: CheckpointConfig) -> str:
    tiles = f"{config.min_tiles} to {config.max_tiles} tiles"
    scales = "/".join(map(str, config.scales))
    return {
        "resize": "resize: one tile, aspect ratio ignored", "pad": "pad: one tile, made square with grey",
        "dynamic": f"dynamic: {tiles} and a thumbnail", "dynamic_s2": f"dynamic_s2: scales {scales}, up to {config.max_tiles} tiles",
        "s2": f"s2: scales {scales}, one map",
    }[config.image_aspect_ratio]  # fmt: skip


def _video(config: CheckpointConfig) -> str:
    pools = ", ".join(" x ".join(map(str, pool)) for pool in config.video_encoder.pool_sizes)
    kind = (
        f"frames pooled by time x rows x columns {pools}" if pools else "one image a frame" if config.column_major else "one tile a frame"
    )
    rate = f"{config.fps:g} frames a second, at most {config.num_video_frames}" if config.fps else f"{config.num_video_frames} frames"
    return f"{rate}, {kind}"


def _part_text(part: Part) -> str:
    unused = f", {_count(part.stored - part.used)} more in the files are never used" if part.stored > part.used else ""
    return f"{part.about}: {_count(part.used)} parameters{unused}"


def _count(number: int) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return str(number)


def _gigabytes(number: int) -> str:
    return f"{number / 1e9:.2f} GB" if number >= 1e8 else f"{number / 1e6:.1f} MB"
