"""W4A16 for the decoder: AWQ. Channels that matter (large activations) are scaled up before rounding and the inverse goes into the layer
in front, then each block's range is clipped where that loses less. Blocks of 128 inputs, symmetric INT4. On top of the published recipe
the rounding feeds errors forward (GPTQ): on a small random model that cut the divergence of the answers to a third.

Facts: the published recipe searches a power of the mean absolute activation on a grid of 20 and clips by another grid (facts/nvila.md
section 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from export.calibration import FusedSequence
from export.layers import language_layer, tensors
from export.quantise import INT4_MAX, int4_weight
from export.source import Checkpoint
from nvila_edge.engines.spec import LanguageSpec
from nvila_edge.engines.weights import Int4Weight, Weight

GRID = 20
_CLIPS = np.linspace(1.0, 0.5, 21)  # of a block's absolute maximum; below 1 the code -8 is used too


def output_loss(weights: Sequence[np.ndarray], rounded: Sequence[np.ndarray], x_NC: np.ndarray) -> float:
    """Squared error that replacing Linears [out, in] leaves in their outputs on x."""
    return float(sum(np.square(x_NC @ (new - old).T).sum() for old, new in zip(weights, rounded, strict=True)))


def search_factors(weights: Sequence[np.ndarray], x_NC: np.ndarray, mean_C: np.ndarray | None = None) -> np.ndarray:
    """Factors [in] for the inputs of some Linears: rounding weight * factor, then dividing, loses least in their outputs on x.

    mean_C: mean absolute activation per channel where it is not that of x (channels that must share a factor get the same value).
    """
    mean = np.maximum(np.abs(x_NC).mean(axis=0) if mean_C is None else mean_C, 1e-6)
    best, best_loss = np.ones_like(mean, np.float32), np.inf
    for step in range(GRID):
        factor = mean ** (step / GRID)
        factor = (factor / np.sqrt(factor.max() * factor.min())).astype(np.float32)
        loss = output_loss(weights, [int4_weight(w * factor).dequantised() / factor for w in weights], x_NC)
        if loss < best_loss:
            best, best_loss = factor, loss
    return best


def clip_limits(weight: np.ndarray, x_NC: np.ndarray) -> np.ndarray:
    """Per output and block the largest value to represent, [out, in / block]: the one that loses least in the output.

    Uses the blocks' second moments of x: a block's error is d^T (X^T X) d for its weight error d.
    """
    start = int4_weight(weight)
    block, (out, inputs) = start.block, weight.shape
    blocks = weight.reshape(out, inputs // block, block)
    x = x_NC.reshape(len(x_NC), inputs // block, block)
    x = x.transpose(1, 0, 2)
    moments = x.transpose(0, 2, 1) @ x
    top = np.abs(blocks).max(axis=2)
    best, best_loss = top, np.full(top.shape, np.inf)
    for shrink in _CLIPS:
        limit = top * shrink
        error = (int4_weight(weight, limit).dequantised().reshape(blocks.shape) - blocks).transpose(1, 0, 2)
        loss = ((error @ moments) * error).sum(axis=2).T
        best = np.where(loss < best_loss, limit, best)
        best_loss = np.minimum(loss, best_loss)
    return best


def quantise_linear(weight: np.ndarray, x_NC: np.ndarray) -> Int4Weight:
    """Clipped, then rounded column by column, where each column's error is made good by the columns that are still to come (GPTQ's
    feedback).

    The error is measured on x: with H = X^T X, the best correction follows from the Cholesky factor of H's inverse.
    """
    clipped = int4_weight(weight, clip_limits(weight, x_NC))
    upper = _feedback(x_NC)
    rest, q = weight.astype(np.float32).copy(), np.empty_like(clipped.q)
    for start in range(0, weight.shape[1], clipped.block):
        stop = start + clipped.block
        scale = clipped.scale[:, start // clipped.block]
        errors = np.empty((len(weight), clipped.block), np.float32)
        for column in range(start, stop):
            code = np.clip(np.rint(rest[:, column] / scale), -INT4_MAX - 1, INT4_MAX)
            error = (rest[:, column] - code * scale) / upper[column, column]
            rest[:, column + 1 : stop] -= error[:, None] * upper[column, column + 1 : stop]
            q[:, column], errors[:, column - start] = code, error
        rest[:, stop:] -= errors @ upper[start:stop, stop:]
    return Int4Weight(q, clipped.scale)


def _feedback(x_NC: np.ndarray) -> np.ndarray:
    """Upper Cholesky factor [in, in] of (X^T X)^-1, damped by 1 % of the mean so that unused channels do no harm."""
    second = x_NC.T.astype(np.float64) @ x_NC
    second[np.diag_indices_from(second)] += 0.01 * np.trace(second) / len(second) + 1e-8
    return np.linalg.cholesky(np.linalg.inv(second)).T.astype(np.float32)


def quantise_layer(weights: dict[str, np.ndarray], inputs: dict[str, np.ndarray], spec: LanguageSpec) -> dict[str, Weight]:
    """One decoder layer in W4A16. inputs: float32 [rows, in] that calibration saw in front of "qkv", "o", "gate_up" and "down"."""
    weights, inputs = dict(weights), dict(inputs)
    qkv = [f"self_attn.{part}_proj" for part in "qkv"]
    gate_up = [f"mlp.{part}_proj" for part in ("gate", "up")]
    for group, norm, linears in (("qkv", "input_layernorm", qkv), ("gate_up", "post_attention_layernorm", gate_up)):
        factor = search_factors([weights[f"{name}.weight"] for name in linears], inputs[group])
        weights[f"{norm}.weight"] = weights[f"{norm}.weight"] / factor
        _scale_inputs(weights, inputs, linears, group, factor)
    shape = (spec.kv_heads, spec.heads // spec.kv_heads, spec.head_dim)
    mean = np.abs(inputs["o"]).mean(axis=0).reshape(shape).mean(axis=1, keepdims=True)  # query heads of a group read the same values
    factor = search_factors([weights["self_attn.o_proj.weight"]], inputs["o"], np.broadcast_to(mean, shape).reshape(-1))
    _scale_outputs(weights, "self_attn.v_proj", factor.reshape(shape)[:, 0].reshape(-1))
    _scale_inputs(weights, inputs, ["self_attn.o_proj"], "o", factor)
    factor = search_factors([weights["mlp.down_proj.weight"]], inputs["down"])
    _scale_outputs(weights, "mlp.up_proj", factor)
    _scale_inputs(weights, inputs, ["mlp.down_proj"], "down", factor)
    result: dict[str, Weight] = {name: value for name, value in weights.items() if value.ndim == 1}
    for group, linears in (("qkv", qkv), ("o", ["self_attn.o_proj"]), ("gate_up", gate_up), ("down", ["mlp.down_proj"])):
        for name in linears:
            result[f"{name}.weight"] = quantise_linear(weights[f"{name}.weight"], inputs[group])
    return result


def _scale_inputs(
    weights: dict[str, np.ndarray], inputs: dict[str, np.ndarray], linears: list[str], group: str, factor: np.ndarray
) -> None:
    """Multiply the Linears' columns, and divide what calibration saw in front of them."""
    for name in linears:
        weights[f"{name}.weight"] = weights[f"{name}.weight"] * factor
    inputs[group] = inputs[group] / factor


def _scale_outputs(weights: dict[str, np.ndarray], name: str, factor: np.ndarray) -> None:
    """Divide the rows (and bias) of the Linear in front."""
    weights[f"{name}.weight"] = weights[f"{name}.weight"] / factor[:, None]
    if f"{name}.bias" in weights:
        weights[f"{name}.bias"] = weights[f"{name}.bias"] / factor


def quantised_layers(checkpoint: Checkpoint, sequences: Sequence[FusedSequence], rows: int = 4096) -> Iterator[dict[str, Weight]]:
    """The decoder's layers in W4A16, one at a time; at most `rows` positions are looked at per Linear.

    Raises ValueError when there is nothing to calibrate with or activations are not finite.
    """
    if not sequences:
        raise ValueError("no calibration sequences were given; W4A16 needs some, for example --calibration builtin")
    spec = checkpoint.spec.language
    hidden = [torch.from_numpy(sequence.embeds) for sequence in sequences]
    masks = [torch.from_numpy(sequence.mask) for sequence in sequences]
    total = sum(map(len, hidden))
    picked = np.sort(np.random.default_rng(np.random.SeedSequence([4])).permutation(total)[:rows])
    for weights in checkpoint.language_layers():
        layer = tensors(weights)
        passed = [language_layer(layer, spec, x, mask) for x, mask in zip(hidden, masks, strict=True)]
        hidden = [x for x, _ in passed]
        if not all(torch.isfinite(x).all() for x in hidden):
            raise ValueError("calibration gave values in the language model that are not finite; is the checkpoint damaged?")
        yield quantise_layer(weights, {name: torch.cat([seen[name] for _, seen in passed]).numpy()[picked] for name in passed[0][1]}, spec)
