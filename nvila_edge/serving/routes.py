"""What the HTTP port answers: /healthz and /metrics for whoever watches, /v1 for programs that speak OpenAI's chat completions."""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from nvila_edge.serving.errors import DeadlinePassed, ServingError
from nvila_edge.serving.http import Call, Reply, Route
from nvila_edge.serving.metrics import CONTENT_TYPE, Metrics
from nvila_edge.serving.openai import ApiError, ChatRequest, Envelope, Speech, chunks, parse_chat, usage_json
from nvila_edge.serving.server import Server
from nvila_edge.serving.talk import Answer, Talker

MAX_CHATS = 8  # at a time: what each holds in memory is bounded, so all of them are
_LOG = logging.getLogger(__name__)
_EVENTS = "text/event-stream; charset=utf-8"
_GREEDY = {"X-Nvila-Edge-Sampling": "greedy"}  # whatever temperature was asked for
_REMOVED = {"X-Nvila-Edge-Warning": "media and turn marks in the text were removed; give media as parts of type image_url or video_url"}


def watch_routes(server: Server) -> dict[str, Route]:
    """/healthz: 200 when decisions are answered, else 503, with the reason. /metrics: metrics.py. Neither waits for the model."""

    def healthz(call: Call) -> Reply:
        health = server.health
        return _json(200 if health == "ok" else 503, {"status": health, **server.gauges(), **server.info()})

    return {"GET /healthz": healthz, "GET /metrics": lambda call: Reply(200, server.metrics.text(server.gauges()).encode(), CONTENT_TYPE)}


class ChatRoutes:
    """/v1/models and /v1/chat/completions for one model, which is called `name`."""

    def __init__(self, talker: Talker, name: str, metrics: Metrics) -> None:
        engine = talker.engine
        newline = not engine.spec.media.image_encoder.end
        self._speech = Speech(name, engine.tokenizer.template, newline, engine.spec.frames)
        self._talker, self._metrics, self._created = talker, metrics, int(time.time())
        self._places = threading.BoundedSemaphore(MAX_CHATS)

    def routes(self) -> dict[str, Route]:
        """Both."""
        model = {"id": self._speech.model, "object": "model", "created": self._created, "owned_by": "nvila-edge"}
        return {
            "GET /v1/models": lambda call: _json(200, {"object": "list", "data": [model]}),
            "POST /v1/chat/completions": self._completion,
        }

    def _completion(self, call: Call) -> Reply:
        reply = self._admitted(call)
        self._metrics.count("chat_requests_total", status=str(reply.status))
        return reply

    def _admitted(self, call: Call) -> Reply:
        if not self._places.acquire(blocking=False):
            error = ApiError(429, f"{MAX_CHATS} chats are being answered, which is the limit; ask again later", "rate_limit_exceeded")
            return _json(429, error.json(), {"Retry-After": "1"})
        chat = _Chat(self._talker, self._metrics, call, Envelope(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), self._speech.model))
        try:
            reply = self._answered(chat, call)
        except BaseException:
            self._places.release()
            raise
        return replace(reply, done=self._places.release)

    def _answered(self, chat: _Chat, call: Call) -> Reply:
        try:
            request = parse_chat(_parsed(call.body), self._speech)
            if request.removed:
                _LOG.warning("media and turn marks that were typed in a chat's text were removed")
            headers = _GREEDY | (_REMOVED if request.removed else {})
            if not request.stream:
                return replace(chat.whole(request), headers=headers)
            events = chat.events(request)
            first = next(events)  # whatever is wrong with the request shows here, while there still is a status to say so
            return Reply(200, _chained(first, events), _EVENTS, headers)
        except ApiError as error:
            return _json(error.status, error.json())


class _Chat:
    """One completion being answered."""

    def __init__(self, talker: Talker, metrics: Metrics, call: Call, envelope: Envelope) -> None:
        self._talker, self._metrics, self._call, self._envelope = talker, metrics, call, envelope
        self._started_s = time.monotonic()

    def whole(self, request: ChatRequest) -> Reply:
        answer = self._ask(request)
        text = "".join(self._pieces(answer))
        return _json(200, self._envelope.whole(text, answer.finish, self._usage(answer)))

    def events(self, request: ChatRequest) -> Iterator[bytes]:
        """Server-sent events; the first comes after the first token."""
        answer = self._ask(request)
        pieces = self._pieces(answer)
        first = next(pieces)
        try:
            for chunk in chunks(self._envelope, _chained(first, pieces)):
                yield _event(chunk)
        except ApiError as error:  # too late for a status
            yield _event(error.json())
            return
        yield _event(self._envelope.chunk({}, answer.finish))
        usage = self._usage(answer)
        if request.usage:
            yield _event(self._envelope.counts(usage))
        yield b"data: [DONE]\n\n"

    def _ask(self, request: ChatRequest) -> Answer:
        with _api_errors():
            return self._talker.ask(request.question)

    def _pieces(self, answer: Answer) -> Iterator[str]:
        with _api_errors():
            for piece in answer.pieces():
                if self._call.gone():
                    raise ConnectionError("the client hung up")
                yield piece

    def _usage(self, answer: Answer) -> dict[str, Any]:
        self._metrics.observe("chat", time.monotonic() - self._started_s)
        self._metrics.count("chat_tokens_total", answer.prompt_tokens, kind="prompt")
        self._metrics.count("chat_tokens_total", answer.completion_tokens, kind="completion")
        return usage_json(answer.prompt_tokens, answer.completion_tokens)


@contextmanager
def _api_errors() -> Iterator[None]:
    """What talking raises, as ApiError; a client that hung up stays a ConnectionError."""
    try:
        yield
    except (ApiError, ConnectionError):
        raise
    except DeadlinePassed as error:
        raise ApiError(503, f"{error.message}; {error.mend}", "timeout") from error
    except ServingError as error:
        status = 400 if error.code == "context_length_exceeded" else 503
        raise ApiError(status, f"{error.message}; {error.mend}", error.code, "messages" if status == 400 else None) from error
    except ValueError as error:
        raise ApiError(400, str(error), param="messages") from error
    except Exception as error:  # whatever an engine raises, the server stays up
        _LOG.error("a chat failed", exc_info=error)
        raise ApiError(500, f"the model failed: {type(error).__name__}; see the server's log", "engine") from error


def _chained(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the body is not JSON: {error!s:.100}") from error


def _json(status: int, content: dict[str, Any], headers: dict[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps(content).encode() + b"\n", headers=headers or {})


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"
