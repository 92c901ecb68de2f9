"""Records what an agent sees and does in one house, and what an expert would have done: a frame per primitive, a label per decision."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agents.events import Captured, Decided, Ended, Executed, ServerLost
from agents.guard import SIMULATION
from agents.loop import Loop, LoopConfig
from agents.policy import Policy, RemotePolicy
from agents.protocols import Frame, Motion
from nvila_edge.navigation.actions import ACTIONS, Action, Primitive, Stop, sentence
from nvila_edge.navigation.decision import Decision
from nvila_edge.serving.client import Client
from nvila_edge.serving.jpeg import encode_jpeg
from nvila_edge.serving.link import Link, LocalLink
from sim.env import HouseEnv
from sim.episode import Episode
from sim.expert import Expert, looked_on
from sim.houses.house import House
from sim.lesson import Lesson
from sim.metrics import SUCCESS_M
from sim.navmesh import NavMesh
from sim.renderer import Renderer
from sim.results import write_json

FRAME_NAME = "frame_{}.jpg"  # NaVILA-Dataset's names, from 0
PATIENCE_S = 60.0  # for the server: in a simulator a slow machine must not change what is recorded
_STEPS = LoopConfig(max_primitives=500, max_decisions=1000, server_deadline_s=0.0, limits=SIMULATION)  # VLN-CE's step limit


class RecordingError(RuntimeError):
    """A roll-out could not be recorded; what is finished stays."""


@dataclass(frozen=True)
class RecordTask:
    """Record `episodes` episodes of one house, numbered from `first`: frames to `frames`/ID/, the rest to `out`/rollouts/HOUSE.json.

    source: "expert" (it drives and is the label), "dagger" (the policy at `address` drives, the expert takes over with chance `expert_share` and
    is the label) or "policy" (it drives and is the label).
    """

    house: str
    out: str
    frames: str
    first: int
    episodes: int
    split: str
    seed: int
    source: str
    address: str
    expert_share: float


@dataclass(frozen=True)
class Rollout:
    """One recorded episode. poses float [n][4]: x, y, z (metres) and yaw (radians) in front of primitive [n]; decisions: (frame, label, done),
    the last two as indices in ACTIONS."""

    video_id: str
    scene_id: str
    instruction: str
    poses: Sequence[Sequence[float]]
    primitives: Sequence[int]
    decisions: Sequence[Sequence[int]]
    ended: str
    success: bool
    distance_to_goal_m: float


def rollouts_file(out: Path, house: str) -> Path:
    """Where a house's roll-outs are; it is there only when all its frames are."""
    return out / "rollouts" / f"{house}.json"


def load_rollouts(path: Path) -> list[Rollout]:
    """What `record_house` wrote."""
    entries = json.loads(path.read_bytes())["rollouts"]
    return [Rollout(**(entry | {"distance_to_goal_m": float(entry["distance_to_goal_m"])})) for entry in entries]  # "inf" is a string


class Taught:
    """A policy beside an expert that says before every decision what it would do, and does it with chance `expert_share` (always without a
    policy). With `corrects`, a stop that the expert would not make is replaced: it would end the lesson."""

    def __init__(self, policy: Policy | None, expert: Expert, env: HouseEnv, expert_share: float, corrects: bool, rng: np.random.Generator):
        self._policy, self._expert, self._env, self._share, self._corrects, self._rng = policy, expert, env, expert_share, corrects, rng
        self.wanted: list[Action] = []
        self._looked: tuple[float, ...] = ()

    def reset(self, instruction: str, episode_id: str) -> None:
        """Begin an episode."""
        if self._policy is not None:
            self._policy.reset(instruction, episode_id)

    def observe(self, frame: Frame) -> None:
        """Show the policy what is seen."""
        if self._policy is not None:
            self._policy.observe(frame)

    def executed(self, action: Action, primitive: Primitive, motion: Motion) -> None:
        """Tell the policy what was done, be it its own decision or not."""
        if self._policy is not None:
            self._policy.executed(action, primitive, motion)

    def decide(self) -> Decision:
        """The policy's action, or the expert's."""
        wanted = self._expert.action(self._env.pose, self._looked)
        self.wanted.append(wanted)
        decision = self._policy.decide() if self._policy is not None else None  # asked even when overruled: its history must be whole
        if decision is None or self._overruled(decision.action, wanted):
            decision = Decision(wanted, sentence(wanted), 1.0)
        self._looked = looked_on(self._looked, self._env.pose, decision.action)
        return decision

    def _overruled(self, action: Action | None, wanted: Action) -> bool:
        taken_over = self._share > 0 and self._rng.random() < self._share
        wrong = action not in ACTIONS or (action == Stop() and wanted != Stop())
        return taken_over or (self._corrects and wrong)


@dataclass
class Tape:
    """What is recorded of an episode while it runs: as in Rollout, and the frames as JPEG."""

    frames: list[bytes] = field(default_factory=list)
    poses: list[tuple[float, ...]] = field(default_factory=list)
    primitives: list[int] = field(default_factory=list)
    decisions: list[tuple[int, int, int]] = field(default_factory=list)
    ended: str = "lost"


class Recorder:
    """Records episodes of one house, one after the other."""

    def __init__(self, task: RecordTask, house: House, navmesh: NavMesh, renderer: Renderer, client: Client | None) -> None:
        self._task, self._client = task, client
        self.env = HouseEnv(house, navmesh, renderer)

    def record(self, episode: Episode, video_id: str) -> tuple[Rollout, list[bytes]]:
        """The roll-out and its frames as JPEG, one per primitive. Raises RecordingError when the server fails."""
        task, env = self._task, self.env
        env.reset(episode.start)
        expert = Expert(env.navmesh, np.array(episode.goal))
        rng = np.random.default_rng(np.random.SeedSequence([task.seed, int(video_id)]))
        policy = RemotePolicy(self._client, PATIENCE_S) if self._client is not None else None
        taught = Taught(policy, expert, env, task.expert_share if task.source == "dagger" else 0.0, task.source == "dagger", rng)
        tape = self.follow(taught, expert, episode.instruction, video_id)
        left_m = expert.distance_m(env.pose)
        success = tape.ended == "stop" and left_m < SUCCESS_M
        rollout = Rollout(
            video_id, episode.scene_id, episode.instruction, tape.poses, tape.primitives, tape.decisions, tape.ended, success, left_m
        )
        return rollout, tape.frames

    def follow(self, taught: Taught, expert: Expert, instruction: str, video_id: str) -> Tape:
        """Run one episode from where the agent stands. A lesson of dagger ends when it is lost. Raises RecordingError."""
        tape, lesson, env = Tape(), Lesson(), self.env
        link: Link = self._client or LocalLink()
        if not link.wait_alive(PATIENCE_S):
            raise RecordingError(f"no server answers at {self._task.address}; what is recorded stays: give the same command again")
        seen, pose, action = b"", env.pose, None
        for event in Loop(taught, env, env, link, _STEPS).run(instruction, video_id):
            match event:
                case Captured():
                    seen, pose = encode_jpeg(event.frame.rgb), env.pose
                case Decided(decision=decision):
                    left_m = expert.distance_m(env.pose)
                    if self._task.source == "dagger" and action is not None and lesson.is_lost(left_m):
                        break  # after the whole action; what was just decided is not carried out
                    lesson.decided(left_m)
                    action = decision.action
                    self._mark(tape, taught.wanted[-1], action)
                case Executed(primitive=primitive):
                    tape.frames.append(seen)
                    tape.poses.append((*pose.position_m, pose.yaw_rad))
                    tape.primitives.append(int(primitive))
                case ServerLost(message=message) | Ended(fault=True, message=message):
                    raise RecordingError(f"episode {video_id}: {message}; what is recorded stays: give the same command again")
                case Ended(reason=reason):
                    tape.ended = reason
        tape.decisions = [mark for mark in tape.decisions if mark[0] < len(tape.frames)]  # what was rejected shows in no frame
        return tape

    def _mark(self, tape: Tape, wanted: Action, done: Action | None) -> None:
        label = done if self._task.source == "policy" else wanted
        if label in ACTIONS and done in ACTIONS:
            tape.decisions.append((len(tape.frames), ACTIONS.index(label), ACTIONS.index(done)))


def record_house(task: RecordTask, house: House, navmesh: NavMesh, renderer: Renderer) -> str:
    """Records the task unless it is done; returns the house's name. Each episode's frames are whole or not there, and so is the house's file."""
    from sim.dataset import house_episodes

    done = rollouts_file(Path(task.out), task.house)
    if done.exists():
        return task.house
    rollouts = []
    with ExitStack() as stack:
        client = stack.enter_context(Client(task.address, silence_s=PATIENCE_S)) if task.address else None
        recorder = Recorder(task, house, navmesh, renderer, client)
        for number, episode in enumerate(house_episodes(house, navmesh, task.episodes, task.seed, task.split)):
            rollout, frames = recorder.record(episode, str(task.first + number))
            _save_frames(Path(task.frames) / rollout.video_id, frames)
            rollouts.append(vars(rollout))
    done.parent.mkdir(parents=True, exist_ok=True)
    write_json(done, {"rollouts": rollouts})
    return task.house


def _save_frames(folder: Path, frames: Sequence[bytes]) -> None:
    part = folder.with_name(folder.name + ".part")
    for old in (part, folder):  # of a run that was killed in this house
        shutil.rmtree(old, ignore_errors=True)
    part.mkdir(parents=True)
    for number, data in enumerate(frames):
        (part / FRAME_NAME.format(number)).write_bytes(data)
    part.rename(folder)
