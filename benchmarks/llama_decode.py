"""The other side of benchmarks/cpu_engines.py: llama.cpp on a random Q4_0 model, one decoding step per line of input.

Needs llama-cpp-python, best in an environment of its own; `write_gguf` needs gguf (extra dev). Prints "ready", then a line for every step.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import gguf

    from nvila_edge.engines.spec import LanguageSpec


def _writer(path: Path, spec: LanguageSpec) -> gguf.GGUFWriter:
    """A file with the metadata of a Qwen2 of the shape, and no tensors yet."""
    import gguf

    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_context_length(4096)
    writer.add_embedding_length(spec.hidden)
    writer.add_block_count(spec.layers)
    writer.add_feed_forward_length(spec.intermediate)
    writer.add_head_count(spec.heads)
    writer.add_head_count_kv(spec.kv_heads)
    writer.add_layer_norm_rms_eps(spec.eps)
    writer.add_rope_freq_base(spec.rope_theta)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([f"t{i}" for i in range(spec.vocab)])
    writer.add_token_types([gguf.TokenType.NORMAL] * spec.vocab)
    writer.add_token_merges(["t 0"])
    return writer


def write_gguf(path: Path, spec: LanguageSpec) -> None:
    """A random Qwen2 of the shape: Q4_0 layers and token table, Q8_0 output (as ours has 8 bits there)."""
    import gguf

    writer, rng = _writer(path, spec), np.random.default_rng(0)
    kinds = {
        4: (gguf.GGMLQuantizationType.Q4_0, 18),
        8: (gguf.GGMLQuantizationType.Q8_0, 34),
    }  # bytes of a block of 32: an fp16 scale and codes

    def linear(name: str, out: int, inputs: int, bits: int = 4) -> None:
        kind, size = kinds[bits]
        raw = rng.integers(0, 256, (out, inputs // 32, size), np.uint8)
        raw[:, :, :2] = np.array([0.16 / 2**bits], np.float16).view(np.uint8)
        writer.add_tensor(name, raw.reshape(out, -1), raw_dtype=kind)

    def plain(name: str, size: int, value: float) -> None:
        writer.add_tensor(name, np.full(size, value, np.float32))

    heads, kv = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    linear("token_embd.weight", spec.vocab, spec.hidden)
    for i in range(spec.layers):
        for name in ("attn_norm", "ffn_norm"):
            plain(f"blk.{i}.{name}.weight", spec.hidden, 1)
        for name, out in (("attn_q", heads), ("attn_k", kv), ("attn_v", kv)):
            linear(f"blk.{i}.{name}.weight", out, spec.hidden)
            plain(f"blk.{i}.{name}.bias", out, 0)
        linear(f"blk.{i}.attn_output.weight", spec.hidden, heads)
        for name, out, inputs in (
            ("ffn_gate", spec.intermediate, spec.hidden),
            ("ffn_up", spec.intermediate, spec.hidden),
            ("ffn_down", spec.hidden, spec.intermediate),
        ):
            linear(f"blk.{i}.{name}.weight", out, inputs)
    plain("output_norm.weight", spec.hidden, 1)
    linear("output.weight", spec.vocab, spec.hidden, 8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Arguments: model, threads, context."""
    import llama_cpp

    path, threads, context = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    model = llama_cpp.Llama(path, n_ctx=context + 64, n_threads=threads, n_threads_batch=threads, n_batch=512, verbose=False)
    model.eval([i % 1000 for i in range(context)])
    print("ready", flush=True)
    for _ in sys.stdin:
        model.eval([7])
        model.n_tokens = context  # the next one replaces it
        print("done", flush=True)


if __name__ == "__main__":
    main()
