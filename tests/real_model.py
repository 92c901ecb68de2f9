"""An NVILA checkpoint of real parts: SmolLM2 as the language model, DINOv2 as the vision tower, a projector that has learnt nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from torch.nn.functional import interpolate

from nvila_edge.model.checkpoint import parse_config
from nvila_edge.model.nvila import NVILA
from nvila_edge.model.tokens import ChatTokenizer
from tests.real_parts import CACHE, DINOV2, SMOLLM2

IMAGE_PX, PATCH_PX, LAYERS, HIDDEN = 224, 14, 12, 384  # DINOv2 ViT-S/14, at 16 x 16 patches
TOWER = {
    "model_type": "siglip_vision_model", "hidden_size": HIDDEN, "intermediate_size": 4 * HIDDEN, "num_hidden_layers": LAYERS,
    "num_attention_heads": 6, "image_size": IMAGE_PX, "patch_size": PATCH_PX, "hidden_act": "gelu", "layer_norm_eps": 1e-6,
    "vision_use_head": False,
}  # fmt: skip
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])  # what DINOv2's pixels are normalised with


def real_checkpoint() -> Path:
    """The checkpoint in the published layout, bfloat16; made once (a minute), then kept in the cache (0.3 GB). Skips without the package index."""
    folder = CACHE / "checkpoint"
    if not (folder / "whole").is_file():
        _assembled().save_pretrained(folder)
        (folder / "whole").touch()
    return folder


def _assembled() -> NVILA:
    from gguf import GGUFReader

    torch.manual_seed(0)
    reader = GGUFReader(str(SMOLLM2.path()))
    about = {name: field.contents() for name, field in reader.fields.items()}
    tokenizer = smollm2_tokenizer(about)
    llm = {
        "model_type": "qwen2", "vocab_size": about["llama.vocab_size"], "hidden_size": about["llama.embedding_length"],
        "intermediate_size": about["llama.feed_forward_length"], "num_hidden_layers": about["llama.block_count"],
        "num_attention_heads": about["llama.attention.head_count"], "num_key_value_heads": about["llama.attention.head_count_kv"],
        "rms_norm_eps": 1e-5, "rope_theta": about["llama.rope.freq_base"], "max_position_embeddings": about["llama.context_length"],
        "tie_word_embeddings": True, "bos_token_id": None, "eos_token_id": tokenizer.token_to_id("<|im_end|>"),
    }  # fmt: skip
    config = {
        "architectures": ["LlavaLlamaModel"], "model_type": "llava_llama", "hidden_size": llm["hidden_size"], "mm_hidden_size": HIDDEN,
        "mm_projector_cfg": {"mm_projector_type": "mlp_downsample"}, "image_aspect_ratio": "resize", "mm_vision_select_layer": -1,
        "num_video_frames": 8, "model_dtype": "torch.bfloat16", "llm_cfg": llm, "vision_tower_cfg": TOWER,
    }  # fmt: skip
    model = NVILA.from_configs(parse_config(config, llm), TOWER, llm)
    missing, unexpected = model.llm.load_state_dict(qwen2_of_llama(reader.tensors, llm), strict=False)
    assert not unexpected and missing == ["lm_head.weight"]
    model.llm.tie_weights()
    model.vision_tower.load_state_dict(siglip_of_dinov2(DINOV2.path()))
    model.tokenizer = ChatTokenizer(tokenizer)
    return model.eval().to(torch.bfloat16)


def smollm2_tokenizer(about: dict[str, Any]) -> Tokenizer:
    """SmolLM2's byte pairs out of a GGUF file's description; every digit is a piece of its own."""
    names, kinds = about["tokenizer.ggml.tokens"], about["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in about["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({name: index for index, name in enumerate(names)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name, kind in zip(names, kinds) if kind == 3])
    return tokenizer


_NAMES = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}  # fmt: skip


def qwen2_of_llama(tensors: list[Any], llm: dict[str, Any]) -> dict[str, Tensor]:
    """A Llama's weights of a GGUF file under Qwen2's names: the biases that Llama has not are zero. GGUF keeps the rows of queries and keys in pairs
    (dimension i beside i + D/2); they are put back into halves."""
    from gguf import dequantize

    state: dict[str, Tensor] = {}
    heads = {"attn_q": llm["num_attention_heads"], "attn_k": llm["num_key_value_heads"]}
    for tensor in tensors:
        value = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        block, _, kind = tensor.name.removesuffix(".weight").removeprefix("blk.").partition(".")
        if not kind:
            state[{"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight"}[block]] = value
            continue
        if kind in heads:
            value = value.view(heads[kind], -1, 2, value.shape[1]).transpose(1, 2).reshape(value.shape)
        name = f"model.layers.{block}.{_NAMES[kind]}"
        state[f"{name}.weight"] = value
        if kind in ("attn_q", "attn_k", "attn_v"):
            state[f"{name}.bias"] = torch.zeros(len(value))
    return state


def siglip_of_dinov2(path: Path) -> dict[str, Tensor]:
    """DINOv2's weights (an ONNX file's) under SigLIP's names: layer scales go into the layers before them, ImageNet's normalisation into the patch
    embedding, the positions onto 16 x 16 patches; the class token is left out, which costs some exactness."""
    import onnx
    from onnx.numpy_helper import to_array

    graph = onnx.load(str(path)).graph
    stored = {item.name: torch.from_numpy(to_array(item).copy()) for item in graph.initializer}
    products = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul"}
    patch = stored["backbone.embeddings.patch_embeddings.projection.weight"]
    shift = ((0.5 - MEAN) / STD)[:, None, None].expand(patch.shape[1:])
    side = IMAGE_PX // PATCH_PX
    positions = next(value for value in stored.values() if value.shape == (1, 37 * 37, HIDDEN))
    grid = interpolate(positions.view(1, 37, 37, HIDDEN).permute(0, 3, 1, 2), size=(side, side), mode="bicubic")
    state = {
        "embeddings.patch_embedding.weight": patch * (0.5 / STD)[:, None, None],
        "embeddings.patch_embedding.bias": stored["backbone.embeddings.patch_embeddings.projection.bias"] + (patch * shift).sum((1, 2, 3)),
        "embeddings.position_embedding.weight": grid.permute(0, 2, 3, 1).reshape(side * side, HIDDEN),
    }
    for index in range(LAYERS):
        state |= _layer(index, stored, products)
    return state


def _layer(index: int, stored: dict[str, Tensor], products: dict[str, Any]) -> dict[str, Tensor]:
    own, its = f"encoder.layers.{index}.", f"backbone.encoder.layer.{index}."
    linear = {
        "self_attn.q_proj": "attention.attention.query", "self_attn.k_proj": "attention.attention.key",
        "self_attn.v_proj": "attention.attention.value", "self_attn.out_proj": "attention.output.dense",
        "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2",
    }  # fmt: skip
    scales = {"self_attn.out_proj": "layer_scale1", "mlp.fc2": "layer_scale2"}
    state = {}
    for ours, theirs in linear.items():
        scale = stored[f"{its}{scales[ours]}.lambda1"] if ours in scales else torch.ones(1)
        product = f"/{its.removesuffix('.').replace('.', '/').replace('layer/', 'layer.')}/{theirs.replace('.', '/')}/MatMul_output_0"
        state[f"{own}{ours}.weight"] = stored[products[product]].T * scale[:, None]
        state[f"{own}{ours}.bias"] = stored[f"{its}{theirs}.bias"] * scale
    for ours, theirs in (("layer_norm1", "norm1"), ("layer_norm2", "norm2")):
        state |= {f"{own}{ours}.{kind}": stored[f"{its}{theirs}.{kind}"] for kind in ("weight", "bias")}
    return state
