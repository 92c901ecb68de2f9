"""OpenAI's chat completions, read into questions and written from answers.

Answers are always greedy: temperature, top_p and seed are taken, so that programs which send them work unchanged, and have no effect. What
would change the meaning of an answer (n, tools, response_format, logprobs, logit_bias) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from nvila_edge.chat import without_marks
from nvila_edge.model.tokens import IMAGE_MARK, VIDEO_MARK, ChatTemplate
from nvila_edge.serving.parts import Pictures
from nvila_edge.serving.talk import MAX_NEW_TOKENS, Question

Json = dict[str, Any]
_DEFAULT_TOKENS = 256
_CONTROL = re.compile(r"<\|[a-z0-9_]{1,40}\|>")  # turn marks of both templates; typed by people they stand for nothing
_NEUTRAL: Json = {
    "n": 1, "tools": [], "functions": [], "tool_choice": "none", "logprobs": False, "logit_bias": {}, "response_format": {"type": "text"},
    "top_logprobs": 0, "audio": None, "modalities": ["text"],
}  # fmt: skip


class ApiError(Exception):
    """An HTTP status and OpenAI's error object: what was wrong, which parameter, a code for programs."""

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param

    def json(self) -> Json:
        """The body."""
        kind = "invalid_request_error" if self.status < 500 and self.status != 429 else "server_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


@dataclass(frozen=True)
class Speech:
    """What a model needs to be asked: its name here, chat template, whether a line break follows an image mark, frames of a video."""

    model: str
    template: ChatTemplate
    newline: bool
    frames: int


@dataclass(frozen=True)
class ChatRequest:
    """A question, and how its answer is wanted."""

    question: Question
    stream: bool
    usage: bool  # a last chunk of the stream tells the counts
    removed: bool  # marks that were typed, and stand for nothing


def parse_chat(body: Any, speech: Speech) -> ChatRequest:
    """Raises ApiError naming the parameter, what it was and what is allowed."""
    if not isinstance(body, dict):
        raise ApiError(400, f"the body is a {type(body).__name__}; expected a JSON object")
    if body.get("model", speech.model) != speech.model:
        message = f"model {body['model']!r:.80} is not served here; this server has {speech.model!r} (see /v1/models)"
        raise ApiError(404, message, "model_not_found", "model")
    for name, neutral in _NEUTRAL.items():
        if body.get(name) not in (None, neutral):
            raise ApiError(400, f"{name} is {body[name]!r:.60}; this server only knows {neutral!r}", "unsupported_parameter", name)
    stream = _typed(body, "stream", bool, False)
    usage = bool(_typed(body, "stream_options", dict, {}).get("include_usage"))
    text, media, system = _conversation(body.get("messages"), speech)
    question = Question(text, tuple(media.images), tuple(media.video), system, _max_tokens(body), _stops(body.get("stop")))
    return ChatRequest(question, stream, usage, media.removed)


def _typed(body: Json, name: str, kind: type, default: Any) -> Any:
    value = default if body.get(name) is None else body[name]
    if not isinstance(value, kind):
        raise ApiError(400, f"{name} is {value!r:.60}; expected {kind.__name__}", param=name)
    return value


def _max_tokens(body: Json) -> int:
    name = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    value = _typed(body, name, int, _DEFAULT_TOKENS)
    if isinstance(value, bool) or value < 1:
        raise ApiError(
            400, f"{name} is {value!r:.60}; expected at least 1 (more than {MAX_NEW_TOKENS} count as {MAX_NEW_TOKENS})", param=name
        )
    return min(value, MAX_NEW_TOKENS)


def _stops(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value or []
    if not isinstance(stops, list) or len(stops) > 4 or not all(isinstance(stop, str) and 0 < len(stop) <= 256 for stop in stops):
        raise ApiError(400, f"stop is {value!r:.60}; expected up to four texts of 1 to 256 characters", param="stop")
    return tuple(stops)


class _Media:
    def __init__(self, frames: int) -> None:
        self.pictures = Pictures(frames)
        self.images: list[Any] = []
        self.video: list[Any] = []
        self.removed = False

    def plain(self, typed: str) -> str:
        """The text without the marks that people type; notes that there were any."""
        if "<" not in typed:
            return typed
        kept = _CONTROL.sub(" ", without_marks(typed))
        self.removed |= kept.strip() != typed.strip()
        return kept


def _conversation(messages: Any, speech: Speech) -> tuple[str, _Media, str | None]:
    """The user's text with all turns before it, its media, and the system prompt (None: the model's own)."""
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise ApiError(400, "messages must be a list of at least one message", param="messages")
    media, system = _Media(speech.frames), None
    turns = [_Turn(str(message.get("role")), message.get("content"), f"messages[{at}]") for at, message in enumerate(messages)]
    if turns[0].role in ("system", "developer"):
        system = _content(turns.pop(0), speech, media)
        if media.images or media.video:
            raise ApiError(400, "a system message holds a picture; show pictures in user messages", param="messages[0]")
    for turn in turns:
        if turn.role not in ("user", "assistant"):
            raise ApiError(400, f"role {turn.role!r:.40} cannot come here; expected system first, then user and assistant", param=turn.name)
    if not turns or turns[-1].role != "user":
        raise ApiError(400, "the last message must be the user's", param="messages")
    text = ""
    for turn, following in zip(turns, [*turns[1:], None]):
        said = _content(turn, speech, media)
        if not said:
            raise ApiError(400, f"{turn.name} is empty; say something", param=turn.name)
        text += said + (speech.template.closing.replace("assistant", following.role) if following else "")
    if turns[0].role != "user":
        raise ApiError(400, "the first message after the system's must be the user's", param="messages")
    return text, media, system


@dataclass(frozen=True)
class _Turn:
    role: str
    content: Any
    name: str


def _content(turn: _Turn, speech: Speech, media: _Media) -> str:
    """A message's text with marks for its media, which are added to `media`."""
    parts = [{"type": "text", "text": turn.content}] if isinstance(turn.content, str) else turn.content
    if not isinstance(parts, list):
        raise ApiError(400, f"{turn.name}.content is a {type(turn.content).__name__}; expected text or a list of parts", param=turn.name)
    said = ""
    for typed, run in groupby(enumerate(parts), lambda part: _is_text(part[1])):
        text = "".join(_part(part, f"{turn.name}.content[{at}]", speech, media) for at, part in run)
        said += media.plain(text) if typed else text  # after joining: neighbours could make up a mark
    return said.strip()


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _part(part: Any, name: str, speech: Speech, media: _Media) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    value = part.get(kind) if isinstance(kind, str) else None
    try:
        if kind == "text" and isinstance(value, str):
            return value
        if kind == "image_url":
            media.images.append(media.pictures.image(_url(value)))
            return IMAGE_MARK + "\n" * speech.newline
        if kind in ("video_url", "video"):
            return _video(value, media)
    except ValueError as error:
        raise ApiError(400, f"{name}: {error}", "invalid_media", name) from error
    message = f"{name} is {part!r:.80}; expected a part of type text, image_url, video_url or video"
    raise ApiError(400, message, "unsupported_part", name)


def _video(value: Any, media: _Media) -> str:
    if media.video:
        raise ValueError("a second video; the model takes one: show the frames of the other as images")
    if isinstance(value, list):
        media.video += [media.pictures.image(_url(frame)) for frame in value]
    else:
        media.video += media.pictures.video(_url(value))
    if not media.video:
        raise ValueError("a video without frames")
    return VIDEO_MARK


def _url(value: Any) -> str:
    url = value.get("url") if isinstance(value, dict) else value
    if not isinstance(url, str):
        raise ValueError(f"{value!r:.60} is no URL; expected an object with the text `url`")
    return url


# --- answers


@dataclass(frozen=True)
class Envelope:
    """What every object of one completion carries; `created`: seconds since 1970."""

    id: str
    created: int
    model: str

    def _json(self, kind: str, choices: list[Json], usage: Json | None) -> Json:
        content = {"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": choices}
        return content | ({} if usage is None else {"usage": usage})

    def whole(self, text: str, finish: str, usage: Json) -> Json:
        """The completion in one object."""
        message = {"role": "assistant", "content": text, "refusal": None}
        return self._json("chat.completion", [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}], usage)

    def chunk(self, delta: Json, finish: str | None = None) -> Json:
        """A piece of a streamed completion."""
        return self._json("chat.completion.chunk", [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}], None)

    def counts(self, usage: Json) -> Json:
        """The last piece of a stream whose usage was asked for."""
        return self._json("chat.completion.chunk", [], usage)


def usage_json(prompt_tokens: int, completion_tokens: int) -> Json:
    """Token counts; media count with the tokens that they become."""
    return {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": prompt_tokens + completion_tokens}


def chunks(envelope: Envelope, pieces: Iterator[str]) -> Iterator[Json]:
    """The streamed objects of a text, without the last one, which tells why it ended."""
    yield envelope.chunk({"role": "assistant", "content": ""})
    yield from (envelope.chunk({"content": piece}) for piece in pieces if piece)
