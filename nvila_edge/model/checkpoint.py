"""What a checkpoint's config.json says: one frozen description, with the defaults that older and newer generations leave out.

Layout and values: NVlabs/VILA, llava/model/configuration_llava.py, and Efficient-Large-Model/NVILA-8B's config.json.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PARTS = ("llm", "vision_tower", "mm_projector")
IMAGE_MODES = ("resize", "pad", "dynamic", "dynamic_s2", "s2")
TEMPLATES = ("qwen2", "llama_3")
MOST_TILES = 1000  # more is a mistake in a configuration: the published limit is 12
_PART_KEYS = {"llm": ("text_config", "llm_cfg"), "vision_tower": ("vision_config", "vision_tower_cfg")}


class CheckpointError(ValueError):
    """A folder that is not a checkpoint in the published layout; the message names the file, what was expected and what was found."""


@dataclass(frozen=True)
class MediaEncoder:
    """How a medium's tokens are arranged. Texts are embedded: `start` and `end` stand around every image, tile or (pooled) frame, `separator` after
    every pool level. `pool_sizes`: (time, rows, columns) per level; empty for VILA's Basic encoders."""

    start: str = ""
    end: str = "\n"
    separator: str = ""
    pool_sizes: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class MediaRules:
    """How images and videos become tokens. `image_aspect_ratio`: one of IMAGE_MODES; `scales` in pixels, small to large (S2 modes only)."""

    image_aspect_ratio: str
    min_tiles: int = 1
    max_tiles: int = 12
    scales: tuple[int, ...] = ()
    max_split_px: int = 0
    resize_to_scale: int = -1
    image_encoder: MediaEncoder = field(default_factory=MediaEncoder)
    video_encoder: MediaEncoder = field(default_factory=MediaEncoder)


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig(MediaRules):
    """What config.json says. `projector` is its type; `column_major`: the older generation's token order of `mlp_downsample` (trap 1); `template` one of
    TEMPLATES; `raw` keeps every key for saving."""

    projector: str
    select_layer: int
    num_video_frames: int
    prompt_profile: str
    raw: dict[str, Any]
    fps: float = 0.0
    column_major: bool = False
    template: str = "qwen2"


def checkpoint_folder(path: str | Path) -> Path:
    """The folder that holds config.json, also when it is wrapped in `model/`. Raises CheckpointError naming what is missing."""
    root = Path(path)
    for folder in (root, root / "model"):
        if (folder / "config.json").is_file():
            missing = [part for part in PARTS if not (folder / part).is_dir()]
            if missing and not is_single_file(folder):
                raise CheckpointError(
                    f"{folder} has no {', '.join(part + '/' for part in missing)}; a checkpoint holds {', '.join(PARTS)}, or one file "
                    "model.safetensors (or shards with an index) with all of it: is the download complete?"
                )
            return folder
    raise CheckpointError(f"{root} is not a checkpoint: no config.json in it or in its model/ folder")


def is_single_file(folder: Path) -> bool:
    """Whether the three parts lie together in the folder's own safetensors, under `llm.`, `vision_tower.` and `mm_projector.`."""
    return any(folder.glob("model*.safetensors")) and not any((folder / part).is_dir() for part in PARTS)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises CheckpointError naming the file when there is none or it can't be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; is the download complete?") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}; is the download complete?") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds {type(content).__name__}; expected a JSON object")
    return content


def part_config(folder: Path, part: str) -> dict[str, Any]:
    """The configuration of `llm` or `vision_tower`: of its own folder, or (single file) inside config.json."""
    if (folder / part / "config.json").is_file() or not is_single_file(folder):
        return read_json(folder / part / "config.json")
    raw, names = read_json(folder / "config.json"), _PART_KEYS[part]
    for name in names:
        if isinstance(raw.get(name), dict):
            return raw[name]
    raise CheckpointError(f"{folder / 'config.json'} has no {' or '.join(names)}; a single-file checkpoint describes its parts there")


def read_config(folder: Path) -> CheckpointConfig:
    """config.json of a checkpoint folder. Raises CheckpointError when it can't be read or describes what nobody knows."""
    path, llm, projector = folder / "config.json", part_config(folder, "llm"), folder / "mm_projector" / "config.json"
    raw = read_json(path)
    if not isinstance(raw.get("mm_projector_cfg"), dict) and projector.is_file():  # a string is a path on the machine that trained it
        raw = {**raw, "mm_projector_cfg": read_json(projector)}
    try:
        return parse_config(raw, llm)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be used: {error!r}; is the download complete?") from error


def parse_config(raw: dict[str, Any], llm: dict[str, Any]) -> CheckpointConfig:
    """The description of config.json's contents and the language model's. Raises ValueError for an unknown image mode or template."""
    older = is_older_generation(llm)
    listed = raw.get("s2_scales") or ("448,896,1344" if raw.get("model_type") == "nvila" else "")
    scales = tuple(int(size) for size in (listed.split(",") if isinstance(listed, str) else listed) if size)
    mode = "s2" if raw.get("s2") else raw.get("image_aspect_ratio") or _default_mode(raw)
    if raw.get("dynamic_s2"):
        mode = "dynamic_s2"
    if mode not in IMAGE_MODES:
        raise CheckpointError(f"image_aspect_ratio {mode!r} is unknown; known: {', '.join(IMAGE_MODES)}")
    if mode in ("s2", "dynamic_s2") and not scales:
        raise CheckpointError(f'config.json says {mode} but has no s2_scales; expected for example "448,896,1344"')
    template = raw.get("chat_template") or ("llama_3" if older else "qwen2")
    if template not in TEMPLATES:
        raise CheckpointError(f"chat_template {template!r} is unknown; known: {', '.join(TEMPLATES)}")
    tiles, (frames, fps) = _tiles(raw), _video(raw)
    resize_to = _int(raw, "s2_resize_output_to_scale_idx", -1 if mode == "dynamic_s2" else 0)
    if mode in ("s2", "dynamic_s2"):
        _check_scales(scales, resize_to)
    end = "" if older else "\n"  # trap 5: the older encoders append nothing
    return CheckpointConfig(
        projector=_projector_type(raw),
        image_aspect_ratio=mode,
        select_layer=_int(raw, "mm_vision_select_layer", -2),
        num_video_frames=frames,
        prompt_profile=raw.get("nvila_edge_prompt_profile", "navila"),
        raw=raw,
        fps=fps,
        min_tiles=tiles[0],
        max_tiles=tiles[1],
        scales=scales if mode in ("s2", "dynamic_s2") else (),
        max_split_px=_int(raw, "s2_max_split_size", scales[0] if scales else 0),
        resize_to_scale=resize_to,
        column_major=older,
        template=template,
        image_encoder=_media_encoder(raw, "image_encoder", end),
        video_encoder=_media_encoder(raw, "video_encoder", end),
    )


def _tiles(raw: dict[str, Any]) -> tuple[int, int]:
    """The fewest and most tiles of an image."""
    fewest, most = _int(raw, "min_tiles", 1), _int(raw, "max_tiles", 12)
    if not 1 <= fewest <= most <= MOST_TILES:
        raise CheckpointError(f"min_tiles {fewest} and max_tiles {most} are no range; expected 1 <= min_tiles <= max_tiles <= {MOST_TILES}")
    return fewest, most


def _video(raw: dict[str, Any]) -> tuple[int, float]:
    """Frames that are looked at, and how many of a second (0: spread evenly)."""
    frames, fps = _int(raw, "num_video_frames", 8) or 8, float(raw.get("fps") or 0.0)
    if not 1 <= frames <= 4096 or not 0 <= fps < 1e6:
        raise CheckpointError(f"num_video_frames {frames} and fps {fps}: expected 1 to 4096 frames, and 0 or more a second")
    return frames, fps


def _check_scales(scales: tuple[int, ...], resize_to: int) -> None:
    if min(scales) < 1 or max(scales) > 16384 or list(scales) != sorted(scales):
        raise CheckpointError(f"s2_scales {scales}: expected pixels from small to large, for example 448,896,1344")
    if not -len(scales) <= resize_to < len(scales):
        raise CheckpointError(f"s2_resize_output_to_scale_idx {resize_to}: there are {len(scales)} scales")


def is_older_generation(llm: dict[str, Any]) -> bool:
    """VILA-1.5, LongVILA, NaVILA and M3 are built on Llama, NVILA on Qwen2: that, not the projector's name, tells the token order (trap 1)."""
    return llm.get("model_type") == "llama" or "LlamaForCausalLM" in (llm.get("architectures") or ())


def _int(raw: dict[str, Any], key: str, default: int) -> int:
    value = raw.get(key)
    return default if value is None else int(value)


def _default_mode(raw: dict[str, Any]) -> str:
    """The single-file variants leave the mode to their class (SGLang's nvila and nvila_lite)."""
    return {"nvila": "dynamic_s2", "nvila_lite": "dynamic"}.get(raw.get("model_type", ""), "resize")


def _projector_type(raw: dict[str, Any]) -> str:
    described = raw.get("mm_projector_cfg")
    named = described.get("mm_projector_type") if isinstance(described, dict) else None
    named = (
        named
        or raw.get("mm_projector_type")
        or {"nvila": "mlp_downsample", "nvila_lite": "mlp_downsample_3x3_fix"}.get(raw.get("model_type", ""))
    )
    if named is None:
        raise CheckpointError(f"mm_projector_cfg is {described!r}; expected an object with mm_projector_type")
    return named


def _media_encoder(raw: dict[str, Any], key: str, end: str) -> MediaEncoder:
    """VILA writes its encoders as a JSON string or an object (trap 10); `_target_` names the class."""
    described = raw.get(key)
    try:
        fields = json.loads(described) if isinstance(described, str) and described else dict(described or {})
        target = str(fields.get("_target_", "BasicEncoder")).rsplit(".", 1)[-1]
        pools = tuple((int(t), int(h), int(w)) for t, h, w in fields.get("pool_sizes") or ())
    except (TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{key} is {described!r}; expected an object with _target_, or one as a JSON string ({error})") from error
    if target not in ("BasicEncoder", "BasicImageEncoder", "BasicVideoEncoder", "TSPVideoEncoder"):
        raise CheckpointError(f"{key} {target!r} is unknown; known: BasicImageEncoder, BasicVideoEncoder, TSPVideoEncoder")
    if target == "TSPVideoEncoder" and (not pools or min(map(min, pools)) < 1):
        raise CheckpointError(f"{key}: a TSPVideoEncoder needs pool_sizes of at least 1, for example [[8, 1, 1]]; found {pools}")
    texts = [fields.get(name) for name in ("start_tokens", "end_tokens", "sep_tokens")]
    if not all(text is None or isinstance(text, str) for text in texts):
        raise CheckpointError(f"{key}: start_tokens, end_tokens and sep_tokens are {texts}; expected texts")
    return MediaEncoder(fields.get("start_tokens") or "", fields.get("end_tokens", end) or "", fields.get("sep_tokens") or "", pools)
