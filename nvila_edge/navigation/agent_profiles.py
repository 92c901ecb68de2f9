"""Agents by name: each a complete configuration of what is seen, asked, read and carried out (NaVILA's navila_trainer.py, NaVILA-Bench's eval_utils.py,
NaVid-VLN-CE).

The published ones keep their quirks, each named here, so that published figures can be compared; `ours` has none of them.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from nvila_edge.navigation.actions import SENTENCES, Steps

MAX_STEPS = 500  # VLN-CE's step limit, the stop included; all profiles keep it
GRAMMAR = "grammar"


@dataclass(frozen=True)
class CameraSetup:
    """A pinhole camera, pitch 0, `height_m` above the feet. The house renderer's height is 1.25 m, Habitat-Lab's default."""

    width_px: int
    height_px: int
    hfov_deg: float = 90.0
    height_m: float = 1.25


@dataclass(frozen=True)
class PrivilegedStop:
    """NaVid's end of hopeless episodes: STOP is carried out instead of the next primitive, whatever the policy wants, after more than `after_steps`
    primitives, or when the geodesic distance to the goal has stayed the same for more than `still_steps` in a row. That distance is privileged: no
    robot knows it, so that there only the first half of the rule holds."""

    after_steps: int = 400
    still_steps: int = 25


@dataclass(frozen=True)
class AgentProfile:
    """A named agent.

    prompt: the prompt profile that the model must have ("" for any); it brings the prompt, the history rule and the black frames with it.
    instruction: "tidied" (white space collapsed) or "raw" (as the dataset has it).
    reads: "grammar" (the model answers within the ten sentences) or a name in parser.PARSERS (it answers freely, at most `max_new_tokens`).
    unparsable: what follows an answer that is no action. "ask-again": hold, ask once more with a fresh frame, then end; "crash": the episode ends at
    once, where the published program dies; "forward": 25 cm ahead; "random": one random primitive that is no stop. All are counted as rejections.
    steps: size of a turn, most primitives of one action. pushes_on: the rest of an action is carried out also when a forward
    step met something (navigation/steady.py). leaks_queue: what is queued at the step limit runs in the next episode.
    """

    name: str
    camera: CameraSetup
    prompt: str
    instruction: Literal["tidied", "raw"]
    reads: str
    unparsable: Literal["ask-again", "crash", "forward", "random"]
    steps: Steps
    pushes_on: bool = False
    leaks_queue: bool = False
    privileged_stop: PrivilegedStop | None = None
    max_new_tokens: int = 32
    max_steps: int = MAX_STEPS

    @property
    def guided(self) -> bool:
        """Whether the model answers within the grammar."""
        return self.reads == GRAMMAR

    @property
    def expects(self) -> str:
        """For people: what an answer should be."""
        return f"one of the ten sentences, such as {SENTENCES[3]!r} or {SENTENCES[0]!r} (read by the {self.reads!r} rule)"


_VLN_CE, _NAVILA, _NAVID = CameraSetup(224, 224), CameraSetup(512, 512), CameraSetup(640, 480)  # each repository's task YAML

_REGISTERED = (
    AgentProfile("ours", _VLN_CE, "", "tidied", GRAMMAR, "ask-again", Steps(most=3)),
    # The same without the grammar: what a model says by itself, and what becomes of it when that is no action
    AgentProfile("ours-text", _VLN_CE, "navila", "tidied", "strict", "ask-again", Steps(most=3)),
    # NaVILA's Habitat evaluator. Its queue leak is apart: with it, results depend on the order of episodes
    AgentProfile("navila", _NAVILA, "navila", "raw", "navila", "crash", Steps(), pushes_on=True),
    AgentProfile("navila-leak", _NAVILA, "navila", "raw", "navila", "crash", Steps(), pushes_on=True, leaks_queue=True),
    # NaVILA-Bench drives 0.5 s at 0.5 m/s or 30 deg/s per frame: the same 25 cm and 15 degrees. Its Isaac camera is in no fact that we have
    AgentProfile("navila-bench", _NAVILA, "navila", "raw", "navila-bench", "forward", Steps(), pushes_on=True),
    # NaVid's camera, steps and rules around a model of ours: its own prompt and tokens belong to its own checkpoint, and it draws with temperature 0.2
    AgentProfile(
        "navid", _NAVID, "navila", "raw", "navid", "random", Steps(turn_deg=30, most=3), pushes_on=True, privileged_stop=PrivilegedStop()
    ),
)

AGENTS: dict[str, AgentProfile] = {agent.name: agent for agent in _REGISTERED}
OURS = AGENTS["ours"]


def agent_profile(name: str) -> AgentProfile:
    """The agent of that name. Raises ValueError for an unknown one."""
    if name not in AGENTS:
        close = difflib.get_close_matches(str(name), AGENTS, n=1)
        suggestion = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"unknown agent {name!r}{suggestion}; known: {', '.join(AGENTS)}")
    return AGENTS[name]


def check_prompt(agent: AgentProfile, prompt: str) -> None:
    """Raises ValueError unless the agent can ask a model of that prompt profile."""
    if agent.prompt not in ("", prompt):
        raise ValueError(
            f"the agent {agent.name!r} asks with the {agent.prompt!r} prompt, this model was made for {prompt!r}; "
            f"choose another bundle, or the agent 'ours', which asks as the model wants"
        )
