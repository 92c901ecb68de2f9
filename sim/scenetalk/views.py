"""What a camera sees at a pose, with everything in view by name: the ground that all of SceneTalk's sentences stand on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.collect import random_pose
from sim.geometry import Pose
from sim.houses.categories import FURNITURE
from sim.houses.house import House
from sim.instructions.names import UNNAMED
from sim.labels import VISIBLE_SHARE
from sim.navmesh import NavMesh
from sim.renderer import Renderer

DOUBTFUL_SHARE = 0.001  # of the pixels: below VISIBLE_SHARE a thing is neither clearly seen nor clearly not
_TRIES = 30


@dataclass(frozen=True)
class InView:
    """A thing in view: `column` of its middle from 0 (left) to 1 (right), share of the pixels, median depth in metres along the optical axis,
    and whether it is whole: not cut off by the picture's sides."""

    thing_id: int
    category: str
    colour: str
    column: float
    share: float
    depth_m: float
    whole: bool

    @property
    def name(self) -> str:
        """Colour and category."""
        return f"{self.colour} {self.category}".strip()

    @property
    def side(self) -> str:
        """left, middle or right third of the picture."""
        return ("left", "middle", "right")[min(2, int(3 * self.column))]


@dataclass(frozen=True)
class View:
    """A picture uint8 [224, 224, 3], where it was taken, the room's kind, what is clearly in view (largest first), and the categories of what
    is only just in view."""

    rgb: np.ndarray
    pose: Pose
    room: str
    things: tuple[InView, ...]
    doubtful: frozenset[str]

    def of(self, category: str) -> list[InView]:
        """The things of a category that are clearly in view."""
        return [thing for thing in self.things if thing.category == category]


def look(house: House, renderer: Renderer, pose: Pose) -> View:
    """The view from a pose of a house that the renderer has loaded."""
    seen = renderer.observe(pose)
    things, doubtful = [], set()
    columns = np.broadcast_to((np.arange(seen.thing.shape[1]) + 0.5) / seen.thing.shape[1], seen.thing.shape)
    for thing_id in np.unique(seen.thing):
        thing, mask = house.things[thing_id], seen.thing == thing_id
        if thing.category in UNNAMED or thing.category not in (*FURNITURE, "door"):
            continue
        share = float(mask.mean())
        if share >= VISIBLE_SHARE:
            depth_m, column = float(np.median(seen.depth_m[mask])), float(columns[mask].mean())
            whole = not (mask[:, 0].any() or mask[:, -1].any())
            things.append(InView(int(thing_id), thing.category, thing.colour, column, share, depth_m, whole))
        elif share >= DOUBTFUL_SHARE:
            doubtful.add(thing.category)
    room = house.room_at(pose.position_m[0], pose.position_m[2])
    return View(seen.rgb, pose, room.kind if room else "hallway", tuple(sorted(things, key=lambda t: -t.share)), frozenset(doubtful))


def interesting_view(house: House, navmesh: NavMesh, renderer: Renderer, rng: np.random.Generator, least: int = 2) -> View:
    """A view from a random pose with at least `least` things in it (the best of 30 when none has)."""
    best: View | None = None
    for _ in range(_TRIES):
        view = look(house, renderer, random_pose(navmesh, rng))
        if best is None or len(view.things) > len(best.things):
            best = view
        if len(best.things) >= least:
            break
    assert best is not None
    return best
