"""The crew of an evaluation, with workers and a server that are only said to die or hang."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any, cast

import pytest

import sim.crew
from nvila_edge.serving.errors import RemoteError
from sim.crew import RESTARTS, TRIES, Crew, EvaluationError
from sim.episodes import Episode
from sim.outcome import Interrupted, LeftOut
from sim.served import Served
from sim.stage import StageSetup
from sim.workers import WorkerDied
from tests.agents.support import Script

SETUP = StageSetup("", "val_unseen", "engine", 0, "own", False, "", ())


class FakeServer:
    """Dead when first looked at, `deaths` times in all."""

    deaths = 0
    address = "tcp://127.0.0.1:1"

    def __init__(self) -> None:
        self.alive = FakeServer.deaths <= 0
        FakeServer.deaths -= 1

    def stop(self) -> int:
        return 1


class FakeWorker:
    """Says for every episode, in every process, the next word of `script`; silent when it is "hang"; dies of the episodes in `deadly`."""

    script: list[str] = []
    deadly: tuple[str, ...] = ()

    def __init__(self, setup: StageSetup) -> None:
        self.fd, self._write = os.pipe()
        self.ready, self.episode, self.scene, self.heard_s = False, "", "", 10.0
        self._answers: list[dict[str, Any]] = []
        self._say("ready")

    def _say(self, kind: str, **fields: object) -> None:
        self._answers.append({"type": kind, **fields})
        os.write(self._write, b".")

    def send(self, message: dict[str, Any]) -> None:
        word = FakeWorker.script.pop(0) if FakeWorker.script else "left_out"
        word = "death" if message["episode_id"] in FakeWorker.deadly else word
        if word == "hang":
            self.heard_s = 0.0
        else:
            self._say(word, message="the server is gone", reason="no such camera" if word == "faulty" else "no such house", **message)

    def receive(self) -> list[dict[str, Any]]:
        os.read(self.fd, 100)
        answers, self._answers = self._answers, []
        if any(answer["type"] == "death" for answer in answers):
            raise WorkerDied("a worker process ended with status -11")
        return answers

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            os.close(self._write)
            self.fd = -1


def play(monkeypatch: pytest.MonkeyPatch, script: list[str], workers: int, deaths: int = 0, silence_s: float = 1e9) -> list[str]:
    """Six episodes; returns what was reported."""
    notes: list[str] = []
    FakeWorker.script, FakeServer.deaths = script, deaths
    monkeypatch.setattr(sim.crew, "Worker", FakeWorker)
    monkeypatch.setattr(sim.crew, "SILENCE_S", silence_s)
    monkeypatch.setattr(sim.crew.time, "monotonic", lambda: 10.0)
    episodes = [Episode(str(n), "", f"scene {n}", (0, 0, 0), (0, 0, 0, 1), ((0, 0, 0),), ((0, 0, 0),), "", 1.0, ()) for n in range(6)]
    reporter = SimpleNamespace(note=notes.append, finished=lambda *_: None, decided=lambda *_: None)
    serve = (lambda _: FakeServer()) if deaths else None
    with Crew(episodes, SETUP, cast(Any, serve), cast(Any, None), cast(Any, reporter)) as crew:
        assert sorted(fault.episode_id for fault in crew.work(workers)) == list("012345")
    return notes


def test_one_death_of_the_server_is_one_failure_whatever_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = play(monkeypatch, ["interrupted"] * 6, workers=6, deaths=1)
    assert len([note for note in notes if "starts anew" in note]) == 6 and len([note for note in notes if "starting it again" in note]) == 1


def test_what_fails_again_and_again_ends_the_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, ["interrupted"] * RESTARTS, workers=1)
    with pytest.raises(EvaluationError, match="in vain"):
        play(monkeypatch, ["interrupted"] * (RESTARTS + 1), workers=1)


def test_a_worker_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = play(monkeypatch, ["hang"], workers=2, silence_s=5.0)
    assert any("silent for 5 s; a new worker goes on" in note for note in notes)


def test_an_episode_that_kills_its_workers_is_left_out_by_name_and_the_others_are_played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeWorker, "deadly", ("1", "2"))
    notes = play(monkeypatch, [], workers=1)
    assert [note[:33] for note in notes if "worker processes died" in note] == [
        "episode 1 of scene 1 is left out:", "episode 2 of scene 2 is left out:"
    ]  # fmt: skip
    assert len([note for note in notes if "status -11; a new worker goes on" in note]) == 2 * TRIES


def test_when_every_episode_kills_its_workers_the_evaluation_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeWorker, "deadly", tuple("012345"))
    with pytest.raises(EvaluationError, match="status -11; 5 tries in a row"):
        play(monkeypatch, [], workers=2)


def test_an_episode_with_a_fault_is_left_out_and_the_others_are_played_unless_all_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = play(monkeypatch, ["faulty"] * RESTARTS, workers=1)
    assert sum("no such camera; give the same command again" in note for note in notes) == RESTARTS and "no such house" in notes[-1]
    with pytest.raises(EvaluationError, match="episode 5: no such camera; 5 tries in a row"):
        play(monkeypatch, ["faulty"] * (RESTARTS + 1), workers=1)


def test_workers_that_began_are_ended_when_another_cannot_begin_and_the_server_whatever_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    class Stubborn:
        def __init__(self, setup: StageSetup) -> None:
            if begun:
                raise OSError("no more processes")
            begun.append(self)

        def close(self) -> None:
            ended.append("worker")
            raise OSError("it does not end")

    begun: list[Stubborn] = []
    monkeypatch.setattr(sim.crew, "Worker", Stubborn)
    server = SimpleNamespace(address="tcp://127.0.0.1:1", stop=lambda: ended.append("server"))
    with (
        pytest.raises(OSError, match="does not end"),
        Crew([], SETUP, cast(Any, lambda _: server), cast(Any, None), cast(Any, None)) as crew,
    ):
        crew.work(2)
    assert ended == ["worker", "server"]


@pytest.mark.parametrize(("code", "kind"), [("busy", Interrupted), ("instruction", LeftOut), ("engine", RemoteError)])
def test_what_a_server_refuses_is_a_matter_of_the_moment_of_the_episode_or_of_the_policy(code: str, kind: type[Exception]) -> None:
    refusing = Script([RemoteError(code, "as told", "mend it")])  # pyright: ignore[reportArgumentType]
    with pytest.raises(kind, match="as told"):
        Served(refusing).decide()
