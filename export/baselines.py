"""Baselines through transformers on this machine: `generate` on the same weights, and a random Qwen2-VL of the same size. See export/subjects.py."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, Qwen2VLConfig, Qwen2VLForConditionalGeneration

from export.subjects import ANSWER_TOKENS, INSTRUCTION, PREFILL_POSITIONS
from nvila_edge.engines import Engine
from nvila_edge.engines.spec import EngineSpec
from nvila_edge.model.nvila import NVILA

_SPECIAL = 8  # ids at the end of the vocabulary that stand for media


class _Language:
    """Prefill and decoding of a language model of transformers, with its own cache."""

    def __init__(self, llm: Any, hidden: int) -> None:
        self._llm, n = llm.eval(), PREFILL_POSITIONS
        self._embeds = torch.randn(1, n + 1, hidden, generator=torch.Generator().manual_seed(0)) * 0.02
        self._past = self.prefill()

    @torch.no_grad()
    def prefill(self) -> DynamicCache:
        past = DynamicCache()
        self._llm(inputs_embeds=self._embeds[:, :-1], past_key_values=past, use_cache=True, logits_to_keep=1)
        return past

    @torch.no_grad()
    def decode(self) -> None:
        self._llm(inputs_embeds=self._embeds[:, -1:], past_key_values=self._past, use_cache=True)
        self._past.crop(-1)


class TransformersSubject:
    """The checkpoint's own language model under `generate`, an answer of the usual length decoded freely."""

    def __init__(self, inputs: Engine, folder: str) -> None:
        self.profile, self.image_size = f"{inputs.profile.name}, generate", inputs.spec.vision.image_size
        self.runs_on = inputs.runs_on
        self._inputs, self._llm = inputs, NVILA.from_pretrained(Path(folder), dtype="float32").llm.eval()
        self._window: deque[np.ndarray] = deque(maxlen=inputs.spec.frames)
        self._opening = inputs.embed(inputs.prompt_ids(inputs.profile.user_text(INSTRUCTION).replace("<image>", "")))
        language = _Language(self._llm, inputs.spec.language.hidden)
        self.prefill, self.decode = language.prefill, language.decode

    def start(self) -> None:
        """Forgets the window."""
        self._window.clear()

    def encode(self, frame: np.ndarray) -> np.ndarray:
        """Tokens [1, k, H] by the unquantised tower."""
        return self._inputs.encode(frame[None])

    @torch.no_grad()
    def decide(self, newest: np.ndarray) -> Tensor:
        """The instruction and the whole window prefilled, then ANSWER_TOKENS tokens."""
        self._window.append(newest[0])
        frames = [part for tokens in self._window for part in (tokens, self._inputs.newline)]
        embeds = torch.from_numpy(np.concatenate([self._opening, *frames]))[None]
        return _generated(self._llm, inputs_embeds=embeds, attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long))


class QwenVLSubject:
    """A random Qwen2-VL with the widths and depths of a checkpoint; every frame is resized to the next multiple of 28 pixels."""

    def __init__(self, inputs: Engine, _folder: str) -> None:
        spec = inputs.spec
        self.profile, self.image_size, self._frames = "Qwen2-VL, generate", spec.vision.image_size, spec.frames
        self.runs_on = inputs.runs_on
        torch.manual_seed(0)
        self._model = Qwen2VLForConditionalGeneration(_qwen_config(spec)).eval()
        self._grid = -(-spec.vision.image_size // 28) * 2
        self._window: deque[Tensor] = deque(maxlen=spec.frames)
        text = len(inputs.prompt_ids(inputs.profile.user_text(INSTRUCTION).replace("<image>", "")))
        self._text = torch.arange(text)[None] % (spec.language.vocab - _SPECIAL)
        language = _Language(self._model, spec.language.hidden)
        self.prefill, self.decode = language.prefill, language.decode

    def start(self) -> None:
        """Forgets the window."""
        self._window.clear()

    @torch.no_grad()
    def encode(self, frame: np.ndarray) -> Tensor:
        """Its tower over one frame; gives the patches, which `decide` encodes again, as `generate` does."""
        patches = torch.from_numpy(np.resize(frame, (self._grid**2, 3 * 2 * 14 * 14))).float() / 127.5 - 1
        self._model.model.visual(patches, grid_thw=self._grids(1))
        return patches

    @torch.no_grad()
    def decide(self, newest: Tensor) -> Tensor:
        """All frames of the window encoded, the prompt prefilled, ANSWER_TOKENS tokens."""
        self._window.append(newest)
        config = self._model.config
        media = torch.full((1, self._grid**2 // 4), config.image_token_id)
        marks = [torch.tensor([[one]]) for one in (config.vision_start_token_id, config.vision_end_token_id)]
        ids = torch.cat([self._text, *(part for _ in self._window for part in (marks[0], media, marks[1]))], 1)
        kinds = {"mm_token_type_ids": (ids == config.image_token_id).long()}
        pixels = {"pixel_values": torch.cat(list(self._window)), "image_grid_thw": self._grids(len(self._window))}
        return _generated(self._model, input_ids=ids, attention_mask=torch.ones_like(ids), **pixels, **kinds)

    def _grids(self, frames: int) -> Tensor:
        return torch.tensor([[1, self._grid, self._grid]] * frames)


def _generated(model: Any, **given: Any) -> Tensor:
    """Greedy, exactly ANSWER_TOKENS tokens."""
    return model.generate(**given, do_sample=False, max_new_tokens=ANSWER_TOKENS, min_new_tokens=ANSWER_TOKENS, pad_token_id=0)


def _qwen_config(spec: EngineSpec) -> Qwen2VLConfig:
    vision, language = spec.vision, spec.language
    eighth = language.head_dim // 16  # the published split of the rotary angles over time, height and width is 2 : 3 : 3
    text = {
        "hidden_size": language.hidden, "num_hidden_layers": language.layers, "num_attention_heads": language.heads,
        "num_key_value_heads": language.kv_heads, "intermediate_size": language.intermediate, "vocab_size": language.vocab,
        "rope_parameters": {"rope_type": "default", "rope_theta": language.rope_theta, "mrope_section": [2 * eighth, 3 * eighth, 3 * eighth]},
        "tie_word_embeddings": language.tied, "bos_token_id": None, "eos_token_id": None,
    }  # fmt: skip
    tower = {
        "depth": vision.layers, "embed_dim": vision.hidden, "num_heads": vision.heads, "hidden_size": language.hidden, "patch_size": 14,
        "mlp_ratio": round(vision.intermediate / vision.hidden),
    }  # fmt: skip
    last = language.vocab - 1
    ids: dict[str, Any] = {
        "image_token_id": last,
        "video_token_id": last - 1,
        "vision_start_token_id": last - 2,
        "vision_end_token_id": last - 3,
    }
    return Qwen2VLConfig(text_config=text, vision_config=tower, tie_word_embeddings=language.tied, **ids)
