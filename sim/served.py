"""A server's policy in an evaluation: what the server refuses is told apart by what it means for the episode."""

from __future__ import annotations

from agents.policy import Policy
from nvila_edge.navigation.decision import Decision
from nvila_edge.serving.errors import RemoteError
from sim.outcome import Interrupted, LeftOut


class Served:
    """A policy that asks a server.

    An instruction that the model cannot take (too many tokens, a mark of a picture in it) is a matter of the episode; a server whose places are all
    taken is a matter of the moment. Every other error is the policy's.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.reset, self.observe, self.executed = policy.reset, policy.observe, policy.executed

    def decide(self) -> Decision:
        """The policy's. Raises LeftOut, Interrupted, or what the policy raises."""
        try:
            return self._policy.decide()
        except RemoteError as error:
            match error.code:
                case "instruction":
                    raise LeftOut(error.message) from error
                case "busy":
                    raise Interrupted(str(error)) from error
            raise
