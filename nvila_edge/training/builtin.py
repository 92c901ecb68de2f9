"""A fresh model of NVILA's structure in a size that suits a small CPU."""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import Tokenizer

from nvila_edge.model.checkpoint import parse_config
from nvila_edge.model.nvila import NVILA
from nvila_edge.model.tokens import ChatTokenizer


@dataclass(frozen=True)
class ModelSize:
    """Widths and depths. Language widths are multiples of 128: the INT4 block (DESIGN.md, W4A16)."""

    vision_hidden: int = 192
    vision_layers: int = 6
    vision_heads: int = 3
    patch: int = 16
    image: int = 128
    projector: str = "mlp_downsample_8x2"
    hidden: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    intermediate: int = 768


def new_model(size: ModelSize, tokenizer: Tokenizer, prompt_profile: str = "stream") -> NVILA:
    """NVILA with fresh weights; the caller seeds torch. Untied sizes, names and keys follow the published layout."""
    vision = {
        "model_type": "siglip_vision_model", "hidden_size": size.vision_hidden, "intermediate_size": 4 * size.vision_hidden,
        "num_hidden_layers": size.vision_layers, "num_attention_heads": size.vision_heads, "image_size": size.image, "patch_size": size.patch,
        "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6, "num_channels": 3, "attention_dropout": 0.0, "vision_use_head": False,
    }  # fmt: skip
    vocabulary = -(-tokenizer.get_vocab_size() // 64) * 64
    llm = {
        "model_type": "qwen2", "vocab_size": vocabulary, "hidden_size": size.hidden, "intermediate_size": size.intermediate,
        "num_hidden_layers": size.layers, "num_attention_heads": size.heads, "num_key_value_heads": size.kv_heads, "hidden_act": "silu",
        "max_position_embeddings": 8192, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": True, "attention_dropout": 0.0,
        "bos_token_id": None, "eos_token_id": tokenizer.token_to_id("<|im_end|>"), "pad_token_id": tokenizer.token_to_id("<|endoftext|>"),
    }  # fmt: skip
    raw = {
        "architectures": ["LlavaLlamaModel"], "model_type": "llava_llama", "hidden_size": size.hidden, "mm_hidden_size": size.vision_hidden,
        "mm_projector_cfg": {"mm_projector_type": size.projector}, "image_aspect_ratio": "resize", "mm_vision_select_layer": -1,
        "mm_vision_select_feature": "cls_patch", "num_video_frames": 8, "dynamic_s2": False, "s2": False, "model_dtype": "torch.float32",
        "llm_cfg": llm, "vision_tower_cfg": vision, "nvila_edge_prompt_profile": prompt_profile,
    }  # fmt: skip
    model = NVILA.from_configs(parse_config(raw, llm), vision, llm)
    model.tokenizer = ChatTokenizer(tokenizer)
    return model
