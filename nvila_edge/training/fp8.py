"""Linear layers in FP8 while training, by COAT's rules (the paper's section 2.2.2; COAT: arXiv 2410.19313; VILA's fp8linearqwen2.py).

Weights and inputs in E4M3, gradients of outputs in E5M2, each tensor with one scale that is measured anew every time; only in training, only in the
decoder, and only layers both of whose sides are long enough. On a GPU torchao multiplies in FP8; elsewhere the same roundings are emulated.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

LEAST_SIDE = 3584  # NVILA-8B's width: its k_proj and v_proj (512 outputs) stay in 16 bits (VILA's fp8linearqwen2.py)
GROUP = 16  # maxima are taken over 1 x 16 values first, and then over these
_MULTIPLE = 16  # FP8 matrix products take sides that are multiples of it
E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2


def quantise_linears(decoder: nn.Module, least_side: int = LEAST_SIDE, emulate: bool | None = None) -> list[str]:
    """Makes the decoder's large linear layers compute in FP8, in place, parameters and their names unchanged; returns the layers' names.

    emulate: None for where there is no GPU. Raises ValueError when no layer is large enough, ModuleNotFoundError on a GPU without torchao.
    """
    names = [name for name, child in decoder.named_modules() if is_large(child, least_side)]
    if not names:
        sides = sorted({min(child.weight.shape) for child in decoder.modules() if isinstance(child, nn.Linear)})
        raise ValueError(f"no linear layer has sides of at least {least_side} that are multiples of {_MULTIPLE}; shortest sides: {sides}")
    if emulate is None:
        emulate = not torch.cuda.is_available()
    if emulate:
        for name in names:
            parent, _, own = name.rpartition(".")
            setattr(decoder.get_submodule(parent), own, Fp8Linear.of(decoder.get_submodule(name)))
        return names
    from torchao.float8 import convert_to_float8_training  # type: ignore[import-not-found]  an extra

    # torchao's default configuration is this very rule: one dynamic scale a tensor, E4M3 forward, E5M2 for gradients of outputs
    convert_to_float8_training(decoder, module_filter_fn=lambda _, name: name in names)
    return names


def is_large(module: nn.Module, least_side: int) -> bool:
    """Whether a module is a plain linear layer with sides that are long enough, and that FP8 products take."""
    return (
        type(module) is nn.Linear and min(module.weight.shape) >= least_side and not any(side % _MULTIPLE for side in module.weight.shape)
    )


def scale_of(values: Tensor, kind: torch.dtype) -> Tensor:
    """What a tensor is divided by for its largest value to be the format's: from maxima of groups of 16 along the last axis. 1 for all zeros."""
    flat = values.detach().abs().float().flatten()
    padded = nn.functional.pad(flat, (0, -len(flat) % GROUP))
    largest = padded.view(-1, GROUP).amax(1).amax()
    return torch.where(largest > 0, largest / torch.finfo(kind).max, torch.ones_like(largest))


def quantised(values: Tensor, kind: torch.dtype) -> tuple[Tensor, Tensor]:
    """(codes of that format, float32 scale): codes * scale is near the values. Values that are not finite stay so in their codes."""
    scale, most = scale_of(values, kind), torch.finfo(kind).max
    return (values.float() / scale).clamp(-most, most).to(kind), scale


class Fp8Linear(nn.Linear):
    """A linear layer that rounds as FP8 training does: codes are multiplied out in the precision of the input. In eval mode it is a plain one."""

    @staticmethod
    def of(layer: Any) -> Fp8Linear:
        """With the same parameters."""
        with torch.device("meta"):
            made = Fp8Linear(layer.in_features, layer.out_features, layer.bias is not None)
        made.weight, made.bias = layer.weight, layer.bias
        return made.train(layer.training)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """[.., in_features] -> [.., out_features]."""
        if not self.training:
            return super().forward(input)
        if torch.is_autocast_enabled(input.device.type):
            input = input.to(torch.get_autocast_dtype(input.device.type))
        product: Tensor = _Fp8Product.apply(input, self.weight)  # type: ignore[assignment]
        return product if self.bias is None else product + self.bias.to(product.dtype)


class _Fp8Product(torch.autograd.Function):
    """x W^T. Keeps 8-bit codes of both for the backward pass, not the values."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor) -> Tensor:  # noqa: A002
        x, w = quantised(input, E4M3), quantised(weight, E4M3)
        ctx.save_for_backward(*x, *w)
        ctx.kinds = input.dtype, weight.dtype
        return nn.functional.linear(_values(*x, input.dtype), _values(*w, input.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x_codes, x_scale, w_codes, w_scale = ctx.saved_tensors
        kind, weight_kind = ctx.kinds
        gradient = _values(*quantised(gradients[0], E5M2), kind)
        of_input = of_weight = None
        if ctx.needs_input_grad[0]:
            of_input = gradient @ _values(w_codes, w_scale, kind)
        if ctx.needs_input_grad[1]:
            of_weight = (gradient.flatten(0, -2).T @ _values(x_codes, x_scale, kind).flatten(0, -2)).to(weight_kind)
        return of_input, of_weight


def _values(codes: Tensor, scale: Tensor, kind: torch.dtype) -> Tensor:
    return (codes.float() * scale).to(kind)
