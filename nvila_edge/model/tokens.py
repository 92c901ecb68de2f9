"""The tokenizer of a checkpoint, its chat template and the media marks. Needs `tokenizers` only, no torch.

As NVlabs/VILA (llava/utils/tokenizer.py) and NaVILA (llava/conversation.py) have them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

SYSTEM_PROMPT = "You are a helpful assistant"  # NVILA's, without a full stop (trap 4 of nvila_edge/traps.py)
LLAMA_SYSTEM_PROMPT = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user provides, "
    "and assist the user with a variety of tasks using natural language."
)
IMAGE_MARK, VIDEO_MARK = "<image>", "<vila/video>"
_MARKS = re.compile(f"({re.escape(IMAGE_MARK)}|{re.escape(VIDEO_MARK)})")
_PLACEHOLDER = -200  # stands for a medium in NaVILA's ids, where no token exists for it


@dataclass(frozen=True)
class ChatTemplate:
    """A turn is `opening` + user text + `closing`. `ends`: tokens that end an answer, the first is the usual one; `again`: what opens a later turn, after
    the end of an answer; `strips`: the user's text is stripped; `begins`: the token that the tokenizer puts before every text, and that stays in
    front of the first chunk only (trap 8)."""

    opening: str
    closing: str
    ends: tuple[str, ...]
    again: str
    strips: bool
    begins: str = ""

    def text(self, user_text: str, first: bool = True, system: str | None = None) -> str:
        """One user turn (the first of a conversation, or a later one) and the generation prompt; `system` instead of the published system prompt,
        which is what checkpoints were trained with."""
        opening = self.opening if system is None else self.opening.replace(self.system, system)
        return (opening if first else self.again) + (user_text.strip() if self.strips else user_text) + self.closing

    @property
    def system(self) -> str:
        """The published system prompt within the opening."""
        return next(prompt for prompt in (LLAMA_SYSTEM_PROMPT, SYSTEM_PROMPT) if prompt in self.opening)


TEMPLATES = {
    "qwen2": ChatTemplate(
        f"<|im_start|>system\n{SYSTEM_PROMPT}<|im_end|>\n<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n", ("<|im_end|>",),
        "\n<|im_start|>user\n", True,
    ),
    "llama_3": ChatTemplate(
        f"<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n{LLAMA_SYSTEM_PROMPT}<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n",
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n", ("<|eot_id|>", "<|end_of_text|>"),
        "<|start_header_id|>user<|end_header_id|>\n\n", False, "<|begin_of_text|>",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Chunk:
    """A piece of a prompt: token ids, or a medium (`media` is IMAGE_MARK or VIDEO_MARK) whose embeddings go here."""

    ids: tuple[int, ...] = ()
    media: str = ""


class ChatTokenizer:
    """A checkpoint's tokenizer with its chat template (one of TEMPLATES)."""

    def __init__(self, tokenizer: Tokenizer, template: str = "qwen2") -> None:
        self.tokenizer = tokenizer
        if template not in TEMPLATES:
            raise ValueError(f"chat template {template!r} is unknown; known: {', '.join(TEMPLATES)}")
        self.template = TEMPLATES[template]
        ends, newline = [tokenizer.token_to_id(name) for name in self.template.ends], self.encode("\n")
        if ends[0] is None or len(newline) != 1:
            raise ValueError(
                f"this tokenizer has no {self.template.ends[0]} token or no single token for a line break; it does not fit the template {template}"
            )
        self.stops: tuple[int, ...] = tuple(end for end in ends if end is not None)
        self.end_of_turn: int = self.stops[0]
        self.newline: int = newline[0]

    @staticmethod
    def from_folder(folder: Path, template: str = "qwen2") -> ChatTokenizer:
        """Reads tokenizer.json. Raises ValueError when there is none or it cannot be read."""
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise ValueError(f"{path} is missing; a checkpoint or bundle holds its tokenizer there")
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # noqa: BLE001  the Rust library raises plain Exception
            raise ValueError(f"{path} cannot be read: {error}; is the download complete?") from error
        return ChatTokenizer(tokenizer, template)

    def encode(self, text: str) -> list[int]:
        """Ids of a text, nothing added. Raises ValueError for what is no Unicode text (half a surrogate pair, from bytes that are not UTF-8)."""
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"the text is not valid Unicode at character {error.start}; type it again, or save the file as UTF-8"
            ) from error
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: list[int]) -> str:
        """Text of ids, special tokens left out."""
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    def prompt(self, user_text: str, system: str | None = None) -> list[Chunk]:
        """One user turn and the generation prompt, cut at media marks; every chunk is tokenised by itself. `system`: see ChatTemplate.text."""
        chunks = self.chunks(self.template.text(user_text, system=system))
        return [Chunk(ids=(*self.begin(), *chunks[0].ids)), *chunks[1:]]

    def chunks(self, text: str) -> list[Chunk]:
        """A text cut at media marks."""
        pieces = [piece for piece in _MARKS.split(text) if piece]
        return [Chunk(media=piece) if _MARKS.fullmatch(piece) else Chunk(ids=tuple(self.encode(piece))) for piece in pieces]

    def ids(self, chunks: list[Chunk]) -> list[int]:
        """Ids of a prompt with one id for every medium: its own token's, or -200 where the tokenizer has none."""
        media = {mark: self.tokenizer.token_to_id(mark) for mark in (IMAGE_MARK, VIDEO_MARK)}
        found: list[int] = []
        for chunk in chunks:
            own = media.get(chunk.media)
            found += [_PLACEHOLDER if own is None else own] if chunk.media else chunk.ids
        return found

    def begin(self) -> tuple[int, ...]:
        """The token that the tokenizer adds before a text by itself: NaVILA's prompt then starts with two of them (trap 8)."""
        begins = self.template.begins and self.tokenizer.token_to_id(self.template.begins)
        added = self.tokenizer.encode("", add_special_tokens=True).ids
        return (begins,) if isinstance(begins, int) and added[:1] == [begins] else ()
