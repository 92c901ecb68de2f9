"""One evaluation as the report needs it, and what became of an episode."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nvila_edge.navigation.actions import ACTIONS, Stop, Turn
from sim.aggregate import OURS
from sim.decisions import Witness
from sim.results import Record, load_run, stored_run
from sim.summary import HEADER, summarise

LABELS = tuple(
    "stop" if isinstance(action, Stop) else f"{'left' if action.angle_deg > 0 else 'right'} {abs(action.angle_deg)}°"
    if isinstance(action, Turn) else f"ahead {action.distance_cm}"
    for action in ACTIONS
)  # fmt: skip
OUTCOMES = ("Success", "Missed: stopped elsewhere", "Steps used up", "Rejected answers")


@dataclass(frozen=True)
class Run:
    """One evaluation: a name, its folder, results and timings in order, the summary made anew, and the decisions' files by episode id, where there are any."""

    name: str
    folder: Path
    results: Sequence[Record]
    timings: Sequence[Record]
    summary: Record
    witnesses: Mapping[str, Witness]
    rule: str = OURS

    @staticmethod
    def load(folder: Path, letter: str = "", rule: str = OURS) -> Run:
        """The evaluation in `folder`, its means by a rule of sim/aggregate.py; with a letter, the name also tells the folder.

        Raises OutputError when it holds none, ValueError for an unknown rule.
        """
        results, timings, stored = load_run(folder)
        if not stored:  # interrupted: what it was asked is known all the same
            config = stored_run(folder).get("config", {})
            stored = {"config": config, **{key: config[key] for key in ("policy", "dataset", "split", "seed") if key in config}}
        header = {key: stored[key] for key in HEADER if key in stored}  # the figures are made anew: more episodes may have come since
        found = {key: Witness.load(folder, key) for key in (str(result["episode_id"]) for result in results)}
        name = str(header.get("policy", "policy"))
        return Run(
            f"{letter}: {name}, {folder.resolve().name}" if letter else name, folder, results, timings, summarise(results, timings, header, rule),
            {key: witness for key, witness in found.items() if witness is not None}, rule,
        )  # fmt: skip

    def only(self, ids: Collection[str]) -> Run:
        """This run as if it had played these episodes only."""
        results = [result for result in self.results if str(result["episode_id"]) in ids]
        timings = [timing for timing in self.timings if str(timing["episode_id"]) in ids]
        header = {key: self.summary[key] for key in HEADER if key in self.summary}
        return Run(self.name, self.folder, results, timings, summarise(results, timings, header, self.rule), self.witnesses, self.rule)

    @cached_property
    def result_by_id(self) -> dict[str, Record]:
        """Results by episode id as a string."""
        return {str(result["episode_id"]): result for result in self.results}

    @cached_property
    def timing_by_id(self) -> dict[str, Record]:
        """Timings by episode id as a string."""
        return {str(timing["episode_id"]): timing for timing in self.timings}

    @property
    def config(self) -> Record:
        """What the figures depend on; {} for a folder that does not say."""
        return self.summary.get("config", {})


def is_rejected(decision: Record) -> bool:
    """Whether an entry of a trace is an answer that was no action, also where its agent did something instead."""
    return decision["action"] is None or bool(decision.get("rejected"))


def outcome(result: Record) -> str:
    """Which of OUTCOMES an episode had."""
    if result["success"]:
        return OUTCOMES[0]
    return OUTCOMES[{"limit": 2, "rejected": 3, "crashed": 3}.get(result.get("ended", ""), 1)]


def outcome_class(result: Record) -> str:
    """The outcome's CSS class: success, missed, steps or rejected."""
    return class_of(outcome(result))


def class_of(name: str) -> str:
    """The CSS class of one of OUTCOMES."""
    return name.split()[0].lower().strip(":")
