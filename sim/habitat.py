"""Habitat behind the loop's camera and robot protocols, without habitat-lab, whose measures are matched. habitat_sim 0.3.3 was run, on Python 3.11;
0.2.4 to 0.3.2 have the same interface.

Movement is Habitat's own: its agent's actions, which pass through its navmesh filter; so are the collided flags and the geodesics.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from agents.protocols import Frame, Motion
from nvila_edge.gpu import gpus
from nvila_edge.navigation.actions import Primitive
from sim.env import triple
from sim.episode import Point
from sim.footsteps import Footsteps
from sim.geometry import Pose, yaw_of
from sim.task_profiles import TaskProfile

_CAMERA = "rgb"
_ANY_DEVICE = -1  # 0 is "CUDA device 0" to Habitat, which ends the process where EGL has only a software device
_ACTS = {Primitive.FORWARD: "move_forward", Primitive.LEFT: "turn_left", Primitive.RIGHT: "turn_right"}
FOLLOWER_RADIUS_M = 0.25  # the follower of VLN-CE's ground truth stops within one step of the goal


class HabitatError(RuntimeError):
    """Habitat is not there or cannot open a scene; the message names the mend."""


def load_habitat() -> Any:
    """The module habitat_sim, imported when it is first wanted and told to be quiet. Raises HabitatError when it is not installed."""
    for name, value in {"HABITAT_SIM_LOG": "quiet", "MAGNUM_LOG": "quiet", "LP_NUM_THREADS": "0"}.items():
        os.environ.setdefault(name, value)  # LP_NUM_THREADS: llvmpipe draws in the calling thread, as in sim/renderer.py
    try:
        import habitat_sim  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise HabitatError(
            f"habitat_sim cannot be imported ({error}). It is not on PyPI, and the stable packages of `conda install habitat-sim` are for "
            "Python 3.9, too old for nvila-edge: build it from source with Python 3.10 or newer (BUILD_FROM_SOURCE.md in "
            "facebookresearch/habitat-sim), install nvila-edge into the same environment, then ask `nvila-edge doctor habitat`"
        ) from error
    return habitat_sim


def configuration(habitat: Any, profile: TaskProfile, scene: Path) -> Any:
    """habitat_sim's Configuration of one agent with one RGB camera in the scene."""
    backend = habitat.SimulatorConfiguration()
    backend.scene_id = str(scene)
    backend.allow_sliding = profile.sliding
    backend.enable_physics = False
    backend.load_semantic_mesh = False
    backend.gpu_device_id = 0 if gpus() else _ANY_DEVICE
    camera = habitat.CameraSensorSpec()
    camera.uuid = _CAMERA
    camera.sensor_type = habitat.SensorType.COLOR
    camera.resolution = [profile.height, profile.width]
    camera.position = [0.0, profile.camera_height_m, 0.0]
    camera.orientation = [0.0, 0.0, 0.0]
    camera.hfov = profile.hfov_deg
    agent = habitat.agent.AgentConfiguration()
    agent.height, agent.radius = profile.agent_height_m, profile.agent_radius_m
    agent.sensor_specifications = [camera]
    amounts = {"move_forward": profile.forward_m, "turn_left": profile.turn_deg, "turn_right": profile.turn_deg}
    agent.action_space = {
        name: habitat.agent.ActionSpec(name, habitat.agent.ActuationSpec(amount=amount)) for name, amount in amounts.items()
    }
    return habitat.Configuration(backend, [agent])


class HabitatSim:
    """One simulator, in one scene at a time. Raises HabitatError without habitat_sim or an EGL device, or for a scene it cannot open."""

    def __init__(self, profile: TaskProfile) -> None:
        self.profile, self.habitat = profile, load_habitat()
        self._sim: Any = None
        self._scene: Path | None = None

    def close(self) -> None:
        """Give back the scene and its GL context."""
        if self._sim is not None:
            self._sim.close()
        self._sim = self._scene = None

    def open(self, scene: Path) -> Any:
        """habitat_sim's Simulator in `scene`, with a navmesh that fits the profile's body."""
        if scene == self._scene:
            return self._sim
        wanted = configuration(self.habitat, self.profile, scene)
        self._scene = None
        try:
            if self._sim is None:
                self._sim = self.habitat.Simulator(wanted)
            else:
                self._sim.reconfigure(wanted)
        except Exception as error:  # pybind11 gives whatever C++ threw
            raise HabitatError(f"Habitat cannot open {scene} ({error}); see what `nvila-edge doctor habitat` says") from error
        self._fit_navmesh(scene)
        self._scene = scene
        return self._sim

    def _fit_navmesh(self, scene: Path) -> None:
        """Use the scene's own navmesh when it is made for the profile's body, and compute one otherwise."""
        if self._sim.pathfinder.is_loaded and not self.profile.needs_own_navmesh:
            return
        settings = self.habitat.nav.NavMeshSettings()
        settings.set_defaults()
        settings.agent_radius, settings.agent_height = self.profile.agent_radius_m, self.profile.agent_height_m
        if not self._sim.recompute_navmesh(self._sim.pathfinder, settings):
            raise HabitatError(f"Habitat finds nothing to walk on in {scene}; see what `nvila-edge doctor habitat` says")


class HabitatDistances:
    """Geodesic distances to one goal, as habitat-lab's distance_to_goal measures them."""

    def __init__(self, habitat: Any, pathfinder: Any, goal: np.ndarray) -> None:
        self._pathfinder = pathfinder
        self._path = habitat.nav.MultiGoalShortestPath()
        self._path.requested_ends = [np.asarray(goal, dtype=np.float32)]

    def distance(self, point: np.ndarray) -> float:
        """Metres of Habitat's path from `point` [3] to the goal; inf when there is none."""
        self._path.requested_start = np.asarray(point, dtype=np.float32)
        return float(self._path.geodesic_distance) if self._pathfinder.find_path(self._path) else math.inf


class HabitatEnv(Footsteps):
    """Habitat's agent in one scene, with HouseEnv's interface and records."""

    def __init__(self, simulator: HabitatSim, scene: Path) -> None:
        super().__init__()
        self._habitat, self.profile = simulator.habitat, simulator.profile
        self._sim, self.scene = simulator.open(scene), scene
        self._agent = self._sim.get_agent(0)

    def reset(self, pose: Pose) -> Pose:
        """Put the agent at `pose`, forget the records, and return where it stands now.

        As in Habitat the point is taken as it is: the first action corrects one that is off the navmesh.
        Raises ValueError when nothing walkable is near.
        """
        if not np.isfinite(self.walkable_near(pose.position_m)).all():
            raise ValueError(f"nothing walkable near {pose.position_m} in {self.scene}: choose a start on the navmesh")
        return self._begin(self._place(pose))

    def walkable_near(self, point: Point) -> Point:
        """The nearest walkable point; NaN when there is none."""
        return triple(np.asarray(self._sim.pathfinder.snap_point(np.array(point, dtype=np.float32)), dtype=np.float64))

    def capture(self) -> Frame:
        """The view from the current pose, rendered now."""
        _ = self.pose
        self._frames += 1
        return Frame(self._frames - 1, self._look(), time.monotonic())

    def view(self, pose: Pose) -> np.ndarray:
        """What the camera sees at `pose`: uint8 [H, W, 3]. The agent stays where it is."""
        before = self._agent.get_state()
        self._place(pose)
        rgb = self._look()
        self._agent.set_state(before)
        return rgb

    def execute(self, primitive: Primitive | int) -> Motion:
        """Let Habitat's agent act, and record the outcome. Raises ValueError for a number that is no primitive."""
        primitive, _ = Primitive(primitive), self.pose
        collided = primitive != Primitive.STOP and bool(self._agent.act(_ACTS[primitive]))
        turned = {Primitive.LEFT: self.profile.turn_deg, Primitive.RIGHT: -self.profile.turn_deg}.get(primitive, 0.0)
        return self._went(primitive, self._read(), collided, turned)

    def distances_to(self, goal: np.ndarray) -> HabitatDistances:
        """Geodesic distances to `goal` [3] on Habitat's navmesh."""
        return HabitatDistances(self._habitat, self._sim.pathfinder, goal)

    def follower(self, goal: np.ndarray, radius_m: float = FOLLOWER_RADIUS_M) -> Callable[[], Primitive]:
        """Habitat's greedy follower of the shortest path to `goal`: the next primitive from where the agent stands.

        A stop within `radius_m` of the goal, and where the follower knows no way.
        """
        follower = self._sim.make_greedy_follower(0, radius_m)
        end = np.asarray(goal, dtype=np.float32)
        primitives: dict[str | None, Primitive] = {act: primitive for primitive, act in _ACTS.items()}

        def following() -> Primitive:
            try:
                return primitives.get(follower.next_action_along(end), Primitive.STOP)
            except self._habitat.errors.GreedyFollowerError:
                return Primitive.STOP

        return following

    def walkable(self, pixels_per_m: float) -> tuple[np.ndarray, np.ndarray]:
        """What can be walked on at the agent's height, from above: bool [z, x], and the corner [3] of smallest x and z in metres."""
        pathfinder = self._sim.pathfinder
        low, _ = pathfinder.get_bounds()
        return np.array(pathfinder.get_topdown_view(1.0 / pixels_per_m, self.pose.position_m[1])), np.array(low)

    def _place(self, pose: Pose) -> Pose:
        state = self._habitat.AgentState()
        state.position = np.array(pose.position_m, dtype=np.float32)
        state.rotation = self._habitat.utils.common.quat_from_coeffs(np.array(pose.rotation_xyzw))
        self._agent.set_state(state)
        return self._read()

    def _read(self) -> Pose:
        state = self._agent.get_state()
        rotation = self._habitat.utils.common.quat_to_coeffs(state.rotation)
        return Pose(triple(np.asarray(state.position, dtype=np.float64)), yaw_of([float(value) for value in rotation]))

    def _look(self) -> np.ndarray:
        observation = self._sim.get_sensor_observations()[_CAMERA]
        return np.ascontiguousarray(np.asarray(observation)[..., :3])
