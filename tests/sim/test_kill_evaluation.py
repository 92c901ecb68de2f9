"""kill -9 at ten random moments, of the evaluation, of all its processes, of a worker, of the server: the same bytes in the end.

    python -m pytest -m slow tests/sim/test_kill_evaluation.py

What was killed is started again with the same command, as a person would; whoever loses a worker or the server goes on alone. Leave the
checkout alone meanwhile: summaries name the commits that ran.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sim.dataset import build_dataset
from tests.sim.test_evaluate import same

ROOT = Path(__file__).parents[2]
KILLS = 10
VICTIMS = ("evaluation", "all", "sim.workers", "nvila_edge.serving")
PATIENCE_S = 600.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    build_dataset(folder, "val_unseen", houses=2, episodes=6, seed=11, scenes=False)
    return folder


@pytest.fixture(scope="module", params=["engine", "oracle"])
def policy(request: pytest.FixtureRequest) -> str:
    """A policy with a server, and one without."""
    return request.param


@pytest.fixture(scope="module")
def undisturbed(policy: str, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """An evaluation that nobody disturbed, with one worker, and the seconds that it took."""
    out, started_s = tmp_path_factory.mktemp(policy), time.monotonic()
    assert start(data, out, policy, 1).wait(PATIENCE_S) == 0
    return out, time.monotonic() - started_s


def start(data: Path, out: Path, policy: str, workers: int) -> subprocess.Popen[bytes]:
    """An evaluation in a process group of its own."""
    command = [sys.executable, "-m", "nvila_edge.cli", "eval", "--dataset", str(data), "--policy", policy, "--videos", "1"]
    command += ["--workers", str(workers), "--out", str(out)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def child(parent: int, module: str, rng: random.Random) -> int | None:
    """The id of a child process that runs `module`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]) == parent and module in (folder / "cmdline").read_text():
                found.append(int(folder.name))
        except OSError:
            continue
    return rng.choice(found) if found else None


def kill(process: subprocess.Popen[bytes], victim: str, rng: random.Random) -> bool:
    """Whether there was anybody to kill."""
    if victim == "all":
        os.killpg(process.pid, signal.SIGKILL)
    elif victim == "evaluation":
        process.kill()
    elif (pid := child(process.pid, victim, rng)) is not None:
        os.kill(pid, signal.SIGKILL)
    else:
        return False
    return True


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_ten_kills_change_no_byte(policy: str, workers: int, data: Path, undisturbed: tuple[Path, float], tmp_path: Path) -> None:
    whole, took_s = undisturbed
    rng, kills, compared = random.Random(f"{policy} {workers}"), 0, 0
    victims = [victim for victim in VICTIMS if policy == "engine" or victim != "nvila_edge.serving"]
    while kills < KILLS or compared == 0:
        out = tmp_path / str(compared)
        process = start(data, out, policy, workers)
        while True:
            try:
                status = process.wait(rng.uniform(0, took_s) if kills < KILLS else PATIENCE_S)
                break
            except subprocess.TimeoutExpired:
                assert kills < KILLS, "the evaluation ends when nobody disturbs it"
                kills += kill(process, victims[kills % len(victims)], rng)
        if status == 0:
            assert same(whole, out), f"after {kills} kills"
            assert not list(out.rglob("*.part")), "half files of killed processes stay"
            compared += 1
        else:  # killed; or 1: too many restarts in a row, after which the same command goes on
            assert status in (-signal.SIGKILL, 1), status
    assert kills == KILLS
