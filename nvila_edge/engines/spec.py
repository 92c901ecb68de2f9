"""The shapes and rules of a model that engines need, read from a checkpoint's three config.json files or from a bundle's manifest."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nvila_edge.model.checkpoint import CheckpointError, checkpoint_folder, read_config
from nvila_edge.navigation.profiles import profile

# type -> ((block rows, block columns), ((index in `layers`, kind), ..)); facts/nvila.md section 1.2
_MLP = ((1, "norm"), (2, "linear"), (3, "gelu"), (4, "linear"))
_LARGEST = {"image_size": 4096, "patch": 512, "layers": 1000, "rope_theta": 1e9}  # what from_json accepts; other numbers up to a million
_PROJECTORS: dict[str, tuple[tuple[int, int], tuple[tuple[int, str], ...]]] = {
    "linear": ((1, 1), ((0, "linear"),)),
    "mlp_downsample": ((2, 2), _MLP),
    "mlp_downsample_2x2_fix": ((2, 2), _MLP),
    "mlp_downsample_8x2": ((8, 2), _MLP),
    "mlp_downsample_3x3_fix": (
        (3, 3),
        ((1, "norm"), (2, "linear"), (3, "gelu"), (4, "norm"), (5, "linear"), (6, "gelu"), (7, "linear")),
    ),
}


@dataclass(frozen=True)
class VisionSpec:
    """Tower and projector. `layers` counts only the layers that are run (the selected ones)."""

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

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.image_size // self.patch

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns of patches that space-to-channel joins into one token."""
        return _PROJECTORS[self.projector][0]

    @property
    def projector_layers(self) -> tuple[tuple[int, str], ...]:
        """The projector's layers after space-to-channel: (index in the checkpoint, "norm" | "linear" | "gelu")."""
        return _PROJECTORS[self.projector][1]

    @property
    def tokens(self) -> int:
        """Tokens of one frame, the line break not counted."""
        rows, columns = self.block
        return -(-self.grid // rows) * -(-self.grid // columns)


@dataclass(frozen=True)
class LanguageSpec:
    """The decoder. `vocab` counts the rows of the language model's own table (media tokens excluded, facts/nvila.md trap 3)."""

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


@dataclass(frozen=True)
class EngineSpec:
    """Everything about a model that is not weights or tokenizer. `profile` names a prompt profile, `frames` is its window."""

    vision: VisionSpec
    language: LanguageSpec
    profile: str
    frames: int

    @property
    def frame_newline(self) -> bool:
        """Whether the encoder ends every frame with the embedding of a line break: NVILA does, NaVILA's generation does not (trap 5)."""
        return self.language.architecture != "llama"

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries for the manifest."""
        return asdict(self)

    @staticmethod
    def from_json(content: dict[str, Any]) -> EngineSpec:
        """The reverse of `to_json`. Raises TypeError or KeyError when fields are missing or unknown, ValueError for values that can't be."""
        vision, language = (_checked(kind(**content[name])) for kind, name in ((VisionSpec, "vision"), (LanguageSpec, "language")))
        asked = profile(content["profile"], content["frames"])
        return EngineSpec(vision, language, asked.name, asked.frames)


def _checked(spec: Any) -> Any:
    """The same, when every number is of its type and in a range that a model could have."""
    for field in fields(spec):
        value = getattr(spec, field.name)
        if type(value).__name__ != field.type and not (field.type == "float" and type(value) is int):
            raise ValueError(f"{field.name} is {value!r}; expected {field.type}")
        if field.type in ("int", "float") and not 0 < value <= _LARGEST.get(field.name, 10**6):
            raise ValueError(f"{field.name} is {value}; expected a number above 0 and at most {_LARGEST.get(field.name, 10**6)}")
    if isinstance(spec, VisionSpec) and spec.projector not in _PROJECTORS:
        raise ValueError(f"projector is {spec.projector!r}; known: {', '.join(sorted(_PROJECTORS))}")
    return spec


def spec_of_checkpoint(path: str | Path) -> EngineSpec:
    """The spec of a checkpoint folder in the published layout. Raises CheckpointError when a file is missing or a kind is unknown."""
    folder = checkpoint_folder(path)
    config = read_config(folder)
    vision, language = (_read(folder / part / "config.json") for part in ("vision_tower", "llm"))
    if config.projector not in _PROJECTORS:
        raise CheckpointError(f"projector type {config.projector!r} cannot be exported; known: {', '.join(sorted(_PROJECTORS))}")
    return EngineSpec(
        _vision_spec(vision, config.projector, config.select_layer, language),
        _language_spec(language),
        config.prompt_profile,
        config.num_video_frames,
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}; is the download complete?") from error


def _vision_spec(config: dict[str, Any], projector: str, select_layer: int, language: dict[str, Any]) -> VisionSpec:
    total = int(config["num_hidden_layers"])
    layers = total + 1 + select_layer if select_layer < 0 else select_layer
    if not 0 < layers <= total:
        raise CheckpointError(f"mm_vision_select_layer {select_layer} does not exist in a tower of {total} layers")
    return VisionSpec(
        image_size=int(config["image_size"]),
        patch=int(config["patch_size"]),
        hidden=int(config["hidden_size"]),
        layers=layers,
        heads=int(config["num_attention_heads"]),
        intermediate=int(config["intermediate_size"]),
        eps=float(config.get("layer_norm_eps", 1e-6)),
        projector=projector,
        # trap 1: the same name means column-major tokens in checkpoints of the Llama generation (VILA-1.5, NaVILA)
        column_major=projector == "mlp_downsample" and language.get("model_type") == "llama",
        out_hidden=int(language["hidden_size"]),
    )


def _language_spec(config: dict[str, Any]) -> LanguageSpec:
    architecture = config.get("model_type", "qwen2")
    if architecture not in ("qwen2", "llama"):
        raise CheckpointError(f"language model type {architecture!r} cannot be exported; known: llama, qwen2")
    rope = config.get("rope_parameters") or {}  # transformers 5 moved rope_theta in there
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
    )
