"""The tokenizer of a checkpoint, its chat template and the media marks (facts/nvila.md section 1.7). Needs `tokenizers` only, no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

SYSTEM_PROMPT = "You are a helpful assistant"  # NVILA's, without a full stop (trap 4)
IMAGE_MARK, VIDEO_MARK = "<image>", "<vila/video>"
_MARKS = re.compile(f"({re.escape(IMAGE_MARK)}|{re.escape(VIDEO_MARK)})")


@dataclass(frozen=True)
class Chunk:
    """A piece of a prompt: token ids, or a medium (`media` is IMAGE_MARK or VIDEO_MARK) whose embeddings go here."""

    ids: tuple[int, ...] = ()
    media: str = ""


class ChatTokenizer:
    """A Qwen2-style tokenizer with its chat template."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        end_of_turn, newline = tokenizer.token_to_id("<|im_end|>"), self.encode("\n")
        if end_of_turn is None or len(newline) != 1:
            raise ValueError("this tokenizer has no <|im_end|> token or no single token for a line break; it is not Qwen2's kind")
        self.end_of_turn: int = end_of_turn
        self.newline: int = newline[0]

    @staticmethod
    def from_folder(folder: Path) -> ChatTokenizer:
        """Reads tokenizer.json. Raises ValueError when there is none or it cannot be read."""
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise ValueError(f"{path} is missing; a checkpoint or bundle holds its tokenizer there")
        return ChatTokenizer(Tokenizer.from_file(str(path)))

    def encode(self, text: str) -> list[int]:
        """Ids of a text, nothing added."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: list[int]) -> str:
        """Text of ids, special tokens left out."""
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    def prompt(self, user_text: str) -> list[Chunk]:
        """One user turn and the generation prompt, cut at media marks. The user's text is stripped (as VILA does)."""
        text = f"<|im_start|>system\n{SYSTEM_PROMPT}<|im_end|>\n<|im_start|>user\n{user_text.strip()}<|im_end|>\n<|im_start|>assistant\n"
        pieces = [piece for piece in _MARKS.split(text) if piece]
        return [Chunk(media=piece) if _MARKS.fullmatch(piece) else Chunk(ids=tuple(self.encode(piece))) for piece in pieces]
