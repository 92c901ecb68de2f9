"""What is no checkpoint is refused before weights are read: the message names file, key, what was expected and what was found."""

from __future__ import annotations

import json
import os
import shutil
import time
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nvila_edge import NVILA
from nvila_edge.model import weights
from nvila_edge.training.tokenizer import save_tokenizer, train_tokenizer
from tests.tiny import save_tiny_checkpoint


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def folder(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture(autouse=True)
def nothing_is_read(request, monkeypatch):
    """Fails a test that converts or maps a tensor although its checkpoint is bad."""

    def refuse(*_, **__):
        raise AssertionError("a tensor was read before everything was checked")

    if "folder" in request.fixturenames:
        monkeypatch.setattr(weights, "_read", refuse)
        monkeypatch.setattr(weights, "_torch_read", refuse)


def refused(path, message, **options):
    with pytest.raises(ValueError, match=message):
        NVILA.from_pretrained(path, **options)


def rewrite(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def change(file, **tensors):
    """Writes other tensors under these names (dots written as __); None removes one."""
    state = {**load_file(file), **{name.replace("__", "."): value for name, value in tensors.items()}}
    save_file({name: value for name, value in state.items() if value is not None}, file)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mm_projector_cfg": {"mm_projector_type": "mlp_up"}}, "config.json, mm_projector_type: unknown projector type 'mlp_up'; known: .*mlp_downsample"),
        ({"mm_projector_cfg": {}, "mm_projector_type": None}, "config.json: mm_projector_cfg is {}; expected an object with mm_projector_type"),
        ({"chat_template": "vicuna_v9"}, "config.json: chat_template 'vicuna_v9' is unknown; known: qwen2, llama_3"),
        ({"image_aspect_ratio": "anyres"}, "config.json: image_aspect_ratio 'anyres' is unknown; known: resize, pad, dynamic, dynamic_s2, s2"),
        ({"image_aspect_ratio": "dynamic_s2"}, "config.json: config.json says dynamic_s2 but has no s2_scales"),
        ({"s2_scales": "448,big"}, "config.json cannot be used.*big"),
        ({"video_encoder": {"_target_": "x.MambaEncoder"}}, "config.json: video_encoder 'MambaEncoder' is unknown; known: BasicImageEncoder"),
        ({"image_encoder": "{broken"}, "config.json: image_encoder is '{broken'; expected an object"),
        ({"video_encoder": {"_target_": "TSPVideoEncoder"}}, "video_encoder: a TSPVideoEncoder needs pool_sizes"),
        ({"video_encoder": {"_target_": "TSPVideoEncoder", "pool_sizes": [[0, 1, 1]]}}, "needs pool_sizes of at least 1"),
        ({"min_tiles": 4, "max_tiles": 2}, "config.json: min_tiles 4 and max_tiles 2 are no range"),
        ({"mm_hidden_size": 65}, "config.json: mm_hidden_size is 65; expected 64"),
        ({"mm_vision_select_layer": -9}, "mm_vision_select_layer -9 does not exist in a tower of 2 layers"),
    ],
)  # fmt: skip
def test_config_json_with_what_nobody_knows(folder, values, message):
    rewrite(folder / "config.json", **values)
    refused(folder, message)


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("llm/config.json", {"model_type": "mamba"}, "llm/config.json has model_type 'mamba'; known: qwen2, llama"),
        ("llm/config.json", {"hidden_size": "wide"}, "describe no model that can be built.*hidden_size"),
        ("llm/config.json", {"intermediate_size": 512}, r"model.safetensors, key model.layers.\d.mlp.\w+.weight: expected shape .*512.* found .*256"),
        ("vision_tower/config.json", {"num_hidden_layers": 3}, "vision_tower lacks 16 tensors, the first is encoder.layers.2.layer_norm1.bias"),
        ("vision_tower/config.json", {"image_size": 64}, "preprocessor_config.json: size is .*128.*; the tower's image_size is 64"),
    ],
)  # fmt: skip
def test_a_parts_configuration_that_does_not_fit(folder, file, values, message):
    rewrite(folder / file, **values)
    refused(folder, message)


@pytest.mark.parametrize("file", ["config.json", "llm/config.json", "vision_tower/config.json"])
@pytest.mark.parametrize(("text", "message"), [("{not json", "cannot be read"), ("[]", "holds list; expected a JSON object")])
def test_configurations_that_are_no_json_object(folder, file, text, message):
    (folder / file).write_text(text)
    refused(folder, f"{file} {message}")


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.json", "is not a checkpoint: no config.json"), ("llm/config.json", "llm/config.json is missing"), ("mm_projector", "has no mm_projector/"),
        ("llm/tokenizer.json", "llm/tokenizer.json is missing"), ("vision_tower/model.safetensors", "has no tensors of vision_tower"),
    ],
)  # fmt: skip
def test_what_is_not_there(folder, missing, message):
    (shutil.rmtree if (folder / missing).is_dir() else os.unlink)(folder / missing)
    refused(folder, message)


def test_a_tokenizer_that_cannot_be_read(folder):
    (folder / "llm" / "tokenizer.json").write_text('{"model": 3}')
    refused(folder, "llm/tokenizer.json cannot be read")


@pytest.mark.parametrize("part", ["llm", "vision_tower", "mm_projector"])
@pytest.mark.parametrize("kept", [0, 7, 200, -1])
def test_truncated_weights(folder, part, kept):
    file = folder / part / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    refused(folder, f"{part}/model.safetensors cannot be read.*{file.stat().st_size} bytes are there")


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_or_a_dangling_link_instead_of_weights(folder, name):
    (folder / "llm" / "model.safetensors").unlink()
    (folder / "llm" / name).mkdir()
    refused(folder, f"llm/{name} cannot be read: expected a file.*a folder")
    (folder / "llm" / name).rmdir()
    (folder / "llm" / name).symlink_to("/nowhere")  # as in a hub cache that was cleaned
    refused(folder, f"llm/{name} cannot be read: expected a file.*a link to nothing")


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}, "llm/model-2.safetensors is missing: .* lists 2 files, 1 are not there"),
        ({}, "index.json has no weight_map"),
        ({"weight_map": ["a"]}, "index.json has no weight_map"), ({"weight_map": {"a": 1}}, "index.json has no weight_map"),
    ],
)  # fmt: skip
def test_shards_that_are_not_there_and_broken_indices(folder, index, message):
    (folder / "llm" / "model.safetensors").rename(folder / "llm" / "model-1.safetensors")
    (folder / "llm" / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(folder, message)


def test_a_key_that_is_missing_misshapen_or_of_integers(folder):
    file, norm = folder / "llm" / "model.safetensors", "model__norm__weight"
    change(file, **{norm: torch.ones(64)})
    refused(folder, r"llm/model.safetensors, key model.norm.weight: expected shape \[128\] .* found \[64\]")
    change(file, **{norm: torch.ones(128, dtype=torch.int8)})
    refused(folder, "key model.norm.weight: expected model.norm.weight as float32, bfloat16 or float16")
    change(file, **{norm: None})
    refused(folder, "llm lacks 1 tensors, the first is model.norm.weight")


class Code:
    """Would make a folder when unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("save", [torch.save, partial(torch.save, _use_new_zipfile_serialization=False)])
def test_a_pickle_with_code_is_refused_and_not_run(folder, tmp_path, save):
    (folder / "llm" / "model.safetensors").unlink()
    save({"model.norm.weight": Code(tmp_path / "made")}, folder / "llm" / "pytorch_model.bin")
    refused(folder, "llm/pytorch_model.bin is refused: it holds Python code or objects; expected a torch file of tensors only")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(1)], "expected a dict of tensors, found list"),
        ({"epoch": 3}, "pytorch_model.bin, key epoch: expected a tensor, found int"),
    ],
)
def test_torch_files_that_are_no_weights(folder, content, message):
    (folder / "llm" / "model.safetensors").unlink()
    torch.save(content, folder / "llm" / "pytorch_model.bin")
    refused(folder, message)


def test_a_truncated_torch_file(folder):
    state = load_file(folder / "llm" / "model.safetensors")
    (folder / "llm" / "model.safetensors").unlink()
    file = folder / "llm" / "pytorch_model.bin"
    torch.save(state, file)
    file.write_bytes(file.read_bytes()[:-1000])
    refused(folder, "llm/pytorch_model.bin cannot be read.*bytes are there")


def test_torch_files_of_the_old_kind_open(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "old")
    state = load_file(tmp_path / "old" / "llm" / "model.safetensors")
    (tmp_path / "old" / "llm" / "model.safetensors").unlink()
    torch.save(state, tmp_path / "old" / "llm" / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert np.array_equal(NVILA.from_pretrained(tmp_path / "old").logits("Go"), NVILA.from_pretrained(tiny).logits("Go"))


@pytest.mark.parametrize("dtype", ["float8", "fp16", torch.float64])
def test_a_dtype_that_is_unknown(folder, dtype):
    refused(folder, "dtype .* is unknown; allowed: float32, bfloat16, float16 or None", dtype=dtype)


@pytest.mark.parametrize("name", ["nobody/nothing-here", "nobody/a--b"])
def test_a_hub_id_that_cannot_be_fetched(name, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    started = time.monotonic()
    refused(name, f"{name} is no folder here, and cannot be fetched from the hub")
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("name", ["", "copy/missing", "copy/a/b", "one"])
def test_a_path_that_does_not_exist_is_not_looked_for_on_the_hub(folder, monkeypatch, name):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "snapshot_download", lambda *_: pytest.fail("the hub was asked"))
    monkeypatch.chdir(folder.parent)
    refused(name, "does not exist; expected a checkpoint folder, or a hub id" if name else "no config.json")


@pytest.mark.parametrize(("prompt", "count"), [("<image>Go", 0), ("<image>Go", 2), ("<image><image>Go", 1), ("Go", 1)])
def test_marks_and_images_that_differ_in_number(tiny, prompt, count):
    with pytest.raises(ValueError, match=rf"{prompt.count('<image>')} <image> .* but {count} images"):
        NVILA.from_pretrained(tiny).logits(prompt, images=[np.zeros((8, 8, 3), np.uint8)] * count)


def test_a_sequence_longer_than_the_model_allows(tiny):
    with pytest.raises(ValueError, match=r"the prompt has \d{4,} positions with its media; the model allows 8192"):
        NVILA.from_pretrained(tiny).logits("sofa " * 9000)


def test_torchs_own_names_of_dtypes_are_taken(tiny):
    assert next(NVILA.from_pretrained(tiny, dtype=torch.bfloat16).parameters()).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("vision_tower/config.json", {"model_type": "clip_vision_model"}, "model_type 'clip_vision_model'; known: siglip_vision_model"),
        ("vision_tower/preprocessor_config.json", {"image_mean": [0.48, 0.45, 0.4]}, r"image_mean is \[0.48.*SigLIP's is \[0.5"),
        ("config.json", {"mm_vision_select_feature": "patch"}, "mm_vision_select_feature is 'patch'"),
        ("config.json", {"image_aspect_ratio": "dynamic_s2", "s2_scales": "448,896"}, "do not fit a tower of 128 px"),
        ("config.json", {"image_aspect_ratio": "dynamic_s2", "s2_scales": "0,0"}, "expected pixels from small to large"),
        (
            "config.json",
            {"image_aspect_ratio": "dynamic_s2", "s2_scales": "128,256", "s2_resize_output_to_scale_idx": 9},
            "there are 2 scales",
        ),
        ("vision_tower/config.json", {"num_hidden_layers": 1}, "stores 2 layers, its config.json says num_hidden_layers 1"),
        ("vision_tower/config.json", {"num_hidden_layers": 10**6}, "expected 1 to 1000"),
        ("config.json", {"max_tiles": 10**6}, "are no range"),
        ("config.json", {"num_video_frames": -3}, "expected 1 to 4096 frames"),
        ("config.json", {"mm_projector_cfg": {"mm_projector_type": 5}}, "unknown projector type 5"),
        ("config.json", {"image_encoder": {"end_tokens": 5}}, "expected texts"),
    ],
)
def test_what_would_silently_mean_another_model_is_refused(folder, file, values, message):
    rewrite(folder / file, **values)
    refused(folder, message)


def test_a_tokenizer_of_another_model_is_refused(folder):
    save_tokenizer(train_tokenizer([chr(9000 + i) * 3 for i in range(900)], 1200), folder / "llm")
    refused(folder, "ids up to .*they belong to different models")


def test_weights_that_are_not_finite_give_no_answer(tiny):
    model = NVILA.from_pretrained(tiny)
    torch.nn.init.constant_(model.llm.lm_head.weight, float("nan"))
    with pytest.raises(ValueError, match="logits are not finite"):
        model.generate("Go")


def test_one_picture_where_a_list_belongs_is_named(tiny):
    model = NVILA.from_pretrained(tiny)
    with pytest.raises(ValueError, match=r"expected a list: images=\[picture\]"):
        model.generate("<image>Go", images=np.zeros((8, 8, 3), np.uint8))
    for wrong in (0, None, "3"):
        with pytest.raises(ValueError, match="whole number"):
            model.generate("Go", max_new_tokens=wrong)
    with pytest.raises(ValueError, match="not valid Unicode"):
        model.generate("Go \ud800")
