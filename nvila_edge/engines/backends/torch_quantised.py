"""A bundle's own quantised weights on a GPU through torch: W8A8 tower and W4A16 decoder on the operators of products.py, keys and values on the device.

On CUDA the tower and the decoder are compiled and single steps are replayed as a CUDA graph. On other devices the same code runs in plain PyTorch: that is
what the tests compare with the reference (torch.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nvila_edge.engines.backends.products import packed, rounded_to_int8, w8a8, weight_only
from nvila_edge.engines.backends.torch import told, vision_modules
from nvila_edge.engines.backends.torch_cache import TensorCache
from nvila_edge.engines.initialisers import LanguageWeights
from nvila_edge.engines.spec import EngineSpec, LanguageSpec
from nvila_edge.engines.weights import BlockWeight, Int8Weight, Weight, dequantised
from nvila_edge.model.vision import TorchEncoder

LOWEST = -60000.0  # stands for "not seen" in a float16 mask: finite, and no score comes near it


def _buffers(module: nn.Module, **tensors: Tensor | None) -> None:
    for name, value in tensors.items():
        module.register_buffer(name, value)


class BlockLinear(nn.Module):
    """W4A16 or W8A16; several weights that read the same input become one, outputs one after the other."""

    codes: Tensor
    scale: Tensor
    offset: Tensor | None

    def __init__(self, weights: Sequence[BlockWeight], bias: Tensor | None, dtype: torch.dtype) -> None:
        super().__init__()
        codes, scales = zip(*(packed(weight) for weight in weights), strict=True)
        offsets = [torch.from_numpy(np.array(weight.offset)) for weight in weights if weight.offset is not None]
        assert len(offsets) in (0, len(weights))
        self.block = weights[0].block
        _buffers(self, codes=torch.cat(codes), scale=torch.cat(scales).to(dtype), bias=bias)
        _buffers(self, offset=torch.cat(offsets).to(dtype) if offsets else None)

    def forward(self, x_MK: Tensor) -> Tensor:
        y = weight_only(x_MK, self.codes, self.scale)
        if self.offset is not None:
            y = y + x_MK.unflatten(1, (-1, self.block)).sum(2) @ self.offset.T
        return y if self.bias is None else y + self.bias


class Int8Linear(nn.Module):
    """W8A8 with a static scale for its input [.., K]."""

    q: Tensor
    scale: Tensor
    input_scale: Tensor

    def __init__(self, weight: Int8Weight, bias: Tensor | None) -> None:
        super().__init__()
        q, scale = torch.from_numpy(np.array(weight.q)), torch.from_numpy(np.array(weight.scale, np.float32))
        _buffers(
            self, q=q, scale=scale, bias=None if bias is None else bias.detach().float(), input_scale=torch.tensor([weight.input_scale])
        )

    def forward(self, x: Tensor) -> Tensor:
        y = w8a8(rounded_to_int8(x, self.input_scale).flatten(0, -2), self.input_scale, self.q, self.scale, self.bias, x.dtype)
        return y.unflatten(0, x.shape[:-1])


def linear(weights: Sequence[Weight], bias: Sequence[Weight] | None, dtype: torch.dtype, quantised: bool) -> nn.Module:
    """One module for weights that read the same input; as floats when `quantised` is off (what engines are compared with) or they are stored so."""
    joined = None if bias is None else torch.from_numpy(np.concatenate([dequantised(one) for one in bias])).to(dtype)
    blocks = [weight for weight in weights if isinstance(weight, BlockWeight)]
    if quantised and len(blocks) == len(weights):
        return BlockLinear(blocks, joined, dtype)
    whole = torch.from_numpy(np.concatenate([dequantised(weight) for weight in weights])).to(dtype)
    made = nn.Linear(whole.shape[1], whole.shape[0], bias=joined is not None, device="meta")
    made.load_state_dict({"weight": whole} | ({} if joined is None else {"bias": joined}), assign=True)
    return made.requires_grad_(False)


class Layer(nn.Module):
    """One decoder layer. T positions, P past ones."""

    first: Tensor
    second: Tensor

    def __init__(self, spec: LanguageSpec, weights: dict[str, Weight], dtype: torch.dtype, quantised: bool) -> None:
        super().__init__()
        self.spec = spec

        def joined(*names: str) -> nn.Module:
            bias = [weights[f"{name}.bias"] for name in names if f"{name}.bias" in weights]
            return linear([weights[f"{name}.weight"] for name in names], bias or None, dtype, quantised)

        self.qkv = joined(*(f"self_attn.{part}_proj" for part in "qkv"))
        self.o, self.down = joined("self_attn.o_proj"), joined("mlp.down_proj")
        self.gate_up = joined("mlp.gate_proj", "mlp.up_proj")
        norms = (torch.from_numpy(np.array(weights[f"{name}_layernorm.weight"])).to(dtype) for name in ("input", "post_attention"))
        _buffers(self, **dict(zip(("first", "second"), norms, strict=True)))

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor, past: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        spec, width = self.spec, x.shape[0]
        both = self.qkv(_norm(x, self.first, spec.eps)).view(width, -1, spec.head_dim).transpose(0, 1)
        query, key, value = both.split([spec.heads, spec.kv_heads, spec.kv_heads])
        query, key = _turned(query, *turn) * spec.head_dim**-0.5, _turned(key, *turn)
        keys, values = torch.cat([past[0], key], 1), torch.cat([past[1], value], 1)
        query = query.reshape(spec.kv_heads, -1, spec.head_dim)  # the heads of a group one below the other
        scores = (query @ keys.transpose(1, 2)).view(spec.kv_heads, -1, width, keys.shape[1]) + mask
        mixed = scores.float().softmax(-1).to(x.dtype).view(spec.kv_heads, -1, keys.shape[1]) @ values
        x = x + self.o(mixed.view(spec.heads, width, spec.head_dim).transpose(0, 1).flatten(1))
        gate, up = self.gate_up(_norm(x, self.second, spec.eps)).chunk(2, 1)
        return x + self.down(functional.silu(gate) * up), key, value


def _norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype) * weight


def _turned(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * cosine + torch.cat([-second, first], -1) * sine


class Decoder(nn.Module):
    """embeds [T, H], positions [T], mask [T, P + T], past keys and values [L, KV, P, D], asked [K] -> logits float32 [K, vocab], new keys and values
    [L, KV, T, D]."""

    norm: Tensor
    frequencies: Tensor

    def __init__(self, spec: LanguageSpec, weights: LanguageWeights, dtype: torch.dtype, quantised: bool) -> None:
        super().__init__()
        self.spec = spec
        self.layers = nn.ModuleList(Layer(spec, weights.layer(i), dtype, quantised) for i in range(spec.layers))
        self.head = linear([weights.head()], None, dtype, quantised)
        frequencies = 1.0 / spec.rope_theta ** (torch.arange(0, spec.head_dim, 2, dtype=torch.float32) / spec.head_dim)
        _buffers(self, norm=torch.from_numpy(np.array(weights.norm())).to(dtype), frequencies=torch.cat([frequencies, frequencies]))

    def forward(
        self, embeds: Tensor, positions: Tensor, mask: Tensor, keys: Tensor, values: Tensor, asked: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        x, angles = embeds.to(self.norm.dtype), positions[:, None].float() * self.frequencies
        turn = (angles.cos().to(x.dtype), angles.sin().to(x.dtype))
        mask, new = mask.clamp(min=LOWEST).to(x.dtype), []
        for index, layer in enumerate(self.layers):
            x, key, value = layer(x, turn, mask, (keys[index], values[index]))
            new.append((key, value))
        logits = self.head(_norm(x[asked], self.norm, self.spec.eps)).float()
        return logits, torch.stack([key for key, _ in new]), torch.stack([value for _, value in new])


class QuantisedBackend:
    """The protocol `Backend` on one torch device. dtype: of activations, float16 on GPUs. `quantised` off: the same weights as floats, for comparisons."""

    def __init__(self, folder: Path, spec: EngineSpec, device: str, dtype: torch.dtype, quantised: bool = True) -> None:
        self.image_size, self._spec = spec.vision.image_size, spec
        tower, projector, weights = vision_modules(folder, spec)
        tower, projector = tower.to(dtype), projector.to(dtype)
        for name, weight in weights.items() if quantised else ():
            if isinstance(weight, Int8Weight):
                parent, _, own = name.removesuffix(".weight").rpartition(".")
                setattr(tower.get_submodule(parent), own, Int8Linear(weight, getattr(tower.get_submodule(parent), own).bias))
        self.decoder = Decoder(spec.language, LanguageWeights(folder, spec), dtype, quantised).to(device).eval()
        self._like, self._step = self.decoder.norm, None
        self.runs_on = told(self._like)
        tower, projector = tower.to(device).eval(), projector.to(device).eval()
        if torch.device(device).type == "cuda":  # a layer at a time: all of them share what was compiled for the first one
            for layer in (*tower.encoder.layers, *self.decoder.layers):
                layer.compile(dynamic=True)
        self._tower, self._encoder = tower, TorchEncoder(tower, projector, spec.media)

    @torch.no_grad()
    def encode(self, pixels_N3SS: np.ndarray) -> np.ndarray:
        """float32 [N, 3, S, S] -> float32 [N, k, H]; one tile at a time, so that its tokens never depend on its company."""
        return np.concatenate([self._encoder.encode(tile[None]).float().cpu().numpy() for tile in pixels_N3SS])

    @torch.no_grad()
    def features(self, pixels_N3SS: np.ndarray) -> np.ndarray:
        """float32 [N, 3, S, S] -> float32 [N, P, C]."""
        return np.concatenate([self._encoder.features(tile[None]).float().cpu().numpy() for tile in pixels_N3SS])

    @torch.no_grad()
    def features_of_batch(self, pixels_N3SS: Tensor) -> Tensor:
        """`features` of tiles on the device, all at once: for what need not be the same to the bit in other company."""
        return self._tower(pixels_N3SS)

    @torch.no_grad()
    def project(self, features_NPC: np.ndarray) -> np.ndarray:
        """Features of all scales float32 [N, P, K * C] -> float32 [N, k, H]."""
        given = torch.from_numpy(features_NPC).to(self._like)
        return self._encoder.project(given).float().cpu().numpy()

    @torch.no_grad()
    def prefill(
        self, embeds: np.ndarray, positions: np.ndarray, mask: np.ndarray, past: TensorCache, logit_positions: np.ndarray
    ) -> tuple[np.ndarray, tuple[Tensor, Tensor]]:
        """One pass over T positions."""
        given = [torch.from_numpy(np.ascontiguousarray(one)).to(self._like.device) for one in (embeds, positions, mask, logit_positions)]
        logits, *new = self.decoder(*given[:3], past.keys, past.values, given[3])
        return logits.cpu().numpy(), (new[0], new[1])

    @torch.no_grad()
    def step(
        self, embeds: np.ndarray, positions: np.ndarray, mask: np.ndarray, past: TensorCache, logit_positions: np.ndarray
    ) -> tuple[np.ndarray, tuple[Tensor, Tensor]]:
        """One position; the second time with the same cache a captured graph. Its new keys and values last until the next step."""
        if self._step is None or self._step.past is not past:
            self._step = Step(self.decoder, past, self._like.device, self._spec.language.hidden)
        return self._step(embeds, positions, mask, logit_positions)

    def cache(self, capacity: int) -> TensorCache:
        """An empty cache on the device."""
        return TensorCache(self._spec.language, capacity, self._like)


class Step:
    """Single steps with one cache from fixed places in memory, so that they can be captured."""

    def __init__(self, decoder: Any, past: TensorCache, device: torch.device, hidden: int) -> None:
        self.past, self._device = past, device
        kinds = ((1, hidden), torch.float32), ((1,), torch.int64), ((1, past.capacity + 1), torch.float32), ((1,), torch.int64)
        self._given = [torch.zeros(shape, dtype=kind, device=device) for shape, kind in kinds]
        self._work = lambda: decoder(*self._given[:3], past.keys, past.values, self._given[3])
        self._run: Callable[[], tuple[Tensor, Tensor, Tensor]] | None = None

    def __call__(self, *given: np.ndarray) -> tuple[np.ndarray, tuple[Tensor, Tensor]]:
        for place, array in zip(self._given, given, strict=True):
            place.copy_(torch.from_numpy(np.ascontiguousarray(array)))
        if self._run is None:
            found = self._work()  # compiles and tunes, which a capture must not
            self._run = self._captured() if self._device.type == "cuda" else self._work
        else:
            found = self._run()
        return found[0].cpu().numpy(), (found[1], found[2])

    def _captured(self) -> Callable[[], tuple[Tensor, Tensor, Tensor]]:
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph):
            kept = self._work()

        def replay() -> tuple[Tensor, Tensor, Tensor]:
            graph.replay()
            return kept

        return replay


def open_on_gpu(folder: Path, spec: EngineSpec) -> QuantisedBackend:
    """A bundle's engine on this machine's CUDA device."""
    return QuantisedBackend(folder, spec, "cuda", torch.float16)
