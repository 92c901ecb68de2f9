"""The language model: transformers' Qwen2 or Llama class, by the checkpoint's own configuration."""

from __future__ import annotations

from typing import Any

from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from nvila_edge.model.checkpoint import CheckpointError

LanguageModel = Qwen2ForCausalLM | LlamaForCausalLM
_CLASSES: dict[str, tuple[type, type]] = {"qwen2": (Qwen2Config, Qwen2ForCausalLM), "llama": (LlamaConfig, LlamaForCausalLM)}


def language_model(config: dict[str, Any]) -> LanguageModel:
    """A model with fresh weights of llm/config.json's contents. Raises CheckpointError for an architecture that is neither Qwen2 nor Llama."""
    kind = config.get("model_type")
    if kind not in _CLASSES:
        raise CheckpointError(f"llm/config.json has model_type {kind!r}; known: {', '.join(_CLASSES)}")
    make_config, make_model = _CLASSES[kind]
    own = make_config(**{key: value for key, value in config.items() if not key.startswith("_")})
    own._attn_implementation = "sdpa"  # noqa: SLF001  long prompts: scores are never held whole
    return make_model(own)
