"""Where an evaluation's episodes take place: our own renderer and navmesh (`house`), or Habitat (`habitat`), behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Protocol

import numpy as np

from agents.protocols import Camera, Robot
from sim.decisions import ExpertAction
from sim.env import HouseEnv
from sim.episodes import Episode
from sim.expert import Expert
from sim.geometry import Pose
from sim.houses.house import Room
from sim.houses.library import HouseLibrary, scene_name
from sim.maps import HouseMap, draw_map
from sim.outcome import Walked, check_house
from sim.renderer import Renderer
from sim.task_profiles import TaskProfile
from sim.video import VIEW_PX

ENVS = ("house", "habitat")
_KEPT = 2  # houses of a worker


class Env(Camera, Robot, Walked, Protocol):
    """One agent in one scene."""

    def reset(self, pose: Pose) -> Pose:
        """Put the agent at `pose` and forget the records. Raises ValueError when nothing walkable is near."""
        ...


class World(Protocol):
    """A scene with an agent in it, and what films and reports want to know of it. `rooms` is empty where they are not known."""

    @property
    def name(self) -> str:
        """What its files are called."""
        ...

    @property
    def rooms(self) -> Sequence[Room]:
        """Its rooms."""
        ...

    @property
    def env(self) -> Env:
        """The agent's camera and body."""
        ...

    def check(self, episode: Episode, start: Pose) -> None:
        """Raises LeftOut when the scene isn't the one that the episode was made for; `start` is where the agent was put."""
        ...

    def expert(self, goal: np.ndarray) -> ExpertAction:
        """What somebody who knows the way to `goal` would do from the agent's pose (and its last turn, sim/expert.py)."""
        ...

    def view(self, pose: Pose) -> np.ndarray:
        """For films: uint8 [448, 448, 3] at `pose`."""
        ...

    def draw_map(self) -> HouseMap:
        """The scene from above."""
        ...


class Worlds(Protocol):
    """The scenes of a dataset, by scene id."""

    def __getitem__(self, scene_id: str) -> World:
        """Open a scene; the one before may be gone then. Raises ValueError for a scene that isn't there."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class HouseWorld:
    """A generated house with our renderer."""

    def __init__(self, env: HouseEnv, view: Callable[[Pose], np.ndarray], renderer: Renderer) -> None:
        self.env, self._view, self._renderer = env, view, renderer
        self.name, self.rooms = env.house.name, env.house.rooms

    def view(self, pose: Pose) -> np.ndarray:
        """Drawn at the film's size."""
        return self._view(pose)

    def check(self, episode: Episode, start: Pose) -> None:
        """Houses are made from their names: one that differs from the dataset's would spoil every figure. Raises LeftOut."""
        check_house(episode, start, self.env.navmesh)

    def expert(self, goal: np.ndarray) -> ExpertAction:
        """The teacher (sim/expert.py)."""
        return Expert(self.env.navmesh, goal).action

    def draw_map(self) -> HouseMap:
        """The house without its ceilings."""
        self._renderer.show(self.env.house)
        return draw_map(self._renderer, self.rooms)


class HouseWorlds:
    """Generated houses; all of them share two renderers. Raises RenderError without EGL."""

    def __init__(self, task: TaskProfile) -> None:
        self._houses, self._turn_deg = HouseLibrary(_KEPT), round(task.turn_deg)
        self._exit = ExitStack()
        self._camera = self._exit.enter_context(closing(Renderer(task.width, task.height, task.hfov_deg)))
        self._film: Renderer | None = None

    def __getitem__(self, scene_id: str) -> HouseWorld:
        """A new agent in the house. Raises ValueError for a scene that is no generated house."""
        house, navmesh = self._houses[scene_name(scene_id)]

        def view(pose: Pose) -> np.ndarray:
            if self._film is None:
                self._film = self._exit.enter_context(closing(Renderer(VIEW_PX, VIEW_PX)))
            self._film.show(house)
            return self._film.rgb(pose)

        return HouseWorld(HouseEnv(house, navmesh, self._camera, self._turn_deg), view, self._camera)

    def close(self) -> None:
        """Give the renderers back."""
        self._exit.close()


def open_worlds(env: str, task: TaskProfile, dataset: Path, scenes: Path | None) -> Worlds:
    """The worlds of an evaluation. Raises RenderError or HabitatError when they cannot be shown here."""
    if env == "house":
        return HouseWorlds(task)
    from sim.habitat_world import HabitatWorlds

    return HabitatWorlds(task, dataset, scenes)
