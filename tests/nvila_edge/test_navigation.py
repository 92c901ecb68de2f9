"""Actions, their grammar, the parsers and the history window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvila_edge.navigation.actions import ACTIONS, SENTENCES, Forward, Primitive, Stop, Turn, primitives, sentence
from nvila_edge.navigation.decision import Decision
from nvila_edge.navigation.grammar import action_trie
from nvila_edge.navigation.parser import PARSERS, parse_navid, parse_navila, parse_navila_bench, parse_strict
from nvila_edge.navigation.profiles import profile
from nvila_edge.navigation.window import window
from nvila_edge.serving import wire

characters = action_trie(lambda text: [ord(character) for character in text])


def test_sentences_are_the_published_ones():
    assert sentence(Forward(75)) == "The next action is move forward 75 cm."
    assert sentence(Turn(30)) == "The next action is turn left 30 degree."
    assert sentence(Turn(-15)) == "The next action is turn right 15 degree."
    assert sentence(Stop()) == "I think I should stop because I have finished the instruction."


@pytest.mark.parametrize("name", ["strict", "navila", "navila-bench"])
def test_every_parser_reads_all_ten_sentences(name):
    assert [PARSERS[name](text) for text in SENTENCES] == list(ACTIONS)


def test_amounts_of_free_text_never_make_endless_lists():
    endless = parse_navila("The next action is move forward 75000000000000000000 cm.")
    assert endless == Forward(75000000000000000000) and len(primitives(endless)) == 40_000
    assert len(primitives(Turn(-(10**30)))) == round(10**6 / 15)
    assert wire.decision_fields(Decision(endless, "far", 0.5))["action"] == ["forward", 10**6]


def test_primitives_of_merged_actions():
    assert primitives(Forward(75)) == (Primitive.FORWARD,) * 3
    assert primitives(Turn(-30)) == (Primitive.RIGHT,) * 2
    assert primitives(Stop()) == (Primitive.STOP,)


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("You should not STOP but turn left 30 degree", Stop()),
        ("The next action is move forward 100 cm.", Forward(100)),
        ("The next action is move forward 60 cm.", Forward(50)),
        ("The next action is move forward.", Forward(25)),
        ("The next action is move forward 0 cm.", Forward(25)),
        ("The next action is turn left 90 degrees.", Turn(90)),
        ("The next action is turn right 20 degree.", Turn(-15)),
        ("The next action is turn left.", Turn(15)),
        ("The next action is turn left 0 degree.", Turn(15)),
        ("The next action is Move Forward 75 cm.", Forward(25)),  # found whatever its case, but the amount is read in small letters
        ("The next action is move forward 88 cm.", Forward(75)),
        ("Don't stoptime; the next action is turn right 45 degrees", Turn(-45)),  # whole words only
        ("go on", None),
    ],
)
def test_navila_parser_keeps_its_quirks(text, action):
    assert parse_navila(text) == action


def test_navila_bench_parser_looks_for_turns_first_and_reads_the_largest_amount_that_occurs():
    assert parse_navila_bench("banana") is None
    assert parse_navila_bench("STOP or move forward 25 or 75 cm") == Forward(75)
    assert parse_navila_bench("Turn right 90") == Turn(-15)
    assert parse_navila_bench("turn left 30 and then stop") == Turn(30)


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("The next action is turn left 30 degrees.", Turn(30)),
        ("The next action is turn right 90 degrees.", Turn(-90)),
        ("The next action is turn left 59 degrees.", Turn(30)),
        ("The next action is turn left 15 degree.", None),  # int(15 / 30) = 0 steps
        ("The next action is move forward 60 cm.", Forward(50)),
        ("The next action is move forward 500 cm.", Forward(500)),
        ("The next action is move forward -75 cm.", None),
        ("The next action is move forward.", None),
        ("turn left 30", None),  # the last character is not read: 3 degrees
        ("Turn Left 30 degrees, or go forward 50.", Forward(25)),  # forward is looked for first, and the first number is its amount
        ("30 cm to the LEFT.", None),  # small letters only
        ("unstoppable.", Stop()),
        ("", None),
    ],
)
def test_navid_parser_keeps_its_quirks(text, action):
    assert parse_navid(text) == action


# The strict parser's whole language, cleaned: what it forgives beside case, outer space and the full stop is spelled out
READ = {text.lower().rstrip("."): action for text, action in zip(SENTENCES, ACTIONS)}
READ |= {f"{text}s": action for text, action in READ.items() if text.endswith("degree")} | {"the next action is stop": Stop()}


@given(st.sampled_from(SENTENCES), st.integers(0, 62), st.integers(0, 3), st.text("0123456789 .sSxleftrigh\n", max_size=3))
def test_strict_parser_reads_a_sentence_with_a_slip_only_where_the_slip_does_not_matter(text, at, cut, put):
    changed = text[:at] + put + text[at + cut :]
    clean = " ".join(changed.lower().split())
    assert parse_strict(changed) == READ.get(clean.removesuffix("."))


@given(st.sampled_from(SENTENCES), st.sampled_from(SENTENCES), st.integers(0, 12), st.integers(0, 12))
def test_strict_parser_rejects_words_of_two_sentences(first, second, head, tail):
    changed = " ".join(first.split()[:head] + second.split()[tail:])
    assert parse_strict(changed) == READ.get(changed.lower().removesuffix("."))


def test_window_follows_navilas_sampling():
    assert window(9) == [0, 1, 2, 3, 4, 5, 6, 8]
    assert window(20) == [0, 2, 5, 8, 10, 13, 16, 19]
    assert window(100) == [0, 14, 28, 42, 56, 70, 84, 99]
    assert window(3) == [None] * 5 + [0, 1, 2]


@given(st.integers(1, 2000))
def test_window_equals_numpys_linspace(length):
    expected = [int(v) for v in np.linspace(0, length - 1, 7, endpoint=False)] + [length - 1]
    if length >= 8:
        assert window(length) == expected


@given(st.lists(st.floats(-8, 8), min_size=6 * 8, max_size=6 * 8))
def test_probabilities_of_the_ten_actions_sum_to_one(values):
    logits = np.full((len(characters.branches), 256), -5.0)
    logits[:, : 8 * 6 // len(characters.branches)] = np.reshape(values, (6, 8))[: len(characters.branches)]
    probabilities = characters.probabilities(logits)
    assert probabilities.sum() == pytest.approx(1.0)
    assert 0 <= characters.choose(probabilities) < 10


def test_greedy_choice_takes_the_best_verb_before_the_best_amount():
    probabilities = np.array([0.30, 0.12, 0.12, 0.12, 0.16, 0.10, 0.08, 0.0, 0.0, 0.0])  # stop .30, forward .36, left .34
    assert int(probabilities.argmax()) == 0
    words = action_trie(lambda text: [hash_free(word) for word in text.split()])
    assert words.choose(probabilities) == 1


def hash_free(word: str) -> int:
    return int.from_bytes(word.encode(), "little") % 100_003


def test_a_tokenizer_that_confuses_sentences_is_refused():
    with pytest.raises(ValueError, match="distinct"):
        action_trie(lambda text: [1, 2] if "25" in text else [1])


def test_instruction_must_say_something_and_not_too_much():
    with pytest.raises(ValueError, match="empty"):
        profile("stream").user_text(" \n ")
    with pytest.raises(ValueError, match="5000 characters"):
        profile("navila").user_text("x" * 5000)
    assert profile("navila").user_text("Go.").count("<image>") == 8
