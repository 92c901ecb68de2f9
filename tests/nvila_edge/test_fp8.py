"""FP8 layers and 8-bit optimizer states: the rules on numbers worked out by hand, and that training still gets where it should."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nvila_edge.training.coat import CoatAdamW, Stretched, contract, power_of, stretch
from nvila_edge.training.fp8 import E4M3, E5M2, Fp8Linear, quantise_linears, quantised, scale_of
from nvila_edge.training.recipe import RecipeError
from nvila_edge.training.token_loss import token_loss
from nvila_edge.training.trainer import StageRun, losses
from tests.nvila_edge.lessons import stage


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_largest_value_becomes_the_formats_largest():
    values = torch.tensor([[0.5, -7.0] + [0.1] * 35])  # 37 values: the last group of 16 is not whole
    assert scale_of(values, E4M3).item() == pytest.approx(7 / 448) and scale_of(values, E5M2).item() == pytest.approx(7 / 57344)
    codes, scale = quantised(values, E4M3)
    assert codes.dtype == E4M3 and codes[0, 1].item() == -448 and float(codes[0, 0].float() * scale) == pytest.approx(0.5)  # 32 is a code
    assert scale_of(torch.zeros(4), E4M3) == 1 and not quantised(torch.zeros(4), E4M3)[0].float().any()
    # 1/16 and 1/8 are half of a step of 3 and 2 mantissa bits: no value is further off, but the smallest
    for kind, step in ((E4M3, 1 / 16), (E5M2, 1 / 8)):
        x = _random(64, 48).abs() + 0.1
        codes, scale = quantised(x, kind)
        assert ((codes.float() * scale - x).abs() / x).max() <= step * 1.001


def test_an_fp8_layer_multiplies_rounded_values_both_ways():
    plain = nn.Linear(48, 32)
    layer, x, gradient = Fp8Linear.of(plain).train(), _random(2, 5, 48).requires_grad_(), _random(2, 5, 32, seed=1)
    layer(x).backward(gradient)
    (xq, xs), (wq, ws), (gq, gs) = quantised(x, E4M3), quantised(plain.weight, E4M3), quantised(gradient, E5M2)
    xv, wv, gv = xq.float() * xs, wq.float() * ws, gq.float() * gs
    assert torch.allclose(layer(x), xv @ wv.T + plain.bias, atol=1e-6)
    assert x.grad is not None and torch.allclose(x.grad, gv @ wv, atol=1e-5)
    assert torch.allclose(plain.weight.grad, torch.einsum("abo,abi->oi", gv, xv), atol=1e-5)  # pyright: ignore[reportArgumentType]
    assert torch.allclose(plain.bias.grad, gradient.sum((0, 1)), atol=1e-5)  # pyright: ignore[reportArgumentType]
    off = (layer(x) - plain(x)).norm() / plain(x).norm()
    assert 1e-3 < off < 0.06  # rounded, but near
    assert torch.equal(layer.eval()(x), plain(x))


def test_backward_keeps_bytes_and_not_values():
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        Fp8Linear.of(nn.Linear(64, 64, bias=False))(_random(128, 64).requires_grad_())
    assert sum(t.numel() * t.element_size() for t in kept) == 128 * 64 + 64 * 64 + 2 * 4


def test_the_emulation_is_torchaos_rule():
    float8 = pytest.importorskip("torchao.float8", reason="extra fp8")
    ours, theirs, x, gradient = nn.Linear(64, 48), nn.Linear(64, 48), _random(32, 64), _random(32, 48, seed=1)
    theirs.load_state_dict(ours.state_dict())
    theirs = float8.convert_to_float8_training(nn.Sequential(theirs), config=float8.Float8LinearConfig(emulate=True))[0]
    results = []
    for layer in (Fp8Linear.of(ours), theirs):
        own = x.clone().requires_grad_()
        layer(own).backward(gradient)
        results.append((layer(x), own.grad, layer.weight.grad, layer.bias.grad))
    assert type(theirs) is not nn.Linear and all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*results, strict=True))


def test_only_layers_with_two_long_sides_are_taken():
    block = nn.ModuleDict({"q_proj": nn.Linear(64, 64), "k_proj": nn.Linear(64, 16), "up": nn.Linear(64, 128), "odd": nn.Linear(64, 72)})
    state = {name: value.clone() for name, value in block.state_dict().items()}
    assert quantise_linears(block, 64, emulate=True) == ["q_proj", "up"]
    assert [type(child) for child in block.values()] == [Fp8Linear, nn.Linear, Fp8Linear, nn.Linear]
    assert all(torch.equal(value, state[name]) for name, value in block.state_dict().items()) and set(block.state_dict()) == set(state)
    with pytest.raises(ValueError, match=r"at least 3584.*shortest sides: \[16, 64\]"):
        quantise_linears(nn.ModuleDict({**block, "q_proj": nn.Linear(64, 64), "up": nn.Linear(64, 64)}), emulate=True)


def test_fp8_under_autocast_gives_16_bits():
    layer, x = Fp8Linear.of(nn.Linear(32, 32)), _random(4, 32)
    with torch.autocast("cpu", torch.bfloat16):
        product = layer(x)
    assert product.dtype == torch.bfloat16
    product.float().sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.dtype == torch.float32


def test_power_follows_the_formula():
    # log2(448^2 / 2) = 16.6147: a span of 2^4 gives floor(16 * 4.15368) / 16 = 66 / 16, one of 2^20 gives floor(16 * 0.830735) / 16 = 13 / 16
    most, least = torch.tensor([16.0, 2.0**20, 5.0]), torch.tensor([1.0, 1.0, 5.0])
    assert power_of(most, least).tolist() == [66 / 16, 13 / 16, 1.0]


def test_a_group_is_stretched_over_the_formats_range_and_back():
    group = torch.tensor([1.0, -2.0, 4.0, 16.0] + [8.0] * 124)
    stored = stretch(group)
    k, g = 4.125, 4.0
    assert stored.power.item() == k and stored.center.item() == pytest.approx(g) and stored.codes.dtype == torch.float8_e4m3fn
    s = (16 / g) ** k / 448
    assert stored.scale.item() == pytest.approx(s, rel=1e-5)
    expected = torch.tensor([math.copysign((abs(x) / g) ** k / s, x) for x in group.tolist()]).to(torch.float8_e4m3fn)
    assert torch.equal(stored.codes[0].float(), expected.float()) and stored.codes[0, 3].item() == 448
    back = contract(stored, group.shape)
    assert (back[3] - 16).abs() < 1e-4  # the largest comes back
    assert ((back - group).abs() / group.abs()).max() < 1 / 16  # never worse than the format
    x = _random(128, seed=4).abs().clamp(min=0.2)  # a narrow group: the power gives it finer steps than codes alone would
    rounded = (x / x.max() * 448).to(torch.float8_e4m3fn).float() * x.max() / 448
    assert (contract(stretch(x), x.shape) - x).norm() < 0.5 * (rounded - x).norm()


@pytest.mark.parametrize("shape", [(3,), (7, 50), (128,), (2, 128)])
def test_zeros_equal_values_and_any_shape_come_back(shape):
    assert not contract(stretch(torch.zeros(shape)), shape).any()
    assert torch.allclose(contract(stretch(torch.full(shape, 3e-9)), shape), torch.full(shape, 3e-9), rtol=1e-5, atol=0)
    x = _random(*shape, seed=2) * 1e-6
    x.view(-1)[0] = 0
    back = contract(stretch(x), shape)
    assert back.shape == x.shape and back.view(-1)[0] == 0 and torch.equal(back.sign(), x.sign())


def _regression(optimizer_of) -> tuple[list[float], torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(24, 64), nn.Tanh(), nn.Linear(64, 3))
    x = _random(256, 24, seed=1)
    y = torch.stack([x[:, :4].prod(1), x[:, 4:8].sum(1), (x[:, 8] > 0).float()], 1)
    optimizer, found = optimizer_of(model.parameters()), []
    for _ in range(150):
        loss = (model(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(float(loss.detach()))
    return found, optimizer


def test_coat_gets_where_adamw_gets_with_a_quarter_of_the_memory():
    exact, kept = _regression(lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.01))
    coat, small = _regression(lambda p: CoatAdamW(p, lr=1e-2, weight_decay=0.01))
    assert exact[-1] < 0.25 * exact[0] and coat[-1] < 1.15 * exact[-1] + 0.01
    assert coat[0] == exact[0] and coat[1] == pytest.approx(exact[1], rel=1e-4)  # the first update has no stored moments yet

    def size(optimizer: torch.optim.Optimizer) -> int:
        return sum(t.numel() * t.element_size() for state in optimizer.state.values() for t in state.values())

    assert size(small) < 0.35 * size(kept)


def test_coat_goes_on_to_the_bit_from_its_state():
    def run(stop: int) -> torch.Tensor:
        parameter = nn.Parameter(_random(5, 60))
        optimizer = CoatAdamW([parameter], lr=1e-2)
        for number in range(6):
            if number == stop:
                saved = optimizer.state_dict()
                optimizer = CoatAdamW([parameter], lr=1e-2)
                optimizer.load_state_dict(saved)
            parameter.grad = _random(5, 60, seed=number)
            optimizer.step()
        return parameter.detach()

    assert torch.equal(run(3), run(99))


def test_a_stage_trains_in_fp8_with_8_bit_states_and_goes_on_to_the_bit(tmp_path, monkeypatch):
    low = ("precision=fp8", "fp8_least_side=128", "optimizer=coat", "learning_rate.vision=0", "learning_rate.language=1e-3", "steps=4")

    def run(name: str, *overrides: str) -> list[float]:
        recipe = stage(tmp_path, *overrides)
        StageRun(recipe, tmp_path / name, lambda _line: None).run()
        return losses(tmp_path / name)

    whole, plain = run("whole", *low), run("plain", *low, "precision=bfloat16", "optimizer=adamw")
    assert whole != plain and whole == pytest.approx(plain, rel=0.05) and whole[-1] < whole[0]
    stop = StageRun._one_step
    monkeypatch.setattr(StageRun, "_one_step", lambda self, n: stop(self, n) if n < 3 else (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run("cut", *low)
    monkeypatch.setattr(StageRun, "_one_step", stop)
    assert run("cut", *low) == whole
    for overrides, message in ((("fp8_least_side=4096",), "lower fp8_least_side"), (("tuning.language=lora",), "take bfloat16")):
        with pytest.raises(RecipeError, match=message):
            run("never", *low, *overrides)


def test_values_that_no_optimizer_has_are_refused():
    with pytest.raises(ValueError, match="betas below 1"):
        CoatAdamW([nn.Parameter(torch.zeros(1))], betas=(0.9, 1.0))


def test_token_loss_is_the_sum_over_labels_with_its_gradient():
    logits, labels = _random(6, 11).requires_grad_(), torch.tensor([1, -100, 0, 10, 4, -100])
    loss = token_loss(logits, labels)
    kept = labels >= 0
    rows = logits.detach()[kept]
    assert loss.item() == pytest.approx((rows.exp().sum(1).log() - rows.gather(1, labels[kept, None])[:, 0]).sum().item(), rel=1e-6)
    loss.backward()
    expected = torch.zeros(6, 11)
    expected[kept] = rows.softmax(1) - nn.functional.one_hot(labels[kept], 11)
    assert logits.grad is not None and torch.allclose(logits.grad, expected, atol=1e-6)
    assert token_loss(logits[:0], labels[:0]).item() == 0
    assert token_loss(logits.detach().bfloat16(), labels).dtype == torch.float32


def test_states_are_stored_in_bytes():
    assert isinstance(stretch(torch.ones(4)), Stretched) and stretch(torch.ones(4)).codes.element_size() == 1
