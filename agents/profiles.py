"""From a named agent to what runs it: its policy and its loop's configuration."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from agents.guard import GuardLimits
from agents.loop import LoopConfig
from agents.policy import RemotePolicy
from agents.protocols import Frame, Motion
from nvila_edge.navigation.actions import FORWARD_STEP_CM, Action, Forward, Primitive, Turn
from nvila_edge.navigation.agent_profiles import AgentProfile, PrivilegedStop
from nvila_edge.navigation.decision import Decision
from nvila_edge.serving.client import Client


def loop_config(agent: AgentProfile, limits: GuardLimits, server_deadline_s: float) -> LoopConfig:
    """The loop's bounds and rules for this agent. The guard's limits hold whatever the agent wants."""
    return LoopConfig(
        max_primitives=agent.max_steps, max_decisions=2 * agent.max_steps, server_deadline_s=server_deadline_s, limits=limits,
        steps=agent.steps, crashes=agent.unparsable == "crash", leaks_queue=agent.leaks_queue, pushes_on=agent.pushes_on,
    )  # fmt: skip


def remote_policy(agent: AgentProfile, client: Client, decision_deadline_s: float, seed: int = 0) -> RemotePolicy | Instead:
    """The policy that asks a server as this agent asks. `seed`: of what it does by chance."""
    policy = RemotePolicy(client, decision_deadline_s, agent)
    return Instead(policy, agent, seed) if agent.unparsable in ("forward", "random") else policy


class Instead:
    """A policy that does something where the one that it wraps says what is no action: one primitive, ahead or by chance."""

    def __init__(self, policy: RemotePolicy, agent: AgentProfile, seed: int) -> None:
        self._policy, self._seed, self._rng = policy, seed, np.random.default_rng(0)
        turn_deg = agent.steps.turn_deg
        self._choices: list[Action] = [Forward(FORWARD_STEP_CM)]
        if agent.unparsable == "random":
            self._choices += [Turn(turn_deg), Turn(-turn_deg)]  # NaVid: one of the primitives 1, 2 and 3

    def reset(self, instruction: str, episode_id: str) -> None:
        """Begin an episode; its draws depend on the seed and its id only."""
        self._rng = np.random.default_rng(np.random.SeedSequence([self._seed, zlib.crc32(episode_id.encode())]))
        self._policy.reset(instruction, episode_id)

    def observe(self, frame: Frame) -> None:
        """As the wrapped policy."""
        self._policy.observe(frame)

    def executed(self, action: Action, primitive: Primitive, motion: Motion) -> None:
        """As the wrapped policy."""
        self._policy.executed(action, primitive, motion)

    def revised(self, primitive: Primitive, motion: Motion) -> None:
        """As the wrapped policy."""
        self._policy.revised(primitive, motion)

    def decide(self) -> Decision:
        """The wrapped policy's answer, or another action with the same text, marked so. Raises what the wrapped policy raises."""
        decision = self._policy.decide()
        if decision.action is not None:
            return decision
        return replace(decision, action=self._choices[int(self._rng.integers(len(self._choices)))], instead=True)


class ForcedStop:
    """Whether an episode is hopeless by NaVid's rule. Call it once before every primitive.

    distance_m: the privileged geodesic distance to the goal, where there is one.
    """

    def __init__(self, rule: PrivilegedStop, distance_m: Callable[[], float] | None = None) -> None:
        self._rule, self._distance_m = rule, distance_m
        self._steps, self._still, self._last_m = 0, 0, math.nan

    def __call__(self) -> str:
        """Why to stop now; "" to go on."""
        if self._distance_m is not None:
            now_m = self._distance_m()
            self._still = self._still + 1 if now_m == self._last_m else 0
            self._last_m = now_m
        steps, self._steps = self._steps, self._steps + 1
        if steps > self._rule.after_steps:
            return f"more than {self._rule.after_steps} steps"
        if self._still > self._rule.still_steps:
            return f"no change of the distance to the goal in {self._still} steps"
        return ""
