"""An evaluation whose policy is broken ends after a few episodes, and says what the model answered and what was expected of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from nvila_edge.navigation.agent_profiles import AgentProfile
from sim.crew import EvaluationError, Reporter
from sim.episodes import Episode
from sim.results import Record

FIRST, LAST = 5, 20  # judged after so many episodes (all, when there are fewer), and after each further one up to the latter
SHOWN = 3


class PolicyBroken(EvaluationError):
    """Too many of the first answers were no actions."""


class Watched:
    """A reporter that also judges the first episodes as they finish.

    most: the share of decisions that may be rejected. done: results of an earlier run of the same evaluation; its first episodes count too.
    """

    def __init__(self, reporter: Reporter, agent: AgentProfile, most: float, done: Iterable[Record] = ()) -> None:
        """Raises ValueError when `most` is not a share."""
        if not 0 <= most <= 1:
            raise ValueError(f"--max-rejections {most}: a share from 0 to 1, and 1 never ends an evaluation")
        self._reporter, self._agent, self._most = reporter, agent, most
        self._results, self._first = list(done), FIRST

    def begin(self, total: int, done: int) -> None:
        """`total` episodes, of which `done` are there. Raises PolicyBroken when those are bad enough."""
        self._first = min(FIRST, total)
        self._reporter.begin(total, done)
        self._judge()

    def decided(self, episode: Episode, answer: Record) -> None:
        """As the wrapped reporter."""
        self._reporter.decided(episode, answer)

    def finished(self, episode: Episode, result: Record | None) -> None:
        """An episode ended; its results are kept already. Raises PolicyBroken."""
        self._reporter.finished(episode, result)
        if result is not None:
            self._results.append(result)
            self._judge()

    def note(self, text: str) -> None:
        """As the wrapped reporter."""
        self._reporter.note(text)

    def _judge(self) -> None:
        if not self._first <= len(self._results) <= LAST:
            return
        decisions, rejections = (sum(int(result[name]) for result in self._results) for name in ("decisions", "rejections"))
        if rejections <= self._most * decisions:
            return
        said = Counter(decision["text"] for result in self._results for decision in result["trace"] if decision.get("rejected"))
        answers = ", ".join(f"{text!r:.120} ({count} x)" for text, count in said.most_common(SHOWN))
        raise PolicyBroken(
            f"the policy is broken: {rejections} of {decisions} answers in the first {len(self._results)} episodes were no actions "
            f"(at most {100 * self._most:g} % may be). It answered {answers}; expected was {self._agent.expects}. "
            f"What is finished stays. Is this the right bundle for the agent {self._agent.name!r}? --agent chooses another one, and "
            f"--max-rejections 1 goes on regardless"
        )
