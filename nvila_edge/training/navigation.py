"""Recorded roll-outs as training samples: what a model of the `navila` profile is asked on the robot, and the sentence that is right there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nvila_edge.navigation.profiles import PromptProfile, profile
from nvila_edge.navigation.window import window
from nvila_edge.training.recorded import Recorded, RecordedSet
from nvila_edge.training.samples import Exchange, Faults, Sample, Source, reader

_BLACK = np.zeros(
    (448, 448, 3), np.uint8
)  # pads a short history (NaVILA, llava/data/dataset.py: 448 x 448 in training; the tower resizes it)
_BLACK.setflags(write=False)


@reader("navila")
def read_navila(source: Source, faults: Faults) -> Iterator[Sample]:
    """NaVILA-Dataset's R2R, RxR and Human parts, as published or as `nvila-edge data collect` writes them. Raises RecordedError for another folder."""
    from nvila_edge.training.navila_layout import NavilaSamples

    return _samples(NavilaSamples(source.path), source, faults)


@reader("lerobot")
def read_lerobot(source: Source, faults: Faults) -> Iterator[Sample]:
    """LeRobot's layout, of `nvila-edge data collect --format lerobot`; needs the extra `lerobot`. Raises RecordedError for another folder."""
    from nvila_edge.training.lerobot_layout import LeRobotSamples

    return _samples(LeRobotSamples(source.path), source, faults)


def _samples(rollouts: RecordedSet, source: Source, faults: Faults) -> Iterator[Sample]:
    """A sample's id is its number in the set."""
    asked = profile("navila", source.frames)
    same: dict[Any, Any] = {}  # the samples of an episode share their frames and their question: a set has hundreds of thousands
    for number in range(len(rollouts)):
        try:
            yield _sample(str(number), rollouts[number], source, asked, same)
        except ValueError as error:
            faults.add(source.name, str(number), str(error))


def _sample(name: str, one: Recorded, source: Source, asked: PromptProfile, same: dict[Any, Any]) -> Sample:
    chosen = [one.frames[place] if place is not None else None for place in window(len(one.frames), asked.frames)]
    images = tuple(_BLACK if frame is None else same.setdefault(frame, frame) for frame in chosen)
    question = asked.user_text(one.text)
    exchange = Exchange(same.setdefault(question, question), one.answer)
    return Sample(name, source.name, (exchange,), images, system_prompt=source.system_prompt, tiled=False)
