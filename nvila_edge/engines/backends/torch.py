"""The torch backend: an unquantised checkpoint folder (in float32 on the CPU: the reference), or a bundle's own quantised weights, dequantised, in the
same modules. On a GPU it was never run by us.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Qwen2Config, Qwen2ForCausalLM

from nvila_edge.engines.backends.torch_cache import TensorCache
from nvila_edge.engines.initialisers import LanguageWeights, VisionWeights
from nvila_edge.engines.manifest import EMBEDDING
from nvila_edge.engines.spec import EngineSpec, LanguageSpec, VisionSpec, spec_of_checkpoint
from nvila_edge.engines.weights import Int8Weight, Weight, dequantised
from nvila_edge.model.decoder import decoder
from nvila_edge.model.language import LanguageModel
from nvila_edge.model.nvila import NVILA
from nvila_edge.model.opening import opened
from nvila_edge.model.projector import Projector
from nvila_edge.model.tokens import ChatTokenizer
from nvila_edge.model.vision import TorchEncoder, VisionTower


class TorchBackend:
    """The protocol `Backend` over torch modules; works in the modules' dtype (float32 is the reference) on their device, takes and gives float32."""

    def __init__(self, spec: EngineSpec, tower: VisionTower, projector: nn.Module, llm: LanguageModel, threads: int) -> None:
        self._spec, self._llm, self.image_size = spec, llm.eval(), tower.image_size
        self._encoder = TorchEncoder(tower.eval(), projector.eval(), spec.media)
        self._like = llm.lm_head.weight.detach()
        self.runs_on = told(self._like)
        torch.set_num_threads(threads)

    @torch.no_grad()
    def encode(self, pixels_N3SS: np.ndarray) -> np.ndarray:
        """float32 [N, 3, S, S] -> float32 [N, k, H]."""
        return self._encoder.encode(pixels_N3SS).float().cpu().numpy()

    @torch.no_grad()
    def features(self, pixels_N3SS: np.ndarray) -> np.ndarray:
        """float32 [N, 3, S, S] -> float32 [N, P, C]."""
        return self._encoder.features(pixels_N3SS).float().cpu().numpy()

    @torch.no_grad()
    def project(self, features_NPC: np.ndarray) -> np.ndarray:
        """Features of all scales float32 [N, P, K * C] -> float32 [N, k, H]."""
        return self._encoder.project(self._given(features_NPC)).float().cpu().numpy()

    @torch.no_grad()
    def prefill(
        self, embeds: np.ndarray, positions: np.ndarray, mask: np.ndarray, past: TensorCache, logit_positions: np.ndarray
    ) -> tuple[np.ndarray, tuple[Tensor, Tensor]]:
        """One pass over T positions."""
        held = [(key[None], value[None]) for key, value in zip(past.keys, past.values, strict=True)]
        where, asked = (torch.from_numpy(given).to(self._like.device) for given in (positions, logit_positions))
        inputs = self._given(np.ascontiguousarray(embeds))[None]
        hidden, present = decoder(self._llm, inputs, where[None], self._given(mask)[None, None], held)
        logits = self._llm.lm_head(hidden[0, asked]).float()
        keys, values = (torch.cat([pair[which] for pair in present]) for which in (0, 1))
        return logits.cpu().numpy(), (keys, values)

    step = prefill

    def cache(self, capacity: int) -> TensorCache:
        """An empty cache beside the model."""
        return TensorCache(self._spec.language, capacity, self._like)

    def _given(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self._like.device, self._like.dtype)


def told(like: Tensor) -> str:
    """What a torch backend whose weights are as `like` runs on."""
    return f"torch {torch.__version__}, {like.device.type}, {str(like.dtype).removeprefix('torch.')}"


def device_and_dtype(cuda: bool) -> tuple[str, str]:
    """Where and in which type a checkpoint runs: on a GPU as it was trained, in half the memory; on a CPU exactly. cuda: whether there is a GPU."""
    return ("cuda", "bfloat16") if cuda else ("cpu", "float32")


Opened = tuple[EngineSpec, ChatTokenizer, np.ndarray, TorchBackend]


def open_checkpoint(folder: Path, threads: int, dtype: str = "float32", device: str = "cpu") -> Opened:
    """What `Engine` takes, for a checkpoint in the published layout, unquantised. Raises CheckpointError when it cannot be opened."""
    return of_model(spec_of_checkpoint(opened(folder).folder), NVILA.from_pretrained(folder, dtype=dtype, device=device), threads)


def of_model(spec: EngineSpec, model: NVILA, threads: int) -> Opened:
    """What `Engine` takes, for a model."""
    assert model.tokenizer is not None
    table = model.llm.model.embed_tokens.weight.detach().float().cpu().numpy()
    return spec, model.tokenizer, table, TorchBackend(spec, model.vision_tower, model.mm_projector, model.llm, threads)


def open_quantised(folder: Path, spec: EngineSpec, threads: int) -> TorchBackend:
    """A bundle's weights in torch modules; W8A8 Linears round their inputs as the engines do."""
    tower, projector, weights = vision_modules(folder, spec)
    for name, weight in weights.items():
        if isinstance(weight, Int8Weight):
            tower.get_submodule(name.removesuffix(".weight")).register_forward_pre_hook(_rounding(weight.input_scale))
    language = LanguageWeights(folder, spec)
    llm = Qwen2ForCausalLM(Qwen2Config(**_language_config(spec.language)))
    table = np.load(folder / EMBEDDING, allow_pickle=False).astype(np.float32)
    ends: dict[str, Weight] = {
        "model.embed_tokens.weight": table, "model.norm.weight": language.norm(), "lm_head.weight": language.head(),
    }  # fmt: skip
    _fill(llm, ends | _layers("model.layers", spec.language, language))
    return TorchBackend(spec, tower, projector, llm, threads)


def vision_modules(folder: Path, spec: EngineSpec) -> tuple[VisionTower, Projector, dict[str, Weight]]:
    """A bundle's tower and projector with dequantised weights, and the tower's weights as they are stored, by their names in it."""
    vision = VisionWeights(folder, spec)
    tower = VisionTower.from_dict(_vision_config(spec.vision), -1)
    weights = {f"embeddings.{name}": weight for name, weight in vision.stem().items()} | _layers("encoder.layers", spec.vision, vision)
    _fill(tower, weights)
    projector = Projector(spec.vision.projector, spec.vision.hidden * spec.vision.scales, spec.vision.out_hidden, spec.vision.column_major)
    _fill(projector, vision.projector())
    return tower, projector, weights


def _layers(prefix: str, spec: VisionSpec | LanguageSpec, weights: VisionWeights | LanguageWeights) -> dict[str, Weight]:
    return {f"{prefix}.{i}.{name}": weight for i in range(spec.layers) for name, weight in weights.layer(i).items()}


def _fill(module: nn.Module, weights: Mapping[str, Weight]) -> None:
    state = {name: torch.from_numpy(np.array(dequantised(weight))) for name, weight in weights.items()}
    for name, value in module.state_dict().items():
        if name.endswith("_proj.bias"):  # Llama has none where Qwen2 has one
            state.setdefault(name, torch.zeros_like(value))
    module.load_state_dict(state)


def _rounding(scale: float) -> Any:
    """A hook that puts a Linear's input through symmetric INT8 with a static scale."""

    def round_input(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (torch.clamp(torch.round(inputs[0] / scale), -128, 127) * scale, *inputs[1:])

    return round_input


def _vision_config(spec: VisionSpec) -> dict[str, Any]:
    return {
        "hidden_size": spec.hidden, "intermediate_size": spec.intermediate, "num_hidden_layers": spec.layers,
        "num_attention_heads": spec.heads, "image_size": spec.image_size, "patch_size": spec.patch, "layer_norm_eps": spec.eps,
        "hidden_act": "gelu_pytorch_tanh", "vision_use_head": False,
    }  # fmt: skip


def _language_config(spec: LanguageSpec) -> dict[str, Any]:
    return {
        "vocab_size": spec.vocab, "hidden_size": spec.hidden, "intermediate_size": spec.intermediate, "num_hidden_layers": spec.layers,
        "num_attention_heads": spec.heads, "num_key_value_heads": spec.kv_heads, "head_dim": spec.head_dim, "rms_norm_eps": spec.eps,
        "rope_theta": spec.rope_theta, "tie_word_embeddings": False, "attn_implementation": "eager",
    }  # fmt: skip
