"""Walks of the expert, and what is said of them: actions (stages 4 and 5), interleaved tours (stage 3), summaries and moments (stage 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nvila_edge.navigation.actions import ACTIONS, SENTENCES, Primitive, Stop, primitives
from nvila_edge.navigation.profiles import profile
from nvila_edge.navigation.window import window
from sim.env import walk
from sim.episodes import Episode
from sim.expert import Expert
from sim.houses.house import House
from sim.navmesh import NavMesh
from sim.renderer import Renderer
from sim.scenetalk.samples import IMAGE, VIDEO, Talk
from sim.scenetalk.views import View, look

MAX_DECISIONS = 60
TOUR_PICTURES = 6
VIDEO_FRAMES = 16
FRAMES_PER_S = 1.0
_DESCRIBE = (
    "Describe the way that was walked in the video.",
    "Give the instruction that leads along this way.",
    "Which way does the video follow?",
)


@dataclass(frozen=True)
class Walk:
    """The expert's walk: a view before every primitive and one at the end, the decisions as (index of their view, index in ACTIONS)."""

    episode: Episode
    views: tuple[View, ...]
    decisions: tuple[tuple[int, int], ...]


def walked(house: House, navmesh: NavMesh, renderer: Renderer, episode: Episode) -> Walk:
    """Walk an episode in a house that the renderer has loaded."""
    pose, expert, views, decisions = episode.start, Expert(navmesh, np.array(episode.goal)), [], []
    while len(decisions) < MAX_DECISIONS:
        action = ACTIONS.index(expert.action(pose))
        decisions.append((len(views), action))
        for primitive in primitives(ACTIONS[action]):
            views.append(look(house, renderer, pose))
            pose = walk(navmesh, pose, primitive) if primitive != Primitive.STOP else pose
        if ACTIONS[action] == Stop():
            break
    return Walk(episode, tuple(views), tuple(decisions))


def action_now(walk: Walk, rng: np.random.Generator) -> Talk:
    """One frame, one instruction, the next action (stage 4)."""
    at, action = walk.decisions[rng.integers(len(walk.decisions))]
    question = f'{IMAGE}\nYour task is: "{walk.episode.instruction}" What is your next action?'
    return Talk("action", ((question, SENTENCES[action]),), (walk.views[at].rgb,), SENTENCES[action])


def action_with_history(walk: Walk, rng: np.random.Generator, frames: int = 8) -> Talk:
    """The `navila` prompt with a window of the history, black frames in front of a short one (stage 5)."""
    at, action = walk.decisions[rng.integers(len(walk.decisions))]
    black = np.zeros_like(walk.views[0].rgb)
    pictures = tuple(black if index is None else walk.views[index].rgb for index in window(at + 1, frames))
    return Talk(
        "navigation", ((profile("navila", frames).user_text(walk.episode.instruction), SENTENCES[action]),), pictures, SENTENCES[action]
    )


def tour(walk: Walk) -> Talk | None:
    """Pictures and sentences in turn (stage 3); None for a walk within one room."""
    picked = _spread(len(walk.views), TOUR_PICTURES)
    rooms = [walk.views[index].room for index in picked]
    if len(set(rooms)) < 2:
        return None
    turns, before = [], ""
    for room, index in zip(rooms, picked, strict=True):
        seen = [thing.name for thing in walk.views[index].things[:2]]
        place = f"Still in the {room}" if room == before else f"Now in the {room}" if before else f"We begin in the {room}"
        turns.append((IMAGE, place + (f", with {' and '.join(_a(name) for name in seen)} in view." if seen else ".")))
        before = room
    return Talk("tour", tuple(turns), tuple(walk.views[index].rgb for index in picked), rooms[-1])


def summary(walk: Walk, rng: np.random.Generator) -> Talk:
    """A video of the walk and the instruction that leads along it (stage 5, as EnvDrop's samples)."""
    pictures = tuple(walk.views[index].rgb for index in _spread(len(walk.views), VIDEO_FRAMES))
    return Talk(
        "summary", ((f"{VIDEO}\n{rng.choice(_DESCRIBE)}", walk.episode.instruction),), pictures, "", is_video=True, fps=FRAMES_PER_S
    )


def moment(walk: Walk, rng: np.random.Generator) -> Talk | None:
    """When is one in a room? Answered with two times in seconds, `<3.0>` (stage 5); None when no room is visited once and partly."""
    picked = _spread(len(walk.views), VIDEO_FRAMES)
    rooms = [walk.views[index].room for index in picked]
    stays = {room: [i for i, other in enumerate(rooms) if other == room] for room in set(rooms)}
    clear = sorted(room for room, at in stays.items() if at == list(range(at[0], at[-1] + 1)) and 2 <= len(at) < len(rooms))
    if not clear:
        return None
    room = str(rng.choice(clear))
    first, last = stays[room][0] / FRAMES_PER_S, (stays[room][-1] + 1) / FRAMES_PER_S
    question = f"{VIDEO}\nWhen are we in the {room}?"
    pictures = tuple(walk.views[index].rgb for index in picked)
    return Talk(
        "moment",
        ((question, f"From <{first:.1f}> to <{last:.1f}>."),),
        pictures,
        f"{int(4 * first / len(rooms))}",
        is_video=True,
        fps=FRAMES_PER_S,
    )


def _spread(total: int, count: int) -> list[int]:
    return sorted({round(i * (total - 1) / max(1, count - 1)) for i in range(count)})


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
