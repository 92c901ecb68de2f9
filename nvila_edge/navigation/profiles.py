"""Prompt profiles: how an instruction and frames become a prompt, and which history rule goes with it.

The `navila` prompt and the chat templates are interface strings of the published checkpoints (NaVILA, evaluation/vlnce_baselines/navila_trainer.py).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

MAX_INSTRUCTION_CHARS = 2000


def checked_instruction(instruction: str) -> str:
    """The instruction with white space collapsed. Raises ValueError when nothing is left or it is longer than 2,000 characters."""
    text = " ".join(instruction.split())
    if not text:
        raise ValueError("the instruction is empty; say where to go, for example: 'Leave the bedroom and stop by the piano.'")
    if len(text) > MAX_INSTRUCTION_CHARS:
        raise ValueError(f"the instruction has {len(text)} characters; at most {MAX_INSTRUCTION_CHARS} are allowed, shorten it")
    return text


@dataclass(frozen=True)
class PromptProfile:
    """How a model wants to be asked.

    name: "stream" (instruction once, then one block of newest frame + answer per decision; attention limited to the instruction and the last
    `frames` blocks) or "navila" (the whole prompt with `frames` sampled frames anew for every decision).
    """

    name: str
    frames: int = 8

    @property
    def keeps_past(self) -> bool:
        """The history rule: True for a ring of past decisions, to which each decision adds its newest frame; False for a window of frames sampled
        anew for each decision, after which nothing is kept."""
        return self.name == "stream"

    def user_text(self, instruction: str) -> str:
        """The text of the user's turn, without chat template; "<image>" marks frames. `navila` holds the instruction as it is given, as NaVILA's
        evaluator does. Raises ValueError for an empty or overlong instruction."""
        tidied = checked_instruction(instruction)
        if self.keeps_past:
            return tidied.lower()
        history = "<image>\n" * (self.frames - 1)
        return (
            "Imagine you are a robot programmed for navigation tasks. You have been given a video of historical observations "
            f'{history}, and current observation <image>\n. Your assigned task is: "{instruction}" '
            "Analyze this series of images to decide your next action, which could be turning left or right by a specific degree, "
            "moving forward a certain distance, or stop if the task is completed."
        )


PROFILES: dict[str, PromptProfile] = {name: PromptProfile(name) for name in ("stream", "navila")}


def profile(name: str, frames: int = 8) -> PromptProfile:
    """The profile of that name with a window of `frames` frames. Raises ValueError for an unknown name or an empty window."""
    if name not in PROFILES:
        close = difflib.get_close_matches(str(name), PROFILES, n=1)
        suggestion = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"unknown prompt profile {name!r}{suggestion}; known: {', '.join(sorted(PROFILES))}")
    if frames < 1:
        raise ValueError(f"the {name} profile has a window of {frames} frames; it must be at least 1")
    return PromptProfile(name, frames)
