"""`nvila-edge chat`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import ClassVar

from nvila_edge.options.chat import ChatOptions


@dataclass(frozen=True)
class Chat(ChatOptions):
    """Ask a checkpoint or a bundle about images or a video: one question with --prompt, else a conversation line by line."""

    example: ClassVar[str] = 'nvila-edge chat nvila_edge/assets/bundle --image photo.jpg --prompt "Which room is this?"'

    def run(self) -> None:
        from nvila_edge.chat import chat

        chat(self, sys.stdin, sys.stdout, sys.stderr)
