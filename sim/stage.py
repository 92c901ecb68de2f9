"""One worker's stage: worlds, cameras and a policy, on which it plays episodes one after the other."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agents.events import Captured, Decided, Ended, Executed, ServerLost
from agents.guard import SIMULATION
from agents.loop import Loop, LoopConfig
from agents.policy import Policy
from agents.profiles import ForcedStop, loop_config, remote_policy
from nvila_edge.navigation.actions import Action, Primitive
from nvila_edge.navigation.agent_profiles import agent_profile
from nvila_edge.navigation.profiles import checked_instruction
from nvila_edge.serving.client import Client
from nvila_edge.serving.link import Link, LocalLink
from sim.cameras import DarkCamera, TimedCamera
from sim.decisions import DecisionLog
from sim.episodes import Choice, Dataset, Episode, load_usable, said_by_hand
from sim.maps import HouseMap
from sim.outcome import EpisodeError, EpisodeRecord, Interrupted, LeftOut, episode_result
from sim.policies import ForwardPolicy, OraclePolicy, RandomPolicy, TimedPolicy
from sim.results import MAPS, VIDEOS, Record, video_name
from sim.served import Served
from sim.stopwatch import Stopwatch
from sim.task_profiles import DEFAULT, task_of, task_profile
from sim.throughput import spent
from sim.video import Step, Story, write_video
from sim.worlds import Env, World, open_worlds

SWAP_M = 5.0  # a swapped instruction leads to a goal at least this far from the episode's own
PATIENCE_S = 60.0  # for the server: in a simulator a slow machine must not change results


@dataclass(frozen=True)
class StageSetup:
    """What a worker is told once. `address` is the server's ("" for policies that need none); `videos` are episode ids; `agent` is the name of the
    agent whose camera, steps and rules hold."""

    dataset: str
    split: str
    policy: str
    seed: int
    instructions: str
    black: bool
    out: str
    videos: tuple[str, ...]
    env: str = "house"
    profile: str = DEFAULT
    scenes: str = ""  # folder of scenes, for Habitat
    address: str = ""
    expert_counts: tuple[int, ...] = ()
    stop_after: int = 0
    agent: str = "ours"
    role: str = ""
    languages: tuple[str, ...] = ()

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


class GoalDistance:
    """The geodesic distance to an episode's goal as Habitat's measure has it: taken anew only after a move (habitat-lab, DistanceToGoal)."""

    def __init__(self, env: Env, episode: Episode) -> None:
        self._env, self._field = env, env.distances_to(np.array(episode.goal))
        self._at, self._distance_m = np.full(3, np.inf), math.inf

    def __call__(self) -> float:
        """Metres from where the agent stands now."""
        here = np.array(self._env.pose.position_m)
        if not np.allclose(self._at, here, rtol=1e-5, atol=1e-4):
            self._at, self._distance_m = here, self._field.distance(here)
        return self._distance_m


OnDecision = Callable[[int, Decided], None]  # steps so far, decision


class Stage:
    """Plays episodes of one split. Use as a context manager.

    Raises RenderError without EGL, HabitatError without Habitat, ValueError for a bad dataset.
    """

    def __init__(self, setup: StageSetup) -> None:
        self.setup, self.agent = setup, agent_profile(setup.agent)
        self.dataset: Dataset = load_usable(Path(setup.dataset), setup.split, Choice(setup.role, setup.languages))
        if setup.instructions == "by-hand":
            self.dataset = said_by_hand(self.dataset, Path(setup.dataset))
        self.episodes = {episode.episode_id: episode for episode in self.dataset.episodes}
        self._exit = ExitStack()
        scenes = Path(setup.scenes) if setup.scenes else None
        task = task_of(self.agent) if setup.env == "house" else task_profile(setup.profile)
        self._worlds = self._exit.enter_context(closing(open_worlds(setup.env, task, Path(setup.dataset), scenes)))
        self._max_steps = task.max_steps
        self._left: tuple[Action, tuple[Primitive, ...]] | None = None  # of an agent with a leaking queue
        self._client = self._exit.enter_context(Client(setup.address, silence_s=PATIENCE_S)) if setup.address else None

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def play(self, episode_id: str, on_decision: OnDecision) -> Played:
        """Play one episode. Raises LeftOut when it cannot be played as the dataset has it, Interrupted or EpisodeError."""
        watch = Stopwatch()
        with watch.span("other"):
            result, record = self._played(self.episodes[episode_id], on_decision, watch)
        timing = {
            "episode_id": episode_id, "wall_s": round(sum(watch.seconds.values()), 3), "spent_s": spent(watch.seconds, record.stages()),
            "latency_ms": [round(value, 2) for value in record.latency_ms], "stages_ms": record.stages(),
        }  # fmt: skip
        return Played(result, timing)

    def _played(self, episode: Episode, on_decision: OnDecision, watch: Stopwatch) -> tuple[Record, EpisodeRecord]:
        with watch.span("load"):
            world, instruction = self._prepared(episode)
        env, goal = world.env, np.array(episode.goal)
        record = EpisodeRecord(env, DecisionLog(world.expert(goal), looks=self._client is not None and not self.setup.black))
        camera = TimedCamera(DarkCamera(self.agent.camera) if self.setup.black or self._client is None else env, watch)
        policy = TimedPolicy(self._policy(episode, world), watch)
        loop = Loop(policy, camera, env, self._link, self._loop_config, self._forced(episode, env))
        loop.left = self._left
        self._follow(loop, instruction, episode.episode_id, record, on_decision)
        self._left = loop.left
        truth = self.dataset.ground_truth.get(episode.episode_id)
        result, distances = episode_result(episode, instruction, env, record, truth, world.rooms)
        with watch.span("video"):
            if episode.episode_id in self.setup.videos:
                self._film(result, record, distances, world)
            record.log.save(Path(self.setup.out), episode.episode_id)
            self._save_map(world)
        return result, record

    def _prepared(self, episode: Episode) -> tuple[World, str]:
        """The episode's scene with the agent at its start, and what it is told. Raises LeftOut."""
        try:
            world = self._worlds[episode.scene_id]
            start = world.env.reset(episode.start)
            instruction = self._of_another(episode, world) if self.setup.instructions == "swapped" else episode.instruction
            checked_instruction(instruction)  # asked as it is written: tidying is the agent's
        except ValueError as error:
            raise LeftOut(str(error)) from error
        world.check(episode, start)
        return world, instruction

    @property
    def _link(self) -> Link:
        return self._client or LocalLink()

    def _policy(self, episode: Episode, world: World) -> Policy:
        setup = self.setup
        match setup.policy:
            case "oracle":
                expert = world.expert(np.array(episode.goal))
                return OraclePolicy(lambda: expert(world.env.pose, 0))
            case "random":
                return RandomPolicy(setup.expert_counts, setup.stop_after, setup.seed)
            case "forward":
                return ForwardPolicy(setup.stop_after)
        assert self._client is not None, "the engine policy has a server"
        return Served(remote_policy(self.agent, self._client, PATIENCE_S, setup.seed))

    @property
    def _loop_config(self) -> LoopConfig:
        config = loop_config(self.agent, SIMULATION, server_deadline_s=0.0)
        return replace(config, max_primitives=min(config.max_primitives, self._max_steps))

    def _forced(self, episode: Episode, env: Env) -> ForcedStop | None:
        """The agent's rule for hopeless episodes, told the distance that only a simulator knows."""
        if self.agent.privileged_stop is None:
            return None
        return ForcedStop(self.agent.privileged_stop, GoalDistance(env, episode))

    def _follow(self, loop: Loop, instruction: str, episode_id: str, record: EpisodeRecord, on_decision: OnDecision) -> None:
        if not self._link.wait_alive(PATIENCE_S):
            raise Interrupted(f"no server answers at {self.setup.address}")
        for event in loop.run(instruction, episode_id):
            match event:
                case Captured(frame):
                    record.log.captured(frame)
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
                    raise EpisodeError(f"it ended with a fault ({event.reason}): {event.message}")
                case Ended():
                    record.ended = event
                case _:
                    pass

    def _of_another(self, episode: Episode, world: World) -> str:
        """The instruction of another episode of the house whose goal is 5 m away or more; drawn from the seed and the id alone. Raises LeftOut without one."""
        others = [
            other for other in self.dataset.episodes
            if other.scene_id == episode.scene_id and other.episode_id != episode.episode_id and other.instruction != episode.instruction
        ]  # fmt: skip
        distances = world.env.distances_to(np.array(episode.goal))
        fitting = [other for other in others if SWAP_M <= distances.distance(np.array(other.goal)) < math.inf]
        if not fitting:
            raise LeftOut(f"no other instruction fits: no other goal in its house is {SWAP_M:g} m or more away")
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
            np.array(result["reference"]), np.array(result["goal"]), bool(result["success"]), result["ended"] in ("stop", "forced"),
        )  # fmt: skip
        house_map = HouseMap.load(Path(self.setup.out) / MAPS, world.name) or world.draw_map()
        write_video(Path(self.setup.out) / VIDEOS / video_name(episode_id), story, house_map, world.view)

    def _save_map(self, world: World) -> None:
        folder = Path(self.setup.out) / MAPS
        if not (folder / f"{world.name}.json").exists():
            world.draw_map().save(folder, world.name)
