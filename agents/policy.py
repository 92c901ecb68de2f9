"""What the loop asks for actions: the Policy interface, and the policy that asks a server."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Protocol

from agents.history import History, frames_for_decision
from agents.protocols import Frame, Motion
from nvila_edge.navigation.actions import Action, Primitive, primitives
from nvila_edge.navigation.agent_profiles import OURS, AgentProfile, check_prompt
from nvila_edge.navigation.decision import Decision
from nvila_edge.navigation.parser import PARSERS
from nvila_edge.navigation.profiles import PromptProfile, checked_instruction, profile
from nvila_edge.navigation.steady import is_blocked
from nvila_edge.serving.client import Client
from nvila_edge.serving.episode import RemoteEpisode


class Policy(Protocol):
    """Follows one instruction at a time. Call reset, then observe with every frame as it is captured; decide when an action is wanted."""

    def reset(self, instruction: str, episode_id: str) -> None:
        """Begin an episode. Raises ValueError for an instruction that cannot be followed by anybody."""
        ...

    def observe(self, frame: Frame) -> None:
        """A frame was captured. Does not wait."""
        ...

    def executed(self, action: Action, primitive: Primitive, motion: Motion) -> None:
        """A primitive of `action` (the last decision's) was carried out; the next frame shows what came of it. After a blocked
        forward step (navigation/steady.py) the rest of the action is dropped."""
        ...

    def decide(self) -> Decision:
        """The next action, seen from the newest frame. Raises LinkDown, DeadlinePassed or another ServingError when a server fails it."""
        ...


class RemotePolicy:
    """Asks a server as `agent` asks: within the grammar, or for free text, which is read here.

    Frames are sent when they are captured, so that they are encoded before they are asked for: under `navila` all, under `stream` those that
    a decision follows, which are the ones after the last primitive of an action. What was not sent by then (the first frame, before it
    is known how the model wants to be asked, or one after an action that was broken off) is sent with the question.
    """

    def __init__(self, client: Client, decision_deadline_s: float = 10.0, agent: AgentProfile = OURS) -> None:
        self._client, self._deadline_s, self._agent = client, decision_deadline_s, agent
        self._instruction = ""
        self._profile: PromptProfile | None = None
        self._episode: RemoteEpisode | None = None
        self._history = History()
        self._newest: Frame | None = None
        self._begun = True  # whether the last decision is part of the past
        self._left = 0  # primitives of the last decision that are still to come
        self._blocked = False

    def reset(self, instruction: str, episode_id: str) -> None:
        """Begin an episode. Raises ValueError for an empty or overlong instruction; needs no server yet."""
        tidied = checked_instruction(instruction)
        self._instruction = instruction if self._agent.instruction == "raw" else tidied
        if self._episode is not None:
            self._episode.close()
        self._profile, self._episode, self._newest, self._history, self._begun = None, None, None, History(), True
        self._left, self._blocked = 0, False

    def observe(self, frame: Frame) -> None:
        """Remember a frame; send it when the model may need it later. Raises WireError for an array that is no frame."""
        self._history.observe(frame.frame_id)
        self._newest = frame
        prompt = self._agent.prompt if self._profile is None else self._profile.name
        if prompt and (self._left == 0 or not profile(prompt).keeps_past):
            self._open(prompt).send(frame.frame_id, frame.rgb, frame.captured_s)

    def executed(self, action: Action, primitive: Primitive, motion: Motion) -> None:
        """The newest frame becomes history; with the first primitive of an action, its decision becomes part of the past."""
        if not self._begun and self._episode is not None:
            self._begun = True
            self._episode.begun(self._history.ids[-1], action)
        self._history.completed()
        self._blocked = not self._agent.pushes_on and is_blocked(primitive, motion.moved_m)
        self._left = 0 if self._blocked else self._left - 1

    def revised(self, primitive: Primitive, motion: Motion) -> None:
        """The primitive told last turned out like this; the decision made since then was dropped, and is no part of the past."""
        self._blocked, self._left = not self._agent.pushes_on and is_blocked(primitive, motion.moved_m), 0

    def decide(self) -> Decision:
        """The server's answer for the newest frame. Raises LinkDown, DeadlinePassed, RemoteError or WireError, and ValueError when the model was
        made for another prompt than the agent's."""
        assert self._newest is not None, "observe comes before decide"
        started_s = time.monotonic()
        if self._profile is None:
            info = self._client.hello(self._deadline_s)
            check_prompt(self._agent, info.profile)
            self._profile = profile(info.profile, info.window)
        episode = self._open(self._profile.name)
        if not episode.keeps(self._newest.frame_id):
            episode.send(self._newest.frame_id, self._newest.rgb, self._newest.captured_s)
        left_s = self._deadline_s - (time.monotonic() - started_s)
        decision = self._answer(episode, frames_for_decision(self._profile, self._history), left_s)
        self._begun, self._left = False, 0 if decision.action is None else len(primitives(decision.action))
        return decision

    def _answer(self, episode: RemoteEpisode, frame_ids: tuple[int, ...], timeout_s: float) -> Decision:
        if self._agent.guided:
            return episode.decide(frame_ids, timeout_s, self._blocked)
        decision = episode.say(frame_ids, timeout_s, self._agent.max_new_tokens)
        return replace(decision, action=PARSERS[self._agent.reads](decision.text))

    def _open(self, prompt: str) -> RemoteEpisode:
        if self._episode is None:
            self._episode = RemoteEpisode(self._client, self._instruction, prompt)
        return self._episode
