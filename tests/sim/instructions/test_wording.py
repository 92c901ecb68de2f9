"""Templates: held out but of known words, and each one reads back as what it is meant to say."""

import itertools
import re

import pytest

from sim.instructions.meaning import LEFT, RIGHT, Approach, Arrive, Clause, Cross, Inside, Landmark, Pass, Straight, Turn
from sim.instructions.names import COLOUR_NAMES, ROOM_NAMES, THING_NAMES
from sim.instructions.reading import read
from sim.instructions.wording import WORDINGS, vocabulary, words_in

NEARS = (("next to", False), ("right in front of", True), ("directly in front of", True), ("close to", False))
SOFA = Landmark("sofa", "red")
CLAUSE_KINDS = [kind for kind in WORDINGS["train"].templates if kind not in ("opening", "joint", "last joint", "final joint")]


def merged(clauses: tuple[Clause, ...]) -> tuple[Clause, ...]:
    """Crossings that complete each other ("leave the kitchen and enter the hallway"), and "walk up to it and stop", as one clause."""
    out: list[Clause] = []
    for clause in clauses:
        last = out[-1] if out else None
        if isinstance(clause, Cross) and isinstance(last, Cross):
            out[-1] = Cross(*(first or second for first, second in zip(vars(last).values(), vars(clause).values())))
        elif isinstance(clause, Arrive) and isinstance(last, Approach | Arrive):
            out[-1] = Arrive(last.landmark or clause.landmark, clause.front, clause.room)
        else:
            out.append(clause)
    return tuple(out)


def meaning_of(kind: str, side: str, front: bool) -> Clause:
    """What a filled template of this kind should say."""
    plain = {
        "turn": Turn(side), "around": Turn("around"), "straight": Straight(), "pass": Pass(SOFA, side), "arrive": Arrive(SOFA, front),
        "arrive at": Arrive(SOFA), "arrive room": Arrive(SOFA, front, "office"), "inside": Inside("office"),
    }  # fmt: skip
    if kind in plain:
        return plain[kind]
    return Cross(
        "kitchen" if "leaving" in kind else "", side if "side" in kind.replace("beside", "") else "",
        "hallway" if "entering" in kind else "", SOFA if "beside" in kind else None,
    )  # fmt: skip


def filled(template: str, side: str, near: str) -> str:
    values = {
        "side": side, "where": f"on your {side}", "flank": f"to the {side} side", "leaving": "kitchen", "entering": "corridor",
        "room": "study", "landmark": "red couch", "near": near,
    }  # fmt: skip
    return template.format(**values)


@pytest.mark.parametrize("wording", ["train", "unseen"])
@pytest.mark.parametrize("kind", CLAUSE_KINDS)
def test_every_template_reads_back_as_its_meaning(wording: str, kind: str) -> None:
    for template, side, (near, front) in itertools.product(WORDINGS[wording].templates[kind], (LEFT, RIGHT), NEARS):
        text = filled(template, side, near)
        assert merged(read(text)) == (meaning_of(kind, side, front),), text


@pytest.mark.parametrize("wording", ["train", "unseen"])
def test_openings_and_joints_change_no_meaning(wording: str) -> None:
    templates = WORDINGS[wording].templates
    for opening, joint in itertools.product(templates["opening"], templates["joint"] + templates["last joint"] + templates["final joint"]):
        assert read(f"{opening}turn left{joint}stop by the piano.") == (Turn(LEFT), Arrive(Landmark("piano"))), opening + joint


def test_unseen_wording_is_held_out_but_of_training_words() -> None:
    train, unseen = WORDINGS["train"], WORDINGS["unseen"]
    assert not set(vocabulary(unseen)) - set(vocabulary(train))
    assert train.templates.keys() == unseen.templates.keys()
    for kind in CLAUSE_KINDS:
        assert len(set(train.templates[kind])) >= 8 and len(unseen.templates[kind]) >= 3
    for kind in (*CLAUSE_KINDS, "joint", "last joint", "final joint"):
        assert not set(train.templates[kind]) & set(unseen.templates[kind]), kind


def test_every_name_is_read_as_what_it_names() -> None:
    for category in THING_NAMES:
        for name in THING_NAMES[category]:
            assert read(f"stop by the {name}") == (Arrive(Landmark(category)),), name
            assert read(f"stop by the {COLOUR_NAMES[0]} {name}") == (Arrive(Landmark(category, COLOUR_NAMES[0])),), name
    for kind, names in ROOM_NAMES.items():
        assert all(read(f"enter the {name}") == (Cross(entering=kind),) for name in names)


def test_no_two_things_or_rooms_share_a_name() -> None:
    names = [name for group in (*THING_NAMES.values(), *ROOM_NAMES.values()) for name in group]
    assert len(names) == len(set(names))


def test_words_drop_case_and_punctuation_but_keep_hyphens() -> None:
    assert words_in("Make a U-turn, then stop by the TV.") == ["make", "a", "u-turn", "then", "stop", "by", "the", "tv"]
    assert all(re.fullmatch(r"[a-z0-9'-]+", word) for word in vocabulary(WORDINGS["train"]))


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="isn't understood"):
        read("Sing a song, then stop by the sofa.")
