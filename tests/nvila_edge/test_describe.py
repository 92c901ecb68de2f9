"""`nvila-edge doctor CKPT`: what a checkpoint is and needs, from headers alone, equal to what the model itself does."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from nvila_edge import NVILA, cli
from nvila_edge.describe import IMAGES, Description, describe, memory_bytes
from nvila_edge.gpu import Gpu
from nvila_edge.model.checkpoint import PARTS, parse_config
from nvila_edge.training.tokenizer import save_tokenizer, train_tokenizer
from tests.tiny import TEXTS, save_tiny_checkpoint

SIGLIP = {
    "model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16,
    "image_size": 448, "patch_size": 14, "vision_use_head": False,
}  # fmt: skip
QWEN_7B = {
    "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
    "num_key_value_heads": 4, "vocab_size": 151648, "max_position_embeddings": 32768, "tie_word_embeddings": False,
}  # fmt: skip
NVILA_8B = {
    "architectures": ["LlavaLlamaModel"], "model_type": "llava_llama", "hidden_size": 3584, "mm_hidden_size": 3456, "dynamic_s2": True,
    "image_aspect_ratio": "dynamic_s2", "s2": False, "s2_scales": "448,896,1344", "s2_max_split_size": 448, "s2_resize_output_to_scale_idx": -1,
    "mm_vision_select_layer": -2, "num_video_frames": 8, "fps": 0.0, "mm_projector_cfg": {"mm_projector_type": "mlp_downsample"},
}  # fmt: skip


def hollow(path: Path, shapes: dict[str, list[int]]) -> None:
    """A safetensors file of bfloat16 whose weights are a hole in the file: its header is real, its gigabytes take no room."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


def published(folder: Path, config: dict, tower: dict, llm: dict) -> Path:
    """A checkpoint of these shapes without weights in its files."""
    with torch.device("meta"):
        model = NVILA.from_configs(parse_config(config, llm), tower, llm)
    state = {
        "llm": model.llm.state_dict(), "mm_projector": model.mm_projector.state_dict(),
        "vision_tower": {f"vision_model.{name}": value for name, value in model.vision_tower.state_dict().items()},
    }  # fmt: skip
    for part in PARTS:
        (folder / part).mkdir(parents=True)
        hollow(folder / part / "model.safetensors", {name: list(value.shape) for name, value in state[part].items()})
    for place, content in (("", config), ("llm", llm), ("vision_tower", tower)):
        (folder / place / "config.json").write_text(json.dumps(content))
    save_tokenizer(train_tokenizer(TEXTS, 400), folder / "llm")
    return folder


def test_nvila_8b_is_described_without_its_16_gigabytes(tmp_path: Path) -> None:
    found = describe(published(tmp_path / "model", NVILA_8B, SIGLIP, QWEN_7B))
    used = {part.name: part.used for part in found.parts}
    assert found.generation.startswith("NVILA (Qwen2; dynamic S2)") and found.template == "qwen2"
    assert 7.60e9 < used["language"] < 7.62e9 and 0.39e9 < used["vision"] < 0.41e9 and 60e6 < used["projector"] < 65e6
    assert found.tokens["an image 448 x 448"] == 2305 and found.tokens["an image 1280 x 720 (16:9)"] == 3073
    assert found.tokens["an image among others"] == 257 and found.tokens["a video of 8 frames"] == 8 * 257
    assert found.memory["bfloat16"] == (2 * sum(used.values()), 2 * 28 * 4 * 128 * 4096 * 2)
    assert {1, 2, 4, 5, 6, 7, 10} <= dict(found.traps).keys() and "26 of 27" in dict(found.traps)[7]
    assert "bfloat16: 16." in str(found) and "max_tiles is absent, 12 is used" in " ".join(str(found).split())


def test_nvila_lite_has_a_thumbnail_and_two_line_breaks_a_tile(tmp_path: Path) -> None:
    projector = {"mm_projector_cfg": {"mm_projector_type": "mlp_downsample_3x3_fix"}, "mm_hidden_size": 1152}
    lite = NVILA_8B | projector | {"dynamic_s2": False, "image_aspect_ratio": "dynamic"}
    tokens = describe(published(tmp_path / "lite", lite, SIGLIP, QWEN_7B | {"tie_word_embeddings": True})).tokens
    assert [tokens[f"an image {name}"] for name in IMAGES] == [123, 13 * 123, 9 * 123]
    assert tokens["an image among others"] == tokens["a video frame"] == 122


CASES = ("lite_multi", "lite_wide", "navila", "s2_wide", "s2_multi", "text", "video_basic", "video_tsp", "video_tsp_multi")


@pytest.mark.parametrize("name", CASES)
def test_tokens_are_those_that_the_model_makes(golden: Path, name: str) -> None:
    checkpoint = golden / "nvila" / name / "ckpt"
    found, model = describe(checkpoint), NVILA.from_pretrained(checkpoint)
    bare, pixels = len(model.embed_prompt("Go")), np.random.default_rng(0).integers(0, 255, (72, 128, 3), np.uint8)
    for size, (width, height) in IMAGES.items():
        image = np.resize(pixels, (height, width, 3))
        assert found.tokens[f"an image {size}"] == len(model.embed_prompt("<image>Go", images=[image])) - bare
    frames = [pixels] * model.config.num_video_frames
    if not model.config.column_major:
        assert found.tokens[f"a video of {len(frames)} frames"] == len(model.embed_prompt("<vila/video>Go", video=frames)) - bare
    loaded = {"language": model.llm, "vision": model.vision_tower, "projector": model.mm_projector}
    assert {part.name: part.used for part in found.parts} == {part: sum(p.numel() for p in loaded[part].parameters()) for part in loaded}
    assert all(part.stored >= part.used for part in found.parts)


def test_navilas_traps_are_told(golden: Path) -> None:
    found = describe(golden / "nvila" / "navila" / "ckpt")
    traps = dict(found.traps)
    assert found.generation.startswith("NaVILA") and found.template == "llama_3"
    assert "column by column" in traps[1] and "twice" in traps[8] and "raw" in traps[9] and 6 not in traps


def test_what_keeps_a_checkpoint_from_loading_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_tiny_checkpoint(tmp_path / "tiny")
    assert isinstance(describe(folder), Description) and "nvila-edge's own" in describe(str(folder)).generation
    assert cli.main(["doctor", str(folder)]) == 0 and "trap 4" in capsys.readouterr().out
    weights = folder / "vision_tower" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    assert cli.main(["doctor", str(folder)]) == 2
    assert str(weights) in capsys.readouterr().err
    weights.write_bytes(whole)
    llm = json.loads((folder / "llm" / "config.json").read_text())
    (folder / "llm" / "config.json").write_text(json.dumps(llm | {"intermediate_size": 100, "model_type": "mamba"}))
    assert cli.main(["doctor", str(folder)]) == 2 and "mamba" in capsys.readouterr().err


def test_a_hub_id_is_looked_up_here_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has not been downloaded"):
        describe("nobody-at-all/no-such-checkpoint")


def test_memory_is_weights_and_keys_and_values() -> None:
    class Small:
        num_hidden_layers, num_key_value_heads, hidden_size, num_attention_heads = 2, 3, 64, 4

    assert memory_bytes(10, Small) == {
        "float32": (40, 2 * 2 * 3 * 16 * 4096 * 4),
        **dict.fromkeys(("bfloat16", "float16"), (20, 2 * 2 * 3 * 16 * 4096 * 2)),
    }


def test_a_gpu_is_told_in_which_forms_the_model_fits(tmp_path: Path) -> None:
    eight = describe(published(tmp_path / "8b", NVILA_8B, SIGLIP, QWEN_7B))
    weights, cache = eight.memory["exported W8A8 + W4A16"]
    assert 5.0e9 < weights < 6.0e9 and cache == 2 * 28 * 4 * 128 * 4096 * 2
    small, large = Gpu("RTX 4060 Laptop", 8 << 30, "sm89"), Gpu("H100", 80 << 30, "sm90")
    lines = eight.fits([small, large, Gpu("MX150", 2 << 30, "sm61")])
    assert "fits as exported W8A8 + W4A16" in lines[0] and "float16" not in lines[0]
    assert "float32, bfloat16, float16, exported" in lines[1] and "too small" in lines[2]
    assert "none found" in eight.fits([])[0]
