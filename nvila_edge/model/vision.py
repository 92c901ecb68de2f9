"""The SigLIP vision tower up to the selected layer: what lies above is neither loaded nor run (NVlabs/VILA: mm_vision_select_layer -2)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import SiglipVisionConfig, SiglipVisionModel

from nvila_edge.model.checkpoint import MediaRules
from nvila_edge.model.s2 import static_s2


def layers_run(n_layers: int, select_layer: int) -> int:
    """How many encoder layers feed the selected hidden state: -1 is the last layer's output, -2 the one before (hidden_states[-2])."""
    run = n_layers + 1 + select_layer if select_layer < 0 else select_layer
    if not 0 <= run <= n_layers:
        raise ValueError(f"mm_vision_select_layer {select_layer} does not exist in a tower of {n_layers} layers")
    return run


class VisionTower(nn.Module):
    """Patch embedding and the selected number of pre-LN encoder layers, without post-layernorm.

    pixels float [N, 3, S, S] in -1..1 -> [N, patches, channels].
    """

    def __init__(self, config: SiglipVisionConfig, select_layer: int) -> None:
        super().__init__()
        self.config = config
        self.image_size = int(config.image_size)  # type: ignore[arg-type]  transformers allows a pair, published towers are square
        trimmed = SiglipVisionConfig(**{**config.to_dict(), "num_hidden_layers": layers_run(config.num_hidden_layers, select_layer)})
        trimmed.vision_use_head = False
        trimmed._attn_implementation = "sdpa"  # noqa: SLF001  transformers has no public setter for a nested module
        model = SiglipVisionModel(trimmed)
        self.embeddings = model.embeddings
        self.encoder = model.encoder

    def forward(self, pixels_NCHW: Tensor) -> Tensor:
        hidden = self.embeddings(pixels_NCHW)
        return self.encoder(inputs_embeds=hidden).last_hidden_state

    @staticmethod
    def from_dict(config: dict[str, Any], select_layer: int) -> VisionTower:
        """A tower with fresh weights from the contents of vision_tower/config.json."""
        return VisionTower(SiglipVisionConfig(**config), select_layer)


def published_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Parameter names as the published files have them: under `vision_model.`."""
    return {f"vision_model.{name}": value for name, value in state.items()}


class TorchEncoder:
    """Tower and projector as the media code wants them (nvila_edge/model/media.py)."""

    def __init__(self, tower: VisionTower, projector: nn.Module, rules: MediaRules) -> None:
        self.image_size, self._tower, self._projector, self._rules = tower.image_size, tower, projector, rules

    def encode(self, pixels_N3SS: np.ndarray) -> Tensor:
        """Tokens [N, k, H] of single tiles; in the static `s2` mode of whole images at the largest scale."""
        if self._rules.image_aspect_ratio != "s2":
            return self._projector(self.features(pixels_N3SS))
        rules, inputs = self._rules, self._moved(pixels_N3SS)
        return self._projector(static_s2(inputs, self._tower, rules.scales, rules.max_split_px, rules.resize_to_scale))

    def features(self, pixels_N3SS: np.ndarray) -> Tensor:
        """The tower's features [N, P, C]."""
        return self._tower(self._moved(pixels_N3SS))

    def project(self, features_NPC: Tensor) -> Tensor:
        """Features of all scales [N, P, K * C] -> tokens [N, k, H]."""
        return self._projector(features_NPC)

    def _moved(self, pixels_N3SS: np.ndarray) -> Tensor:
        weight = next(self._tower.parameters())
        return torch.from_numpy(pixels_N3SS).to(weight.device, weight.dtype)
