"""The stream session: one pass per decision equals the whole episode at once, and a rebuilt session answers bit for bit the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from export.calibration import Calibration
from export.exporter import export_bundle
from nvila_edge.engines import Engine, load_bundle
from nvila_edge.model.decoder import decoder
from nvila_edge.navigation.actions import ACTIONS, Forward, Turn
from nvila_edge.training.stream import Episode, StreamLayout
from tests.tiny import TEXTS, save_tiny_checkpoint, tiny_frames, tiny_model


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("stream")
    export_bundle(save_tiny_checkpoint(folder / "checkpoint"), folder / "bundle", Calibration([]), "fp32", "fp32")
    return load_bundle(folder / "bundle")


@pytest.fixture(scope="module")
def checkpoint_engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return load_bundle(save_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint")), backend="torch")


def decide_all(engine: Engine, text: str, frames: np.ndarray) -> list:
    session = engine.session(text)
    return [session.decide(engine.encode(frame[None])) for frame in frames]


def test_twenty_decisions_equal_one_pass_over_the_whole_episode(engine: Engine):
    model = tiny_model()
    frames, n = tiny_frames(20), 20
    layout = StreamLayout(model.tokenizer, 4)
    session, tokens = engine.session(TEXTS[1]), engine.encode(frames)
    actions = np.random.default_rng(1).integers(1, 10, n)
    answers = [session.replay(tokens[i : i + 1], ACTIONS[action]) for i, action in enumerate(actions)]
    episode = Episode(TEXTS[1], np.zeros((n, 64, 64), np.float32), actions, actions)
    batch = layout.collate([episode])
    with torch.no_grad():
        embeds = model.llm.model.embed_tokens(batch.ids)
        for frame, (_, column) in enumerate(batch.slots.tolist()):
            embeds[0, column : column + 4] = torch.from_numpy(tokens[frame])
        hidden, _ = decoder(model.llm, embeds, batch.positions, batch.mask)
        logits = model.llm.lm_head(hidden)[0].numpy()
    root = engine.tree.trie.branches[0]
    for answer, action, (_, column) in zip(answers, actions, batch.slots.tolist(), strict=True):
        verb = np.exp(logits[column + 4][list(root.tokens)])
        said = layout.answers[action]
        branch = next(b for b in engine.tree.trie.branches if b.node >= 0 and engine.tree.trie.tokens[b.node] == said[0])
        amount = np.exp(logits[column + 5][list(branch.tokens)])
        expected = float(verb[root.tokens.index(said[0])] / verb.sum() * amount[branch.tokens.index(said[1])] / amount.sum())
        assert answer.candidates[action] == pytest.approx(expected, abs=5e-3 * expected + 1e-5)


def test_a_rebuilt_session_gives_identical_candidates(engine: Engine):
    frames = tiny_frames(16)
    first = decide_all(engine, TEXTS[0], frames)
    tokens = engine.encode(frames)
    rebuilt = engine.session(TEXTS[0])
    for i in range(12):
        rebuilt.replay(tokens[i : i + 1], first[i].action)
    for i in range(12, 16):
        assert rebuilt.decide(tokens[i : i + 1]).candidates == first[i].candidates


def test_frames_encoded_together_equal_frames_encoded_alone(engine: Engine):
    frames = tiny_frames(5)
    together = engine.encode(frames)
    assert all(np.array_equal(together[i], engine.encode(frames[i : i + 1])[0]) for i in range(5))


def test_candidates_sum_to_one_and_the_answer_is_greedy_over_branches(engine: Engine):
    for decision in decide_all(engine, TEXTS[0], tiny_frames(6)):
        assert sum(decision.candidates) == pytest.approx(1.0)
        verbs = {"stop": [0], "forward": [1, 2, 3], "left": [4, 5, 6], "right": [7, 8, 9]}
        best = max(verbs.values(), key=lambda rows: sum(decision.candidates[i] for i in rows))
        chosen = max(best, key=lambda i: decision.candidates[i])
        assert decision.action == ACTIONS[chosen]
        assert decision.probability == decision.candidates[chosen]


def test_what_was_executed_changes_later_answers(engine: Engine):
    tokens = engine.encode(tiny_frames(2))
    answers = []
    for action in (ACTIONS[1], ACTIONS[9]):
        session = engine.session(TEXTS[0])
        session.replay(tokens[:1], action)
        answers.append(session.decide(tokens[1:]).candidates)
    assert answers[0] != answers[1]


def test_torch_and_onnxruntime_agree(engine: Engine, checkpoint_engine: Engine):
    frames = tiny_frames(12)
    found, wanted = decide_all(engine, TEXTS[0], frames), decide_all(checkpoint_engine, TEXTS[0], frames)
    assert [d.action for d in found] == [d.action for d in wanted]
    # the bundle's token table is fp16
    assert np.abs(np.array([d.candidates for d in found]) - np.array([d.candidates for d in wanted])).max() < 5e-3


def test_the_cache_forgets_what_no_later_decision_can_see(engine: Engine):
    session, tokens = engine.session(TEXTS[0]), engine.encode(tiny_frames(2))
    most = engine.spec.frames * (engine.spec.vision.tokens + 1 + engine.tree.longest)  # eight blocks
    for i in range(100):
        session.decide(tokens[i % 2 : i % 2 + 1])
        cache, opening, blocks = session._cache, session._opening, session._blocks  # noqa: SLF001
        held = cache.capacity - len(cache._free) - len(opening)  # noqa: SLF001
        assert held == sum(map(len, blocks)) <= most and len(blocks) == min(i + 1, engine.spec.frames)


@pytest.mark.parametrize(
    ("instruction", "word"), [("", "empty"), ("  \n ", "empty"), ("go " * 2000, "shorten"), ("find the <image> here", "words only")]
)
def test_instructions_that_cannot_be_followed_are_refused(engine: Engine, instruction: str, word: str):
    with pytest.raises(ValueError, match=word):
        engine.session(instruction)


def test_tokens_of_another_model_and_actions_outside_the_ten_are_refused(engine: Engine):
    session = engine.session(TEXTS[0])
    with pytest.raises(ValueError, match="encode frames with this engine"):
        session.decide(np.zeros((1, 4, 17), np.float32))
    with pytest.raises(ValueError, match="not finite"):
        session.decide(np.full((1, 4, 128), np.nan, np.float32))
    with pytest.raises(ValueError, match="one of the ten"):
        session.replay(np.zeros((1, 4, 128), np.float32), Forward(100))


def test_an_unknown_backend_and_frames_of_the_wrong_type_are_refused(engine: Engine, tmp_path: Path):
    with pytest.raises(ValueError, match="onnxruntime"):
        load_bundle(tmp_path, backend="cuda")
    with pytest.raises(ValueError, match="uint8"):
        engine.encode(np.zeros((1, 8, 8, 3), np.float32))
    with pytest.raises(ValueError, match="at least one"):
        engine.encode([])


def test_a_blocked_walker_is_not_sent_ahead_and_nobody_turns_round_twice(engine: Engine):
    tokens = engine.encode(tiny_frames(9))
    free, told = engine.session(TEXTS[0]), engine.session(TEXTS[0])
    answers = free.decide(tokens[:1]), told.decide(tokens[:1], blocked=True)
    assert answers[0].candidates == answers[1].candidates and not isinstance(answers[1].action, Forward)
    spinning = engine.session(TEXTS[0])
    for i in range(8):
        spinning.replay(tokens[i : i + 1], Turn(45))
    assert not isinstance(spinning.decide(tokens[8:]).action, Turn)
