"""How much memory a big checkpoint takes: writes a random one of NVILA-8B's shape in bfloat16 (16 GB), loads it in a process of its own, and answers.

    python -m benchmarks.load_memory --folder /some/disk/with/17GB

The folder is made anew and removed at the end. Prints one line of JSON: weights and peak resident memory in GiB, seconds to load and to answer.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from nvila_edge.model.checkpoint import parse_config
from nvila_edge.model.nvila import NVILA
from nvila_edge.training.tokenizer import save_tokenizer, train_tokenizer

# Qwen2.5-7B-Instruct as in NVILA-8B, SigLIP so400m at 448 pixels (its config.json)
LANGUAGE = {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28,
    "num_key_value_heads": 4, "intermediate_size": 18944, "rope_theta": 1e6, "rms_norm_eps": 1e-6, "max_position_embeddings": 32768,
    "vocab_size": 151648, "tie_word_embeddings": False, "hidden_act": "silu",
}  # fmt: skip
VISION = {
    "architectures": ["SiglipVisionModel"], "model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304,
    "num_hidden_layers": 27, "num_attention_heads": 16, "image_size": 448, "patch_size": 14, "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6, "vision_use_head": False,
}  # fmt: skip
CONFIG = {
    "architectures": ["LlavaLlamaModel"], "model_type": "llava_llama", "hidden_size": 3584, "mm_hidden_size": 3456,
    "image_aspect_ratio": "dynamic_s2", "dynamic_s2": True, "s2_scales": "448,896,1344", "s2_max_split_size": 448,
    "s2_resize_output_to_scale_idx": -1, "mm_vision_select_layer": -2, "mm_projector_cfg": {"mm_projector_type": "mlp_downsample"},
}  # fmt: skip
SHARD_BYTES = 2 << 30


def write_checkpoint(folder: Path, layers: int = 28, tower_layers: int = 27) -> int:
    """Writes it shard by shard, with fewer layers of the full widths where asked; returns the bytes of all tensors."""
    import torch

    language, tower = {**LANGUAGE, "num_hidden_layers": layers}, {**VISION, "num_hidden_layers": tower_layers}
    with torch.device("meta"):
        model = NVILA.from_configs(parse_config(CONFIG, language), tower, language)
    (folder / "config.json").parent.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    total = 0
    parts = {
        "llm": (model.llm, language, ""),
        "vision_tower": (model.vision_tower, tower, "vision_model."),
        "mm_projector": (model.mm_projector, {}, ""),
    }
    for part, (module, config, prefix) in parts.items():
        (folder / part).mkdir()
        (folder / part / "config.json").write_text(json.dumps(config))
        total += _write_shards(folder / part, {prefix + name: tuple(value.shape) for name, value in module.state_dict().items()})
    save_tokenizer(train_tokenizer(["Describe the room."]), folder / "llm")
    return total


def _write_shards(folder: Path, shapes: dict[str, tuple[int, ...]]) -> int:
    import torch
    from safetensors.torch import save_file

    noise = torch.randn(1 << 26, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16) * 0.02
    shard: dict[str, torch.Tensor] = {}
    index: dict[str, str] = {}
    total = number = held = 0

    def flush() -> None:
        nonlocal number, held
        name = f"model-{number:05d}.safetensors"
        save_file(shard, folder / name)
        index.update(dict.fromkeys(shard, name))
        shard.clear()
        number, held = number + 1, 0

    for name, shape in shapes.items():
        count = int(torch.Size(shape).numel())
        shard[name] = noise.repeat(-(-count // len(noise)))[:count].view(shape).clone()
        held, total = held + 2 * count, total + 2 * count
        if held > SHARD_BYTES:
            flush()
    flush()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": index}))
    return total


ANSWER = """
import json, resource, sys, time
import numpy as np
started = time.monotonic()
from nvila_edge import NVILA
model = NVILA.from_pretrained(sys.argv[1])
loaded = time.monotonic()
frame = np.random.default_rng(0).integers(0, 255, (336, 448, 3), np.uint8)
images = [frame, frame]
text = model.generate("<image><image>Describe the room.", images=images, max_new_tokens=2)
print(json.dumps({"load_s": loaded - started, "answer_s": time.monotonic() - loaded,
                  "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
"""


def main() -> None:
    """Writes, measures in a subprocess, removes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where 16 GB fit; must not exist")
    folder = parser.parse_args().folder
    try:
        started_s = time.monotonic()
        total = write_checkpoint(folder)
        print(f"wrote {total / 2**30:.2f} GiB in {time.monotonic() - started_s:.0f} s", file=sys.stderr)
        done = subprocess.run([sys.executable, "-c", ANSWER, str(folder)], capture_output=True, text=True, check=True)
        print(json.dumps({"weights_gib": total / 2**30, **json.loads(done.stdout.splitlines()[-1])}))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
