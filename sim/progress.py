"""Progress of an evaluation on a terminal (live) or in a log (one line per episode)."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from nvila_edge.progress import duration
from sim.episodes import Episode
from sim.report.figures import outcome
from sim.results import Record, number

_RECENT = 5


class Display:
    """A Reporter that shows episodes, instructions, last actions with probability and latency, and what remains. A context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        remains = TextColumn("{task.fields[remains]}")
        self._progress = Progress(TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), remains, console=self.console)
        self._task = self._progress.add_task("Episodes", total=None, remains="starting …")
        self._live = Live(console=self.console, refresh_per_second=4, get_renderable=self._picture) if self.console.is_terminal else None
        self._playing: dict[str, tuple[Episode, Record | None]] = {}
        self._started_s = time.monotonic()
        self._total = self._before = self._ended = self._won = 0

    def __enter__(self) -> Display:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._playing.clear()
            self._live.stop()

    def begin(self, total: int, done: int) -> None:
        """How much there is, and how much of it was done before."""
        self._total, self._before, self._started_s = total, done, time.monotonic()
        self._progress.update(self._task, total=total, completed=done)
        if done:
            self.note(f"{done} of {total} episodes are there from an earlier run; going on with the rest")

    def decided(self, episode: Episode, answer: Record) -> None:
        """The newest decision of an episode."""
        self._playing[episode.episode_id] = (episode, answer)

    def finished(self, episode: Episode, result: Record | None) -> None:
        """One episode less."""
        self._playing.pop(episode.episode_id, None)
        self._ended += 1
        self._won += int(result["success"]) if result is not None else 0
        self._progress.update(self._task, completed=self._before + self._ended, remains=self._remains())
        self.console.print(self._line(episode, result), highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """A line of its own."""
        self.console.print(Text(text, style="yellow"))

    def _remains(self) -> str:
        left = self._total - self._before - self._ended
        elapsed_s = time.monotonic() - self._started_s
        return f"about {duration(elapsed_s / self._ended * left)} left" if left else f"done in {duration(elapsed_s)}"

    def _line(self, episode: Episode, result: Record | None) -> Text:
        count = f"{self._before + self._ended:>{len(str(self._total))}}/{self._total}"
        if result is None:
            return Text(f"{count}  episode {episode.episode_id} left out", style="dim")
        verdict = outcome(result)
        colour = "green" if result["success"] else "red"
        text = Text(f"{count}  ")
        text.append(f"{verdict.split(':')[0]:<16}", style=f"bold {colour}")
        text.append(f" {number(result['distance_to_goal']):4.1f} m from the goal, {result['steps']:>3} steps  ")
        text.append(str(result["instruction"]), style="dim")
        if not self.console.is_terminal:
            text.append(f"  ({self._remains()})")
        return text

    def _picture(self) -> Group:
        table = Table.grid(padding=(0, 2))
        for episode, answer in list(self._playing.values())[-_RECENT:]:
            if answer is not None:
                last = f"{answer['text']}  p {answer['probability']:.2f}  {answer['latency_ms']:.0f} ms"
                table.add_row(f"episode {episode.episode_id}", f"step {answer['step']}", last)
                table.add_row("", "", Text(episode.instruction, style="dim"))
        return Group(table, self._progress)
