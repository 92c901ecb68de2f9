"""A conversation as tokens, and which of them are learned: every answer and the token that ends it (NVlabs/VILA, llava/utils/tokenizer.py)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nvila_edge.model.tokens import IMAGE_MARK, SYSTEM_PROMPT, ChatTokenizer
from nvila_edge.training.samples import Exchange

IGNORED = -100


@dataclass(frozen=True)
class Piece:
    """Part of a conversation: `ids`, or a medium (IMAGE_MARK or VIDEO_MARK) whose embeddings go here. `learned`: the ids are labels."""

    ids: tuple[int, ...] = ()
    media: str = ""
    learned: bool = False


def conversation(tokenizer: ChatTokenizer, exchanges: Sequence[Exchange], system_prompt: bool = True) -> list[Piece]:
    """The pieces of a conversation, questions tokenised as when the model is asked, each answer by itself.

    The line break that the template puts after the last answer is left out: nothing is predicted from it. Llama's last answer ends with another
    token than its earlier ones.
    """
    template, pieces = tokenizer.template, []
    ends = [tokenizer.end_of_turn] * (len(exchanges) - 1) + [tokenizer.stops[-1]]
    for number, (exchange, end) in enumerate(zip(exchanges, ends, strict=True)):
        text = template.text(exchange.question, first=number == 0)
        if number == 0 and not system_prompt:
            text = text.replace(SYSTEM_PROMPT, "", 1)
        pieces += [Piece(chunk.ids, chunk.media) for chunk in tokenizer.chunks(text)]
        pieces.append(Piece((*tokenizer.encode(exchange.answer), end), learned=True))
    return [Piece((*tokenizer.begin(), *pieces[0].ids)), *pieces[1:]]


def with_tiles(exchanges: Sequence[Exchange], tiles: Iterator[int]) -> list[Exchange]:
    """The questions with one mark and a line break for every tile of an image (the `dynamic` mode): `tiles` says how many each image has."""
    return [
        Exchange(re.sub(re.escape(IMAGE_MARK), lambda _: f"{IMAGE_MARK}\n" * next(tiles), one.question), one.answer) for one in exchanges
    ]
