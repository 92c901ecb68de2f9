"""Makes a navigation model: frames, vision pre-training, grounding of words, then cloning and DAgger rounds. Resumes where it was cut off.

A round of DAgger is played in houses that no round had before, with the model of two rounds ago, while the round before it is trained on: what was played
in a few hundred houses again and again was learned by heart.

The working folder holds recipe.json (what it is bound to), data/ (frames and episodes by house), tokenizer/, vision.pt (the tower's
pre-training so far), question_features.npy (the finished tower's output), grounding.pt, rounds/ (recorded roll-outs), dagger.pt (model, optimizer and round
so far), state/ (the model that the workers roll out), checkpoint/ (the result, published layout) and log.jsonl.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from nvila_edge.finite import finite
from nvila_edge.model.nvila import NVILA
from nvila_edge.progress import Estimate
from nvila_edge.training.builtin import new_model
from nvila_edge.training.episode_store import load_shard
from nvila_edge.training.grounding import GroundingData
from nvila_edge.training.learner import Learner
from nvila_edge.training.recipe import VALIDATION_HOUSES, Recipe, bind_folder
from nvila_edge.training.states import save_state
from nvila_edge.training.stream import Episode, StreamLayout
from nvila_edge.training.tokenizer import save_tokenizer, train_tokenizer
from nvila_edge.training.vision_pretrain import DenseHeads, FrameSet, dense_accuracy, pretrain
from sim.collect import load_frames
from sim.curriculum import Curriculum
from sim.episodes import load_split
from sim.grounding import ground_model, questions
from sim.houses.categories import CATEGORIES, COLOURS, ROOM_KINDS, SURFACES
from sim.labels import Seen
from sim.lesson import RolloutSettings
from sim.questions import NOWHERE
from sim.results import write_atomic
from sim.training_pool import ERRANDS, ROUTES, PrepareTask, RollResult, RollTask, TrainingPool

Say = Callable[[str], None]
SAID_EVERY, SAVED_EVERY = 100, 500  # steps


class DaggerRun:
    """One training run in one folder, on a GPU where there is one (roll-outs stay on the CPU). Raises RecipeError for another recipe's folder."""

    def __init__(self, recipe: Recipe, out: Path, say: Say) -> None:
        self.recipe, self.out, self.say = recipe, out, say
        self.names = [f"train_{number:04d}" for number in range(recipe.houses)]
        self.train_names, self.validation_names = self.names[:-VALIDATION_HOUSES], self.names[-VALIDATION_HOUSES:]
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        out.mkdir(parents=True, exist_ok=True)
        bind_folder(out, recipe)
        self.pool = TrainingPool(recipe.workers)

    def run(self) -> Path:
        """Everything that is still to do; returns the checkpoint folder."""
        try:
            self.prepare()
            model = self.pretrained()
            return self.rounds(model)
        finally:
            self.pool.close()

    def log(self, **entry: object) -> None:
        """A line in log.jsonl."""
        with (self.out / "log.jsonl").open("a") as file:
            file.write(json.dumps(finite(entry)) + "\n")

    # -- data ------------------------------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Frames and episodes of every house, then the tokenizer."""
        recipe = self.recipe
        tasks = [
            self._preparing(name, recipe.vision.frames_per_house, recipe.episodes_per_house, recipe.errands_per_house)
            for name in self.names
        ]
        started_s = time.monotonic()
        for done, name in enumerate(self.pool.prepare(tasks), 1):
            if done % 20 == 0 or done == len(tasks):
                elapsed_s = time.monotonic() - started_s
                self.say(f"houses: {done}/{len(tasks)} prepared ({name}), {elapsed_s / done * (len(tasks) - done):.0f} s to go")
        if not (self.out / "tokenizer" / "tokenizer.json").exists():
            texts = [e.instruction.lower() for name in self.names for e in load_split(self.out / "data" / ROUTES, name).episodes]
            words = " ".join((*CATEGORIES, *COLOURS, *ROOM_KINDS, NOWHERE, "where is which side do you see left middle right"))
            save_tokenizer(train_tokenizer([*texts, *[words] * 50], recipe.vocabulary), self.out / "tokenizer")

    def _preparing(self, house: str, frames: int, routes: int, errands: int) -> PrepareTask:
        size = self.recipe.model
        return PrepareTask(house, str(self.out / "data"), frames, routes, errands, size.image, size.image // size.patch, self.recipe.seed)

    def frames(self, names: list[str]) -> tuple[FrameSet, list[list[Seen]]]:
        """Labelled frames of these houses."""
        return load_frames([self.out / "data" / "frames" / name for name in names])

    # -- vision ----------------------------------------------------------------------------------------------------------------------

    def pretrained(self) -> NVILA:
        """A model whose tower has been pre-trained (going on from vision.pt)."""
        recipe, stage = self.recipe, self.recipe.vision
        torch.manual_seed(recipe.seed)
        tokenizer = Tokenizer.from_file(str(self.out / "tokenizer" / "tokenizer.json"))
        model = new_model(recipe.model, tokenizer)
        model.tokenizer_folder = self.out / "tokenizer"
        heads = DenseHeads(recipe.model.vision_hidden, len(CATEGORIES), len(COLOURS) + 1, len(ROOM_KINDS)).to(self.device)
        model.to(self.device)
        state_file, first, optimizer = self.out / "vision.pt", 0, None
        if state_file.exists():
            state = torch.load(state_file, weights_only=True, map_location=self.device)
            model.vision_tower.load_state_dict(state["tower"])
            heads.load_state_dict(state["heads"])
            first = state["step"]
            optimizer = torch.optim.AdamW([*model.vision_tower.parameters(), *heads.parameters()], weight_decay=0.0)
            optimizer.load_state_dict(state["optimizer"])
        if first < stage.steps:
            training, _ = self.frames(self.train_names)
            validation, _ = self.frames(self.validation_names)
            for step, opt in pretrain(
                model.vision_tower, heads, training, steps=stage.steps, batch_size=stage.batch_size, learning_rate=stage.learning_rate,
                seed=recipe.seed, first_step=first, optimizer=optimizer,
                report=lambda step, s, parts: self.say(f"vision: step {step}/{stage.steps}, {s:.0f} s, " + _numbers(parts)),
            ):  # fmt: skip
                save_state(
                    state_file,
                    {"tower": model.vision_tower.state_dict(), "heads": heads.state_dict(), "step": step, "optimizer": opt.state_dict()},
                )
                if step % 1000 == 0 or step == stage.steps:
                    accuracy = dense_accuracy(model.vision_tower, heads, validation, len(SURFACES))
                    self.log(stage="vision", step=step, **accuracy)
                    self.say(f"vision: held-out houses {_numbers(accuracy)}")
        return model

    # -- cloning and DAgger ----------------------------------------------------------------------------------------------------------

    def rounds(self, model: NVILA) -> Path:
        """Round 0 clones the expert; each later round adds roll-outs of the model and trains on everything so far."""
        stage = self.recipe.dagger
        for parameter in model.vision_tower.parameters():
            parameter.requires_grad_(False)
        assert model.tokenizer is not None
        self.layout = StreamLayout(model.tokenizer, self.tokens_per_frame(model))
        data = questions(self.out, model, *self.frames(self.train_names))
        ground_model(self.out, self.recipe, model, self.layout, data, self.say)
        learner = Learner(model, self.recipe.model.hidden, self.out / "dagger.pt")
        model.save_pretrained(self.out / "state")
        for number in range(learner.round, stage.rounds + 1):
            started_s = time.monotonic()
            summary = self.roll(number)
            rolled_s = time.monotonic() - started_s
            with ThreadPoolExecutor(1) as background:
                ahead = background.submit(self.roll, number + 1) if 0 < number < stage.rounds else None
                with _sharing_processors(ahead) as share:
                    loss = self.train_round(learner, number, data, share)
                learner.save(number + 1)
                if ahead is not None:
                    ahead.result()
            model.save_pretrained(self.out / "state")
            entry = {"round": number, "loss": loss, "roll_s": rolled_s, "train_s": time.monotonic() - started_s - rolled_s, **summary}
            if number % stage.validate_every == 0 or number == stage.rounds:
                entry |= self.validate()
            self.log(stage="dagger", **entry)
            self.say(f"round {number}/{stage.rounds}: {_numbers(entry)}")
        return self.save(model)

    def save(self, model: NVILA) -> Path:
        """Writes the checkpoint in float16 and returns its folder; an earlier one stays until the new one is whole."""
        checkpoint, part = self.out / "checkpoint", self.out / "checkpoint.part"
        shutil.rmtree(part, ignore_errors=True)
        model.config.raw["model_dtype"] = "torch.float16"
        model.half().save_pretrained(part)
        shutil.rmtree(checkpoint, ignore_errors=True)
        part.rename(checkpoint)
        return checkpoint

    @staticmethod
    def tokens_per_frame(model: NVILA) -> int:
        """How many tokens the projector leaves of a frame."""
        size = model.vision_tower.image_size
        return model.encode_frames([np.zeros((size, size, 3), np.uint8)]).shape[1]

    def _task(self, kind: str, houses: list[str], first: int, last: int, folder: str, settings: RolloutSettings, seed: int) -> RollTask:
        episodes, state = str(self.out / "data" / kind), str(self.out / "state")
        return RollTask(
            tuple(houses), episodes, first, last, state, folder, settings, seed, self.layout.tokens_per_frame, self.layout.window
        )

    def _settings(self, expert_share: float, temperature: float) -> RolloutSettings:
        stage = self.recipe.dagger
        return RolloutSettings(expert_share, temperature, stage.max_decisions, stage.stop_radius_m)

    def roll(self, number: int) -> dict[str, float]:
        """Records round `number` (unless it is there), routes and errands, and says how the model did."""
        stage, recipe, done = self.recipe.dagger, self.recipe, self.out / "rounds" / f"{number:03d}.json"
        if done.exists():
            return json.loads(done.read_bytes())
        for leftover in (self.out / "rounds").glob(f"{number:03d}-*"):
            shutil.rmtree(leftover)
        houses, counts = self.train_names, {ROUTES: stage.cloning_episodes_per_house, ERRANDS: recipe.errands_per_house}
        if number:
            houses, counts = self._fresh(number)
        settings = self._settings(stage.expert_share if number else 1.0, stage.temperature)
        summary: dict[str, float] = {}
        for kind, count in counts.items():
            folder = str(self.out / "rounds" / f"{number:03d}-{kind}")
            results = self.pool.roll(self._task(kind, houses, 0, count, folder, settings, recipe.seed + number))
            summary |= {f"{kind}_{name}": value for name, value in _told(results).items()}
        write_atomic(done, json.dumps(summary).encode())
        return summary

    def _fresh(self, number: int) -> tuple[list[str], dict[str, int]]:
        """Houses of a round of DAgger, which have nothing but episodes, and how many of each kind."""
        recipe, stage = self.recipe, self.recipe.dagger
        first = recipe.houses + (number - 1) * stage.houses_per_round
        houses = [f"train_{house:04d}" for house in range(first, first + stage.houses_per_round)]
        counts = {ROUTES: stage.episodes_per_house, ERRANDS: stage.errands_per_house}
        tasks = [self._preparing(house, 0, counts[ROUTES], counts[ERRANDS]) for house in houses]
        for _ in self.pool.prepare(tasks):
            pass
        return houses, counts

    def validate(self) -> dict[str, float]:
        """Greedy closed loop in held-out houses of the training family (model selection never looks at val_unseen)."""
        per_house = -(-self.recipe.dagger.validation_episodes // len(self.validation_names))
        told = {
            kind: _told(self.pool.roll(self._task(kind, self.validation_names, 0, per_house, "", self._settings(0.0, 0.0), 0)))
            for kind in (ROUTES, ERRANDS)
        }
        return {f"validation_{kind}_{name}": told[kind][name] for kind in told for name in ("SR", "OS")}

    def train_round(self, learner: Learner, number: int, data: GroundingData, share: Callable[[], None]) -> float:
        """One round's steps, `share` before each; returns the mean loss. Cosine over the whole run, 3 % warm-up."""
        stage, losses, estimate = self.recipe.dagger, [], Estimate()
        ends = [stage.cloning_steps + done * stage.steps_per_round for done in range(stage.rounds + 1)]
        routes, errands = (
            [[e for shard in shards(self.out / "rounds", n, kind) for e in load_shard(shard)] for n in range(number + 1)]
            for kind in (ROUTES, ERRANDS)
        )
        curriculum = Curriculum(stage, routes, errands)
        for step in range(max(learner.step, ends[number - 1] if number else 0), ends[number]):
            share()
            rng = np.random.default_rng([self.recipe.seed, step, 2])
            warm = min(1.0, (step + 1) / (0.03 * ends[-1]))
            rate = stage.learning_rate * warm * (0.5 + 0.5 * math.cos(math.pi * step / ends[-1]))
            asked = self.layout.collate(self._question_batch(data, rng)) if stage.question_share > 0 else None
            losses.append(learner.learn(self.layout.collate(curriculum.batch(step, rng)), asked, rate))
            if len(losses) % SAID_EVERY == 0:
                self.say(estimate.line(f"steps of round {number}", step + 1, ends[number]) + f", loss {np.mean(losses[-SAID_EVERY:]):.3f}")
            if len(losses) % SAVED_EVERY == 0:
                learner.save(number)
        return float(np.mean(losses)) if losses else math.nan

    def _question_batch(self, data: GroundingData, rng: np.random.Generator) -> list[Episode]:
        rows = rng.integers(0, len(data.features), int(self.recipe.dagger.question_share * 4 * self.recipe.dagger.batch_size))
        return [data.question(int(row), rng) for row in rows]


@contextmanager
def _sharing_processors(ahead: Future[Any] | None) -> Iterator[Callable[[], None]]:
    """A function that leaves one processor to roll-outs while they run; their processes give way to this one (sim/training_pool.py)."""
    every = torch.get_num_threads()

    def share() -> None:
        torch.set_num_threads(every if ahead is None or ahead.done() else max(1, every - 1))

    try:
        yield share
    finally:
        torch.set_num_threads(every)


def shards(rounds: Path, number: int, kind: str) -> list[Path]:
    """The complete shards of a round, one of each worker that had houses."""
    return sorted(rounds.glob(f"{number:03d}-{kind}-*[0-9]"))


def _told(results: Sequence[RollResult]) -> dict[str, float]:
    """A summary of a roll-out: counts, success rates in percent, and what the expert wanted."""
    episodes = sum(result.episodes for result in results)
    return {
        "episodes": episodes, "decisions": sum(r.decisions for r in results),
        "SR": 100 * sum(r.successes for r in results) / episodes, "OS": 100 * sum(r.oracle_successes for r in results) / episodes,
        "actions": np.sum([result.expert_actions for result in results], 0).tolist(),
    }  # fmt: skip


def _numbers(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items())
