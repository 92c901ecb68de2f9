"""The exported graphs equal the torch modules that they were written from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, numpy_helper
from transformers import LlamaConfig, LlamaForCausalLM

from export.graph import Graph, pack_int4
from export.language_graph import write_language_graph
from export.linear import linear, stack
from export.source import Checkpoint
from export.vision_graph import write_vision_graph
from nvila_edge.engines.spec import spec_of_checkpoint
from nvila_edge.engines.weights import BlockWeight
from nvila_edge.model.nvila import NVILA
from nvila_edge.model.preprocess import pixels
from nvila_edge.training.builtin import ModelSize
from tests.tiny import SIZE, save_tiny_checkpoint


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options)


@pytest.mark.parametrize(
    "projector", ["mlp_downsample_8x2", "mlp_downsample", "mlp_downsample_2x2_fix", "mlp_downsample_3x3_fix", "linear"]
)
def test_vision_graph_equals_the_model(tmp_path: Path, frames: np.ndarray, projector: str):
    folder = save_tiny_checkpoint(
        tmp_path / "checkpoint", size=replace(SIZE, projector=projector, patch=16, image=112)
    )  # a 7x7 grid: padding
    source = Checkpoint(folder)
    write_vision_graph(tmp_path / "v.onnx", source.spec.vision, source.vision_stem(), source.vision_layers(), source.projector())
    found = session(tmp_path / "v.onnx").run(None, {"pixels": pixels(frames[:3], 112)})[0]
    expected = NVILA.from_pretrained(folder).encode_frames(frames[:3]).numpy()
    assert found.shape == (3, source.spec.vision.tokens, 128)
    assert np.abs(found - expected).max() < 1e-4


def test_column_major_tokens_are_the_transposed_grid(tmp_path: Path, frames: np.ndarray):
    source = Checkpoint(save_tiny_checkpoint(tmp_path / "checkpoint", size=replace(SIZE, projector="mlp_downsample")))
    found = []
    for column_major in (False, True):
        spec = replace(source.spec.vision, column_major=column_major)
        write_vision_graph(tmp_path / "v.onnx", spec, source.vision_stem(), source.vision_layers(), source.projector())
        found.append(session(tmp_path / "v.onnx").run(None, {"pixels": pixels(frames[:1], 128)})[0])
    assert np.array_equal(found[0].reshape(4, 4, 128), found[1].reshape(4, 4, 128).swapaxes(0, 1))


def test_a_negative_select_layer_leaves_the_last_layer_out(tmp_path: Path):
    folder = save_tiny_checkpoint(tmp_path)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"mm_vision_select_layer": -1', '"mm_vision_select_layer": -2'))
    assert spec_of_checkpoint(folder).vision.layers == 1


def run_language(graph: onnxruntime.InferenceSession, embeds: np.ndarray, start: int, past: list, asked: list[int]):
    width, seen = len(embeds), past[0][0].shape[2]
    mask = np.concatenate([np.zeros((width, seen)), np.triu(np.full((width, width), -1e9), 1)], 1).astype(np.float32)
    feed = {
        "inputs_embeds": embeds[None],
        "position_ids": np.arange(start, start + width)[None],
        "attention_mask": mask[None, None],
        "logit_positions": np.array(asked),
    }
    for i, (key, value) in enumerate(past):
        feed[f"past_key.{i}"], feed[f"past_value.{i}"] = key, value
    logits, *new = graph.run(None, feed)
    return logits, list(zip(new[0::2], new[1::2], strict=True))


def test_language_graph_equals_qwen2_at_once_and_in_two_passes(tmp_path: Path, checkpoint: Path):
    source = Checkpoint(checkpoint)
    write_language_graph(tmp_path / "l.onnx", source.spec.language, source.language_layers(), source.norm(), source.head())
    graph = session(tmp_path / "l.onnx")
    embeds = np.random.default_rng(0).normal(size=(30, 128)).astype(np.float32)
    with torch.no_grad():
        expected = NVILA.from_pretrained(checkpoint).llm(inputs_embeds=torch.from_numpy(embeds)[None]).logits[0].numpy()
    empty = [(np.zeros((1, 2, 0, 32), np.float32),) * 2] * 3
    whole, _ = run_language(graph, embeds, 0, empty, list(range(30)))
    assert np.abs(whole - expected).max() < 1e-4
    first, past = run_language(graph, embeds[:21], 0, empty, [20, 3])
    second, _ = run_language(graph, embeds[21:], 21, past, list(range(9)))
    assert np.abs(first - expected[[20, 3]]).max() < 1e-4
    assert np.abs(second - expected[21:]).max() < 1e-4


def test_language_graph_equals_llama(tmp_path: Path):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=160, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1,
        rope_theta=5e5, rms_norm_eps=1e-5, tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    folder = save_tiny_checkpoint(tmp_path / "checkpoint")
    model.save_pretrained(folder / "llm")
    source = Checkpoint(folder)
    assert source.spec.language.rope_theta == 5e5 and not source.spec.language.qkv_bias
    write_language_graph(tmp_path / "l.onnx", source.spec.language, source.language_layers(), source.norm(), source.head())
    embeds = np.random.default_rng(0).normal(size=(12, 64)).astype(np.float32)
    with torch.no_grad():
        expected = model(inputs_embeds=torch.from_numpy(embeds)[None]).logits[0].numpy()
    found, _ = run_language(session(tmp_path / "l.onnx"), embeds, 0, [(np.zeros((1, 1, 0, 16), np.float32),) * 2] * 2, list(range(12)))
    assert np.abs(found - expected).max() < 1e-4


def test_weights_in_an_external_file_give_the_same_answers(tmp_path: Path, checkpoint: Path, frames: np.ndarray):
    source = Checkpoint(checkpoint)
    for name, external in (("a.onnx", None), ("b.onnx", tmp_path / "b.onnx.data")):
        args = (source.spec.vision, source.vision_stem(), source.vision_layers(), source.projector())
        write_vision_graph(tmp_path / name, *args, external=external)
    found = [session(tmp_path / name).run(None, {"pixels": pixels(frames[:1], 128)})[0] for name in ("a.onnx", "b.onnx")]
    assert np.array_equal(*found)
    assert (tmp_path / "b.onnx").stat().st_size < (tmp_path / "a.onnx").stat().st_size / 5


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path: Path, checkpoint: Path):
    for name in ("a", "b"):
        source = Checkpoint(checkpoint)
        write_language_graph(tmp_path / name, source.spec.language, source.language_layers(), source.norm(), source.head(), "float16")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_int4_packing_is_what_onnx_reads():
    values = np.random.default_rng(0).integers(-8, 8, (5, 3))
    tensor = TensorProto(data_type=TensorProto.INT4, dims=[5, 3], raw_data=pack_int4(values))
    assert np.array_equal(numpy_helper.to_array(tensor).astype(int), values)


def test_int4_linears_compute_what_their_codes_say(tmp_path: Path):
    rng = np.random.default_rng(1)
    parts = [BlockWeight(rng.integers(-8, 8, (n, 256)).astype(np.int8), rng.uniform(0.01, 0.1, (n, 2)).astype(np.float32)) for n in (5, 3)]
    graph = Graph("one")
    x = graph.input("x", "float32", ["N", 256])
    graph.output(linear(graph, x, "linear", stack(parts), None), "y", "float32", ["N", 8])
    graph.save(tmp_path / "g.onnx")
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "0")
    inputs = rng.normal(size=(4, 256)).astype(np.float32)
    found = onnxruntime.InferenceSession(str(tmp_path / "g.onnx"), options).run(None, {"x": inputs})[0]
    assert np.allclose(found, inputs @ np.concatenate([part.dequantised() for part in parts]).T, atol=1e-3)
    assert onnx.load(tmp_path / "g.onnx").opset_import[0].version == 21


def test_builtin_sizes_are_blocks_of_128():
    size = ModelSize()
    assert size.hidden % 128 == 0 and size.intermediate % 128 == 0


def test_graphs_for_a_gpu_compute_the_same_in_half_precision(tmp_path: Path, checkpoint: Path, frames: np.ndarray):
    source = Checkpoint(checkpoint)
    spec = source.spec
    shown = pixels(frames[:1], spec.vision.image_size)
    embeds = np.random.default_rng(0).normal(size=(9, spec.language.hidden)).astype(np.float32)
    seen, said = [], []
    for compute in ("float32", "float16"):
        args = (source.vision_stem(), source.vision_layers(), source.projector(), compute, None, compute)
        write_vision_graph(tmp_path / "v.onnx", spec.vision, *args)
        seen.append(session(tmp_path / "v.onnx").run(None, {"pixels": shown.astype(compute)})[0])
        layers = source.language_layers()
        write_language_graph(tmp_path / "l.onnx", spec.language, layers, source.norm(), source.head(), compute, None, compute)
        empty = np.zeros((1, spec.language.kv_heads, 0, spec.language.head_dim), compute)
        feed = {f"past_{kind}.{i}": empty for kind in ("key", "value") for i in range(spec.language.layers)}
        feed |= {"inputs_embeds": embeds[None].astype(compute), "position_ids": np.arange(9)[None], "logit_positions": np.arange(9)}
        feed["attention_mask"] = np.triu(np.full((9, 9), -60000), 1).astype(compute)[None, None]
        said.append(session(tmp_path / "l.onnx").run(None, feed)[0])
    for full, half in (seen, said):
        assert half.dtype == np.float16 and np.abs(full - half).max() < 0.02 * np.abs(full).max()
