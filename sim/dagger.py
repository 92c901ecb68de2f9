"""Makes a navigation model: frames, vision pre-training, grounding of words, then cloning and DAgger rounds. Resumes where it was cut off.

The working folder holds recipe.json (what it is bound to), data/ (frames and episodes by house), tokenizer/, vision.pt (the tower's
pre-training so far), question_features.npy (the finished tower's output), grounding.pt, rounds/ (recorded roll-outs), dagger.pt (model, optimizer and round
so far), state/ (the model that the workers roll out), checkpoint/ (the result, published layout) and log.jsonl.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from nvila_edge.model.nvila import NVILA
from nvila_edge.progress import Estimate
from nvila_edge.training.builtin import new_model
from nvila_edge.training.episode_store import load_shard
from nvila_edge.training.grounding import GroundingData
from nvila_edge.training.recipe import VALIDATION_HOUSES, Recipe, bind_folder
from nvila_edge.training.stream import Episode, StreamLayout, stream_loss
from nvila_edge.training.tokenizer import save_tokenizer, train_tokenizer
from nvila_edge.training.vision_pretrain import DenseHeads, FrameSet, dense_accuracy, pretrain
from sim.collect import load_frames
from sim.episodes import load_split
from sim.grounding import ground_model, questions, save_state
from sim.houses.categories import CATEGORIES, COLOURS, ROOM_KINDS, SURFACES
from sim.labels import Seen
from sim.questions import NOWHERE
from sim.results import write_atomic
from sim.training_pool import PrepareTask, RollTask, TrainingPool

Say = Callable[[str], None]
SAID_EVERY = 100  # steps


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
            file.write(json.dumps(entry) + "\n")

    # -- data ------------------------------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Frames and episodes of every house, then the tokenizer."""
        recipe, size = self.recipe, self.recipe.model
        tasks = [
            PrepareTask(
                name, str(self.out / "data"), recipe.vision.frames_per_house, recipe.episodes_per_house, size.image,
                size.image // size.patch, recipe.seed,
            )
            for name in self.names
        ]  # fmt: skip
        started_s = time.monotonic()
        for done, name in enumerate(self.pool.prepare(tasks), 1):
            if done % 20 == 0 or done == len(tasks):
                elapsed_s = time.monotonic() - started_s
                self.say(f"houses: {done}/{len(tasks)} prepared ({name}), {elapsed_s / done * (len(tasks) - done):.0f} s to go")
        if not (self.out / "tokenizer" / "tokenizer.json").exists():
            texts = [e.instruction.lower() for name in self.names for e in load_split(self.out / "data" / "episodes", name).episodes]
            words = " ".join((*CATEGORIES, *COLOURS, *ROOM_KINDS, NOWHERE, "where is which side do you see left middle right"))
            save_tokenizer(train_tokenizer([*texts, *[words] * 50], recipe.vocabulary), self.out / "tokenizer")

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
        trained = [*model.mm_projector.parameters(), *model.llm.parameters()]
        assert model.tokenizer is not None
        self.layout = StreamLayout(model.tokenizer, self.tokens_per_frame(model))
        frames, seen = self.frames(self.train_names)
        data = questions(self.out, model, frames, seen)
        ground_model(self.out, self.recipe, model, self.layout, data, self.say)
        optimizer = torch.optim.AdamW(trained, lr=stage.learning_rate, weight_decay=0.0, betas=(0.9, 0.95))  # 0.999 had loss spikes
        state_file, first = self.out / "dagger.pt", 0
        if state_file.exists():
            state = torch.load(state_file, weights_only=True, map_location=self.device)
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            first = state["round"]
        model.save_pretrained(self.out / "state")
        for number in range(first, stage.rounds + 1):
            started_s = time.monotonic()
            summary = self.roll(number)
            rolled_s = time.monotonic() - started_s
            pools = [[e for shard in shards(self.out / "rounds", n) for e in load_shard(shard)] for n in range(number + 1)]
            loss = self.train_round(model, optimizer, number, pools, data)
            save_state(state_file, {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "round": number + 1})
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

    def _task(self, houses: list[str], first: int, last: int, folder: str, expert_share: float, temperature: float, seed: int) -> RollTask:
        stage = self.recipe.dagger
        return RollTask(
            tuple(houses), str(self.out / "data"), first, last, str(self.out / "state"), folder, expert_share, temperature,
            stage.max_decisions, stage.stop_radius_m, seed, self.layout.tokens_per_frame, self.layout.window,
        )  # fmt: skip

    def roll(self, number: int) -> dict[str, float]:
        """Records round `number` (unless it is there) and says how the model did."""
        stage, recipe, done = self.recipe.dagger, self.recipe, self.out / "rounds" / f"{number:03d}.json"
        if done.exists():
            return json.loads(done.read_bytes())
        rng = np.random.default_rng([recipe.seed, number, 1])
        houses = sorted(rng.choice(self.train_names, min(stage.houses_per_round, len(self.train_names)), replace=False).tolist())
        count, first = stage.episodes_per_house, int(rng.integers(0, max(1, recipe.episodes_per_house - stage.episodes_per_house + 1)))
        if number == 0:
            houses, first, count = self.train_names, 0, stage.cloning_episodes_per_house
        for leftover in (self.out / "rounds").glob(f"{number:03d}-*"):
            shutil.rmtree(leftover)
        share = 1.0 if number == 0 else stage.expert_share
        task = self._task(
            houses, first, first + count, str(self.out / "rounds" / f"{number:03d}"), share, stage.temperature, recipe.seed + number
        )
        results = self.pool.roll(task)
        episodes = sum(result.episodes for result in results)
        actions = np.sum([result.expert_actions for result in results], 0)
        summary = {
            "episodes": episodes, "decisions": sum(r.decisions for r in results),
            "SR": 100 * sum(r.successes for r in results) / episodes, "OS": 100 * sum(r.oracle_successes for r in results) / episodes,
            "actions": actions.tolist(),
        }  # fmt: skip
        write_atomic(done, json.dumps(summary).encode())
        return summary

    def validate(self) -> dict[str, float]:
        """Greedy closed loop in held-out houses of the training family (model selection never looks at val_unseen)."""
        per_house = -(-self.recipe.dagger.validation_episodes // len(self.validation_names))
        results = self.pool.roll(self._task(self.validation_names, 0, per_house, "", 0.0, 0.0, 0))
        episodes = sum(result.episodes for result in results)
        return {
            "validation_SR": 100 * sum(r.successes for r in results) / episodes,
            "validation_OS": 100 * sum(r.oracle_successes for r in results) / episodes,
        }

    def train_round(
        self, model: NVILA, optimizer: torch.optim.Optimizer, number: int, pools: list[list[Episode]],
        data: GroundingData,
    ) -> float:  # fmt: skip
        """One round's steps; returns the mean loss. Cosine over the whole run, 3 % warm-up."""
        stage, losses, estimate = self.recipe.dagger, [], Estimate()
        ends = [stage.cloning_steps + done * stage.steps_per_round for done in range(stage.rounds + 1)]
        total, model_parameters = ends[-1], [p for p in model.parameters() if p.requires_grad]
        everything = [episode for pool in pools for episode in pool]
        recent = [episode for pool in pools[-3:] for episode in pool]
        for step in range(ends[number - 1] if number else 0, ends[number]):
            rng = np.random.default_rng([self.recipe.seed, step, 2])
            warm = min(1.0, (step + 1) / (0.03 * total))
            for group in optimizer.param_groups:
                group["lr"] = stage.learning_rate * warm * (0.5 + 0.5 * math.cos(math.pi * step / total))
            with torch.autocast(self.device.type, torch.bfloat16):
                loss = stream_loss(model, self.layout.collate(self._batch(everything, recent, rng)).to(self.device))
                if stage.question_share > 0:
                    loss = loss + 0.5 * stream_loss(model, self.layout.collate(self._question_batch(data, rng)).to(self.device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model_parameters, 1.0)
            optimizer.step()
            losses.append(float(loss.detach()))
            if not np.isfinite(losses[-1]):
                raise FloatingPointError(f"the loss became {losses[-1]} at step {step}; state/ holds the last good round")
            if len(losses) % SAID_EVERY == 0:
                self.say(estimate.line(f"steps of round {number}", step + 1, ends[number]) + f", loss {np.mean(losses[-SAID_EVERY:]):.3f}")
        return float(np.mean(losses))

    def _batch(self, everything: list[Episode], recent: list[Episode], rng: np.random.Generator) -> list[Episode]:
        """Episodes of similar length: a random length is drawn through a random episode, its neighbours fill the batch."""
        stage = self.recipe.dagger
        candidates = [
            source[rng.integers(len(source))]
            for source in (recent if rng.random() < stage.recent_share else everything for _ in range(4 * stage.batch_size))
        ]
        candidates.sort(key=lambda episode: len(episode.expert))
        start = int(rng.integers(0, len(candidates) - stage.batch_size + 1))
        return candidates[start : start + stage.batch_size]

    def _question_batch(self, data: GroundingData, rng: np.random.Generator) -> list[Episode]:
        rows = rng.integers(0, len(data.features), int(self.recipe.dagger.question_share * 4 * self.recipe.dagger.batch_size))
        return [data.question(int(row), rng) for row in rows]


def shards(rounds: Path, number: int) -> list[Path]:
    """The complete shards of a round, one of each worker that had houses."""
    return sorted(rounds.glob(f"{number:03d}-*[0-9]"))


def _numbers(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items())
