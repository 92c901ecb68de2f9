"""Every published layout opens as the same model, and is written back in the three-folder layout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nvila_edge import NVILA
from nvila_edge.model.checkpoint import MediaEncoder, parse_config
from nvila_edge.training.builtin import ModelSize, new_model
from nvila_edge.training.tokenizer import train_tokenizer
from tests.tiny import save_tiny_checkpoint

CASES = {"lite_small": "nvila_lite", "s2_wide": "nvila", "video_basic": "nvila"}  # recorded case -> model_type of its single-file variant
LAYOUTS = ("three folders", "wrapped", "remote code", "sharded", "single file", "single file, shards", "torch files")


class Case:
    """A recorded checkpoint, what it was asked, and the published code's logits."""

    def __init__(self, folder, model_type):
        described = json.loads((folder / "case.json").read_text())
        golden = np.load(folder / "golden.npz")
        frames = [golden[f"img{index}"] for index in range(sum(name.startswith("img") for name in golden))]
        self.checkpoint, self.model_type, self.prompt, self.expected = folder / "ckpt", model_type, described["prompt"], golden["logits"][0]
        self.media = {"video": frames} if described["kind"] == "video" else {"images": frames}
        self.logits = self.answer(NVILA.from_pretrained(self.checkpoint))

    def answer(self, model):
        return model.logits(self.prompt, **self.media)


@pytest.fixture(scope="module", params=CASES)
def case(request, golden):
    return Case(golden / "nvila" / request.param, CASES[request.param])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


def rewrite(path, **values):
    raw = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({key: value for key, value in raw.items() if value != "absent"}))


def shard(file, count):
    """Cuts model.safetensors into shards with an index."""
    tensors, names = load_file(file), {}
    for index in range(count):
        part = dict(list(sorted(tensors.items()))[index::count])
        names |= dict.fromkeys(part, f"model-{index + 1:05d}-of-{count:05d}.safetensors")
        save_file(part, file.with_name(f"model-{index + 1:05d}-of-{count:05d}.safetensors"))
    file.with_name("model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    file.unlink()


def as_single_file(source, folder, model_type):
    raw = json.loads((source / "config.json").read_text())
    kept = {key: raw[key] for key in ("s2_scales", "s2_max_split_size", "mm_vision_select_layer", "video_encoder")}
    if model_type == "nvila" and not raw["dynamic_s2"]:  # a video model's values, which this class would not imply
        kept |= {"image_aspect_ratio": raw["image_aspect_ratio"], "mm_projector_type": raw["mm_projector_cfg"]["mm_projector_type"]}
    parts = {
        name: json.loads((source / part / "config.json").read_text())
        for name, part in (("text_config", "llm"), ("vision_config", "vision_tower"))
    }
    shutil.copytree(source / "llm", folder, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": model_type, **kept, **parts}))
    prefixes = {
        "llm": "llm.",
        "vision_tower": "vision_tower.vision_tower." if model_type == "nvila" else "vision_tower.",
        "mm_projector": "mm_projector.",
    }
    save_file(
        {
            prefix + name: value
            for part, prefix in prefixes.items()
            for name, value in load_file(source / part / "model.safetensors").items()
        },
        folder / "model.safetensors",
    )


def make(layout, case, folder):
    """Writes the case's checkpoint in a layout; returns the folder to open."""
    if layout.startswith("single file"):
        as_single_file(case.checkpoint, folder, case.model_type)
        if layout.endswith("shards"):
            shard(folder / "model.safetensors", 3)
        return folder
    inner = folder / "model" if layout == "wrapped" else folder
    shutil.copytree(case.checkpoint, inner)
    for file in (inner, *inner.rglob("*")):
        file.chmod(0o755 if file.is_dir() else 0o644)
    if layout == "remote code":
        rewrite(inner / "config.json", model_type="vila", architectures=["VILAForCausalLM"], auto_map={"AutoModel": "x.Y"}, version="2.0")
    elif layout == "sharded":
        shard(inner / "llm" / "model.safetensors", 3)
    elif layout == "torch files":
        for part in ("llm", "vision_tower", "mm_projector"):
            torch.save(load_file(inner / part / "model.safetensors"), inner / part / "pytorch_model.bin")
            (inner / part / "model.safetensors").unlink()
    return folder


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_opens_as_the_same_model_and_is_saved_in_three_folders(case, layout, tmp_path):
    model = NVILA.from_pretrained(make(layout, case, tmp_path / "in"))
    assert np.array_equal(case.answer(model), case.logits)
    assert np.abs(case.logits - case.expected).max() < 1e-4
    model.save_pretrained(tmp_path / "out")
    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    parts = {f"{part}/{name}" for part in ("llm", "vision_tower", "mm_projector") for name in ("config.json", "model.safetensors")}
    assert files >= parts | {"config.json", "llm/tokenizer.json", "llm/tokenizer_config.json", "vision_tower/preprocessor_config.json"}
    raw = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (raw["model_type"], raw["architectures"]) == ("llava_llama", ["LlavaLlamaModel"])
    assert raw["mm_hidden_size"] == 32 * (3 if raw["image_aspect_ratio"] == "dynamic_s2" else 1)
    assert not {"text_config", "vision_config", "auto_map"} & set(raw)
    assert np.array_equal(case.answer(NVILA.from_pretrained(tmp_path / "out")), case.logits)


def test_saved_language_configuration_is_readable_by_the_published_code(golden, tmp_path):
    NVILA.from_pretrained(golden / "nvila" / "navila" / "ckpt").save_pretrained(tmp_path)
    llm = json.loads((tmp_path / "llm" / "config.json").read_text())  # transformers 4 knows neither rope_parameters nor dtype
    assert (llm["rope_theta"], llm["rope_scaling"], llm["torch_dtype"]) == (500000.0, None, "float32")


def test_a_checkpoint_can_be_saved_over_itself(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "own")
    model = NVILA.from_pretrained(tmp_path / "own")  # its tensors are mapped from the files that are replaced
    before = model.logits("Where?")
    model.save_pretrained(tmp_path / "own")
    assert np.array_equal(model.logits("Where?"), before)
    assert np.array_equal(NVILA.from_pretrained(tmp_path / "own").logits("Where?"), before)


@pytest.mark.parametrize(
    "other", ["llm/model.safetensors.index.json", "llm/x-w4-g128-awq-v2.pt", "vision_tower/a.bin", "adapter_config.json"]
)
def test_saving_beside_weights_that_readers_would_prefer_is_refused(tiny, tmp_path, other):
    (tmp_path / other).parent.mkdir(exist_ok=True)
    (tmp_path / other).write_text("{}")
    with pytest.raises(ValueError, match=other.rsplit("/", 1)[-1]):
        NVILA.from_pretrained(tiny).save_pretrained(tmp_path)


def test_dtypes_are_converted_on_load_and_the_dtype_saved(tiny, tmp_path):
    stored = NVILA.from_pretrained(tiny).state_dict()
    half = NVILA.from_pretrained(tiny, dtype="bfloat16")
    assert all(torch.equal(value, stored[name].bfloat16()) for name, value in half.state_dict().items())
    half.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_dtype"] == "torch.bfloat16"
    assert {value.dtype for value in NVILA.from_pretrained(tmp_path).state_dict().values()} == {torch.bfloat16}
    back = NVILA.from_pretrained(tmp_path, dtype="float32").state_dict()
    assert all(torch.equal(value, stored[name].bfloat16().float()) for name, value in back.items())


def test_parts_of_different_dtypes_become_the_language_models(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "mixed")
    file = tmp_path / "mixed" / "llm" / "model.safetensors"
    save_file({name: value.bfloat16() for name, value in load_file(file).items()}, file)
    model = NVILA.from_pretrained(tmp_path / "mixed")
    assert {value.dtype for value in model.state_dict().values()} == {torch.bfloat16}
    assert np.isfinite(model.logits("<image>Go", images=[np.zeros((8, 8, 3), np.uint8)])).all()


QWEN, LLAMA = {"model_type": "qwen2"}, {"model_type": "llama"}
PROJECTOR = {"mm_projector_cfg": {"mm_projector_type": "linear"}}


def test_what_a_configuration_leaves_out_has_the_published_defaults():
    config = parse_config({**PROJECTOR, "fps": None, "num_video_frames": None}, QWEN)
    assert (config.min_tiles, config.max_tiles, config.fps, config.num_video_frames) == (1, 12, 0.0, 8)
    assert (config.image_aspect_ratio, config.select_layer, config.template, config.column_major) == ("resize", -2, "qwen2", False)
    assert config.image_encoder == config.video_encoder == MediaEncoder(end="\n")
    older = parse_config(PROJECTOR, LLAMA)
    assert (older.template, older.column_major, older.image_encoder) == ("llama_3", True, MediaEncoder(end=""))


@pytest.mark.parametrize("write", [json.dumps, dict])
def test_encoders_are_read_from_a_json_string_or_an_object(write):
    tsp = write(
        {"_target_": "llava.model.encoders.TSPVideoEncoder", "pool_sizes": [[8, 1, 1], [4, 2, 2]], "sep_tokens": "!", "end_tokens": None}
    )
    basic = write({"_target_": "llava.model.encoders.BasicImageEncoder", "start_tokens": "<"})
    config = parse_config({**PROJECTOR, "video_encoder": tsp, "image_encoder": basic}, QWEN)
    assert config.video_encoder == MediaEncoder("", "", "!", ((8, 1, 1), (4, 2, 2)))
    assert config.image_encoder == MediaEncoder("<", "\n", "", ())


@pytest.mark.parametrize(
    ("given", "mode", "scales"),
    [
        ({"image_aspect_ratio": "pad"}, "pad", ()), ({"image_aspect_ratio": "dynamic", "s2_scales": "1,2"}, "dynamic", ()),
        ({"dynamic_s2": True, "s2_scales": "448,896,1344"}, "dynamic_s2", (448, 896, 1344)),
        ({"image_aspect_ratio": "dynamic_s2", "s2_scales": [4, 8]}, "dynamic_s2", (4, 8)),
        ({"s2": True, "image_aspect_ratio": "resize", "s2_scales": "336,672"}, "s2", (336, 672)),
        ({"model_type": "nvila"}, "dynamic_s2", (448, 896, 1344)), ({"model_type": "nvila_lite"}, "dynamic", ()),
    ],
)  # fmt: skip
def test_image_modes(given, mode, scales):
    config = parse_config({**PROJECTOR, **given}, QWEN)
    assert (config.image_aspect_ratio, config.scales) == (mode, scales)


def test_the_projectors_type_is_read_from_its_own_folder_when_config_json_has_a_path(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "path")
    rewrite(tmp_path / "path" / "config.json", mm_projector_cfg="/home/user/mm_projector")
    assert NVILA.from_pretrained(tmp_path / "path").config.projector == "mlp_downsample_8x2"


MEASURE = """
import gc, json, re, sys, torch, transformers
from nvila_edge.model.nvila import NVILA
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])  # ru_maxrss begins with the parent's
NVILA.from_pretrained(sys.argv[1])
start, ratios = peak(), []
for dtype in ("bfloat16", None):
    model = NVILA.from_pretrained(sys.argv[2], dtype=dtype)
    touched = sum(float(value.sum()) for value in model.state_dict().values())  # mapped pages count once they are read
    ratios.append((peak() - start) / sum(value.nbytes for value in model.state_dict().values()))
    del model
    gc.collect()
print(json.dumps(ratios))
"""


def test_memory_at_its_peak_is_that_of_the_weights(tiny, tmp_path):
    """380 MB in float32, converted to half of that, then as stored."""
    size = ModelSize(32, 2, 2, hidden=1024, layers=6, heads=8, kv_heads=4, intermediate=4096)
    with torch.device("meta"):
        model = new_model(size, train_tokenizer(["Where is the sofa?"]))
    model.to_empty(device="cpu").requires_grad_(False)
    for value in model.state_dict().values():
        value.fill_(0.01)
    model.save_pretrained(tmp_path / "big")
    del model, value
    command = [sys.executable, "-c", MEASURE, str(tiny), str(tmp_path / "big")]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=170)
    ratios = json.loads(answer.stdout or answer.stderr)
    print(f"peak memory over weights: converted {ratios[0]:.3f}, as stored {ratios[1]:.3f}")
    assert max(ratios) < 1.15
