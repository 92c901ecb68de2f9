"""Bundles of a real window-rule model that always says the same words: each word's successor is all that its language model knows.

Layers add nothing to what they are given (their outputs are zero), so that logits follow from the last token alone: the line break that ends the
prompt leads to the first word, each word to the next, the last one to the end of the turn.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Tokenizer

from export.bundle import write_embedding, write_manifest
from export.calibration import Calibration
from export.exporter import export_bundle
from export.language_graph import write_language_graph
from nvila_edge.engines.manifest import LANGUAGE, TOKENIZER, read_manifest
from nvila_edge.engines.spec import LanguageSpec
from nvila_edge.engines.weights import Weight
from tests.tiny import save_tiny_checkpoint


def window_bundle(folder: Path) -> Path:
    """An unquantised random bundle of the navila profile, to make parrots of."""
    export_bundle(save_tiny_checkpoint(folder / "checkpoint", "navila"), folder / "window", Calibration([]), "fp32", "fp32")
    return folder / "window"


def parrot(window: Path, folder: Path, says: str, agent: str = "ours") -> Path:
    """A copy of `window` that answers `says`, whose words must differ from one another, whatever it is shown."""
    shutil.copytree(window, folder)
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    words = [f" {word}" if index else word for index, word in enumerate(says.split(" "))]
    assert len(set(words)) == len(words)
    before = tokenizer.get_vocab_size()
    tokenizer.add_tokens([AddedToken(word, normalized=False, lstrip=False, rstrip=False) for word in words])
    tokenizer.save(str(folder / TOKENIZER))
    newline, end = tokenizer.encode("\n", add_special_tokens=False).ids[0], tokenizer.token_to_id("<|im_end|>")
    chain = [newline, *(tokenizer.token_to_id(word) for word in words), end]
    spec = read_manifest(window).spec
    language = replace(spec.language, vocab=-(-(before + len(words)) // 64) * 64, tied=False)
    embedding = np.random.default_rng(0).standard_normal((language.vocab, language.hidden)).astype(np.float16).astype(np.float32)
    head = np.zeros((language.vocab, language.hidden), np.float32)
    for token, successor in zip(chain, chain[1:]):
        head[successor] = embedding[token]
    write_language_graph(folder / LANGUAGE, language, _idle_layers(language), np.ones(language.hidden, np.float32), head)
    write_embedding(folder, embedding)
    write_manifest(folder, replace(spec, language=language), {"agent": agent, "source": {"checkpoint": "a parrot"}})
    return folder


def _idle_layers(spec: LanguageSpec) -> Iterator[Mapping[str, Weight]]:
    h, d = spec.hidden, spec.head_dim
    out = {
        "self_attn.q_proj": spec.heads * d, "self_attn.k_proj": spec.kv_heads * d, "self_attn.v_proj": spec.kv_heads * d, "self_attn.o_proj": h,
        "mlp.gate_proj": spec.intermediate, "mlp.up_proj": spec.intermediate, "mlp.down_proj": h,
    }  # fmt: skip
    inputs = {"self_attn.o_proj": spec.heads * d, "mlp.down_proj": spec.intermediate}
    for _ in range(spec.layers):
        yield (
            {f"{name}.weight": np.zeros((rows, inputs.get(name, h)), np.float32) for name, rows in out.items()}
            | {f"self_attn.{part}_proj.bias": np.zeros(out[f"self_attn.{part}_proj"], np.float32) for part in "qkv"}
            | {f"{name}.weight": np.ones(h, np.float32) for name in ("input_layernorm", "post_attention_layernorm")}
        )
