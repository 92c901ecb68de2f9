"""LLaVA's layout: a JSON list or JSON lines of {"id", "image" or "video", "conversations": [{"from": "human"|"gpt", "value"}]}."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nvila_edge.model.tokens import IMAGE_MARK, VIDEO_MARK
from nvila_edge.training.json_records import NotJson, records
from nvila_edge.training.samples import Exchange, Faults, Sample, SampleError, Source, inside, listed, marked, reader

_PEOPLE = ("human", "user")
_MODELS = ("gpt", "assistant", "model")


@reader("llava")
def read_llava(source: Source, faults: Faults) -> Iterator[Sample]:
    """Media come in front of the first question, wherever their marks stood (NVlabs/VILA, llava/data/dataset_impl/llava.py)."""
    for number, record in records(source.path):
        name = str(record.get("id", number)) if isinstance(record, dict) else number
        try:
            yield sample_of(source, name, record)
        except SampleError as error:
            faults.add(source.name, name, str(error))


def sample_of(source: Source, name: str, record: Any) -> Sample:
    """One record as a sample. Raises SampleError for what is none."""
    if isinstance(record, NotJson):
        raise SampleError(record)
    if not isinstance(record, dict):
        raise SampleError(f"is {type(record).__name__}; expected an object with conversations")
    exchanges = _exchanges(record.get("conversations"))
    images = tuple(inside(source.media, image) for image in listed(record.get("image")))
    videos = [inside(source.media, video) for video in listed(record.get("video"))]
    if len(videos) > 1:
        raise SampleError(f"has {len(videos)} videos; expected one")
    first = Exchange(marked(exchanges[0].question, len(images), bool(videos)), exchanges[0].answer)
    duration = record.get("duration")
    if duration is not None and (isinstance(duration, bool) or not isinstance(duration, int | float) or not duration > 0):
        raise SampleError(f"has duration {duration!r}; expected seconds above 0")
    return Sample(
        name, source.name, (first, *exchanges[1:]), images, videos[0] if videos else None, duration, source.system_prompt
    )  # fmt: skip


def _exchanges(turns: Any) -> list[Exchange]:
    """Question and answer in turn. Marks are taken out: where the media stand is decided elsewhere."""
    if not isinstance(turns, list) or not turns or len(turns) % 2:
        raise SampleError("has no conversations list of questions and answers in turn")
    found: list[Exchange] = []
    for question, answer in zip(turns[::2], turns[1::2]):
        texts = [_text(question, _PEOPLE), _text(answer, _MODELS)]
        found.append(Exchange(*(text.replace(IMAGE_MARK, "").replace(VIDEO_MARK, "").strip() for text in texts)))
    return found


def _text(turn: Any, who: tuple[str, ...]) -> str:
    if not isinstance(turn, dict) or turn.get("from") not in who or not isinstance(turn.get("value"), str):
        said = turn.get("from") if isinstance(turn, dict) else turn
        raise SampleError(f"has a turn from {said!r}; expected one from {who[0]} with a text value")
    return turn["value"]
