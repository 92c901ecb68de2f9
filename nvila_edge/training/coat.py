"""AdamW whose two moments take a byte each: COAT's low-precision optimizer states (COAT: arXiv 2410.19313).

Moments are kept in E4M3 in groups of 128. A group's values span less (or more) than the format can tell apart, so they are first raised to a power
that stretches them over its range: dynamic range expansion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

GROUP = 128  # flattened elements that share a power and a scale
_LARGEST = 448.0  # of E4M3
_RANGE = _LARGEST**2 / 2  # between the largest and the smallest value of a stretched group
_STEPS = 16  # powers are multiples of 1 / 16
_MOST_POWER = 1024.0  # groups whose values lie within 1 % of each other; an even larger power would amplify the rounding of float32


@dataclass(frozen=True)
class Stretched:
    """codes E4M3 [G, 128]; float32 [G] of each group: power k, center g, scale s. A value is sign(c) (|c| s)^(1/k) g."""

    codes: Tensor
    power: Tensor
    center: Tensor
    scale: Tensor


def stretch(values: Tensor) -> Stretched:
    """Any shape; what is missing to whole groups counts as zeros, and zeros stay zeros, outside of a group's range."""
    flat = values.detach().float().flatten()
    x_GN = torch.nn.functional.pad(flat, (0, -len(flat) % GROUP)).view(-1, GROUP)
    size_GN = x_GN.abs()
    most = size_GN.amax(1)
    least = torch.where(size_GN > 0, size_GN, torch.inf).amin(1)
    empty = most == 0
    most, least = torch.where(empty, 1.0, most), torch.where(empty, 1.0, least)
    center = most.sqrt() * least.sqrt()  # their product may be below the smallest float32
    power = power_of(most, least)
    scale = (most / center) ** power / _LARGEST
    stretched = x_GN.sign() * (size_GN / center[:, None]) ** power[:, None] / scale[:, None]
    return Stretched(stretched.clamp(-_LARGEST, _LARGEST).to(torch.float8_e4m3fn), power, center, scale)


def power_of(most: Tensor, least: Tensor) -> Tensor:
    """k = floor(16 log2(448^2 / 2) / log2(most / least)) / 16, at least 1/16; 1 for a group of equal values, which spans nothing."""
    span = most.log2() - least.log2()
    exact = torch.log2(torch.tensor(_RANGE)) / span.clamp(min=1e-12)
    power = (torch.floor(_STEPS * exact) / _STEPS).clamp(1 / _STEPS, _MOST_POWER)
    return torch.where(span > 0, power, torch.ones_like(power))


def contract(stored: Stretched, shape: Iterable[int]) -> Tensor:
    """The values again, float32 of that shape."""
    codes = stored.codes.float()
    sizes = (codes.abs() * stored.scale[:, None]) ** (1 / stored.power[:, None]) * stored.center[:, None]
    wanted = torch.Size(shape)
    return (codes.sign() * sizes).flatten()[: wanted.numel()].view(wanted)


class CoatAdamW(torch.optim.Optimizer):
    """AdamW (decoupled decay, bias correction, arithmetic in float32) that keeps m and v as `Stretched`, 2.2 bytes a parameter instead of 8."""

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.0
    ) -> None:
        """Raises ValueError for values that no optimizer has."""
        if lr < 0 or eps < 0 or weight_decay < 0 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"lr {lr}, betas {betas}, eps {eps}, weight_decay {weight_decay}: expected 0 or more, betas below 1")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self.state[parameter], group["betas"]
        assert parameter.grad is not None
        gradient = parameter.grad.float()
        m, v = (_moment(state, name, parameter) for name in ("m", "v"))
        m.lerp_(gradient, 1 - beta1)
        v.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        step = float(state.get("step", 0.0)) + 1
        state["step"] = torch.tensor(step)
        root = (v / (1 - beta2**step)).sqrt_().add_(group["eps"])
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_((m / root).to(parameter.dtype), alpha=-group["lr"] / (1 - beta1**step))
        for name, value in (("m", m), ("v", v)):
            stored = stretch(value)
            state |= {f"{name}_{key}": getattr(stored, key) for key in _PARTS}


_PARTS = ("codes", "power", "center", "scale")


def _moment(state: dict[str, Any], name: str, parameter: Tensor) -> Tensor:
    if f"{name}_codes" not in state:
        return torch.zeros_like(parameter, dtype=torch.float32)
    return contract(Stretched(*(state[f"{name}_{key}"] for key in _PARTS)), parameter.shape)
