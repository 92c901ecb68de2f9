"""One stage of training, from its recipe to a checkpoint in the published layout. The same under torchrun as in one process.

The loss of a step is a token mean over its global batch: summed cross-entropy divided by the number of label tokens on all processes and in all rows
(as NVlabs/VILA counts it: num_items_in_batch).
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from nvila_edge.model import saving
from nvila_edge.model.loading import DTYPES
from nvila_edge.progress import Estimate
from nvila_edge.training import checkpoints
from nvila_edge.training.adapters import add_adapters, merged_state
from nvila_edge.training.checkpoints import TrainingError
from nvila_edge.training.collate import Prepared, Preparer
from nvila_edge.training.feed import Feed
from nvila_edge.training.journal import Journal
from nvila_edge.training.mixture import Mixture, load_mixture
from nvila_edge.training.packing import packed_attention, plan
from nvila_edge.training.precision import set_precision
from nvila_edge.training.ranks import Ranks
from nvila_edge.training.recipe import RecipeError, bind_folder
from nvila_edge.training.samples import Faults
from nvila_edge.training.schedule import new_optimizer, set_rates
from nvila_edge.training.sharding import shard
from nvila_edge.training.stages import StageRecipe
from nvila_edge.training.starting import freeze, open_model, result_dtype
from nvila_edge.training.states import gathered, load_optimizer, load_trainable, named_trainable, optimizer_tensors
from nvila_edge.training.step import TrainingStep, checkpoint_layers, filler

_SPEAK_EVERY_S = 5.0
_NAMED = 8  # samples of a bad batch that are named


class StageRun:
    """A stage in a folder: recipe.json, step-000123/ (checkpoints), log.jsonl, report.html, skipped.txt and, at the end, final/ (the model)."""

    def __init__(self, recipe: StageRecipe, out: Path, say: Callable[[str], None], ranks: Ranks | None = None) -> None:
        self.recipe, self.out, self.ranks = recipe, out, ranks or Ranks.start()
        self.say = say if self.ranks.main else lambda _line: None
        self._estimate, self._spoken = Estimate(), 0.0

    def run(self) -> Path:
        """Trains, or goes on where it was; returns the folder of the finished model.

        Raises RecipeError for a recipe that cannot be run (also another than the folder's), TrainingError for a loss that is not finite and a disk that
        is full.
        """
        final = self.out / "final"
        if self.ranks.main:
            self.out.mkdir(parents=True, exist_ok=True)
            bind_folder(self.out, self.recipe)
        if (final / "config.json").is_file():
            self.say(f"{self.recipe.name}: done before, {final}")
            return final
        self._open()
        try:
            with packed_attention(self.model.llm) if self.recipe.packing else nullcontext():
                self._train()
        finally:
            self.feed.close()
        self._save_final(final)
        return final

    # -- setting up ------------------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        recipe, found = self.recipe, checkpoints.complete(self.out)
        mixture = self._mixture(recipe.mixture)
        state: dict[str, Any] = checkpoints.read_state(found[-1]) if found else {"step": 0}
        whole = found[-1] / "model" if found and not recipe.tuning.adapters else None
        self.model = open_model(recipe, whole)
        self.save_dtype = DTYPES[state.get("save_dtype") or result_dtype(recipe)]
        freeze(self.model, recipe)
        torch.manual_seed(recipe.seed)  # fresh adapters
        add_adapters(self.model, recipe)
        set_precision(self.model, recipe, self.ranks.world)
        for _, parameter in named_trainable(self.model):
            parameter.data = parameter.data.clone()  # it may be mapped from the checkpoint's file
        if recipe.gradient_checkpointing:
            checkpoint_layers(self.model)
        if self.ranks.world == 1:
            self.model.to(self.ranks.device)  # FSDP moves layer by layer, so that no GPU ever holds the whole
        self.step = TrainingStep(self.model, recipe.packing)
        shard(self.step, self.ranks, recipe.precision)
        self.optimizer = new_optimizer(self.model, recipe)
        if found:
            if recipe.tuning.adapters:
                load_trainable(self.model, found[-1] / "trainable.safetensors")
            load_optimizer(self.optimizer, self.model, found[-1] / "optimizer.safetensors")
            self.say(f"going on from {found[-1]}")
        self.feed = Feed(mixture, recipe.seed, recipe.global_batch, Preparer(self.model, recipe.max_length), self.ranks, recipe.read_ahead)
        self.done = state["step"]
        self.steps = recipe.steps or max(1, round(recipe.epochs * self.feed.steps_per_epoch))
        self.journal = Journal(self.out, self.done, self.ranks.main)
        self.filler = filler(self.model)

    def _mixture(self, name: str) -> Mixture:
        if not self.recipe.data:
            raise RecipeError("the recipe names no data; set data=FILE to a mixture file (nvila_edge/recipes/data/ has a template)")
        mixture = load_mixture(Path(self.recipe.data), name, self.recipe.seed, self.say)
        if mixture.faults.total:
            self.say(mixture.faults.text())
        return mixture

    # -- training --------------------------------------------------------------------------------------------------------------------

    def _train(self) -> None:
        if not self.done:
            self._held_out()
        while self.done < self.steps:
            started = time.monotonic()
            record = self._one_step(self.done)
            self.done += 1
            self.journal.add({"step": self.done, **record, "seconds": round(time.monotonic() - started, 4)})
            self._speak(record)
            if self.done % self.recipe.save_every == 0 and self.done < self.steps:
                self._save_checkpoint()
        self._held_out()
        faults = self.feed.faults
        if faults.total:
            (self.out / f"skipped{'' if self.ranks.main else f'-{self.ranks.rank}'}.txt").write_text(faults.text() + "\n")
            self.say(faults.text())

    def _one_step(self, step: int) -> dict[str, Any]:
        """One update. What is random in it hangs on its number only."""
        torch.manual_seed((self.recipe.seed * 1_000_003 + step) * self.ranks.world + self.ranks.rank)
        rates = set_rates(self.optimizer, self.recipe, step, self.steps)
        losses: list[tuple[list[Prepared], float]] = []
        for group in self.feed.take(step, more=step + 1 < self.steps):
            losses += self._backward(group)
        batch = [one for row, _ in losses for one in row]
        total, *counts = self.ranks.sums(
            [sum(loss for _, loss in losses), sum(one.learned for one in batch), sum(one.length for one in batch), len(batch)]
        )
        labels, positions, samples = (int(count) for count in counts)
        record = {"label_tokens": labels, "positions": positions, "samples": samples, "learning_rate": rates}
        loss, norm = (total / labels, self._scaled(self.ranks.world / labels)) if labels else (None, 0.0)
        if loss is not None and not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._not_finite(step, loss, norm, losses)
        if loss is not None:  # None: every sample was left out
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return {"loss": loss, "gradient_norm": norm, **record}

    def _backward(self, group: Sequence[Prepared]) -> list[tuple[list[Prepared], float]]:
        """Adds the gradients of the summed loss; returns every row with its sum. How many labels the batch has is known only after its last group."""
        found: list[tuple[list[Prepared], torch.Tensor]] = []
        for row in self._rows(group):
            with self._autocast():
                loss = self.step(row)
            (loss if row[0] is not self.filler else loss * 0.0).backward()
            found.append((row, loss.detach()))
        return [(row, float(loss)) for row, loss in found if row[0] is not self.filler]

    def _scaled(self, scale: float) -> float:
        """Gradients of sums to those of means (FSDP has averaged them over the processes, hence `world` in the scale), clipped; returns their norm."""
        parameters = [parameter for _, parameter in named_trainable(self.model)]
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(scale)
        norm: Any = torch.nn.utils.clip_grad_norm_(parameters, self.recipe.max_grad_norm or math.inf)
        return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)

    def _rows(self, batch: Sequence[Prepared]) -> list[list[Prepared]]:
        """Rows of this process; as many as the process with most has, the rest filled up."""
        lengths = [one.length for one in batch]
        if self.recipe.packing:
            rows = [[batch[index] for index in row] for row in plan(lengths, self.recipe.max_length)]
        else:
            rows = [list(batch[start : start + self.recipe.micro_batch]) for start in range(0, len(batch), self.recipe.micro_batch)]
        missing = int(self.ranks.largest(len(rows))) - len(rows)
        return rows + [[self.filler]] * missing

    def _autocast(self) -> Any:
        """With several processes FSDP itself keeps 16-bit copies."""
        wanted = self.recipe.precision != "float32" and self.ranks.world == 1
        return torch.autocast(self.ranks.device.type, torch.bfloat16) if wanted else nullcontext()

    def _not_finite(self, step: int, loss: float, norm: float, losses: Sequence[tuple[list[Prepared], float]]) -> TrainingError:
        bad = [one.name for row, value in losses if not math.isfinite(value) for one in row] or [
            one.name for row, _ in losses for one in row
        ]
        names = ", ".join(bad[:_NAMED]) + (f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else "")
        found = checkpoints.complete(self.out)
        return TrainingError(
            f"step {step + 1}: loss {loss}, gradient norm {norm}: stopped before the weights were changed. In the batch: {names}. "
            + (f"The last good checkpoint is {found[-1]}. " if found else "No checkpoint was written yet. ")
            + "Take out the sample if one is wrong, or lower the learning rates (in another --out)"
        )

    def _speak(self, record: dict[str, Any]) -> None:
        now = time.monotonic()
        if now - self._spoken < _SPEAK_EVERY_S and self.done < self.steps:
            return
        self._spoken = now
        told = "no sample could be used" if record["loss"] is None else f"loss {record['loss']:.4f}"
        self.say(f"{self._estimate.line(self.recipe.name, self.done, self.steps)}; {told}")

    @torch.no_grad()
    def _held_out(self) -> None:
        """The held-out loss, a mean over answer tokens, before the first step and after the last."""
        if not self.recipe.held_out:
            return
        samples = [sample for part in self._mixture(self.recipe.held_out).parts for sample in part]
        training = [module for module in self.model.modules() if module.training]
        self.model.eval()
        total, learned = 0.0, 0
        for group in self.feed.all_of(samples, Faults()):
            learned += sum(one.learned for one in group)
            for row in self._rows(group):
                with self._autocast():
                    loss = self.step(row)
                total += float(loss) if row[0] is not self.filler else 0.0
        for module in training:
            module.training = True
        loss, labels = self.ranks.sums([total, learned])
        if not labels:
            raise RecipeError(f"held_out mixture {self.recipe.held_out}: not one sample can be used")
        self.journal.add({"step": self.done, "held_out_loss": loss / labels, "label_tokens": int(labels)})
        self.say(f"{self.recipe.name}: held-out loss {loss / labels:.4f} after {self.done} steps")

    # -- saving ----------------------------------------------------------------------------------------------------------------------

    def _save_checkpoint(self) -> None:
        main, recipe = self.ranks.main, self.recipe
        weights = self._weights()
        moments = gathered(optimizer_tensors(self.optimizer, self.model), main)
        own = gathered(iter(named_trainable(self.model)), main) if recipe.tuning.adapters else {}
        state = {"step": self.done, "save_dtype": str(self.save_dtype).removeprefix("torch."), "recipe": dataclasses.asdict(recipe)}

        def write(folder: Path) -> None:
            saving.save(self.model, folder / "model", weights)
            checkpoints.write_state(folder, moments, own, state)

        self._written(self.out / f"step-{self.done:06d}", write)
        if main:
            checkpoints.remove_old(self.out, recipe.keep)
            self.journal.report(recipe.name)

    def _save_final(self, final: Path) -> None:
        weights = {name: value.to(self.save_dtype) for name, value in self._weights().items()}
        self._written(final, lambda folder: saving.save(self.model, folder, weights))
        if self.ranks.main:
            self.journal.report(self.recipe.name)

    def _weights(self) -> dict[str, torch.Tensor]:
        """The whole model's tensors, adapters merged; empty but on the process that writes."""
        whole = gathered(iter(self.model.state_dict().items()), self.ranks.main)
        return merged_state(self.model, whole, self.recipe) if self.ranks.main else {}

    def _written(self, folder: Path, write: Callable[[Path], None]) -> None:
        """On the main process; the others learn whether it went well."""
        error: TrainingError | None = None
        if self.ranks.main:
            try:
                checkpoints.write_whole(folder, write)
            except TrainingError as caught:
                error = caught
        failed = self.ranks.sums([float(error is not None)])[0] > 0
        if failed:
            raise error or TrainingError(f"the main process could not write {folder}")


def run_stages(stages: Sequence[StageRecipe], out: Path, say: Callable[[str], None]) -> Path:
    """Stages one after another, each from the result of the one before; a single one in `out` itself. Returns the last one's model."""
    ranks = Ranks.start()
    try:
        result = Path()
        for number, stage in enumerate(stages):
            if number:
                stage = dataclasses.replace(stage, checkpoint=str(result))
            result = StageRun(stage, out / stage.name if len(stages) > 1 else out, say, ranks).run()
        if ranks.main:
            say(f"checkpoint: {result}")
        return result
    finally:
        ranks.stop()


def losses(folder: Path) -> list[float]:
    """The training losses of a run's log, in order."""
    lines = (json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]
