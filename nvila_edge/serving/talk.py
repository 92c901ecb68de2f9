"""Free text beside robots: every pass over the model is a task of its own on the inference thread, so that a robot waits for one of them at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL import Image

from nvila_edge.engines.engine import Engine
from nvila_edge.engines.generate import PromptTooLong, fuse_prompt
from nvila_edge.engines.greedy import Chosen, tokens_after
from nvila_edge.serving.errors import DeadlinePassed, ServingError

MAX_PROMPT_TOKENS = 4096  # media included: attention over them needs heads * T * T floats, 1.9 GB for 28 heads
MAX_NEW_TOKENS = 2048
_DEADLINE_S = 600.0  # the time-out that OpenAI's own client has by default
_BROKEN = "\ufffd"  # what an incomplete character decodes to


class RunTask(Protocol):
    """Has the inference thread do something (server.Server.run_task)."""

    def __call__(self, call: Callable[[], Any], timeout_s: float) -> Any: ...


@dataclass(frozen=True)
class Question:
    """One turn with all that was said before, in the template's own words between turns; marks in `text` stand for `images` and `video`, in order.
    system None: the published system prompt. stop: texts that end the answer, and are no part of it."""

    text: str
    images: tuple[Image.Image, ...] = ()
    video: tuple[Image.Image, ...] = ()
    system: str | None = None
    max_new_tokens: int = 256
    stop: tuple[str, ...] = ()


class Answer:
    """An answer on its way. Counts and `finish` ("stop" or "length") are complete once the pieces are."""

    def __init__(self, engine: Engine, chosen: Iterator[Chosen | None], question: Question, prompt_tokens: int) -> None:
        self._engine, self._chosen, self._question = engine, chosen, question
        self.prompt_tokens, self.completion_tokens, self.finish = prompt_tokens, 0, "length"

    def pieces(self) -> Iterator[str]:
        """The text, a piece as soon as it is certain; may be empty, once for every token."""
        ids: list[int] = []
        text, said = "", 0
        for chosen in self._chosen:
            assert chosen is not None
            self.completion_tokens += 1
            ids += [] if chosen.end else [chosen.token]
            text = self._engine.tokenizer.decode(ids)
            ends = [at for at in map(text.find, self._question.stop) if at >= 0]
            if chosen.end or ends:
                self.finish, text = "stop", text[: min(ends, default=len(text))]
                break
            certain = len(text) - _uncertain(text, self._question.stop)
            yield text[said:certain]
            said = max(said, certain)
        yield text[said:]


def _uncertain(text: str, stops: tuple[str, ...]) -> int:
    """How many characters at the end may still change: an incomplete character, or the beginning of a stop."""
    if text.endswith(_BROKEN):
        return len(text) - len(text.rstrip(_BROKEN))
    return max((k for stop in stops for k in range(1, len(stop)) if text.endswith(stop[:k])), default=0)


class _TileByTile:
    """The vision side of a backend, one tile a task."""

    def __init__(self, engine: Engine, run: Callable[[Callable[[], Any]], Any]) -> None:
        self.image_size = engine.spec.vision.image_size
        self._backend, self._run = engine.backend, run

    def encode(self, pixels_N3SS: np.ndarray) -> Any:
        """See VisionEncoder."""
        return self._each(self._backend.encode, pixels_N3SS)

    def features(self, pixels_N3SS: np.ndarray) -> Any:
        """See VisionEncoder."""
        return self._each(self._backend.features, pixels_N3SS)

    def project(self, features_NPC: Any) -> Any:
        """See VisionEncoder."""
        return self._each(self._backend.project, features_NPC)

    def _each(self, call: Callable[[Any], Any], inputs: Any) -> Any:
        return np.concatenate([self._run(lambda one=one: call(one[None])) for one in inputs])


class Talker:
    """Answers questions with one engine. `ask` may be called from any thread but the inference thread."""

    def __init__(self, engine: Engine, run: RunTask, deadline_s: float = _DEADLINE_S) -> None:
        self.engine, self._run, self._deadline_s = engine, run, deadline_s

    def ask(self, question: Question) -> Answer:
        """Returns once the prompt is ready to be read. Raises ValueError for media that do not fit the marks or the model, and for a prompt that is too
        long; DeadlinePassed when robots left no time for it within 10 minutes; ServingError when the server shuts down."""
        expires_s = time.monotonic() + self._deadline_s

        def turn(call: Callable[[], Any]) -> Any:
            left_s = expires_s - time.monotonic()
            if left_s <= 0:
                raise DeadlinePassed(f"the answer was not complete within {self._deadline_s:g} s", "ask for fewer tokens or smaller media")
            return self._run(call, left_s)

        inputs = self.engine.encoding_with(_TileByTile(self.engine, turn))
        try:
            embeds = fuse_prompt(inputs, question.text, question.images, question.video, question.system, MAX_PROMPT_TOKENS)
        except PromptTooLong as error:
            raise ServingError("context_length_exceeded", str(error), "say less, or show fewer pictures") from error
        tokens = tokens_after(self.engine, embeds, question.max_new_tokens)
        return Answer(self.engine, iter(lambda: turn(lambda: next(tokens, None)), None), question, len(embeds))
