"""Habitat's scenes as an evaluation's worlds: Matterport's by the usual paths, our own houses by their GLB."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from nvila_edge.navigation.actions import FORWARD_STEP_CM, TURN_STEP_DEG, Action, Forward, Primitive, Stop, Turn
from sim.decisions import ExpertAction
from sim.episodes import Episode
from sim.geometry import Pose
from sim.habitat import HabitatEnv, HabitatSim
from sim.habitat_scenes import find_scene
from sim.houses.generator import generate_house
from sim.houses.house import Room
from sim.houses.library import scene_name
from sim.maps import HouseMap, draw_map
from sim.outcome import LeftOut
from sim.renderer import MapTransform
from sim.task_profiles import TaskProfile
from sim.video import VIEW_PX

_SINGLE: dict[Primitive, Action] = {
    Primitive.STOP: Stop(), Primitive.FORWARD: Forward(FORWARD_STEP_CM), Primitive.LEFT: Turn(TURN_STEP_DEG), Primitive.RIGHT: Turn(-TURN_STEP_DEG),
}  # fmt: skip
FAR_M = 1.0  # as published, starts may lie off the navmesh, whose first step corrects them: by centimetres, or a larger body's radius
_FLOOR, _SOLID = (214, 220, 226), (120, 130, 142)


class HabitatWorld:
    """One scene of Habitat's."""

    def __init__(self, env: HabitatEnv, rooms: tuple[Room, ...]) -> None:
        self.env, self.rooms, self.name = env, rooms, env.scene.stem

    def check(self, episode: Episode, start: Pose) -> None:
        """No way is compared: Habitat measures every distance anew, and its paths differ by up to 0.6 m from the exact ones in files.

        Raises LeftOut for a start that is far from all that can be walked on: the dataset was made for another scene.
        """
        away_m = math.dist(episode.start_position, self.env.walkable_near(episode.start_position))
        if away_m > FAR_M:
            raise LeftOut(f"the start {episode.start_position} is {away_m:.2f} m from what can be walked on in {self.env.scene.name}")

    def expert(self, goal: np.ndarray) -> ExpertAction:
        """Habitat's greedy follower, one primitive at a time, from where the agent stands now."""
        follower = self.env.follower(goal)
        return lambda pose, looked: _SINGLE[follower()]

    def view(self, pose: Pose) -> np.ndarray:
        """The camera's picture, its middle square, scaled to uint8 [448, 448, 3]."""
        rgb = self.env.view(pose)
        side = min(rgb.shape[:2])
        top, left = (rgb.shape[0] - side) // 2, (rgb.shape[1] - side) // 2
        return cv2.resize(rgb[top : top + side, left : left + side], (VIEW_PX, VIEW_PX), interpolation=cv2.INTER_AREA)

    def draw_map(self) -> HouseMap:
        """What can be walked on at the agent's height."""
        return draw_map(self, self.rooms)

    def top_down(self, pixels_per_m: float) -> tuple[np.ndarray, MapTransform]:
        """Walkable and not, uint8 [H, W, 3], and where world points lie in it."""
        walkable, low = self.env.walkable(pixels_per_m)
        picture = np.where(walkable[..., None], np.array(_FLOOR, np.uint8), np.array(_SOLID, np.uint8))
        return picture, MapTransform(float(low[0]), float(low[2]), pixels_per_m)


class HabitatWorlds:
    """The scenes of a dataset in one simulator. Raises HabitatError without habitat_sim."""

    def __init__(self, profile: TaskProfile, dataset: Path, scenes: Path | None) -> None:
        self._simulator, self._dataset, self._scenes = HabitatSim(profile), dataset, scenes

    def __getitem__(self, scene_id: str) -> HabitatWorld:
        """A new agent in the scene. Raises ValueError when its GLB isn't there, HabitatError when Habitat cannot open it."""
        return HabitatWorld(HabitatEnv(self._simulator, find_scene(scene_id, self._dataset, self._scenes)), _rooms(scene_id))

    def close(self) -> None:
        """Close the simulator."""
        self._simulator.close()


def _rooms(scene_id: str) -> tuple[Room, ...]:
    """A generated house is made from its name; the rooms of other scenes are not known."""
    try:
        return generate_house(scene_name(scene_id)).rooms
    except ValueError:
        return ()
