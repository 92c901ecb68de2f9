"""The other side of benchmarks/cpu_engines.py: onnxruntime-genai's int4 build of a random model of Qwen2.5-0.5B's shape, one decoding step per line of input.

Needs onnxruntime-genai, onnxruntime, torch and transformers, best in an environment of its own. Prints "ready", then a line for every step.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime

KV_HEADS, HEAD_DIM, HIDDEN, LAYERS = 2, 64, 896, 24


def build(folder: Path) -> None:
    """Writes model.onnx with the tool's own defaults for a CPU (int4 blocks, fused attention), embeddings as input."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=151936, hidden_size=HIDDEN, intermediate_size=4864, num_hidden_layers=LAYERS, num_attention_heads=14, num_key_value_heads=KV_HEADS,
        tie_word_embeddings=False, max_position_embeddings=4096, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    source = folder / "source"
    Qwen2ForCausalLM(config).save_pretrained(source)
    command = [
        sys.executable,
        "-m",
        "onnxruntime_genai.models.builder",
        "-i",
        source,
        "-o",
        folder,
        "-p",
        "int4",
        "-e",
        "cpu",
        "-c",
        folder / "cache",
    ]
    subprocess.run([*command, "--extra_options", "exclude_embeds=true", "int4_accuracy_level=4"], check=True, stdout=sys.stderr)


def main() -> None:
    """Arguments: folder, threads, context."""
    folder, threads, context = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if not (folder / "model.onnx").exists():
        folder.mkdir(parents=True, exist_ok=True)
        build(folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    past = rng.standard_normal((1, KV_HEADS, context, HEAD_DIM), np.float32)
    feed = {f"past_key_values.{i}.{kind}": past for i in range(LAYERS) for kind in ("key", "value")}
    feed |= {"inputs_embeds": np.zeros((1, 1, HIDDEN), np.float32), "attention_mask": np.ones((1, context + 1), np.int64)}
    if "position_ids" in {one.name for one in session.get_inputs()}:
        feed["position_ids"] = np.array([[context]])
    session.run(None, feed)
    print("ready", flush=True)
    for _ in sys.stdin:
        session.run(None, feed)
        print("done", flush=True)


if __name__ == "__main__":
    main()
