"""Decisions of the expert with what it saw: what quantisation is calibrated on, and what engines are compared on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np

from nvila_edge.navigation.actions import ACTIONS, Stop, primitives
from nvila_edge.serving.jpeg import decode_jpeg, encode_jpeg
from sim.dataset import house_episodes
from sim.env import HouseEnv
from sim.expert import Expert
from sim.houses.library import HouseLibrary, house_names
from sim.renderer import Renderer

MAX_DECISIONS = 80


def expert_recordings(split: str, houses: int, per_house: int, seed: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(instruction, frames uint8 [n, 224, 224, 3] as the server receives them, actions int64 [n] in the order of ACTIONS) per episode.

    Raises ValueError for an unknown split, RenderError without EGL.
    """
    library = HouseLibrary(1)
    with closing(Renderer()) as renderer:
        for name in house_names(split, houses):
            house, navmesh = library[name]
            for episode in house_episodes(house, navmesh, per_house, seed, split):
                env, expert = HouseEnv(house, navmesh, renderer), Expert(navmesh, np.array(episode.goal))
                env.reset(episode.start)
                yield episode.instruction, *_follow(env, expert)


def _follow(env: HouseEnv, expert: Expert) -> tuple[np.ndarray, np.ndarray]:
    """Frames and actions of one episode."""
    frames, actions = [], []
    while len(actions) < MAX_DECISIONS and (not actions or ACTIONS[actions[-1]] != Stop()):
        frames.append(decode_jpeg(encode_jpeg(env.capture().rgb)))
        actions.append(ACTIONS.index(expert.action(env.pose)))
        for primitive in primitives(ACTIONS[actions[-1]]):
            env.execute(primitive)
    return np.stack(frames), np.array(actions, np.int64)
