"""Ten ways to run an NVILA or NaVILA checkpoint wrongly, which of them concern one checkpoint, and what is done about them."""

from __future__ import annotations

from nvila_edge.model.checkpoint import CheckpointConfig
from nvila_edge.model.nvila import NVILA
from nvila_edge.model.tokens import IMAGE_MARK, LLAMA_SYSTEM_PROMPT, SYSTEM_PROMPT, VIDEO_MARK


def traps(model: NVILA) -> tuple[tuple[int, str], ...]:
    """(number, what is done) for every trap that concerns this model. Its weights may be on torch's meta device."""
    found = {
        1: _token_order(model.config),
        2: _video_path(model.config),
        3: _vocabulary(model),
        4: _system_prompt(model.config),
        5: _newlines(model.config),
        6: _tiled_alone(model.config),
        7: _unused_layers(model),
        8: _two_beginnings(model),
        9: _lower_case(model.config),
        10: _written_oddly(model.config),
    }
    return tuple((number, text) for number, text in found.items() if text)


def _token_order(config: CheckpointConfig) -> str:
    if config.projector != "mlp_downsample":
        return ""
    order, kind = ("column", "Llama (VILA-1.5, NaVILA)") if config.column_major else ("row", "Qwen2 (NVILA)")
    return f"mlp_downsample means two token orders: {order} by {order}, because the language model is {kind}"


def _video_path(config: CheckpointConfig) -> str:
    if config.column_major:
        return "this generation knows a video as one image a frame: chat shows it so"
    return f"a video goes through its encoder behind one {VIDEO_MARK}; newer releases of VILA show frames as images: --frames-as-images"


def _vocabulary(model: NVILA) -> str:
    assert model.tokenizer is not None
    rows = int(model.llm.config.vocab_size)
    ids = {mark: model.tokenizer.tokenizer.token_to_id(mark) for mark in (IMAGE_MARK, VIDEO_MARK)}
    beyond = [f"{mark} {number}" for mark, number in ids.items() if number is not None and number >= rows]
    if not beyond:
        return ""
    return f"media tokens lie beyond the vocabulary of {rows} ({', '.join(beyond)}): placeholders only, the embedding is not resized"


def _system_prompt(config: CheckpointConfig) -> str:
    text = SYSTEM_PROMPT if config.template == "qwen2" else LLAMA_SYSTEM_PROMPT
    return f"system prompt is {text[:28]!r}{' ...' if len(text) > 28 else ' without a full stop'}, not the language model's own"


def _newlines(config: CheckpointConfig) -> str:
    if not config.image_encoder.end:
        return "no line break is appended to an image's tokens; the one in the text is all"
    if config.image_aspect_ratio == "dynamic":
        return f"every tile is followed by the embedding of {config.image_encoder.end!r} and by a line break in the text"
    return f"every image and frame is followed by the embedding of {config.image_encoder.end!r}"


def _tiled_alone(config: CheckpointConfig) -> str:
    if config.image_aspect_ratio not in ("dynamic", "dynamic_s2"):
        return ""
    repeated = f", its features {len(config.scales)} times" if config.image_aspect_ratio == "dynamic_s2" else ""
    return f"only an image that comes alone is cut into tiles; of several, each is one tile{repeated}"


def _unused_layers(model: NVILA) -> str:
    run, stored = len(model.vision_tower.encoder.layers), int(model.vision_tower.config.num_hidden_layers)
    return f"{run} of {stored} vision layers are loaded and run; what lies above is dead weight" if run < stored else ""


def _two_beginnings(model: NVILA) -> str:
    assert model.tokenizer is not None
    begins = model.tokenizer.template.begins
    if not begins:
        return ""
    first = model.tokenizer.prompt("?")[0].ids[:2]
    number = model.tokenizer.tokenizer.token_to_id(begins)
    return f"a prompt begins with {begins} {'twice, as' if first == (number, number) else 'once, as'} this tokenizer and template have it"


def _lower_case(config: CheckpointConfig) -> str:
    if not config.column_major:
        return ""
    return "NaVILA was trained on lower-cased instructions but is evaluated on raw ones: they are passed raw"


def _written_oddly(config: CheckpointConfig) -> str:
    raw = config.raw
    found = [f"{key} is a JSON string" for key in ("image_encoder", "video_encoder") if isinstance(raw.get(key), str)]
    if isinstance(raw.get("s2_scales"), str) and config.scales:
        found.append("s2_scales is a comma-separated string")
    if config.image_aspect_ratio in ("dynamic", "dynamic_s2"):
        used = {"min_tiles": config.min_tiles, "max_tiles": config.max_tiles}
        found += [f"{key} is absent, {value} is used" for key, value in used.items() if raw.get(key) is None]
    if raw.get("fps") is None:
        found.append("fps is null or absent, frames are taken evenly")
    return "config.json: " + "; ".join(found) if found else ""
