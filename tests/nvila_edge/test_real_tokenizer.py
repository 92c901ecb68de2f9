"""With Qwen2's real byte pairs: the ids that NVILA's checkpoints know, its chat template, and the action sentences."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer

from nvila_edge.model.tokens import ChatTokenizer
from nvila_edge.navigation.actions import ACTIONS, SENTENCES
from nvila_edge.navigation.grammar import action_trie
from nvila_edge.navigation.parser import parse_strict
from tests.real_parts import NVILA_SPECIAL, QWEN_SPECIAL, nvila_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return nvila_tokenizer()


@pytest.fixture(scope="module")
def chat(tokenizer: Tokenizer) -> ChatTokenizer:
    return ChatTokenizer(tokenizer, "qwen2")


def test_words_and_special_tokens_have_their_published_ids(tokenizer: Tokenizer, chat: ChatTokenizer) -> None:
    assert chat.encode("Hello world") == [9707, 1879]
    assert [tokenizer.token_to_id(name) for name in QWEN_SPECIAL + NVILA_SPECIAL] == list(range(151643, 151651))
    assert (chat.newline, chat.end_of_turn, chat.stops) == (198, 151645, (151645,))
    assert chat.encode("<|im_start|>user\n<image>") == [151644, 872, 198, 151649]


@pytest.mark.parametrize("text", ["3.5 m, café, 走廊 🛋️ — \t two  spaces\r\n\n end ", "I'm HE'S don't", "".join(map(chr, range(32, 300)))])
def test_any_text_comes_back(chat: ChatTokenizer, text: str) -> None:
    assert chat.decode(chat.encode(text)) == text


def test_digits_are_single_tokens(chat: ChatTokenizer) -> None:
    assert len(chat.encode("75")) == 2 and len(chat.encode("2025")) == 4
    assert len(chat.encode("The next action is move forward 75 cm.")) == 11


def test_a_prompt_with_media_is_the_published_template(chat: ChatTokenizer) -> None:
    system = [151644, 8948, 198, 2610, 525, 264, 10950, 17847, 151645, 198]  # "You are a helpful assistant" without a full stop
    user, assistant = [151644, 872, 198], [151645, 198, 151644, 77091, 198]
    question = chat.encode("Go to the door.")
    assert chat.ids(chat.prompt(" Go to the door. ")) == [*system, *user, *question, *assistant]
    media = [151649, 198, 151650]
    assert chat.ids(chat.prompt("<image>\n<vila/video>Go to the door.")) == [*system, *user, *media, *question, *assistant]


@pytest.mark.parametrize("index", range(10))
def test_every_action_sentence_comes_back_as_its_action(chat: ChatTokenizer, index: int) -> None:
    text = chat.decode(chat.encode(SENTENCES[index]))
    assert text == SENTENCES[index] and parse_strict(text) == ACTIONS[index]


def test_the_grammar_of_the_sentences_chooses_each_of_them(chat: ChatTokenizer) -> None:
    trie = action_trie(chat.encode)
    for index, path in enumerate(trie.paths):
        assert chat.decode([trie.tokens[node] for node in path]) == SENTENCES[index]
        logits = np.zeros((len(trie.branches), 151648), np.float32)
        for row, branch in zip(logits, trie.branches, strict=True):
            for token, child in zip(branch.tokens, branch.children, strict=True):
                row[token] = 9.0 * (child in path)
        probabilities = trie.probabilities(logits)
        assert trie.choose(probabilities) == index and np.isclose(probabilities.sum(), 1) and probabilities[index] > 0.99
