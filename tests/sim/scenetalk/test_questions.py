"""What SceneTalk says of a view is true, certain, and not always the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.geometry import Pose
from sim.scenetalk import captions, questions
from sim.scenetalk.samples import Talk
from sim.scenetalk.signs import sign_picture, sign_text
from sim.scenetalk.views import InView, View

RGB = np.zeros((8, 8, 3), np.uint8)


def thing(category: str, colour: str = "red", column: float = 0.5, share: float = 0.05, depth_m: float = 2.0, number: int = 0) -> InView:
    return InView(number, category, colour, column, share, depth_m, True)


def view(*things: InView, doubtful: tuple[str, ...] = (), room: str = "kitchen") -> View:
    numbered = tuple(replace(thing, thing_id=index) for index, thing in enumerate(things))
    return View(RGB, Pose((0, 0, 0), 0), room, numbered, frozenset(doubtful))


def answers(talker, seen: View, tries: int = 60) -> set[tuple[str, str]]:
    found = [talker(seen, np.random.default_rng(seed)) for seed in range(tries)]
    return {talk.turns[0] for talk in found if isinstance(talk, Talk)}


def test_colours_are_asked_of_what_is_alone_of_its_kind() -> None:
    assert {answer for _, answer in answers(questions.colour, view(thing("sofa", "blue"), thing("bed", "red"), thing("bed", "grey")))} == {
        "blue"
    }
    assert answers(questions.colour, view(thing("sofa", "blue"), doubtful=("sofa",))) == set()  # perhaps there are two
    assert answers(questions.colour, view(thing("desk", "blue"), doubtful=("coffee table",))) == set()  # it might be taken for a desk


def test_things_that_are_not_in_view_are_denied_and_doubtful_ones_are_not_asked_for() -> None:
    asked = answers(questions.presence, view(thing("sofa"), doubtful=("fridge",)), 300)
    assert ("<image>\nIs there a sofa in the picture? Answer with one word.", "Yes") in asked
    denied = {question for question, answer in asked if answer == "No"}
    assert len(denied) > 10 and not any("fridge" in question or "sofa" in question for question in denied)


def test_counts_count_what_is_clearly_there() -> None:
    found = answers(questions.count, view(thing("plant"), thing("plant"), thing("bed")))
    assert found == {("<image>\nHow many plants do you see? Answer with a number.", "2")}


@pytest.mark.parametrize(("column", "expected"), [(0.1, "left"), (0.5, "middle"), (0.9, "right")])
def test_sides_are_thirds_and_borders_are_left_out(column: float, expected: str) -> None:
    assert {answer for _, answer in answers(questions.side, view(thing("bed", column=column)))} == {expected}
    assert answers(questions.side, view(thing("bed", column=0.34))) == set()


def test_relations_hold_both_ways() -> None:
    found = answers(questions.relation, view(thing("bed", column=0.2), thing("desk", "blue", column=0.8)))
    assert len(found) == 4
    for question, answer in found:
        bed_first, left = question.index("bed") < question.index("desk"), " left " in question
        left_of = bed_first == left  # the bed is on the left
        assert (answer == "Yes") is left_of
    assert answers(questions.relation, view(thing("bed", column=0.5), thing("desk", column=0.55))) == set()


def test_the_nearer_thing_is_nearer() -> None:
    found = answers(questions.nearer, view(thing("bed", depth_m=1.0), thing("desk", depth_m=3.0)))
    assert len(found) == 2 and {answer for _, answer in found} == {"bed"}
    assert answers(questions.nearer, view(thing("bed", depth_m=1.0), thing("desk", depth_m=1.3))) == set()


def test_captions_name_what_is_in_view_nearest_first() -> None:
    seen = view(thing("bed", "red", 0.2, depth_m=3.0), thing("desk", "blue", 0.8, depth_m=1.0), room="office")
    detailed = captions.detailed_caption(seen, np.random.default_rng(0))
    assert detailed is not None
    assert (
        detailed.turns[0][1] == "This is an office. A blue desk is on the right, close by. A red bed is on the left, about 3 metres away."
    )
    assert captions.short_caption(view(), np.random.default_rng(0)) is None


def test_a_sign_is_read_when_it_is_whole_and_large() -> None:
    rng = np.random.default_rng(0)
    sign = view(thing("painting", share=0.1))
    talk = captions.sign_reading(sign, {0: "ROOM 7"}, rng)
    assert talk is not None and talk.turns[0][1] == "ROOM 7"
    assert captions.sign_reading(view(thing("painting", share=0.01)), {0: "EXIT"}, rng) is None
    assert captions.sign_reading(view(thing("painting", share=0.1), thing("painting", share=0.1)), {0: "A", 1: "B"}, rng) is None


def test_signs_differ_and_fit_their_frame() -> None:
    rng = np.random.default_rng(1)
    texts = {sign_text(rng) for _ in range(40)}
    assert len(texts) > 15
    for text in ("LIBRARY", "ROOM 36"):
        picture = sign_picture(text, 128, np.random.default_rng(3))
        inked = np.argwhere(np.abs(picture.astype(int) - picture[5, 5]).sum(-1) > 100)
        inside = inked[(inked > 6).all(1) & (inked < 121).all(1)]
        assert len(inside) > 300 and inside.min() >= 7 and np.ptp(inside[:, 1]) > 60
