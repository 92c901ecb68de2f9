"""Draws episodes in generated houses and writes them as a dataset of its own: R2R_VLNCE files and GLB scenes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from sim.episodes import PAD_INDEX, UNK_INDEX, Dataset, Episode, GroundTruth, Point, encode, save_split
from sim.expert import expert_rollout
from sim.geometry import Pose
from sim.habitat_scenes import write_stage_config
from sim.houses.glb import write_glb
from sim.houses.house import SPLITS, House
from sim.houses.library import HouseLibrary, house_names, scene_id
from sim.instructions.describe import describe
from sim.instructions.layout import Layout
from sim.instructions.names import FRONTED, UNNAMED
from sim.instructions.route import resample, trace
from sim.instructions.wording import WORDINGS, Wording, vocabulary, wording_for, words_in
from sim.navmesh import NavMesh

_GOAL_GAP_M = (0.5, 1.1)  # from the thing's footprint
_STARTS = 32
_FLAT_M = 0.1  # rugs are walked over
_INSIDE_M = 0.15  # within a footprint's box by more than round and slanted pieces leave free
_TOKENS = 80  # instructions have at most 60 words
_TRIES = 400  # per episode wanted; about one in three draws becomes an episode


@dataclass(frozen=True)
class Draw:
    """What episodes are like: geodesic length_m from likely_m (within length_m), fewest words, whether the goal may lie in the start's room,
    and of the drawn routes with fewer than two doorways, how many are kept."""

    length_m: tuple[float, float]
    likely_m: tuple[float, float]
    least_words: int
    same_room: bool
    few_doors_share: float


VLN_CE = Draw((5.0, 15.0), (5.5, 12.5), 12, same_room=False, few_doors_share=0.5)  # the median stays above 8 m
SHORT = Draw((0.5, 7.0), (1.0, 6.0), 3, same_room=True, few_doors_share=1.0)  # short, so that nearly every decision depends on the words


def sample_episode(house: House, navmesh: NavMesh, rng: np.random.Generator, wording: Wording, draw: Draw = VLN_CE) -> Episode | None:
    """One draw: an episode with a true and sufficient instruction, or None when the draw is no good (draw again).

    The ids are empty strings; `house_episodes` and `build_dataset` number them.
    """
    layout = Layout(house)
    goal = _draw_goal(layout, navmesh, rng)
    if goal is None:
        return None
    start = _draw_start(layout, navmesh, goal, rng, draw)
    if start is None:
        return None
    path = navmesh.distances_to(goal).path(np.array(start.position_m))
    visits = trace(layout, path, start) if len(path) > 1 else None
    if visits is None or (len(visits) < 3 and rng.random() >= draw.few_doors_share) or _climbs(layout, navmesh, path):
        return None
    instruction = describe(layout, navmesh, path, start, rng, wording, draw.least_words)
    if instruction is None:
        return None
    length = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
    return Episode(
        "", "", scene_id(house.name), start.position_m, start.rotation_xyzw, (_point(goal),), _reference(path), instruction.text, length,
        encode(words_in(instruction.text), instruction_words(), _TOKENS),
    )  # fmt: skip


def house_episodes(house: House, navmesh: NavMesh, count: int, seed: int, split: str = "train", draw: Draw = VLN_CE) -> tuple[Episode, ...]:
    """`count` episodes of a house, numbered from 0; the same arguments give the same episodes.

    Raises RuntimeError when the house doesn't yield that many.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, SPLITS.index(split), *house.name.encode()]))
    wording = wording_for(house.name)
    episodes: list[Episode] = []
    for _ in range(_TRIES * count):
        if len(episodes) == count:
            break
        episode = sample_episode(house, navmesh, rng, wording, draw)
        if episode is not None:
            number = str(len(episodes))
            episodes.append(replace(episode, episode_id=number, trajectory_id=number))
    if len(episodes) < count:
        drawn = _TRIES * count
        raise RuntimeError(f"{house.name}: {len(episodes)} of {count} episodes in {drawn} draws; ask for fewer per house")
    return tuple(episodes)


def ground_truth(navmesh: NavMesh, episode: Episode) -> GroundTruth:
    """What the expert does, as primitives, and where it comes along."""
    rollout = expert_rollout(navmesh, episode.start, np.array(episode.goal))
    return GroundTruth(tuple(int(action) for action in rollout.primitives), tuple(_point(p) for p in rollout.locations))


@cache
def instruction_words() -> tuple[str, ...]:
    """The vocabulary of every split's `instruction_vocab`: padding, unknown, and the words of the training wording."""
    words = ["", ""]
    words[PAD_INDEX], words[UNK_INDEX] = "<pad>", "<unk>"
    return (*words, *vocabulary(WORDINGS["train"]))


def build_dataset(
    out: Path | str, split: str, houses: int, episodes: int, seed: int, scenes: bool = True, progress: Callable[[int], None] | None = None
) -> Path:
    """Draw `episodes` episodes over the first `houses` houses of a split, write them to `out/SPLIT/`, and return the episode file.

    With `scenes`, each house is written as `out/houses/NAME/NAME.glb` too. `progress` is told the number of finished episodes.
    Same arguments, same bytes. Raises ValueError for an unknown split and when there are fewer episodes than houses.
    """
    names = house_names(split, houses)
    if not 1 <= houses <= episodes:
        raise ValueError(f"{episodes} episodes in {houses} houses: ask for at least one house, and at least one episode in each")
    library = HouseLibrary(cache_size=1)
    found: list[Episode] = []
    truth: dict[str, GroundTruth] = {}
    for number, name in enumerate(names):
        house, navmesh = library[name]
        share = episodes * (number + 1) // houses - episodes * number // houses
        for episode in house_episodes(house, navmesh, share, seed, split):
            identifier = str(len(found) + 1)
            found.append(replace(episode, episode_id=identifier, trajectory_id=identifier))
            truth[identifier] = ground_truth(navmesh, episode)
        if scenes:
            path = Path(out) / scene_id(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_glb(house, path)
            write_stage_config(path)
        if progress is not None:
            progress(len(found))
    return save_split(out, Dataset(split, tuple(found), truth, instruction_words()))


def _draw_goal(layout: Layout, navmesh: NavMesh, rng: np.random.Generator) -> np.ndarray | None:
    """A navigable point [3] close to a thing in its room, rooms being equally likely; in front of the thing more often than not."""
    rooms = layout.house.rooms
    room = rooms[int(rng.integers(len(rooms)))]
    things = [i for i in layout.things_in(room.room_id) if layout.things[i].category not in UNNAMED]
    if not things:
        return None
    thing = things[int(rng.integers(len(things)))]
    half = layout.boxes[1][thing][[0, 2]]
    gap = rng.uniform(*_GOAL_GAP_M)
    if layout.things[thing].category in FRONTED and rng.random() < 0.7:
        local = np.array([rng.uniform(-0.3, 0.3) * half[0], -half[1] - gap])
    else:
        angle = rng.uniform(0, 2 * np.pi)
        ring = np.array([np.cos(angle), np.sin(angle)])
        local = np.clip(ring * 10, -half, half) + ring * gap
    x, z = layout.from_local(local, thing)[0]
    if not room.contains(float(x), float(z)) or not navmesh.is_navigable(np.array([x, 0.0, z])):
        return None
    point = np.array(_point(navmesh.snap(np.array([x, 0.0, z]))))  # rounded first, so that what is measured is what is written
    return point if navmesh.is_navigable(point) else None


def _draw_start(layout: Layout, navmesh: NavMesh, goal: np.ndarray, rng: np.random.Generator, draw: Draw) -> Pose | None:
    """A start whose way to the goal has about a drawn length; the yaw is a multiple of 15 degrees."""
    distances = navmesh.distances_to(goal)
    wanted = rng.uniform(*draw.likely_m)
    goal_room = layout.house.room_at(float(goal[0]), float(goal[2]))
    best, best_error = None, math.inf
    for _ in range(_STARTS):
        point = np.array(_point(navmesh.random_point(rng)))
        length = distances.distance(point)
        room = layout.house.room_at(float(point[0]), float(point[2]))
        if not draw.length_m[0] <= length <= draw.length_m[1] or room is None or (room is goal_room and not draw.same_room):
            continue
        if abs(length - wanted) < best_error:
            best, best_error = point, abs(length - wanted)
    yaw = math.radians(15 * int(rng.integers(24)))
    return None if best is None else Pose(_point(best), yaw)


def _climbs(layout: Layout, navmesh: NavMesh, path: np.ndarray) -> bool:
    """Whether the path [n, 3] leads over furniture: low pieces are walkable for a navmesh that forgives 0.2 m, but nobody walks there."""
    if path[:, 1].max() > navmesh.main_island.y_min_m + 0.1:
        return True
    samples, _ = resample(path[:, [0, 2]])
    standing = [i for i, t in enumerate(layout.things) if t.size[1] > _FLAT_M and t.centre[1] - t.size[1] / 2 < _FLAT_M]
    return any((layout.depth_in_thing(samples, index) > _INSIDE_M).any() for index in standing)


def _point(point: np.ndarray) -> Point:
    """Rounded to a tenth of a millimetre: short files that any reader gives back as written."""
    x, y, z = (round(float(v), 4) for v in point)
    return (x, y, z)


def _reference(path: np.ndarray) -> tuple[Point, ...]:
    """The path's points about every 2 m, both ends included (R2R's panorama nodes lie that far apart)."""
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    at = np.linspace(0.0, lengths[-1], max(2, math.ceil(lengths[-1] / 2.0) + 1))
    return tuple(_point(point) for point in np.stack([np.interp(at, lengths, path[:, axis]) for axis in range(3)], axis=1))
