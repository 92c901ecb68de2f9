"""What training reads: dense labels, grounding questions, repainted houses."""

from __future__ import annotations

import numpy as np
import pytest

from nvila_edge.training.vision_pretrain import FrameSet
from sim.collect import collect_frames, load_frames, save_frames
from sim.grounding import doors_shown
from sim.houses.categories import CATEGORIES, COLOURS, ROOM_KINDS
from sim.houses.library import HouseLibrary
from sim.houses.repaint import repainted
from sim.labels import THIRDS, Labeller, Seen
from sim.questions import NOWHERE, frame_question
from sim.renderer import Observation, Renderer


@pytest.fixture(scope="module")
def scene():
    return HouseLibrary(1)["train_0000"]


def test_patch_labels_count_what_the_id_image_shows(scene):
    house, _ = scene
    sofa = next(thing for thing in house.things if thing.colour in COLOURS and thing.category not in ("door", "window"))
    ids = np.zeros((224, 224), np.int32)
    ids[:28, :28] = sofa.thing_id  # exactly the first patch of eight by eight
    depth = np.full((224, 224), 2.0, np.float32)
    labels = Labeller(house, 8).dense(Observation(np.zeros((224, 224, 3), np.uint8), depth, ids))
    assert labels.category_counts.sum(1).tolist() == [196] * 64
    assert labels.category_counts[0].argmax() == CATEGORIES.index(sofa.category)
    assert labels.category_counts[1].argmax() == CATEGORIES.index("void")
    assert labels.colour_counts[0].argmax() == COLOURS.index(sofa.colour)
    assert np.allclose(labels.depth_m, 2.0)


def test_things_in_view_are_named_with_their_side(scene):
    house, _ = scene
    thing = next(thing for thing in house.things if thing.category not in CATEGORIES[:6])
    ids = np.zeros((224, 224), np.int32)
    ids[100:150, 180:220] = thing.thing_id
    blank = np.zeros((224, 224, 3), np.uint8)
    seen = Labeller(house, 8).seen(Observation(blank, np.ones((224, 224), np.float32), ids))
    assert [(CATEGORIES[s.category], THIRDS[s.third]) for s in seen] == [(thing.category, "right")]


def test_frames_survive_saving_and_are_reproducible(scene, tmp_path):
    house, navmesh = scene
    renderer = Renderer(224, 224)
    first, seen = collect_frames(house, navmesh, renderer, 3, 128, 8, seed=5)
    again, _ = collect_frames(house, navmesh, renderer, 3, 128, 8, seed=5)
    save_frames(tmp_path / "a", first, seen)
    loaded, loaded_seen = load_frames([tmp_path / "a"])
    for name in ("rgb", "categories", "colours", "depth_m", "room"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
        assert np.array_equal(getattr(first, name), getattr(loaded, name))
    assert loaded_seen == seen


def test_repainting_changes_walls_and_leaves_furniture(scene):
    house, _ = scene
    other = repainted(house, np.random.default_rng(0))
    changed = [layer for layer in range(len(house.textures)) if not np.array_equal(house.textures[layer], other.textures[layer])]
    painted = {thing.thing_id for thing in house.things if thing.category in ("wall", "floor")}
    users = {int(thing) for thing in np.unique(house.mesh.thing[np.isin(house.mesh.texture, changed)])}
    assert changed and users <= painted


def test_questions_are_answered_from_what_is_seen():
    features = np.zeros((64, 8), np.float16)
    seen = [Seen(CATEGORIES.index("sofa"), COLOURS.index("red"), 2, 0.2)]
    answers = set()
    for seed in range(200):
        question = frame_question(seen, ROOM_KINDS.index("kitchen"), features, np.random.default_rng(seed))
        if "room" in question.text:
            assert question.answer == "kitchen"
        elif question.text.endswith(("the sofa?", "the red sofa?")):
            assert question.answer == "right"
        else:
            assert question.answer == NOWHERE
        answers.add(question.answer)
    assert answers == {"kitchen", "right", NOWHERE}


def test_doors_are_asked_for_by_colour_and_often_by_one_that_is_not_there():
    features, door = np.zeros((64, 8), np.float16), CATEGORIES.index("door")
    seen = [Seen(door, COLOURS.index("purple"), 2, 0.2), Seen(door, COLOURS.index("white"), 0, 0.1)]
    answers = {"purple door": "right", "white door": "left"}
    asked: list[str] = []
    for seed in range(400):
        question = frame_question(seen, 0, features, np.random.default_rng(seed))
        thing = question.text.split(" the ")[-1].rstrip("?")
        if thing.endswith(" door"):
            assert question.answer == answers.get(thing, NOWHERE)
            asked.append(question.answer)
    assert 0.25 < asked.count(NOWHERE) / len(asked) < 0.45 and set(asked) == {"right", "left", NOWHERE}


def test_a_door_is_shown_where_much_of_a_patch_is_door_and_of_its_colour():
    categories, colours = np.zeros((1, 4, len(CATEGORIES)), np.uint8), np.zeros((1, 4, len(COLOURS) + 1), np.uint8)
    categories[..., CATEGORIES.index("wall")], colours[..., len(COLOURS)] = 100, 100
    for patch, kind, share in ((1, "door", 50), (2, "sofa", 50), (3, "door", 20)):
        categories[0, patch, CATEGORIES.index(kind)] = colours[0, patch, COLOURS.index("red")] = share
        categories[0, patch, CATEGORIES.index("wall")] = colours[0, patch, len(COLOURS)] = 100 - share
    frames = FrameSet(np.zeros((1, 2, 2, 3), np.uint8), categories, colours, np.zeros((1, 4), np.float16), np.zeros(1, np.int64))
    assert np.argwhere(doors_shown(frames)).tolist() == [[0, 1, COLOURS.index("red")]]
