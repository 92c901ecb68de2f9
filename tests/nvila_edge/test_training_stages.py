"""Stages: what trains and what does not, going on after a kill, several processes, and what stops a run."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from nvila_edge.model.nvila import NVILA
from nvila_edge.training import trainer
from nvila_edge.training.checkpoints import TrainingError, complete
from nvila_edge.training.recipe import RecipeError
from nvila_edge.training.schedule import factor
from nvila_edge.training.stages import StageRecipe, load_stages
from nvila_edge.training.trainer import StageRun, losses, run_stages
from tests.nvila_edge.lessons import FAST, stage, write_data
from tests.tiny import save_tiny_checkpoint

RATES = {"nvila-stage1": "P", "nvila-stage2": "VP", "nvila-stage3": "PL", "nvila-stage4": "VPL", "nvila-stage5": "VPL"}
MODULES = {"V": "vision_tower", "P": "mm_projector", "L": "llm"}


def _run(recipe: StageRecipe, out: Path) -> Path:
    return StageRun(recipe, out, lambda _line: None).run()


@pytest.mark.parametrize("name", RATES)
def test_a_stage_changes_its_parts_and_no_bit_of_the_others(tmp_path, name):
    quiet = ["video_frames=0", "video_pool=''", "projector=''"]
    recipe = stage(tmp_path, "steps=2", "save_every=9", *quiet, name=name)
    before, after = NVILA.from_pretrained(recipe.checkpoint), NVILA.from_pretrained(_run(recipe, tmp_path / "out"))
    for letter, module in MODULES.items():
        pairs = [(value, getattr(after, module).state_dict()[key]) for key, value in getattr(before, module).state_dict().items()]
        changed = [not torch.equal(a, b[: len(a)]) for a, b in pairs]
        assert all(changed) if letter == "P" else any(changed) == (letter in RATES[name]), letter
    assert after.config.raw["nvila_edge_stage"] == name.removeprefix("nvila-")
    assert len(after.config.raw.get("time_token_ids", [])) == (100 if name == "nvila-stage5" else 0)


def test_frozen_parts_are_in_eval_mode_and_every_rate_counts(tmp_path, monkeypatch):
    modes, seen = [], StageRun._one_step
    monkeypatch.setattr(
        StageRun, "_one_step", lambda self, n: (modes.append([getattr(self.model, m).training for m in MODULES.values()]), seen(self, n))[1]
    )
    recipe = stage(tmp_path, "steps=2", "learning_rate.vision=0", "learning_rate.projector=1e-3", "learning_rate.language=1e-4")
    _run(recipe, tmp_path / "out")
    assert modes == [[False, True, True]] * 2
    first = json.loads((tmp_path / "out" / "log.jsonl").read_text().splitlines()[0])
    assert first["learning_rate"] == {"projector": 1e-3, "language": 1e-4}


def test_published_values_of_both_sets():
    paper = {n: load_stages(f"nvila-stage{n}")[0] for n in range(1, 6)}
    rates = {n: (r.learning_rate.vision, r.learning_rate.projector, r.learning_rate.language) for n, r in paper.items()}
    assert rates == {1: (0, 1e-3, 0), 2: (5e-5, 5e-5, 0), 3: (0, 5e-5, 5e-5), 4: (2e-5,) * 3, 5: (2e-5,) * 3}
    assert all(r.global_batch == 2048 and r.warmup == 0.03 for r in paper.values())
    released = {n: load_stages(f"nvila-stage{n}", ["values=released"])[0] for n in range(1, 6)}
    assert [r.global_batch for r in released.values()] == [512, 1024, 1024, 1024, 2048]
    assert [r.learning_rate.projector for r in released.values()] == [1e-3, 2e-5, 2e-5, 1.5e-5, 2e-5]
    assert [r.max_grad_norm for r in released.values()] == [1, 5, 1, 5, 1]
    assert released[5].pools() == [[8, 1, 1]] and released[5].max_length == 16384 and released[4].image_mode == "dynamic_s2"
    chain = load_stages("nvila-five-stages", ["nvila-stage2.max_length=99", "seed=4", "checkpoint=x"])
    assert [r.max_length for r in chain] == [8192, 99, 8192, 8192, 16384] and {r.seed for r in chain} == {4}
    assert [r.checkpoint for r in chain] == ["x", "", "", "", ""] and [r.requires for r in chain] == [
        "",
        "stage1",
        "stage2",
        "stage3",
        "stage4",
    ]


def test_the_rate_rises_then_falls_as_a_cosine():
    rates = [factor(step, 200, 0.03) for step in range(200)]
    assert rates[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1]) and rates[6] == 1 and rates[199] < 1e-3
    assert rates[6 + 97] == pytest.approx(0.5) and rates[6:] == sorted(rates[6:], reverse=True)


@pytest.mark.timeout(400)
def test_a_run_that_is_killed_goes_on_to_the_bit(tmp_path):
    recipe = stage(tmp_path, "steps=12")
    _run(recipe, tmp_path / "whole")
    command = _command(tmp_path, "steps=12")
    child = subprocess.Popen(command, cwd=tmp_path, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not complete(tmp_path / "killed") and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    assert child.wait(20) == -signal.SIGKILL, "it was done before it could be killed"
    saved = trainer.checkpoints.step_of(complete(tmp_path / "killed")[-1])
    assert 2 <= saved < 12
    final = _run(recipe, tmp_path / "killed")
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole") and len(losses(tmp_path / "whole")) == 12
    for part in ("llm", "vision_tower", "mm_projector"):
        one, other = ((root / part / "model.safetensors").read_bytes() for root in (final, tmp_path / "whole" / "final"))
        assert one == other
    assert losses(tmp_path / "whole")[-1] < losses(tmp_path / "whole")[0]


@pytest.mark.slow
@pytest.mark.timeout(660)  # three programs start, on a machine that may be busy
@pytest.mark.parametrize("overrides", [(), ("tuning.language=lora", "tuning.rank=4", "tuning.dropout=0")], ids=["full", "lora"])
def test_two_processes_give_the_losses_of_one(tmp_path, overrides):
    overrides = ("max_length=96", *overrides)  # several rows a step, not as many on both
    one = stage(tmp_path, *overrides)
    (tmp_path / "data" / "media" / "3.png").write_bytes(b"no picture")  # its process has less to do
    _run(one, tmp_path / "one")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", "2"]
    command = _command(tmp_path, *overrides, "read_ahead=1", launcher=torchrun, out="two")
    done = subprocess.run(command, cwd=tmp_path, env=_environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-5)
    a, b = NVILA.from_pretrained(tmp_path / "one" / "final"), NVILA.from_pretrained(tmp_path / "two" / "final")
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert (x - y).abs().max() < 1e-4, name
    assert "lessons/s3" in "".join(path.read_text() for path in (tmp_path / "two").glob("skipped*.txt"))


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    recipe = stage(tmp_path, "steps=6")
    small, seen = 3_000_000, StageRun._save_checkpoint
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limited(self: StageRun) -> None:  # the second time no file may be as large as a checkpoint's
        if self.done == 4:
            resource.setrlimit(resource.RLIMIT_FSIZE, (small, before[1]))
        seen(self)

    monkeypatch.setattr(StageRun, "_save_checkpoint", limited)
    try:
        with pytest.raises(
            TrainingError, match="the disk is full: .*step-000004 was not saved .*The last good checkpoint is .*step-000002"
        ):
            _run(recipe, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in complete(tmp_path / "out")] == ["step-000002"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name.startswith((".", "step"))) == ["step-000002"]
    monkeypatch.undo()
    assert len(losses(_run(recipe, tmp_path / "out").parent)) == 6


def test_a_loss_that_is_no_number_stops_and_names_the_batch(tmp_path):
    recipe = stage(tmp_path, "learning_rate.language=1e30", "max_grad_norm=0", "save_every=1")
    with pytest.raises(TrainingError, match=r"step \d: loss (nan|inf).*In the batch: lessons/s\d+.*last good checkpoint is .*step-00000\d"):
        _run(recipe, tmp_path / "out")
    state = NVILA.from_pretrained(complete(tmp_path / "out")[-1] / "model").state_dict()
    assert all(torch.isfinite(value).all() for value in state.values())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["requires=stage3"], "nvila-stage4 begins with what stage3 made; .* is one that no stage of ours made. Run stage3 first"),
        (["checkpoint="], "names no checkpoint"),
        (["data="], "names no data"),
        (["max_length=9000"], "the language model has 8192 positions"),
        (["image_mode=dynamic_s2"], "s2_scales"),
        (["mixture=stage9"], "no mixture 'stage9' .did you mean"),
        (["tuning.language=qlora"], "qlora needs an NVIDIA GPU"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_is_written(tmp_path, overrides, message):
    with pytest.raises(ValueError, match=message):
        _run(stage(tmp_path, *overrides), tmp_path / "out")
    assert not complete(tmp_path / "out") and not (tmp_path / "out" / "final").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["values=publshed"], "has no set of values 'publshed'.*there are: paper, released, released-lite"),
        (["max_lenght=4"], "unknown key max_lenght .did you mean 'max_length'"),
        (["learning_rate.vison=1"], "unknown key learning_rate.vison .did you mean 'vision'"),
        (["learning_rate.projector=0"], "every learning rate is 0"),
        (["learning_rate.projector=nan"], "learning_rate.projector is nan"),
        (["global_batch=0"], "global_batch is 0"),
        (["video_pool=8x1"], 'expected frames x rows x columns, for example "8x1x1"'),
        (["precision=bf16"], "precision is 'bf16'"),
        (["tuning.vision=lra"], "tuning.vision is 'lra' .did you mean 'lora'"),
    ],
)
def test_mistakes_in_a_recipe_are_named(overrides, message):
    with pytest.raises(RecipeError, match=message):
        load_stages("nvila-stage1", overrides)


def test_a_folder_of_another_recipe_is_refused_and_a_done_one_is_not_done_again(tmp_path):
    final = _run(stage(tmp_path, "steps=2"), tmp_path / "out")
    stamp = (final / "config.json").stat().st_mtime_ns
    assert _run(stage(tmp_path, "steps=2"), tmp_path / "out") == final and (final / "config.json").stat().st_mtime_ns == stamp
    with pytest.raises(RecipeError, match="holds a run of another recipe .steps 2 there, 3 now"):
        _run(stage(tmp_path, "steps=3"), tmp_path / "out")


def test_the_five_stages_run_as_a_chain(tmp_path):
    save_tiny_checkpoint(tmp_path / "checkpoint")
    places = [f"checkpoint={tmp_path / 'checkpoint'}", f"data={write_data(tmp_path / 'data')}", "video_pool=2x1x1", "held_out=stage1"]
    said: list[str] = []
    stages = load_stages(
        "nvila-five-stages", [*places, *FAST, "steps=2", "save_every=9", "precision=bfloat16", "gradient_checkpointing=true"]
    )
    final = run_stages(stages, tmp_path / "out", said.append)
    assert final == tmp_path / "out" / "nvila-stage5" / "final"
    model = NVILA.from_pretrained(final)
    assert model.config.raw["nvila_edge_stage"] == "stage5" and model.config.video_encoder.pool_sizes == ((2, 1, 1),)
    assert "nvila-stage3: held-out loss" in "\n".join(said)
    page = (final.parent / "report.html").read_text()
    assert "<polyline" in page and "http" not in page
    first = NVILA.from_pretrained(tmp_path / "out" / "nvila-stage1" / "final").mm_projector.state_dict()
    fresh = NVILA.from_pretrained(tmp_path / "checkpoint").mm_projector.state_dict()
    assert all(
        (value - first[name]).abs().max() > 1e-3 for name, value in fresh.items() if value.ndim == 2
    )  # stage 1 begins with a new one


def _command(tmp_path: Path, *overrides: str, launcher: list[str] | None = None, out: str = "killed") -> list[str]:
    places = (f"checkpoint={tmp_path / 'checkpoint'}", f"data={tmp_path / 'data' / 'mixture.yaml'}", "requires=")
    program = [sys.executable, *(launcher or []), "-m", "nvila_edge.cli"]
    return [*program, "train", "nvila-stage4", *places, *FAST, *overrides, "--out", str(tmp_path / out)]


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(Path(__file__).parents[2])}
