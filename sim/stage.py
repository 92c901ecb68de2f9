"""One worker's stage: houses, cameras and a policy, on which it plays episodes one after the other."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable
from contextlib import ExitStack
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
from sim.env import HouseEnv
from sim.episodes import Dataset, Episode, GroundTruth, load_split
from sim.expert import Expert
from sim.geometry import Pose
from sim.houses.house import House
from sim.houses.library import HouseLibrary, scene_name
from sim.maps import HouseMap, draw_map
from sim.metrics import episode_metrics
from sim.navmesh import NavMesh
from sim.policies import ForwardPolicy, OraclePolicy, RandomPolicy, action_index, histogram, merged
from sim.renderer import Renderer
from sim.results import MAPS, VIDEOS, Record, video_name
from sim.video import VIEW_PX, Shown, Step, Story, write_video

MAX_STEPS = 500  # VLN-CE's step limit; the stop counts
SUCCESS_M = 3.0  # VLN-CE: success is a stop nearer than this
SWAP_M = 5.0  # a swapped instruction leads to a goal at least this far from the episode's own
FRAME_PX, HFOV_DEG = 224, 90.0  # VLN-CE's camera
TOLERANCE_M = 0.1  # between the dataset's start and distance and what the house gives
PATIENCE_S = 60.0  # for the server: in a simulator a slow machine must not change results
METRICS = ("distance_to_goal", "success", "spl", "oracle_success", "ndtw", "sdtw", "path_length", "collisions", "oracle_navigation_error")


class Interrupted(RuntimeError):
    """The server went away during an episode, which therefore counts as not begun."""


class EpisodeError(RuntimeError):
    """An episode could not be played, and would not be the next time either."""


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
        return Frame(self._count - 1, np.zeros((FRAME_PX, FRAME_PX, 3), np.uint8), time.monotonic())


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
    """Plays episodes of one split. Use as a context manager. Raises RenderError without EGL, ValueError for a bad dataset."""

    def __init__(self, setup: StageSetup) -> None:
        self.setup = setup
        self.dataset: Dataset = load_split(Path(setup.dataset), setup.split)
        self.episodes = {episode.episode_id: episode for episode in self.dataset.episodes}
        self._houses = HouseLibrary(2)
        self._camera_renderer, self._video_renderer = Renderer(FRAME_PX, FRAME_PX, HFOV_DEG), None
        self._exit = ExitStack()
        self._client = self._exit.enter_context(Client(setup.address, silence_s=PATIENCE_S)) if setup.address else None
        self._goals: dict[str, dict[str, float]] = {}

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def play(self, episode_id: str, on_decision: OnDecision) -> Played | None:
        """Play one episode; None when it is left out (no other instruction fits). Raises Interrupted or EpisodeError."""
        started = time.monotonic()
        episode = self.episodes[episode_id]
        house, navmesh = self._houses[scene_name(episode.scene_id)]
        instruction = self._instruction(episode, navmesh) if self.setup.swapped else episode.instruction
        if instruction is None:
            return None
        env = HouseEnv(house, navmesh, self._camera_renderer)
        _check_house(episode, env.reset(episode.start), navmesh)
        record = _Record(env)
        camera = TimedCamera(DarkCamera() if self.setup.black or self._client is None else env)
        self._follow(Loop(self._policy(episode, env), camera, env, self._link, _CONFIG), instruction, episode_id, record, on_decision)
        truth = self.dataset.ground_truth.get(episode_id)
        result, distances = _result(episode, instruction, env, record, truth, house)
        if episode_id in self.setup.videos:
            self._film(result, record, distances, house)
        timing = {
            "episode_id": episode_id, "wall_s": round(time.monotonic() - started, 3), "render_s": round(camera.seconds, 3),
            "latency_ms": [round(value, 2) for value in record.latency_ms], "stages_ms": record.stages(),
        }  # fmt: skip
        self._save_map(house)
        return Played(result, timing)

    @property
    def _link(self) -> Link:
        return self._client or LocalLink()

    def _policy(self, episode: Episode, env: HouseEnv) -> Policy:
        setup = self.setup
        match setup.policy:
            case "oracle":
                expert = Expert(env.navmesh, np.array(episode.goal))
                return OraclePolicy(lambda: expert.action(env.pose))
            case "random":
                return RandomPolicy(setup.expert_counts, setup.stop_after, setup.seed)
            case "forward":
                return ForwardPolicy(setup.stop_after)
        assert self._client is not None, "the engine policy has a server"
        return RemotePolicy(self._client, PATIENCE_S)

    def _follow(self, loop: Loop, instruction: str, episode_id: str, record: _Record, on_decision: OnDecision) -> None:
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

    def _instruction(self, episode: Episode, navmesh: NavMesh) -> str | None:
        """Of another episode of the house whose goal is 5 m away or more; drawn from the seed and the id alone."""
        others = [
            other for other in self.dataset.episodes
            if other.scene_id == episode.scene_id and other.episode_id != episode.episode_id and other.instruction != episode.instruction
        ]  # fmt: skip
        distances = navmesh.distances_to(np.array(episode.goal))
        fitting = [other for other in others if SWAP_M <= distances.distance(np.array(other.goal)) < math.inf]
        if not fitting:
            return None
        rng = np.random.default_rng(np.random.SeedSequence([self.setup.seed, zlib.crc32(episode.episode_id.encode())]))
        return sorted(fitting, key=lambda other: other.episode_id)[int(rng.integers(len(fitting)))].instruction

    def _film(self, result: Record, record: _Record, distances: list[float], house: House) -> None:
        if self._video_renderer is None:
            self._video_renderer = Renderer(VIEW_PX, VIEW_PX, HFOV_DEG)
        renderer = self._video_renderer
        renderer.show(house)
        episode_id = str(result["episode_id"])
        steps = [
            Step(pose, index, distances[index], decision + 1, record.shown[decision])
            for index, (pose, decision) in enumerate(zip(record.poses, [*record.owners, len(record.shown) - 1], strict=True))
        ]
        story = Story(
            f"{house.name}  ·  episode {episode_id}  ·  policy {self.setup.policy}", result["instruction"], steps,
            np.array(result["reference"]), np.array(result["goal"]), bool(result["success"]), result["ended"] == "stop",
        )  # fmt: skip
        house_map = HouseMap.load(Path(self.setup.out) / MAPS, house.name) or draw_map(renderer, house.rooms)
        write_video(Path(self.setup.out) / VIDEOS / video_name(episode_id), story, house_map, renderer.rgb)

    def _save_map(self, house: House) -> None:
        folder = Path(self.setup.out) / MAPS
        if not (folder / f"{house.name}.json").exists():
            self._camera_renderer.show(house)
            draw_map(self._camera_renderer, house.rooms).save(folder, house.name)


_CONFIG = LoopConfig(max_primitives=MAX_STEPS, max_decisions=2 * MAX_STEPS, server_deadline_s=0.0, limits=SIMULATION)


class _Record:
    """What the loop's events leave behind."""

    def __init__(self, env: HouseEnv) -> None:
        self.env = env
        self.poses: list[Pose] = [env.pose]
        self.owners: list[int] = []  # the decision behind each primitive
        self.shown: list[Shown] = []
        self.trace: list[Record] = []
        self.latency_ms: list[float] = []
        self._stages_ms: dict[str, float] = {}
        self.ended: Ended | None = None

    def decided(self, event: Decided) -> None:
        decision = event.decision
        self.latency_ms.append(event.latency_ms)
        for stage, value in decision.timing_ms.items():
            self._stages_ms[stage] = self._stages_ms.get(stage, 0.0) + value
        self.shown.append(
            Shown(decision.action, decision.probability, decision.candidates, event.latency_ms if decision.timing_ms else 0.0)
        )
        self.trace.append(
            {
                "step": len(self.env.actions), "action": action_index(decision.action), "text": decision.text,
                "probability": round(decision.probability, 4), "candidates": [round(value, 4) for value in decision.candidates],
            }
        )  # fmt: skip

    def executed(self) -> None:
        self.poses.append(self.env.pose)
        self.owners.append(len(self.shown) - 1)

    def stages(self) -> dict[str, float]:
        return {stage: round(value, 2) for stage, value in sorted(self._stages_ms.items())}


def _check_house(episode: Episode, start: Pose, navmesh: NavMesh) -> None:
    """Houses are made from their names: one that differs from the dataset's would spoil every figure. Raises EpisodeError."""
    distance = navmesh.geodesic(np.array(start.position_m), np.array(episode.goal))
    told = episode.geodesic_distance_m
    if math.dist(start.position_m, episode.start_position) > TOLERANCE_M or (math.isfinite(told) and abs(distance - told) > TOLERANCE_M):
        raise EpisodeError(
            f"episode {episode.episode_id}: in {episode.scene_id} the way from start to goal is {distance:.2f} m, "
            f"the dataset says {told:.2f} m: another version of nvila-edge made it; make it again with `nvila-edge data houses`"
        )


def _result(
    episode: Episode, instruction: str, env: HouseEnv, record: _Record, truth: GroundTruth | None, house: House
) -> tuple[Record, list[float]]:
    """The episode's line of results, and the geodesic distance to the goal at every position."""
    field = env.navmesh.distances_to(np.array(episode.goal))
    distances: list[float] = []
    for index, position in enumerate(env.positions):
        still = index > 0 and position == env.positions[index - 1]
        distances.append(distances[-1] if still else field.distance(np.array(position)))
    locations = [list(point) for point in (truth.locations if truth is not None else episode.reference_path)]
    actions = [int(action) for action in env.actions]
    metrics = episode_metrics([list(p) for p in env.positions], actions, distances, env.collided, locations, SUCCESS_M)
    ended = record.ended
    assert ended is not None, "the loop's last event is Ended"
    if truth is None:  # VLN-CE measures nDTW against the ground-truth file only
        metrics |= {"ndtw": math.nan, "sdtw": math.nan}
    result: Record = {
        "episode_id": episode.episode_id, "scene_id": episode.scene_id, "instruction": instruction, "actions": actions,
        "positions": [_rounded(position) for position in env.positions], "steps": len(actions), "decisions": ended.decisions,
        "rejections": ended.rejections,
    }  # fmt: skip
    result |= {name: round(metrics[name], 6) if isinstance(metrics[name], float) else metrics[name] for name in METRICS}
    result |= {
        "ended": ended.reason, "shortest_path_length": round(distances[0], 6), "rooms_entered": rooms_entered(house, locations),
        "goal": _rounded(episode.goal), "reference": [_rounded(point) for point in locations],
        "expert_actions": histogram(merged(truth.actions)) if truth is not None else [0] * 10, "trace": record.trace,
    }  # fmt: skip
    return result, distances


def _rounded(point: tuple[float, ...] | list[float]) -> list[float]:
    """To a hundredth of a millimetre: what is below is noise of the last bits."""
    return [round(float(value), 5) for value in point]


def rooms_entered(house: House, locations: list[list[float]]) -> int:
    """How often a way enters another room than the one that it was in; points between rooms belong to the room before."""
    entered, before = 0, None
    for x, _, z in locations:
        room = house.room_at(x, z)
        if room is not None and before is not None and room.room_id != before:
            entered += 1
        before = room.room_id if room is not None else before
    return entered
