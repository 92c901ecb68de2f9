"""W4A16 for the decoder: AWQ. Channels that matter (large activations) are scaled up before rounding and the inverse goes into the layer
in front, then each block's range is clipped where that loses less. Blocks of 128 inputs, symmetric INT4. On top of the published recipe
the rounding feeds errors forward (GPTQ): on a small random model that cut the divergence of the answers to a third.

The published recipe (mit-han-lab/llm-awq) searches a power of the mean absolute activation on a grid of 20 and clips by another grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from export.calibration import FusedSequence
from export.journal import Journal
from export.layers import language_layer, tensors
from export.quantise import INT4_MAX, block_size, codes, rounded, scales
from export.source import Checkpoint
from nvila_edge.engines.spec import LanguageSpec
from nvila_edge.engines.weights import BlockWeight, Weight

GRID = 20
FEEDBACK_INPUTS = 8192
SEARCH_BUDGET, SEARCH_OUTPUTS = 1e10, 1024  # one try of a search: positions x weights, and how many outputs of each Linear it looks at
_CLIPS = np.linspace(1.0, 0.5, 21)  # of a block's absolute maximum; below 1 the code -8 is used too


def search_factors(weights: Sequence[Tensor], x_NC: Tensor, mean_C: Tensor | None = None) -> Tensor:
    """Factors [in] for the inputs of some Linears [out, in]: rounding weight * factor, then dividing, loses least in their outputs on x.

    mean_C: mean absolute activation per channel where it is not that of x (channels that must share a factor get the same value).
    """
    weights = [weight[:: max(1, len(weight) // SEARCH_OUTPUTS)] for weight in weights]
    mean = (x_NC.abs().mean(0) if mean_C is None else mean_C).clamp(min=1e-6)
    x = x_NC[:: max(1, len(x_NC) // _search_rows(weights))]
    best, best_loss = torch.ones_like(mean), float("inf")
    for step in range(GRID):
        factor = mean ** (step / GRID)
        factor = factor / (factor.max() * factor.min()).sqrt()
        loss = sum(float((x @ (rounded(w * factor).div_(factor).sub_(w)).T).square_().sum()) for w in weights)
        if loss < best_loss:
            best, best_loss = factor, loss
    return best


def _search_rows(weights: Sequence[Tensor]) -> int:
    """How many positions the search looks at: all of a small model's, 512 of a large one's, where each try costs seconds."""
    return max(512, int(SEARCH_BUDGET / sum(weight.numel() for weight in weights)))


def clip_limits(weight: Tensor, x_NC: Tensor) -> Tensor:
    """Per output and block the largest value to represent, [out, in / block]: the one that loses least in the output.

    Uses the blocks' second moments of x: a block's error is d^T (X^T X) d for its weight error d.
    """
    block = block_size(weight.shape[1])
    x = x_NC.view(len(x_NC), -1, block).transpose(0, 1)
    moments = x.transpose(1, 2) @ x
    return torch.cat([_clipped(part, moments) for part in weight.split(4096)])


def _clipped(weight: Tensor, moments_BII: Tensor) -> Tensor:
    block = moments_BII.shape[1]
    top = weight.view(len(weight), -1, block).abs().amax(2)
    best, best_loss = top, torch.full_like(top, float("inf"))
    for shrink in _CLIPS:
        limit = top * float(shrink)
        error = (rounded(weight, limit) - weight).view(len(weight), -1, block).transpose(0, 1)
        loss = ((error @ moments_BII) * error).sum(2).T
        better = loss < best_loss
        best, best_loss = torch.where(better, limit, best), torch.where(better, loss, best_loss)
    return best


def quantise_linear(weight: Tensor, x_NC: Tensor) -> BlockWeight:
    """Clipped, then rounded column by column, where each column's error is made good by the columns that are still to come (GPTQ's feedback).

    The error is measured on x: with H = X^T X, the best correction follows from the Cholesky factor of H's inverse. Linears with more than
    FEEDBACK_INPUTS inputs are rounded without feedback, as the published recipe does: time and memory grow with the third power and the square.
    """
    scale = scales(weight, INT4_MAX, clip_limits(weight, x_NC))
    if weight.shape[1] > FEEDBACK_INPUTS:
        return BlockWeight(codes(weight, scale, INT4_MAX).to(torch.int8).numpy(), scale.numpy())
    block, upper = block_size(weight.shape[1]), _feedback(x_NC)
    rest, q = weight.clone(), torch.empty(weight.shape, dtype=torch.int8)
    for start in range(0, weight.shape[1], block):
        stop, step = start + block, scale[:, start // block]
        some, errors = rest[:, start:stop].T.contiguous(), torch.empty(block, len(weight))
        for row in range(block):  # a column of the weight lies in one piece
            column = start + row
            code = (some[row] / step).round_().clamp_(-INT4_MAX - 1, INT4_MAX)
            torch.div(some[row] - code * step, float(upper[column, column]), out=errors[row])
            some[row + 1 :] -= upper[column, column + 1 : stop, None] * errors[row]
            q[:, column] = code.to(torch.int8)
        rest[:, stop:] -= errors.T @ upper[start:stop, stop:]
    return BlockWeight(q.numpy(), scale.numpy())


def _feedback(x_NC: Tensor) -> Tensor:
    """Upper Cholesky factor [in, in] of (X^T X)^-1, damped by 1 % of the mean so that unused channels do no harm."""
    second = x_NC.T.double() @ x_NC.double()
    second.diagonal().add_(0.01 * second.diagonal().mean() + 1e-8)
    return torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(second)), upper=True).float()


def quantise_layer(weights: dict[str, np.ndarray], inputs: dict[str, Tensor], spec: LanguageSpec) -> dict[str, Weight]:
    """One decoder layer in W4A16. inputs: float32 [rows, in] that calibration saw in front of "qkv", "o", "gate_up" and "down"."""
    layer, inputs = tensors(weights), dict(inputs)
    qkv = [f"self_attn.{part}_proj" for part in "qkv"]
    gate_up = [f"mlp.{part}_proj" for part in ("gate", "up")]
    for group, norm, linears in (("qkv", "input_layernorm", qkv), ("gate_up", "post_attention_layernorm", gate_up)):
        factor = search_factors([layer[f"{name}.weight"] for name in linears], inputs[group])
        layer[f"{norm}.weight"] = layer[f"{norm}.weight"] / factor
        _scale_inputs(layer, inputs, linears, group, factor)
    shape = (spec.kv_heads, spec.heads // spec.kv_heads, spec.head_dim)
    mean = inputs["o"].abs().mean(0).view(shape).mean(1, keepdim=True).expand(shape)  # query heads of a group read the same values
    factor = search_factors([layer["self_attn.o_proj.weight"]], inputs["o"], mean.reshape(-1))
    _scale_outputs(layer, "self_attn.v_proj", factor.view(shape)[:, 0].reshape(-1))
    _scale_inputs(layer, inputs, ["self_attn.o_proj"], "o", factor)
    factor = search_factors([layer["mlp.down_proj.weight"]], inputs["down"])
    _scale_outputs(layer, "mlp.up_proj", factor)
    _scale_inputs(layer, inputs, ["mlp.down_proj"], "down", factor)
    result: dict[str, Weight] = {name: value.numpy() for name, value in layer.items() if value.ndim == 1}
    for group, linears in (("qkv", qkv), ("o", ["self_attn.o_proj"]), ("gate_up", gate_up), ("down", ["mlp.down_proj"])):
        for name in linears:
            result[f"{name}.weight"] = quantise_linear(layer.pop(f"{name}.weight"), inputs[group])
    return result


def _scale_inputs(layer: dict[str, Tensor], inputs: dict[str, Tensor], linears: list[str], group: str, factor: Tensor) -> None:
    """Multiply the Linears' columns, and divide what calibration saw in front of them."""
    for name in linears:
        layer[f"{name}.weight"] = layer[f"{name}.weight"] * factor
    inputs[group] = inputs[group] / factor


def _scale_outputs(layer: dict[str, Tensor], name: str, factor: Tensor) -> None:
    """Divide the rows (and bias) of the Linear in front."""
    layer[f"{name}.weight"] = layer[f"{name}.weight"] / factor[:, None]
    if f"{name}.bias" in layer:
        layer[f"{name}.bias"] = layer[f"{name}.bias"] / factor


def quantised_layers(
    checkpoint: Checkpoint, sequences: Sequence[FusedSequence], journal: Journal, rows: int = 4096
) -> Iterator[dict[str, Weight]]:
    """The decoder's layers in W4A16, one at a time, those first that the journal holds; at most `rows` positions are looked at per Linear.

    Raises ValueError when there is nothing to calibrate with or activations are not finite.
    """
    if not sequences:
        raise ValueError("no calibration sequences were given; W4A16 needs some, for example --calibration builtin")
    spec, done = checkpoint.spec.language, journal.done("language")
    yield from (journal.layer("language", index) for index in range(done))
    flow = journal.flow("language") if done else [sequence.embeds for sequence in sequences]
    hidden = [torch.from_numpy(x) for x in flow]
    masks = [torch.from_numpy(sequence.mask) for sequence in sequences]
    total = sum(map(len, hidden))
    picked = torch.from_numpy(np.sort(np.random.default_rng(np.random.SeedSequence([4])).permutation(total)[:rows]))
    for index in range(done, spec.layers):
        weights = checkpoint.language_layer(index)
        hidden, inputs = _through(tensors(weights), spec, hidden, masks, picked)
        quantised = quantise_layer(weights, inputs, spec)
        journal.keep("language", index, quantised, [x.numpy() for x in hidden])
        yield quantised


def _through(
    layer: dict[str, Tensor], spec: LanguageSpec, hidden: list[Tensor], masks: list[Tensor], picked: Tensor
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """What flows out of a layer, and at the picked positions (of all sequences, one after the other) into its Linears."""
    out: list[Tensor] = []
    seen: dict[str, list[Tensor]] = {}
    start = 0
    for x, mask in zip(hidden, masks, strict=True):
        x, inputs = language_layer(layer, spec, x, mask)
        if not torch.isfinite(x).all():
            raise ValueError("calibration gave values in the language model that are not finite; is the checkpoint damaged?")
        here = picked[(picked >= start) & (picked < start + len(x))] - start
        start += len(x)
        out.append(x)
        for name, value in inputs.items():
            seen.setdefault(name, []).append(value[here])
    return out, {name: torch.cat(parts) for name, parts in seen.items()}
