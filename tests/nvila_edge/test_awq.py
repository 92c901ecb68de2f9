"""AWQ version 2: packed 4-bit language weights open as the weights that they stand for. The packer here follows the format, not our unpacking."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from nvila_edge import NVILA
from nvila_edge.model.awq import dequantised, unpack_int4
from nvila_edge.model.checkpoint import CheckpointError
from tests.tiny import save_tiny_checkpoint

FILE = "tiny-w4-g128-awq-v2.pt"


def packed(codes):
    """int16 [N/4, K] of codes 0..15 [N, K]: where each code goes, computed one by one (mit-han-lab/llm-awq's packer)."""
    rows, columns = codes.shape
    words = np.zeros((rows // 4, columns), np.uint16)
    n, k = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    eighth, pair, odd = k % 32 // 8, k % 8 // 2, k % 2  # in every 32, pairs of all eights come together ..
    place = pair * 8 + eighth * 2 + odd
    place = place // 8 * 8 + place % 2 * 4 + place % 8 // 2  # .. in every 8, the even ones come first ..
    column = k // 32 * 32 + place
    flat = column // 64 * 256 + n % 4 * 64 + column % 64  # .. four rows alternate every 64 columns, four codes make a word, low first
    np.bitwise_or.at(words, (n // 4, flat // 4), codes.astype(np.uint16) << (flat % 4 * 4).astype(np.uint16))
    return torch.from_numpy(words.view(np.int16))


def quantised(weight):
    """(codes [N, K], scales and scaled zeros float16 [R, N]): asymmetric, groups of 128, R padded to a multiple of 8."""
    rows, columns = weight.shape
    groups = weight.reshape(rows, -1, 128)
    low, high = groups.min(-1), groups.max(-1)
    scale = np.maximum((high - low) / 15, 1e-5).astype(np.float16)
    zero = np.clip(np.round(-low / scale.astype(np.float32)), 0, 15)
    codes = np.clip(np.round(groups / scale.astype(np.float32)[..., None]) + zero[..., None], 0, 15).reshape(rows, columns)
    padded = np.zeros((2, -(-groups.shape[1] // 8) * 8, rows), np.float16)
    padded[0, : groups.shape[1]], padded[1, : groups.shape[1]] = scale.T, -(zero * scale).T.astype(np.float16)
    return codes.astype(np.uint8), torch.from_numpy(padded[0]), torch.from_numpy(padded[1])


def meant(codes, scales, zeros):
    """float32 weights, by the definition."""
    each = [np.repeat(part.numpy().astype(np.float32).T[:, : codes.shape[1] // 128], 128, 1) for part in (scales, zeros)]
    return codes * each[0] + each[1]


def is_packed(name):
    return ".layers." in name and name.endswith("proj.weight")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def state(tiny):
    """(what the packed file holds, the weights that it means)."""
    stored, means = {}, {}
    for name, value in load_file(tiny / "llm" / "model.safetensors").items():
        if is_packed(name):
            codes, scales, zeros = quantised(value.numpy())
            layer = name.removesuffix(".weight")
            stored |= {f"{layer}.qweight": packed(codes), f"{layer}.scales": scales, f"{layer}.scaled_zeros": zeros}
            means[name] = meant(codes, scales, zeros)
        else:
            stored[name] = value.half()
            means[name] = value.half().float().numpy()
    return stored, means


@pytest.fixture(params=["instead", "beside", "above"])
def checkpoint(request, tiny, state, tmp_path):
    """The packed file in place of llm/'s weights, beside them, or above llm/ as NVILA-AWQ's loose files are."""
    shutil.copytree(tiny, tmp_path / "awq")
    torch.save(state[0], tmp_path / "awq" / ("" if request.param == "above" else "llm") / FILE)
    if request.param == "instead":
        (tmp_path / "awq" / "llm" / "model.safetensors").unlink()
    return tmp_path / "awq"


@pytest.mark.parametrize(("rows", "columns"), [(4, 128), (8, 256), (64, 384)])
def test_codes_come_back_as_they_were_packed(rows, columns):
    codes = np.random.default_rng(rows).integers(0, 16, (rows, columns), np.uint8)
    assert np.array_equal(unpack_int4(packed(codes)).numpy(), codes)


def test_the_first_word_holds_columns_0_8_16_24_of_the_first_row():
    codes = np.zeros((4, 128), np.uint8)
    codes[0, [0, 8, 16, 24]] = 1, 2, 3, 4  # pairs (0,1) (8,9) (16,17) (24,25) lie together, their even ones first
    assert int(packed(codes)[0, 0]) & 0xFFFF == 0x4321
    assert unpack_int4(packed(codes))[0, [0, 8, 16, 24]].tolist() == [1, 2, 3, 4]


def test_every_dtype_is_rounded_once_from_the_definition():
    codes, scales, zeros = quantised(np.random.default_rng(1).normal(size=(2052, 256)).astype(np.float32))
    expected = torch.from_numpy(meant(codes, scales, zeros))
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        assert torch.equal(dequantised(packed(codes), scales, zeros, dtype), expected.to(dtype))


def test_a_checkpoint_opens_with_the_weights_that_are_meant(checkpoint, state):
    model = NVILA.from_pretrained(checkpoint, dtype="float32")
    for name, value in state[1].items():
        assert np.array_equal(model.llm.state_dict()[name].numpy(), value), name
    assert sum(map(is_packed, state[1])) == 7 * 3


def test_as_stored_the_whole_model_is_float16_and_answers(checkpoint, state):
    model = NVILA.from_pretrained(checkpoint)
    assert {value.dtype for value in model.state_dict().values()} == {torch.float16}
    exact = NVILA.from_pretrained(checkpoint, dtype="float32")
    given = ("<image>Go", [np.full((8, 8, 3), 90, np.uint8)])
    assert np.abs(model.logits(*given) - exact.logits(*given)).max() < 0.02 * np.abs(exact.logits(*given)).max()


def test_the_towers_calibration_beside_it_is_ignored(checkpoint, state):
    for folder in (checkpoint, checkpoint / "llm", checkpoint / "vision_tower"):
        torch.save({"encoder.layers.0.fc1": torch.ones(4)}, folder / "tiny-awq-smooth-scale.pt")
    name = "model.layers.0.self_attn.q_proj.weight"
    assert np.array_equal(NVILA.from_pretrained(checkpoint, dtype="float32").llm.state_dict()[name].numpy(), state[1][name])


def test_saved_again_it_is_an_ordinary_checkpoint(checkpoint, tmp_path):
    model = NVILA.from_pretrained(checkpoint)
    model.save_pretrained(tmp_path / "out")
    assert np.array_equal(NVILA.from_pretrained(tmp_path / "out").logits("Go"), model.logits("Go"))


LAYER = "model.layers.0.mlp.up_proj"
NARROW = {"qweight": torch.zeros(32, 128, dtype=torch.int16), "scales": torch.zeros(8, 128), "scaled_zeros": torch.zeros(8, 128)}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"qzeros": torch.zeros(1)}, "packed the old way.*awq-v2"),
        ({"qweight": torch.zeros(64, 128, dtype=torch.int32)}, "int32 packed the old way"),
        ({"scales": None}, r"expected model.layers.0.mlp.up_proj.scales and"),
        ({"scales": torch.zeros(8, 4)}, r"up_proj.scales: expected \[1 or more, 256\], found \[8, 4\]"),
        ({"qweight": torch.zeros(64, 96, dtype=torch.int16)}, r"K a multiple of 128, found \[64, 96\]"),
        (NARROW, r"expected shape \[256, 128\].*found \[128, 128\]"),
    ],
)
def test_what_does_not_fit_is_named(tiny, state, tmp_path, changed, message):
    shutil.copytree(tiny, tmp_path / "awq")
    stored = {**state[0], **{f"{LAYER}.{kind}": value for kind, value in changed.items()}}
    torch.save({name: value for name, value in stored.items() if value is not None}, tmp_path / "awq" / "llm" / FILE)
    with pytest.raises(CheckpointError, match=message):
        NVILA.from_pretrained(tmp_path / "awq")


def test_published_codes_go_into_a_bundle_as_they_are(checkpoint, tmp_path):
    from export.calibration import Calibration
    from export.exporter import export_bundle
    from nvila_edge.engines import load_bundle
    from nvila_edge.engines.initialisers import LanguageWeights
    from nvila_edge.engines.manifest import read_manifest
    from tests.tiny import TEXTS

    manifest = export_bundle(checkpoint, tmp_path / "bundle", Calibration([]), "fp32", "w4a16")
    assert manifest.about["recipe"]["awq_imported"]
    weight = LanguageWeights(tmp_path / "bundle", read_manifest(tmp_path / "bundle").spec).layer(1)["mlp.up_proj.weight"]
    expected = NVILA.from_pretrained(checkpoint, dtype="float32").llm.model.layers[1].mlp.up_proj.weight.detach().numpy()
    assert (
        weight.offset is not None and np.abs(weight.dequantised() - expected).max() < 2e-3 * np.abs(expected).max()
    )  # offsets are stored in fp16
    engines = [load_bundle(folder, backend) for folder, backend in ((tmp_path / "bundle", "onnxruntime"), (checkpoint, "torch"))]
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(1, engines[0].spec.vision.tokens, engines[0].spec.vision.out_hidden)).astype(np.float32)
    found, wanted = (np.array(engine.session(TEXTS[0]).decide(tokens).candidates) for engine in engines)
    assert np.abs(found - wanted).max() < 0.05  # the CPU rounds activations to INT8
