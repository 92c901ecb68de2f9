"""What the policy decided where the expert, standing at the same spot, would have decided otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from nvila_edge.navigation.actions import ACTIONS, Forward, Stop
from sim.report.run import LABELS, Run, is_rejected
from sim.summary import wilson

KINDS = tuple(
    "stop" if isinstance(action, Stop) else "ahead" if isinstance(action, Forward) else "left" if action.angle_deg > 0 else "right"
    for action in ACTIONS
)


@dataclass(frozen=True)
class Confusion:
    """counts int [10, 11]: expert's action by the policy's (the last column: no valid answer)."""

    counts: np.ndarray

    @property
    def decisions(self) -> int:
        """How many decisions have both."""
        return int(self.counts.sum())

    @property
    def same_action(self) -> int:
        """How often both said the same of the ten."""
        return int(np.trace(self.counts[:, :-1]))

    @property
    def same_kind(self) -> int:
        """How often both said the same of stop, ahead, left and right."""
        same = np.array([[one == other for other in KINDS] for one in KINDS])
        return int(self.counts[:, :-1][same].sum())


def confusion(run: Run) -> Confusion:
    """Over all decisions of the episodes whose decisions were recorded."""
    counts = np.zeros((len(ACTIONS), len(ACTIONS) + 1), np.int64)
    for result in run.results:
        witness = run.witnesses.get(str(result["episode_id"]))
        if witness is None:
            continue
        for decision, wanted in zip(result["trace"], witness.expert):
            if wanted is not None and 0 <= wanted < len(ACTIONS):
                counts[wanted, len(ACTIONS) if is_rejected(decision) else decision["action"]] += 1
    return Confusion(counts)


def confusion_table(run: Run) -> str:
    """The counts as a table, each row's shares as strength of colour; "" when no decision has the expert's answer."""
    found = confusion(run)
    if not found.decisions:
        return ""
    shown = len(ACTIONS) + int(found.counts[:, -1].any())
    columns = [*LABELS, "none"][:shown]
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in columns)
    rows = "".join(_row(index, found.counts[index, :shown], columns) for index in range(len(ACTIONS)) if found.counts[index].any())
    return (
        f"<p>{_share(found.same_action, found.decisions)} the same action as the expert, {_share(found.same_kind, found.decisions)} "
        f'the same kind, of {found.decisions:,} decisions.</p><div class="wide-table"><table class="confusion"><thead><tr><th>expert ↓ policy →</th>'
        f"{head}<th>n</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _share(part: int, whole: int) -> str:
    low, high = wilson(part, whole)
    return f"<b>{100 * part / whole:.1f} %</b> ({100 * low:.1f}–{100 * high:.1f})"


def _row(index: int, counts: np.ndarray, columns: Sequence[str]) -> str:
    total = int(counts.sum())
    cells = []
    for at, count in enumerate(counts.tolist()):
        share = count / total
        kind = "same" if at == index else "kind" if at < len(KINDS) and KINDS[at] == KINDS[index] else "other"
        note = f"expert {LABELS[index]}, policy {columns[at]}: {count} of {total} ({100 * share:.1f} %)"
        text = f"{100 * share:.0f}" if share >= 0.005 else "" if not count else "·"
        cells.append(f'<td class="{kind}" style="--share:{100 * share:.0f}%" title="{escape(note)}">{text}</td>')
    return f'<tr><th scope="row">{escape(LABELS[index])}</th>{"".join(cells)}<td class="num soft">{total:,}</td></tr>'
