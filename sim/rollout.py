"""Roll-outs of many episodes of one house in lock-step: a policy acts, the expert says what it would have done (DAgger)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from nvila_edge.model.nvila import NVILA
from nvila_edge.navigation.actions import ACTIONS, Stop, primitives
from nvila_edge.navigation.grammar import action_trie
from nvila_edge.navigation.steady import is_blocked, steadied
from nvila_edge.training.stream import UNTAUGHT, StreamLayout
from nvila_edge.training.stream import Episode as Recording
from nvila_edge.training.stream_policy import StreamPolicy
from sim.collect import as_served
from sim.env import HouseEnv
from sim.episodes import Episode
from sim.expert import Expert, looked_on
from sim.geometry import Pose
from sim.houses.house import House
from sim.houses.repaint import repainted
from sim.instructions.describe import describe
from sim.instructions.layout import Layout
from sim.instructions.parts import Parts
from sim.instructions.wording import wording_for
from sim.lesson import Lesson, RolloutSettings
from sim.metrics import SUCCESS_M
from sim.mirror import mirrored_actions, mirrored_images, mirrored_text
from sim.navmesh import NavMesh
from sim.renderer import Renderer

STOP = ACTIONS.index(Stop())


@dataclass
class _Run:
    episode: Episode
    env: HouseEnv
    expert: Expert
    text: Parts
    mirror_text: str
    features: list[np.ndarray] = field(default_factory=list)
    mirror_features: list[np.ndarray] = field(default_factory=list)
    expert_actions: list[int] = field(default_factory=list)
    executed: list[int] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)
    lesson: Lesson = field(default_factory=Lesson)
    looked: tuple[float, ...] = ()
    blocked: bool = False
    success: bool = False
    oracle_success: bool = False

    def recordings(self) -> tuple[Recording, ...]:
        """The lesson, and its mirror image where that was seen too."""
        expert, executed, part = (np.array(values) for values in (self.expert_actions, self.executed, self.parts))
        seen = Recording(self.episode.instruction, np.stack(self.features), expert, executed, spans=self.text.spans, part=part)
        if not self.mirror_features:
            return (seen,)
        features, spans = np.stack(self.mirror_features), self.text.spans_of(self.mirror_text)
        return seen, Recording(self.mirror_text, features, mirrored_actions(expert), mirrored_actions(executed), spans=spans, part=part)


@dataclass(frozen=True)
class Outcome:
    """What a roll-out gave: the recording (and of a lesson its mirror image), and whether it stopped within 3 m or ever was there."""

    recordings: tuple[Recording, ...]
    success: bool
    oracle_success: bool


class Roller:
    """Runs episodes with one model in one process."""

    def __init__(self, model: NVILA, layout: StreamLayout, settings: RolloutSettings, renderer: Renderer) -> None:
        self.model, self.layout, self.settings, self.renderer = model, layout, settings, renderer
        self.trie = action_trie(layout.tokenizer.encode)
        self.learning = settings.expert_share > 0 or settings.temperature > 0

    def run(self, house: House, navmesh: NavMesh, episodes: Sequence[Episode], rng: np.random.Generator) -> list[Outcome]:
        """All episodes of one house. With temperature 0 and no expert share this is an evaluation: a stop ends the episode."""
        self.renderer.load(repainted(house, rng) if self.learning else house)
        layout = Layout(house)
        runs = [self._start(navmesh, layout, episode, rng) for episode in episodes]
        policy = None
        if self.settings.expert_share < 1:
            policy = StreamPolicy(self.model, self.layout, [run.episode.instruction for run in runs])
        active = list(runs)
        for _ in range(self.settings.max_decisions):
            seen = self._see(active)
            probabilities = policy.probabilities(seen) if policy else np.full((len(active), len(ACTIONS)), 1 / len(ACTIONS))
            going = [row for row, run in enumerate(active) if self._decide(run, probabilities[row], rng)]
            active = [active[row] for row in going]
            if not active:
                break
            if policy:
                policy.keep(going)
                policy.tell([run.executed[-1] for run in active])
        return [Outcome(run.recordings(), run.success, run.oracle_success) for run in runs]

    def _start(self, navmesh: NavMesh, layout: Layout, episode: Episode, rng: np.random.Generator) -> _Run:
        env = HouseEnv(layout.house, navmesh, self.renderer)
        start = env.reset(episode.start)
        expert = Expert(navmesh, np.asarray(episode.goal), goal_radius_m=self.settings.stop_radius_m)
        mirror_text = mirrored_text(self._reworded(navmesh, layout, expert, start, episode, rng)) if self.learning else ""
        return _Run(episode, env, expert, Parts(layout, expert.distances, start, episode.instruction), mirror_text)

    @staticmethod
    def _reworded(navmesh: NavMesh, layout: Layout, expert: Expert, start: Pose, episode: Episode, rng: np.random.Generator) -> str:
        """Another instruction for the same way, where one is found: words that stand for one lesson only are learned by heart with it."""
        path = expert.distances.path(np.array(start.position_m))
        told = describe(layout, navmesh, path, start, rng, wording_for(layout.house.name), 1) if len(path) > 1 else None
        return told.text if told else episode.instruction

    def _see(self, runs: Sequence[_Run]) -> torch.Tensor:
        """Tower output [B, P, C], float32; float16 copies go into the recordings, and the policy sees the same rounding."""
        size = self.model.vision_tower.image_size
        images = np.stack([as_served(self.renderer.rgb(run.env.pose), size) for run in runs])
        if self.learning:
            images = np.concatenate([images, mirrored_images(images)])
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            features = self.model.vision_tower(pixels).to(torch.float16)
        seen, mirrored = features[: len(runs)], features[len(runs) :]
        for run, feature in zip(runs, seen.numpy(), strict=True):
            run.features.append(feature)
        for run, feature in zip(runs if self.learning else (), mirrored.numpy(), strict=True):
            run.mirror_features.append(feature)
        return seen.float()

    def _decide(self, run: _Run, probabilities: np.ndarray, rng: np.random.Generator) -> bool:
        """Chooses, records and executes; False when the episode is over."""
        wanted = ACTIONS.index(run.expert.action(run.env.pose, run.looked))
        distance = run.expert.distance_m(run.env.pose)
        run.parts.append(run.text.at(run.env.pose))
        run.oracle_success |= distance < SUCCESS_M
        run.lesson.decided(distance)
        probabilities = steadied(probabilities, run.executed, run.blocked)
        if self.settings.temperature > 0:
            sharpened = probabilities ** (1 / self.settings.temperature)
            chosen = int(rng.choice(len(ACTIONS), p=sharpened / sharpened.sum()))
        else:
            chosen = self.trie.choose(probabilities)
        allowed = probabilities[wanted] > 0
        if rng.random() < self.settings.expert_share and allowed:
            chosen = wanted
        if chosen == STOP and wanted != STOP and self.learning:
            going_on = np.where(np.arange(len(ACTIONS)) == STOP, 0.0, probabilities)
            chosen = wanted if allowed else int(going_on.argmax())  # a wrong stop would end the lesson
        run.expert_actions.append(wanted if allowed else UNTAUGHT)
        run.executed.append(chosen)
        run.looked = looked_on(run.looked, run.env.pose, ACTIONS[chosen])
        if chosen == STOP:
            run.success = distance < SUCCESS_M
            return False
        for primitive in primitives(ACTIONS[chosen]):
            run.blocked = is_blocked(primitive, run.env.execute(primitive).moved_m)
            if run.blocked:
                break
        return not (self.learning and run.lesson.is_lost(run.expert.distance_m(run.env.pose)))
