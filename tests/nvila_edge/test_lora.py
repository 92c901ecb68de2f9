"""LoRA outputs open as their base with the changes merged in: by the formula computed here in NumPy, and as peft itself merges."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from nvila_edge import NVILA
from nvila_edge.model.checkpoint import CheckpointError
from tests.tiny import save_tiny_checkpoint

LLM, TOWER = "llm.model.layers.1.self_attn.q_proj", "vision_tower.vision_tower.vision_model.encoder.layers.0.mlp.fc1"
OWN = {LLM: "llm.model.layers.1.self_attn.q_proj.weight", TOWER: "vision_tower.encoder.layers.0.mlp.fc1.weight"}
PROJECTOR = "mm_projector.layers.2.bias"
RANK, ALPHA = 4, 6


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_tiny_checkpoint(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def weights(base):
    return {name: value.numpy() for name, value in NVILA.from_pretrained(base).state_dict().items()}


@pytest.fixture(scope="module")
def factors(weights):
    """Layer -> (A [r, in], B [out, r])."""
    random = np.random.default_rng(0)
    shapes = {layer: weights[own].shape for layer, own in OWN.items()}
    return {
        layer: tuple(random.normal(size=size).astype(np.float32) for size in ((RANK, n), (m, RANK))) for layer, (m, n) in shapes.items()
    }


def adapter_tensors(factors):
    named = {
        f"base_model.model.{layer}.{kind}.weight": value
        for layer, pair in factors.items()
        for kind, value in zip(("lora_A", "lora_B"), pair)
    }
    return {name: torch.from_numpy(value) for name, value in named.items()}


def write(folder, base, tensors, whole=None, torch_file=False, **config):
    """What peft and VILA's trainer leave: adapter_config.json, adapter_model.*, non_lora_trainables.bin."""
    folder.mkdir(parents=True)
    described = {"peft_type": "LORA", "base_model_name_or_path": str(base), "lora_alpha": ALPHA, "r": RANK, "use_dora": False, **config}
    (folder / "adapter_config.json").write_text(json.dumps({key: value for key, value in described.items() if value is not None}))
    if torch_file:
        torch.save(tensors, folder / "adapter_model.bin")
    else:
        save_file(tensors, folder / "adapter_model.safetensors")
    if whole is not None:
        torch.save(whole, folder / "non_lora_trainables.bin")
    return folder


def expected(weights, factors, scale=ALPHA / RANK):
    return {**weights, **{OWN[layer]: weights[OWN[layer]] + np.float32(scale) * (b @ a) for layer, (a, b) in factors.items()}}


def check(model, values, tolerance=1e-6):
    state = model.state_dict()
    assert set(state) == set(values)
    for name, value in values.items():
        assert np.allclose(state[name].float().numpy(), value, rtol=tolerance, atol=tolerance), name


@pytest.mark.parametrize("torch_file", [False, True])
@pytest.mark.parametrize("prefix", ["base_model.model.", "model.", "base_model.model.model.", ""])
def test_both_parts_and_what_was_trained_whole_are_merged(base, weights, factors, tmp_path, torch_file, prefix):
    bias = torch.arange(128.0)
    folder = write(tmp_path / "lora", base, adapter_tensors(factors), {prefix + PROJECTOR: bias}, torch_file)
    model = NVILA.from_pretrained(folder)
    check(model, {**expected(weights, factors), PROJECTOR: bias.numpy()})
    model.save_pretrained(tmp_path / "out")
    given = ("<image>Go", [np.full((8, 8, 3), 90, np.uint8)])
    assert np.array_equal(NVILA.from_pretrained(tmp_path / "out").logits(*given), model.logits(*given))
    assert not np.allclose(NVILA.from_pretrained(base).logits(*given), model.logits(*given), atol=0.1)


def test_the_base_may_lie_beside_the_adapter_and_the_adapter_in_model(base, weights, factors, tmp_path):
    shutil.copytree(base, tmp_path / "base")
    write(tmp_path / "lora" / "model", "../../base", adapter_tensors(factors))
    check(NVILA.from_pretrained(tmp_path / "lora"), expected(weights, factors))


def test_an_adapter_of_the_bare_language_model_is_placed_there(base, weights, factors, tmp_path):
    own = {name.replace("model.llm.", "model."): value for name, value in adapter_tensors({LLM: factors[LLM]}).items()}
    assert any(name.startswith("base_model.model.model.layers.1.") for name in own)
    check(NVILA.from_pretrained(write(tmp_path / "lora", base, own)), expected(weights, {LLM: factors[LLM]}))


@pytest.mark.parametrize(
    ("config", "scales"),
    [
        ({"use_rslora": True}, (ALPHA / 2, ALPHA / 2)),
        ({"alpha_pattern": {"q_proj": 20}}, (20 / RANK, ALPHA / RANK)),
        ({"alpha_pattern": {"proj": 20, "0.mlp.fc1": 2}}, (ALPHA / RANK, 2 / RANK)),
    ],
)
def test_scales_follow_the_adapters_configuration(base, weights, factors, tmp_path, config, scales):
    model = NVILA.from_pretrained(write(tmp_path / "lora", base, adapter_tensors(factors), **config))
    values = dict(weights)
    for (layer, pair), scale in zip(factors.items(), scales):
        values |= {OWN[layer]: expected(weights, {layer: pair}, scale)[OWN[layer]]}
    check(model, values)


def test_biases_and_whole_modules_in_the_adapter_replace_the_bases(base, weights, factors, tmp_path):
    whole = {
        "base_model.model.llm.model.layers.0.self_attn.k_proj.base_layer.bias": torch.full((64,), 2.0),
        "base_model.model.llm.model.norm.modules_to_save.weight": torch.full((128,), 3.0),
    }
    model = NVILA.from_pretrained(write(tmp_path / "lora", base, {**adapter_tensors(factors), **whole}))
    replaced = {"llm.model.layers.0.self_attn.k_proj.bias": np.full(64, 2.0), "llm.model.norm.weight": np.full(128, 3.0)}
    check(model, {**expected(weights, factors), **replaced})


def test_a_half_precision_base_is_merged_in_float32_and_rounded_once(base, factors, tmp_path):
    NVILA.from_pretrained(base, dtype="bfloat16").save_pretrained(tmp_path / "half")
    stored = {name: value.float().numpy() for name, value in NVILA.from_pretrained(tmp_path / "half").state_dict().items()}
    folder = write(tmp_path / "lora", tmp_path / "half", adapter_tensors(factors), {PROJECTOR: torch.ones(128)})  # the latter in float32
    model = NVILA.from_pretrained(folder)
    assert {value.dtype for value in model.state_dict().values()} == {torch.bfloat16}
    check(model, {**expected(stored, factors), PROJECTOR: np.ones(128)}, tolerance=2**-8)
    check(NVILA.from_pretrained(folder, dtype="float32"), {**expected(stored, factors), PROJECTOR: np.ones(128)})


class Whole(nn.Module):
    """The modules under the names that VILA's classes give them, for peft."""

    def __init__(self, model):
        super().__init__()
        self.llm, self.mm_projector = model.llm, model.mm_projector
        self.vision_tower = nn.Module()
        self.vision_tower.vision_tower = nn.Module()
        self.vision_tower.vision_tower.vision_model = model.vision_tower


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("options", [{}, {"use_rslora": True, "alpha_pattern": {"v_proj": 3}, "rank_pattern": {"fc2": 2}}])
def test_peft_merges_to_the_same_bits(base, tmp_path, safe, options):
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    model = NVILA.from_pretrained(base)
    targets = ["q_proj", "v_proj", "down_proj", "fc1", "fc2"]
    tuned = peft.get_peft_model(
        Whole(model), peft.LoraConfig(r=8, lora_alpha=16, target_modules=targets, init_lora_weights=False, **options)
    )
    tuned.save_pretrained(tmp_path / "lora", safe_serialization=safe)
    path = tmp_path / "lora" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": str(base)}))
    loaded = NVILA.from_pretrained(tmp_path / "lora").state_dict()
    tuned.merge_and_unload()
    assert all(torch.equal(value, loaded[name]) for name, value in model.state_dict().items())
    assert not torch.equal(loaded[OWN[LLM]], NVILA.from_pretrained(base).state_dict()[OWN[LLM]])


A, B = f"base_model.model.{LLM}.lora_A.weight", f"base_model.model.{LLM}.lora_B.weight"


@pytest.mark.parametrize(
    ("tensors", "config", "message"),
    [
        ({B: None}, {}, "lora_A.* has only lora_A; expected lora_A and lora_B"),
        ({A: torch.ones(4, 64)}, {}, r"lora_A.weight: expected a pair for \[128, 128\], found \[4, 64\] and \[128, 4\]"),
        ({B: torch.ones(128, 2)}, {}, r"found \[4, 128\] and \[128, 2\]"),
        ({A.replace("llm", "lm"): torch.ones(4, 128), B.replace("llm", "lm"): torch.ones(128, 4)}, {}, "the base has no lm.model.layers.1"),
        ({}, {"use_dora": True}, "use_dora is True; only LoRA"),
        ({}, {"peft_type": "LOHA"}, "peft_type is 'LOHA'"),
        ({}, {"lora_alpha": None}, "lora_alpha is None; expected a number"),
        ({}, {"base_model_name_or_path": None}, "adapter_config.json names no base_model_name_or_path"),
        ({}, {"base_model_name_or_path": "/nowhere"}, "/nowhere does not exist"),
    ],
)
def test_what_does_not_fit_the_base_is_named(base, factors, tmp_path, tensors, config, message):
    stored = {name: value for name, value in {**adapter_tensors(factors), **tensors}.items() if value is not None}
    with pytest.raises(CheckpointError, match=message):
        NVILA.from_pretrained(write(tmp_path / "lora", base, stored, **config))


def test_an_adapter_without_weights_is_named(base, factors, tmp_path):
    folder = write(tmp_path / "lora", base, adapter_tensors(factors))
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="neither adapter_model.safetensors nor adapter_model.bin"):
        NVILA.from_pretrained(folder)


def test_the_base_stays_as_it_is(base, weights):
    stored = load_file(base / "llm" / "model.safetensors")
    assert np.array_equal(stored["model.layers.1.self_attn.q_proj.weight"].numpy(), weights[OWN[LLM]])
