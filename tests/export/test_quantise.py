"""Rounding, smoothing and the searches: invariances hold and every step loses no more than the one before."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from export import awq, layers, smoothquant
from export.layers import language_layer, tensors
from export.quantise import block_size, block_weight, int8_weight, rounded
from export.source import Checkpoint
from nvila_edge.engines.weights import BlockWeight


def outliers(rng: np.random.Generator, rows: int, channels: int) -> np.ndarray:
    """Correlated activations with a few large channels, as transformers have."""
    x = rng.normal(size=(rows, 32)) @ rng.normal(size=(32, channels)) * 0.2 + rng.normal(size=(rows, channels)) * 0.3
    x[:, rng.permutation(channels)[:4]] *= 12
    return x.astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(1e-3, 1e3))
def test_int8_rounding_is_off_by_at_most_half_a_step(seed: int, size: float):
    weight = (np.random.default_rng(seed).normal(size=(6, 40)) * size).astype(np.float32)
    quantised = int8_weight(weight, 1.0)
    assert (np.abs(quantised.dequantised() - weight) <= quantised.scale[:, None] * 0.5001).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31))
def test_int4_rounding_is_off_by_at_most_half_a_step_and_keeps_zeros(seed: int):
    weight = np.random.default_rng(seed).normal(size=(4, 256)).astype(np.float32)
    weight[0, :128] = 0
    quantised = block_weight(weight, 4)
    assert (np.abs(quantised.dequantised() - weight) <= np.repeat(quantised.scale, 128, 1) * 0.5001).all()
    assert (quantised.dequantised()[0, :128] == 0).all()


def test_blocks_fall_back_and_odd_widths_are_refused():
    assert [block_size(n) for n in (256, 192, 96)] == [128, 64, 32]
    with pytest.raises(ValueError, match="--language fp16"):
        block_size(100)


def test_smoothing_changes_no_output():
    rng = np.random.default_rng(0)
    weights = {
        "n.weight": rng.normal(size=8),
        "n.bias": rng.normal(size=8),
        "a.weight": rng.normal(size=(5, 8)),
        "b.weight": rng.normal(size=(3, 8)),
    }
    before = [(rng_x := np.linspace(-1, 1, 8)) * weights["n.weight"] + weights["n.bias"]]
    expected = [weights[f"{name}.weight"] @ before[0] for name in "ab"]
    smoothquant.smooth(weights, np.abs(rng.normal(size=8)) * 10, "n", ("a", "b"))
    after = rng_x * weights["n.weight"] + weights["n.bias"]
    assert all(np.allclose(weights[f"{name}.weight"] @ after, value, atol=1e-5) for name, value in zip("ab", expected, strict=True))


def test_the_searched_activation_scale_beats_the_maximum_when_there_are_outliers():
    x = np.random.default_rng(0).normal(size=(4000, 16)).astype(np.float32)
    x[0, 0] = 40
    found = smoothquant.search_scale(x, np.ones(16))

    def loss(scale: float) -> float:
        return float(np.square(smoothquant.round_activations(x, scale) - x).mean())

    assert found < 40 / 127 and loss(found) < loss(40 / 127)


def loss(weight: torch.Tensor, other: torch.Tensor, x: torch.Tensor) -> float:
    """Squared error that replacing a Linear leaves in its outputs on x."""
    return float((x @ (other - weight).T).square().sum())


def test_factors_clipping_and_feedback_each_lose_less():
    rng = np.random.default_rng(3)
    x = torch.from_numpy(outliers(rng, 600, 256))
    weight = torch.from_numpy(rng.standard_t(4, size=(64, 256)).astype(np.float32) * 0.05)
    plain = loss(weight, rounded(weight), x)
    factor = awq.search_factors([weight], x)
    weight, x = weight * factor, x / factor
    scaled = loss(weight, rounded(weight), x)
    clipped = loss(weight, rounded(weight, awq.clip_limits(weight, x)), x)
    fed = loss(weight, torch.from_numpy(awq.quantise_linear(weight, x).dequantised()), x)
    assert scaled < 0.9 * plain and clipped < scaled and fed < 0.7 * clipped


def test_linears_too_wide_for_feedback_are_clipped_and_rounded(monkeypatch):
    rng = np.random.default_rng(3)
    x = torch.from_numpy(outliers(rng, 200, 256))
    weight = torch.from_numpy(rng.standard_t(4, size=(64, 256)).astype(np.float32) * 0.05)
    monkeypatch.setattr(awq, "FEEDBACK_INPUTS", 128)
    expected = rounded(weight, awq.clip_limits(weight, x))
    assert np.allclose(awq.quantise_linear(weight, x).dequantised(), expected.numpy(), atol=1e-6)


def test_a_search_on_some_outputs_finds_factors_about_as_good(monkeypatch):
    rng = np.random.default_rng(5)
    x = torch.from_numpy(outliers(rng, 300, 256))
    weight = torch.from_numpy(rng.standard_t(4, size=(1024, 256)).astype(np.float32) * 0.05)
    losses = []
    for outputs in (1024, 100):
        monkeypatch.setattr(awq, "SEARCH_OUTPUTS", outputs)
        factor = awq.search_factors([weight], x)
        losses.append(float((x @ (rounded(weight * factor) / factor - weight).T).square().sum()))
    assert losses[1] < 1.03 * losses[0] < 0.9 * float((x @ (rounded(weight) - weight).T).square().sum())


def test_attention_over_a_long_sequence_is_the_same_in_parts(checkpoint, monkeypatch):
    source = Checkpoint(checkpoint)
    spec, weights = source.spec.language, tensors(source.language_layer(0))
    x = torch.from_numpy(outliers(np.random.default_rng(1), 50, 128))
    mask = torch.from_numpy(np.triu(np.full((50, 50), -1e9, np.float32), 1))
    whole, _ = language_layer(weights, spec, x, mask)
    monkeypatch.setattr(layers, "SCORES", spec.heads * 50 * 7)
    assert torch.allclose(language_layer(weights, spec, x, mask)[0], whole, atol=1e-5)


def test_eight_bits_in_blocks_are_nearly_exact():
    weight = np.random.default_rng(0).normal(size=(5000, 64)).astype(np.float32)
    found = block_weight(weight, 8)
    assert found.q.dtype == np.int8 and found.block == 64 and np.abs(found.q).max() == 127
    assert (np.abs(found.dequantised() - weight) <= np.repeat(found.scale, 64, 1) * 0.5001).all()


def test_awq_factors_cancel_through_norms_values_and_the_gate(checkpoint):
    """With rounding replaced by nothing, a scaled layer equals the original."""
    source = Checkpoint(checkpoint)
    spec, weights = source.spec.language, source.language_layer(0)
    rng = np.random.default_rng(0)
    x = torch.from_numpy(outliers(rng, 20, 128))
    mask = torch.from_numpy(np.triu(np.full((20, 20), -1e9, np.float32), 1))
    expected, inputs = language_layer(tensors(weights), spec, x, mask)
    original = awq.quantise_linear
    try:
        awq.quantise_linear = lambda weight, x_NC: weight.numpy()  # type: ignore[assignment]
        scaled = awq.quantise_layer(weights, inputs, spec)
    finally:
        awq.quantise_linear = original
    assert not np.allclose(scaled["self_attn.v_proj.weight"], weights["self_attn.v_proj.weight"])
    found, _ = language_layer(tensors(scaled), spec, x, mask)  # type: ignore[arg-type]
    assert torch.allclose(found, expected, atol=2e-3, rtol=1e-3)


def test_int4_layers_keep_the_published_names(checkpoint):
    source = Checkpoint(checkpoint)
    rng = np.random.default_rng(0)
    widths = {"qkv": 128, "o": 128, "gate_up": 128, "down": 256}
    seen = {name: torch.from_numpy(outliers(rng, 64, width)) for name, width in widths.items()}
    weights = source.language_layer(1)
    quantised = awq.quantise_layer(weights, seen, source.spec.language)
    assert set(quantised) == set(weights)
    assert all(isinstance(value, BlockWeight) for name, value in quantised.items() if weights[name].ndim == 2)
