"""The streaming layout: training in one pass, lock-step roll-outs and transformers' own forward agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nvila_edge.model.decoder import decoder
from nvila_edge.navigation.actions import ACTIONS, SENTENCES, Stop
from nvila_edge.training.builtin import ModelSize, new_model
from nvila_edge.training.stream import Episode, StreamLayout, stream_mask
from nvila_edge.training.stream_policy import StreamPolicy
from nvila_edge.training.tokenizer import train_tokenizer

TEXTS = ["Leave the bedroom and stop by the piano.", "Walk past the red sofa on your left, then enter the kitchen and wait."]
SIZE = ModelSize(vision_hidden=32, vision_layers=1, vision_heads=2, hidden=128, layers=3, heads=4, kv_heads=2, intermediate=128)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = new_model(SIZE, train_tokenizer(TEXTS)).eval()
    for parameter in model.llm.parameters():  # large enough for differences to show
        torch.nn.init.normal_(parameter, std=0.08)
    return model


def test_every_action_sentence_is_at_most_two_tokens(model):
    assert [len(model.tokenizer.encode(text)) for text in SENTENCES] == [1] + [2] * 9


def test_decoder_equals_transformers_forward(model):
    ids = torch.arange(20)[None] + 300
    mask = stream_mask(torch.full((1, 20), -1), 8)
    hidden, _ = decoder(model.llm, model.llm.model.embed_tokens(ids), torch.arange(20)[None], mask)
    with torch.no_grad():
        expected = model.llm(ids).logits
    assert torch.allclose(model.llm.lm_head(hidden), expected, atol=1e-4)


def test_lockstep_rollout_equals_one_training_pass_over_twelve_decisions(model):
    rng = np.random.default_rng(0)
    layout, n = StreamLayout(model.tokenizer, 4), 12
    features = rng.normal(size=(2, n, 64, 32)).astype(np.float32)
    actions = rng.integers(1, len(ACTIONS), size=(2, n))
    policy = StreamPolicy(model, layout, TEXTS)
    rolled = []
    for step in range(n):
        rolled.append(policy.probabilities(torch.from_numpy(features[:, step])))
        policy.tell(actions[:, step])
    for row in range(2):
        batch = layout.collate([Episode(TEXTS[row], features[row], actions[row], actions[row])])
        embeds = model.llm.model.embed_tokens(batch.ids)
        tokens = model.mm_projector(batch.frames)
        for frame, (_, column) in enumerate(batch.slots.tolist()):
            embeds[0, column : column + 4] = tokens[frame]
        with torch.no_grad():
            hidden, _ = decoder(model.llm, embeds, batch.positions, batch.mask)
            logits = model.llm.lm_head(hidden)[0].numpy()
        for step, (_, column) in enumerate(batch.slots.tolist()):
            verb_branch = policy.trie.branches[0]
            allowed = logits[column + 4][list(verb_branch.tokens)]
            weights = np.exp(allowed - allowed.max())
            stop = ACTIONS.index(Stop())
            stop_token = layout.answers[stop][0]
            expected = weights[verb_branch.tokens.index(stop_token)] / weights.sum()
            assert rolled[step][row, stop] == pytest.approx(expected, abs=2e-4)
            assert rolled[step][row].sum() == pytest.approx(1.0)


def test_amount_is_supervised_only_after_the_same_verb(model):
    layout = StreamLayout(model.tokenizer, 4)
    features = np.zeros((2, 64, 32), np.float16)
    batch = layout.collate([Episode(TEXTS[0], features, np.array([3, 3]), np.array([3, 4]))])
    assert (batch.targets != -100).sum() == 3  # verb and amount, then the verb only


def test_attention_reaches_eight_blocks_and_the_opening():
    mask = stream_mask(torch.tensor([[-1, *range(10)]]), 8)[0, 0]
    assert (mask[10] == 0).nonzero().flatten().tolist() == [0, 3, 4, 5, 6, 7, 8, 9, 10]
