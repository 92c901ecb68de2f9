"""The processes of an evaluation: one server, workers that play, and new ones for those that die or hang."""

from __future__ import annotations

import selectors
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Protocol

from nvila_edge.serving.process import FREE_PORT, ServerProcess
from sim.episodes import Episode, Fault
from sim.results import Record, RunFolder
from sim.stage import StageSetup
from sim.workers import Worker, WorkerDied

RESTARTS = 5  # of the server, or in one worker's place, in a row without a finished episode in between
TRIES = 3  # of an episode at which workers die or hang: then it is left out, and the next call tries it again
SILENCE_S = 300.0  # a worker that plays is heard at every decision; loading a house, a video and waiting for the server take a minute each


class EvaluationError(RuntimeError):
    """The evaluation cannot go on; what is finished stays."""


class Reporter(Protocol):
    """Who is told how it goes."""

    def begin(self, total: int, done: int) -> None:
        """`total` episodes, of which `done` are there from an earlier run."""
        ...

    def decided(self, episode: Episode, answer: Record) -> None:
        """An agent decided: answer has step, text, probability, latency_ms."""
        ...

    def finished(self, episode: Episode, result: Record | None) -> None:
        """An episode ended; None: it was left out."""
        ...

    def note(self, text: str) -> None:
        """Something that people should know."""
        ...


def next_episode(waiting: Sequence[Episode], scene: str, busy: Sequence[str]) -> Episode:
    """What a free worker plays next: the scene it has loaded, else one that nobody plays, else the first (the choice changes no result)."""
    same = next((episode for episode in waiting if episode.scene_id == scene), None)
    return same or next((episode for episode in waiting if episode.scene_id not in busy), waiting[0])


class Crew:
    """The server and the workers that play `episodes`. A context manager that ends them.

    serve: starts the policy's server at an address, None for a policy that needs none. Raises what it raises.
    """

    def __init__(
        self,
        episodes: Sequence[Episode],
        setup: StageSetup,
        serve: Callable[[str], ServerProcess] | None,
        run: RunFolder,
        reporter: Reporter,
    ) -> None:
        self._run, self._reporter, self._serve = run, reporter, serve
        self._server = serve(FREE_PORT) if serve else None
        self._setup = replace(setup, address=self._server.address) if self._server else setup
        self._failures: Counter[str] = Counter()  # of the server and of each worker's place, since the last finished episode
        self._fatal: Counter[str] = Counter()  # by episode: workers that died or hung while playing it
        self._workers: list[Worker] = []
        self._by_id = {episode.episode_id: episode for episode in episodes}
        self._waiting = deque(episodes)
        self.left_out: list[Fault] = []
        self._open = len(self._waiting)  # episodes that have not ended

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as ends:  # all of them, also when one cannot be ended
            if self._server is not None:
                ends.callback(self._server.stop)
            for worker in self._workers:
                ends.callback(worker.close)

    def work(self, workers: int) -> tuple[Fault, ...]:
        """Play all the episodes in so many processes; returns those that were left out. Raises EvaluationError when it cannot go on."""
        for _ in range(workers):
            self._workers.append(Worker(setup=self._setup))
        with selectors.DefaultSelector() as selector:
            for worker in self._workers:
                selector.register(worker.fd, selectors.EVENT_READ, worker)
            while self._open:
                for key, _ in selector.select(timeout=0.2):
                    self._listen(key.data, selector)
                self._replace_silent(selector)
                self._keep_server()
        if self._failures["episodes"] and not self._run.results:
            raise EvaluationError(f"no episode could be played; the last: {self.left_out[-1].reason}")
        return tuple(self.left_out)

    def _listen(self, worker: Worker, selector: selectors.BaseSelector) -> None:
        """What a worker has to say."""
        try:
            messages = worker.receive()
        except WorkerDied as death:
            self._replace(worker, selector, str(death))
            return
        for message in messages:
            match message["type"]:
                case "ready":
                    worker.ready = True
                case "decided":
                    self._reporter.decided(self._by_id[message["episode_id"]], message)
                    continue
                case "interrupted":
                    self._reporter.note(f"episode {message['episode_id']} starts anew: {message['message']}")
                    self._waiting.appendleft(self._by_id[worker.episode])
                    self._failed(self._place(worker), message["message"])
                case "failed":
                    raise EvaluationError(message["message"])
                case "faulty":
                    self._give_up(self._by_id[worker.episode], message["reason"])
                case "left_out":
                    self._leave_out(worker.episode, message["reason"])
                    self._finished(worker, message)
                case "played":
                    self._finished(worker, message)
            worker.episode = ""
            self._occupy(worker)

    def _leave_out(self, episode_id: str, reason: str) -> None:
        self.left_out.append(Fault(episode_id, reason))
        self._reporter.note(f"episode {episode_id} of {self._by_id[episode_id].scene_id} is left out: {reason}")

    def _finished(self, worker: Worker, message: Record) -> None:
        if message["type"] == "played":
            self._run.add(message["result"], message["timing"] | {"worker": self._workers.index(worker) + 1})
        self._failures.clear()
        self._ended(self._by_id[worker.episode], message.get("result"))

    def _occupy(self, worker: Worker) -> None:
        if self._waiting:
            episode = next_episode(self._waiting, worker.scene, [other.scene for other in self._workers if other.episode])
            self._waiting.remove(episode)
            worker.episode, worker.scene = episode.episode_id, episode.scene_id
            worker.send({"episode_id": episode.episode_id})

    def _replace(self, worker: Worker, selector: selectors.BaseSelector, reason: str) -> None:
        """A new process for one that died or hangs; its episode is played again."""
        self._failed(self._place(worker), reason)
        selector.unregister(worker.fd)
        worker.close()
        if worker.episode:
            self._play_again(self._by_id[worker.episode], reason)
        self._reporter.note(f"{reason}; a new worker goes on")
        self._workers[self._workers.index(worker)] = fresh = Worker(setup=self._setup)
        selector.register(fresh.fd, selectors.EVENT_READ, fresh)

    def _play_again(self, episode: Episode, reason: str) -> None:
        """Put back what a dead worker played; leave it out when it has cost too many of them."""
        self._fatal[episode.episode_id] += 1
        if self._fatal[episode.episode_id] < TRIES:
            self._waiting.appendleft(episode)
            return
        for place in range(len(self._workers)):
            del self._failures[f"worker {place}"]
        self._give_up(episode, f"{TRIES} worker processes died or hung while playing it", reason)

    def _give_up(self, episode: Episode, why: str, reason: str = "") -> None:
        """Leave an episode out that may be played another time. Raises EvaluationError for the `reason` after several in a row: nothing works."""
        self._failed("episodes", reason or f"episode {episode.episode_id}: {why}")
        self._leave_out(episode.episode_id, f"{why}; give the same command again to try it again")
        self._ended(episode, None)

    def _ended(self, episode: Episode, result: Record | None) -> None:
        self._open -= 1
        self._reporter.finished(episode, result)

    def _replace_silent(self, selector: selectors.BaseSelector) -> None:
        for worker in list(self._workers):
            if (worker.episode or not worker.ready) and time.monotonic() - worker.heard_s > SILENCE_S:
                self._replace(worker, selector, f"a worker process was silent for {SILENCE_S:.0f} s")

    def _keep_server(self) -> None:
        """A new server, at the same address, for one that died."""
        if self._serve is None or self._server is None or self._server.alive:
            return
        address = self._server.address
        reason = f"the server ended with status {self._server.stop()}"
        self._failed("server", reason)
        self._reporter.note(f"{reason}; starting it again")
        self._server = self._serve(address)

    def _place(self, worker: Worker) -> str:
        return f"worker {self._workers.index(worker)}"

    def _failed(self, who: str, reason: str) -> None:
        """Each counts for itself: one death of the server interrupts all workers, and that is no sign that any of them is in vain."""
        self._failures[who] += 1
        if self._failures[who] > RESTARTS:
            raise EvaluationError(f"{reason}; {RESTARTS} tries in a row were in vain. What is finished stays: mend it and run this again")
