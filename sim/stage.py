"""One worker's stage: worlds, cameras and a policy, on which it plays episodes one after the other."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.events import Decided, Ended, Executed, ServerLost
from agents.guard import SIMULATION
from agents.loop import Loop, LoopConfig
from agents.policy import Policy, RemotePolicy
from agents.protocols import Camera, Frame
from nvila_edge.serving.client import Client
from nvila_edge.serving.link import Link, LocalLink
from sim.episodes import Dataset, Episode, load_split
from sim.maps import HouseMap
from sim.outcome import Distances, EpisodeError, EpisodeRecord, episode_result
from sim.policies import ForwardPolicy, OraclePolicy, RandomPolicy
from sim.renderer import CAMERA_PX
from sim.results import MAPS, VIDEOS, Record, video_name
from sim.task_profiles import DEFAULT, task_profile
from sim.video import Step, Story, write_video
from sim.worlds import World, open_worlds

SWAP_M = 5.0  # a swapped instruction leads to a goal at least this far from the episode's own
PATIENCE_S = 60.0  # for the server: in a simulator a slow machine must not change results


class Interrupted(RuntimeError):
    """The server went away during an episode, which therefore counts as not begun."""


@dataclass(frozen=True)
class StageSetup:
    """What a worker is told once. `address` is the server's ("" for policies that need none); `videos` are episode ids."""

    dataset: str
    split: str
    policy: str
    seed: int
    swapped: bool
    black: bool
    out: str
    videos: tuple[str, ...]
    env: str = "house"
    profile: str = DEFAULT
    scenes: str = ""  # folder of scenes, for Habitat
    address: str = ""
    expert_counts: tuple[int, ...] = ()
    stop_after: int = 0

    @staticmethod
    def from_json(content: Record) -> StageSetup:
        """What `asdict` and JSON made of a setup."""
        fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
        return StageSetup(**fields)


@dataclass(frozen=True)
class Played:
    """A finished episode: its line of results and of timings."""

    result: Record
    timing: Record


class DarkCamera:
    """Black frames: for `--frames black`, and for policies that do not look (nothing needs to be rendered)."""

    def __init__(self) -> None:
        self._count = 0

    def capture(self) -> Frame:
        """A black frame with the next id."""
        self._count += 1
        return Frame(self._count - 1, np.zeros((CAMERA_PX, CAMERA_PX, 3), np.uint8), time.monotonic())


class TimedCamera:
    """A camera that adds up how long capturing took."""

    def __init__(self, camera: Camera) -> None:
        self._camera, self.seconds = camera, 0.0

    def capture(self) -> Frame:
        """The camera's frame."""
        started = time.monotonic()
        frame = self._camera.capture()
        self.seconds += time.monotonic() - started
        return frame


OnDecision = Callable[[int, Decided], None]  # steps so far, decision


class Stage:
    """Plays episodes of one split. Use as a context manager.

    Raises RenderError without EGL, HabitatError without Habitat, ValueError for a bad dataset.
    """

    def __init__(self, setup: StageSetup) -> None:
        self.setup = setup
        self.dataset: Dataset = load_split(Path(setup.dataset), setup.split)
        self.episodes = {episode.episode_id: episode for episode in self.dataset.episodes}
        self._exit = ExitStack()
        scenes = Path(setup.scenes) if setup.scenes else None
        self._worlds = self._exit.enter_context(closing(open_worlds(setup.env, setup.profile, Path(setup.dataset), scenes)))
        steps = task_profile(setup.profile).max_steps
        self._config = LoopConfig(max_primitives=steps, max_decisions=2 * steps, server_deadline_s=0.0, limits=SIMULATION)
        self._client = self._exit.enter_context(Client(setup.address, silence_s=PATIENCE_S)) if setup.address else None

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def play(self, episode_id: str, on_decision: OnDecision) -> Played | None:
        """Play one episode; None when it is left out (no other instruction fits). Raises Interrupted or EpisodeError."""
        started = time.monotonic()
        episode = self.episodes[episode_id]
        world = self._worlds[episode.scene_id]
        env = world.env
        world.check(episode, env.reset(episode.start))
        instruction = self._instruction(episode, env.distances_to(np.array(episode.goal))) if self.setup.swapped else episode.instruction
        if instruction is None:
            return None
        record = EpisodeRecord(env)
        camera = TimedCamera(DarkCamera() if self.setup.black or self._client is None else env)
        loop = Loop(self._policy(episode, world), camera, env, self._link, self._config)
        self._follow(loop, instruction, episode_id, record, on_decision)
        truth = self.dataset.ground_truth.get(episode_id)
        result, distances = episode_result(episode, instruction, env, record, truth, world.rooms)
        if episode_id in self.setup.videos:
            self._film(result, record, distances, world)
        timing = {
            "episode_id": episode_id, "wall_s": round(time.monotonic() - started, 3), "render_s": round(camera.seconds, 3),
            "latency_ms": [round(value, 2) for value in record.latency_ms], "stages_ms": record.stages(),
        }  # fmt: skip
        self._save_map(world)
        return Played(result, timing)

    @property
    def _link(self) -> Link:
        return self._client or LocalLink()

    def _policy(self, episode: Episode, world: World) -> Policy:
        setup = self.setup
        match setup.policy:
            case "oracle":
                return OraclePolicy(world.expert(np.array(episode.goal)))
            case "random":
                return RandomPolicy(setup.expert_counts, setup.stop_after, setup.seed)
            case "forward":
                return ForwardPolicy(setup.stop_after)
        assert self._client is not None, "the engine policy has a server"
        return RemotePolicy(self._client, PATIENCE_S)

    def _follow(self, loop: Loop, instruction: str, episode_id: str, record: EpisodeRecord, on_decision: OnDecision) -> None:
        if not self._link.wait_alive(PATIENCE_S):
            raise Interrupted(f"no server answers at {self.setup.address}")
        for event in loop.run(instruction, episode_id):
            match event:
                case Decided():
                    record.decided(event)
                    on_decision(len(record.env.actions), event)
                case Executed():
                    record.executed()
                case ServerLost():
                    raise Interrupted(event.message)
                case Ended(fault=True, reason="server"):
                    raise Interrupted(event.message)
                case Ended(fault=True):
                    raise EpisodeError(f"episode {episode_id} ended with a fault ({event.reason}): {event.message}")
                case Ended():
                    record.ended = event
                case _:
                    pass

    def _instruction(self, episode: Episode, distances: Distances) -> str | None:
        """Of another episode of the house whose goal is 5 m away or more; drawn from the seed and the id alone."""
        others = [
            other for other in self.dataset.episodes
            if other.scene_id == episode.scene_id and other.episode_id != episode.episode_id and other.instruction != episode.instruction
        ]  # fmt: skip
        fitting = [other for other in others if SWAP_M <= distances.distance(np.array(other.goal)) < math.inf]
        if not fitting:
            return None
        rng = np.random.default_rng(np.random.SeedSequence([self.setup.seed, zlib.crc32(episode.episode_id.encode())]))
        return sorted(fitting, key=lambda other: other.episode_id)[int(rng.integers(len(fitting)))].instruction

    def _film(self, result: Record, record: EpisodeRecord, distances: list[float], world: World) -> None:
        episode_id = str(result["episode_id"])
        steps = [
            Step(pose, index, distances[index], decision + 1, record.shown[decision])
            for index, (pose, decision) in enumerate(zip(record.poses, [*record.owners, len(record.shown) - 1], strict=True))
        ]
        story = Story(
            f"{world.name}  ·  episode {episode_id}  ·  policy {self.setup.policy}", result["instruction"], steps,
            np.array(result["reference"]), np.array(result["goal"]), bool(result["success"]), result["ended"] == "stop",
        )  # fmt: skip
        house_map = HouseMap.load(Path(self.setup.out) / MAPS, world.name) or world.draw_map()
        write_video(Path(self.setup.out) / VIDEOS / video_name(episode_id), story, house_map, world.view)

    def _save_map(self, world: World) -> None:
        folder = Path(self.setup.out) / MAPS
        if not (folder / f"{world.name}.json").exists():
            world.draw_map().save(folder, world.name)
