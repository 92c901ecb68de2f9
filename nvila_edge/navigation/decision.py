"""What a policy answers for one decision."""

from __future__ import annotations

from dataclasses import dataclass, field

from nvila_edge.navigation.actions import Action


@dataclass(frozen=True)
class Decision:
    """One answer.

    action: what to do, or None when the answer could not be understood.
    instead: the answer could not be understood, and `action` is what the agent does instead.
    text: the answer as text. probability: of the chosen action, product of the grammar-renormalised branch probabilities.
    candidates: ten probabilities in the order of navigation.actions.ACTIONS, summing to 1; empty when the policy has none.
    timing_ms: where the time went, milliseconds by stage.
    age_ms: from the capture of the newest frame that it was decided on to the answer's arrival, on the clock of who captured; None: unknown.
    """

    action: Action | None
    text: str
    probability: float
    candidates: tuple[float, ...] = ()
    timing_ms: dict[str, float] = field(default_factory=dict)
    instead: bool = False
    age_ms: float | None = None

    @property
    def rejected(self) -> bool:
        """Whether the answer could not be understood."""
        return self.action is None or self.instead
