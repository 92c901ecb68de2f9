"""The torch engine on quantised weights: its plain operators equal the reference on the CPU, and its Triton kernels equal the plain operators."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from export.calibration import Calibration, Recording
from export.exporter import export_bundle
from nvila_edge.engines import Engine, load_bundle
from nvila_edge.engines.backends.torch import open_quantised
from nvila_edge.engines.backends.torch_quantised import BlockLinear, Int8Linear, QuantisedBackend
from nvila_edge.engines.cache import UNSEEN
from nvila_edge.engines.weights import BlockWeight, Int8Weight
from tests.tiny import TEXTS, save_tiny_checkpoint, tiny_frames


@pytest.fixture(scope="module")
def bundle_of() -> dict[str, Path]:
    """Where the bundles of `pair` lie, by profile."""
    return {}


@pytest.fixture(scope="module", params=["stream", "navila"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, bundle_of: dict[str, Path]) -> tuple[Engine, Engine]:
    """The reference in torch and the quantised engine, both on the same bundle."""
    folder = tmp_path_factory.mktemp(request.param)
    checkpoint = save_tiny_checkpoint(folder / "checkpoint", request.param)
    seen = Recording(TEXTS[0], tiny_frames(16), np.ones(16, np.int64))
    bundle_of[request.param] = folder / "bundle"
    spec = export_bundle(checkpoint, folder / "bundle", Calibration([seen])).spec
    tokenizer, table = load_bundle(folder / "bundle").tokenizer, np.load(folder / "bundle" / "embedding.npy")
    backends = open_quantised(folder / "bundle", spec, 1), QuantisedBackend(folder / "bundle", spec, "cpu", torch.float32)
    reference, quantised = (Engine(spec, tokenizer, table, backend) for backend in backends)
    return reference, quantised


def test_decisions_and_text_are_the_reference_s(pair: tuple[Engine, Engine]):
    frames = tiny_frames(5, seed=9)
    tokens = [engine.encode(frames) for engine in pair]
    assert np.abs(tokens[0] - tokens[1]).max() < 5e-3 * np.abs(tokens[0]).max()  # an activation between two steps of INT8 may go either way
    sessions = [engine.session(TEXTS[1]) for engine in pair]
    for i in range(5):
        given = tokens[0][i : i + 1] if pair[0].profile.name == "stream" else tokens[0][: i + 1]
        found, expected = (np.array(session.decide(given).candidates) for session in sessions)
        assert np.abs(found - expected).max() < 1e-4
    texts = [engine.generate("Describe the room.", max_new_tokens=6) for engine in pair]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(("bits", "block", "offset"), [(4, 128, False), (8, 128, False), (4, 32, False), (4, 64, True)])
def test_a_weight_in_blocks_is_multiplied_as_it_is_stored(bits: int, block: int, offset: bool):
    rng = np.random.default_rng(bits + block)
    q = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (2, 24, 3 * block), np.int8)
    scale, moved = rng.random((2, 2, 24, 3)).astype(np.float32)
    weights = [BlockWeight(q[i], scale[i], bits, moved[i] if offset else None) for i in range(2)]
    x, bias = torch.randn(5, 3 * block), torch.randn(48)
    expected = x @ torch.from_numpy(np.concatenate([weight.dequantised() for weight in weights])).T + bias
    assert torch.allclose(BlockLinear(weights, bias, torch.float32)(x), expected, rtol=1e-4, atol=1e-3)


def test_int8_sums_are_exact_and_rounding_is_the_engines():
    rng = np.random.default_rng(0)
    weight = Int8Weight(rng.integers(-127, 128, (40, 4304), np.int8), rng.random(40).astype(np.float32), 0.05)
    x, bias = torch.randn(2, 3, 4304) * 4, torch.randn(40)
    rounded = np.clip(np.rint(x.numpy() / np.float32(0.05)), -128, 127).astype(np.int64)
    assert (np.abs(rounded) == 128).any() or np.abs(rounded).max() >= 127
    expected = (rounded @ weight.q.T.astype(np.int64)).astype(np.float32) * np.float32(0.05) * weight.scale + bias.numpy()
    assert np.allclose(Int8Linear(weight, bias)(x).numpy(), expected, rtol=1e-5, atol=1e-4)


KERNELS = """
import numpy as np, torch
from nvila_edge.engines.backends import products, triton_kernels
from nvila_edge.engines.cache import UNSEEN
from nvila_edge.engines.weights import BlockWeight
rng = np.random.default_rng(0)
torch.manual_seed(0)
for bits, block in ((4, 128), (8, 128), (4, 32)):
    q = rng.integers(-2 ** (bits - 1), 2 ** (bits - 1), (37, 3 * block), np.int8)
    codes, scale = products.packed(BlockWeight(q, rng.random((37, 3)).astype(np.float32), bits))
    for rows in (1, 5, 70):
        for dtype, near in ((torch.float32, 1e-5), (torch.float16, 4e-3)):
            x = torch.randn(rows, 3 * block, dtype=dtype)
            found = triton_kernels.weight_only(x, codes, scale.to(dtype)).float()
            expected = products.weight_only_plain(x.float(), codes, scale.to(dtype).float())
            assert (found - expected).abs().max() < near * expected.abs().max(), (bits, block, rows, dtype)
x, q = (torch.randint(-128, 128, shape, dtype=torch.int8) for shape in ((70, 100), (50, 100)))
for x_scale in (torch.rand(1), torch.rand(70)):
    for bias in (None, torch.randn(50)):
        given = x, x_scale, q, torch.rand(50), bias, torch.float32
        assert torch.allclose(triton_kernels.w8a8(*given), products.w8a8_plain(*given), rtol=1e-6)
print("equal")
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed (extra dev)")
def test_the_triton_kernels_equal_plain_pytorch_under_its_interpreter():
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", KERNELS], capture_output=True, text=True, env=environment, timeout=150, cwd=root)
    assert done.stdout.strip() == "equal", done.stderr


@pytest.mark.gpu
def test_on_a_gpu_answers_are_close_to_the_reference_s(pair: tuple[Engine, Engine], bundle_of: dict[str, Path]):
    """fp16, compiled, with the Triton kernels and a captured step: `pytest -m gpu` where CUDA is."""
    reference, spec = pair[0], pair[0].spec
    backend = QuantisedBackend(bundle_of[spec.profile], spec, "cuda", torch.float16)
    engine = Engine(spec, reference.tokenizer, np.load(bundle_of[spec.profile] / "embedding.npy"), backend)
    frames = tiny_frames(3, seed=9)
    tokens = reference.encode(frames)
    assert np.abs(engine.encode(frames) - tokens).max() < 0.05 * np.abs(tokens).max()
    for given in [tokens[i : i + 1] for i in range(3)] if spec.profile == "stream" else [tokens]:
        found, expected = (np.array(one.session(TEXTS[1]).decide(given).candidates) for one in (engine, reference))
        assert np.abs(found - expected).max() < 0.03
    embeds = reference.embed([5, 6, 7, 8])
    for one in range(4):  # steps through the captured graph
        answers = []
        for backend in (engine.backend, reference.backend):
            cache = backend.cache(8)
            mask = np.full((1, 9), UNSEEN)
            mask[:, -1] = 0
            answers.append(backend.step(embeds[one : one + 1], np.array([0]), mask, cache, np.array([0]))[0])
        assert np.abs(answers[0] - answers[1]).max() < 0.05 * np.abs(answers[1]).max()
