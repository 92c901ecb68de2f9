"""From real weights to a sensible answer: a checkpoint in the published layout, opened and asked as any other."""

from __future__ import annotations

import copy
import io
from pathlib import Path

import numpy as np
import pytest

from nvila_edge import NVILA
from nvila_edge.chat import ChatOptions, chat
from nvila_edge.describe import describe
from tests.real_parts import DINOV2
from tests.tiny import tiny_frames

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    pytest.importorskip("gguf", reason='SmolLM2 comes as GGUF; pip install "nvila-edge[dev]"')
    from tests.real_model import real_checkpoint

    return real_checkpoint()


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> NVILA:
    return NVILA.from_pretrained(checkpoint)


def test_the_tokenizer_fits_the_template(model: NVILA) -> None:
    assert model.tokenizer is not None
    assert model.tokenizer.encode("Hello world") == [19556, 905] and model.tokenizer.end_of_turn == 2
    assert model.tokenizer.decode([model.tokenizer.newline]) == "\n"


@pytest.mark.parametrize(("question", "word"), [("What is the capital of France?", "Paris"), ("What is the capital of Japan?", "Tokyo")])
def test_answers_are_sensible_and_end(model: NVILA, question: str, word: str) -> None:
    answer = model.generate(question, max_new_tokens=24)
    assert word in answer and len(answer) < 80 and "<|" not in answer


def test_the_second_question_of_a_conversation_knows_the_first(checkpoint: Path) -> None:
    out, notes = io.StringIO(), io.StringIO()
    chat(
        ChatOptions(str(checkpoint), max_new_tokens=24),
        io.StringIO("What is the capital of France?\nIn which country is that city?\n"),
        out,
        notes,
    )
    first, second = out.getvalue().splitlines()[0], out.getvalue().splitlines()[-1]
    assert "Paris" in first and "France" in second and "tokens/s" in notes.getvalue()


def test_a_prompt_with_an_image_runs(model: NVILA, checkpoint: Path) -> None:
    image = tiny_frames(1)[0]
    tokens = len(model.embed_prompt("<image>What is this?", images=[image])) - len(model.embed_prompt("What is this?"))
    assert tokens == describe(checkpoint).tokens["an image 448 x 448"] == 8 * 8 + 1
    assert np.isfinite(model.logits("<image>What is this?", images=[image])).all()
    assert isinstance(model.generate("<image>What is this?", images=[image], max_new_tokens=4), str)


def test_the_tower_with_the_class_token_sees_what_dinov2_sees(model: NVILA) -> None:
    """Features of every patch against those that the ONNX file computes (from ImageNet's normalisation), after the last layer norm. The class token,
    which SigLIP's class has no place for, is put in front here: without it features differ, with it the folded weights must be exact."""
    import onnx
    import torch
    from onnxruntime import InferenceSession

    graph = onnx.load(str(DINOV2.path()))
    norm = next(node for node in graph.graph.node if node.op_type == "Add" and "backbone.layernorm.bias" in node.input)
    stored = {item.name: torch.from_numpy(onnx.numpy_helper.to_array(item).copy()) for item in graph.graph.initializer}
    graph.graph.output.append(onnx.helper.make_tensor_value_info(norm.output[0], onnx.TensorProto.FLOAT, None))
    session = InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    frame = np.pad(tiny_frames(1, 222)[0], ((0, 2), (0, 2), (0, 0)), mode="edge")
    normal = (frame / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    given = {session.get_inputs()[0].name: normal.astype(np.float32).transpose(2, 0, 1)[None]}
    expected = torch.from_numpy(session.run([norm.output[0]], given)[0])
    place = next(value for name, value in stored.items() if value.shape == (1, 1, 384) and "cls_token" not in name)
    first = stored["backbone.embeddings.cls_token"] + place
    tower = copy.deepcopy(model.vision_tower).float()
    with torch.no_grad():
        patches = tower.embeddings(torch.from_numpy(frame.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None])
        features = tower.encoder(inputs_embeds=torch.cat([first, patches], 1)).last_hidden_state
    ours = torch.nn.functional.layer_norm(features, (384,), stored["backbone.layernorm.weight"], stored["backbone.layernorm.bias"], 1e-6)
    assert torch.nn.functional.cosine_similarity(ours, expected, dim=-1).min() > 0.99  # weights are bfloat16
