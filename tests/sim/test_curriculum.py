"""What a training step reads."""

import numpy as np

from nvila_edge.training.recipe import DaggerStage
from nvila_edge.training.stream import Episode
from sim.curriculum import RECENT_ROUNDS, Curriculum

STAGE = DaggerStage(errand_steps=10, errand_share=0.25, batch_size=4, recent_share=0.5)


def _episodes(text: str, count: int) -> list[Episode]:
    lengths = np.random.default_rng(0).integers(2, 30, count)
    return [Episode(text, np.zeros((n, 1, 1), np.float16), np.zeros(n), np.zeros(n)) for n in lengths]


def _drawn(curriculum: Curriculum, steps: range) -> list[list[Episode]]:
    return [curriculum.batch(step, np.random.default_rng(step)) for step in steps]


def test_errands_come_first_and_then_have_their_share() -> None:
    curriculum = Curriculum(STAGE, [_episodes("route", 50)], [_episodes("errand", 50)])
    first, later = _drawn(curriculum, range(10)), _drawn(curriculum, range(10, 410))
    assert all({episode.text for episode in batch} == {"errand"} and len(batch) == 8 for batch in first)
    assert all(len({episode.text for episode in batch}) == 1 for batch in later)
    assert 0.17 < np.mean([batch[0].text == "errand" for batch in later]) < 0.33
    assert {len(batch) for batch in later} == {4, 8}


def test_the_last_rounds_are_drawn_more_often() -> None:
    rounds = [_episodes(str(number), 50) for number in range(2 * RECENT_ROUNDS)]
    batches = _drawn(Curriculum(STAGE, rounds, [_episodes("errand", 50)]), range(10, 410))
    texts = [episode.text for batch in batches for episode in batch if episode.text != "errand"]
    assert 0.68 < np.mean([int(text) >= RECENT_ROUNDS for text in texts]) < 0.82  # half of the draws, and half of the other half


def test_a_batch_holds_episodes_of_similar_length() -> None:
    curriculum = Curriculum(STAGE, [_episodes("route", 200)], [_episodes("errand", 200)])
    spread = [max(len(e.expert) for e in batch) - min(len(e.expert) for e in batch) for batch in _drawn(curriculum, range(10, 60))]
    assert np.mean(spread) < 10
