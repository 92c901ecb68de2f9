"""The shapes and rules of a model that engines need, read from a checkpoint's three config.json files or from a bundle's manifest."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from nvila_edge.model.checkpoint import (
    MOST_TILES,
    CheckpointConfig,
    CheckpointError,
    MediaEncoder,
    MediaRules,
    checkpoint_folder,
    part_config,
    read_config,
)
from nvila_edge.model.projector_layout import COLUMN_MAJOR, Layer, projector_layout, tokens_of
from nvila_edge.model.tokens import TEMPLATES
from nvila_edge.navigation.profiles import profile

_LARGEST = {"image_size": 4096, "patch": 512, "layers": 1000, "rope_theta": 1e9}  # what from_json accepts; other numbers up to a million
_EXPORTED = {"downsample", "norm", "linear", "gelu"}  # projector layers that graphs are written of
_POSITIONS = {"qwen2": 32768, "llama": 2048}  # of a config.json that does not tell (transformers' Qwen2Config and LlamaConfig)
_MODES = ("resize", "pad", "dynamic", "dynamic_s2")


@dataclass(frozen=True)
class VisionSpec:
    """Tower and projector. `layers` counts only the layers that are run (the selected ones); `scales` says how often the tower's channels come side by side
    into the projector: 1, or in the `dynamic_s2` mode the number of scales, and then the projector is a graph of its own."""

    image_size: int
    patch: int
    hidden: int
    layers: int
    heads: int
    intermediate: int
    eps: float
    projector: str
    column_major: bool
    out_hidden: int
    scales: int = 1

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.image_size // self.patch

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns of patches that space-to-channel joins into one token."""
        first = self.projector_layout[0]
        return (first.sizes[0], first.sizes[1]) if first.kind == "downsample" else (1, 1)

    @property
    def projector_layout(self) -> tuple[Layer, ...]:
        """The projector's layers."""
        return projector_layout(self.projector, self.hidden * self.scales, self.out_hidden)

    @property
    def tokens(self) -> int:
        """Tokens of one frame, the line break not counted."""
        return tokens_of(self.projector_layout, self.grid**2)


@dataclass(frozen=True)
class LanguageSpec:
    """The decoder. `vocab` counts the rows of the language model's own table (media tokens excluded, nvila_edge/traps.py); a sequence may have so many
    `positions`."""

    architecture: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    eps: float
    rope_theta: float
    qkv_bias: bool
    tied: bool
    positions: int = field(default=8192, compare=False)  # the default: of the built-in model, whose manifest does not tell


@dataclass(frozen=True)
class EngineSpec:
    """Everything about a model that is not weights or tokenizer. `profile` names a prompt profile, `frames` is its window, `template` the chat template."""

    vision: VisionSpec
    language: LanguageSpec
    media: MediaRules
    template: str
    profile: str
    frames: int

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries for the manifest."""
        return asdict(self)

    @staticmethod
    def from_json(content: dict[str, Any]) -> EngineSpec:
        """The reverse of `to_json`. Raises TypeError or KeyError when fields are missing or unknown, ValueError for values that can't be."""
        vision, language = (_checked(kind(**content[name])) for kind, name in ((VisionSpec, "vision"), (LanguageSpec, "language")))
        if type(content["frames"]) is not int or not 1 <= content["frames"] <= 1000:
            raise ValueError(f"frames is {content['frames']!r}; expected at least 1 and at most 1000")
        asked = profile(content["profile"], content["frames"])
        if content["template"] not in TEMPLATES:
            raise ValueError(f"template is {content['template']!r}; known: {', '.join(TEMPLATES)}")
        return EngineSpec(vision, language, _media_rules(content["media"]), content["template"], asked.name, asked.frames)


def _media_rules(content: dict[str, Any]) -> MediaRules:
    encoders = {name: _media_encoder(content[name]) for name in ("image_encoder", "video_encoder")}
    rules = MediaRules(**{**content, **encoders, "scales": tuple(int(scale) for scale in content["scales"])})
    if rules.image_aspect_ratio not in _MODES:
        raise ValueError(f"image_aspect_ratio is {rules.image_aspect_ratio!r}; known: {', '.join(_MODES)}")
    if not all(isinstance(value, int) for value in (rules.min_tiles, rules.max_tiles, rules.max_split_px, rules.resize_to_scale)):
        raise ValueError("min_tiles, max_tiles, max_split_px and resize_to_scale must be whole numbers")
    scales, resize_to = rules.scales, rules.resize_to_scale
    if rules.image_aspect_ratio == "dynamic_s2" and not (scales and min(scales) > 0 and -len(scales) <= resize_to < len(scales)):
        raise ValueError(f"scales {rules.scales} and resize_to_scale {rules.resize_to_scale} do not fit each other")
    if not 1 <= rules.min_tiles <= rules.max_tiles <= MOST_TILES:
        raise ValueError(
            f"min_tiles {rules.min_tiles} and max_tiles {rules.max_tiles}: expected 1 <= min_tiles <= max_tiles <= {MOST_TILES}"
        )
    return rules


def _media_encoder(content: dict[str, Any]) -> MediaEncoder:
    pools = tuple((int(t), int(h), int(w)) for t, h, w in content["pool_sizes"])
    encoder = MediaEncoder(**{**content, "pool_sizes": pools})
    if not all(isinstance(text, str) for text in (encoder.start, encoder.end, encoder.separator)) or any(min(pool) < 1 for pool in pools):
        raise ValueError(f"a media encoder is {content}; expected texts, and pool sizes of at least 1")
    return encoder


def _checked(spec: Any) -> Any:
    """The same, when every number is of its type and in a range that a model could have."""
    for told in fields(spec):
        value = getattr(spec, told.name)
        if type(value).__name__ != told.type and not (told.type == "float" and type(value) is int):
            raise ValueError(f"{told.name} is {value!r}; expected {told.type}")
        if told.type in ("int", "float") and not 0 < value <= _LARGEST.get(told.name, 10**6):
            raise ValueError(f"{told.name} is {value}; expected a number above 0 and at most {_LARGEST.get(told.name, 10**6)}")
    if isinstance(spec, VisionSpec):
        _check_projector(spec)
    return spec


def _check_projector(spec: VisionSpec) -> None:
    others = {layer.kind for layer in spec.projector_layout} - _EXPORTED
    if others:
        raise ValueError(f"projector {spec.projector!r} cannot be exported: graphs have no {', '.join(sorted(others))}")


def spec_of_checkpoint(path: str | Path) -> EngineSpec:
    """The spec of a checkpoint in any published layout. Raises CheckpointError when a file is missing or a kind is unknown or cannot be exported."""
    folder = checkpoint_folder(path)
    config = read_config(folder)
    vision, language = part_config(folder, "vision_tower"), part_config(folder, "llm")
    if config.image_aspect_ratio not in _MODES:
        raise CheckpointError(f"{folder}: image mode {config.image_aspect_ratio!r} cannot be exported; known: {', '.join(_MODES)}")
    try:
        seen = _vision_spec(vision, config, language)
        _check_projector(seen)
        spoken = _language_spec(language)
    except KeyError as error:
        raise CheckpointError(f"{folder}: a config.json lacks {error}; is the download complete?") from error
    except ValueError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    rules = MediaRules(**{field.name: getattr(config, field.name) for field in fields(MediaRules)})
    return EngineSpec(seen, spoken, rules, config.template, config.prompt_profile, config.num_video_frames)


def _vision_spec(vision: dict[str, Any], config: CheckpointConfig, language: dict[str, Any]) -> VisionSpec:
    total, select_layer = int(vision["num_hidden_layers"]), config.select_layer
    layers = total + 1 + select_layer if select_layer < 0 else select_layer
    if not 0 < layers <= total:
        raise CheckpointError(f"mm_vision_select_layer {select_layer} does not exist in a tower of {total} layers")
    return VisionSpec(
        image_size=int(vision["image_size"]),
        patch=int(vision["patch_size"]),
        hidden=int(vision["hidden_size"]),
        layers=layers,
        heads=int(vision["num_attention_heads"]),
        intermediate=int(vision["intermediate_size"]),
        eps=float(vision.get("layer_norm_eps", 1e-6)),
        projector=config.projector,
        column_major=config.column_major and config.projector == COLUMN_MAJOR,
        out_hidden=int(language["hidden_size"]),
        scales=len(config.scales) if config.image_aspect_ratio == "dynamic_s2" else 1,
    )


def _language_spec(config: dict[str, Any]) -> LanguageSpec:
    architecture = config.get("model_type", "qwen2")
    if architecture not in ("qwen2", "llama"):
        raise CheckpointError(f"language model type {architecture!r} cannot be exported; known: llama, qwen2")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}  # transformers 5 moved rope_theta in there
    if rope.get("rope_type", rope.get("type", "default")) != "default":
        raise CheckpointError(f"rotary positions of kind {rope.get('rope_type', rope.get('type'))!r} cannot be exported; known: default")
    heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
    return LanguageSpec(
        architecture=architecture,
        hidden=hidden,
        layers=int(config["num_hidden_layers"]),
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_dim=int(config.get("head_dim") or hidden // heads),
        intermediate=int(config["intermediate_size"]),
        vocab=int(config["vocab_size"]),
        eps=float(config.get("rms_norm_eps", 1e-6)),
        rope_theta=float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0),
        qkv_bias=architecture == "qwen2",
        tied=bool(config.get("tie_word_embeddings", False)),
        positions=int(config.get("max_position_embeddings") or _POSITIONS[architecture]),
    )
