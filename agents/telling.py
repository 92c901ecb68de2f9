"""Who is told what happens: whoever runs the agent, and its recording if there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agents.events import Event
from agents.recording.robot import Relay
from nvila_edge.navigation.agent_profiles import AgentProfile


@dataclass(frozen=True)
class Record:
    """What is to be recorded: everything, into a new `folder`, or the last `last_s` seconds before anything that goes wrong, into folders in it."""

    folder: Path
    last_s: float | None = None


@dataclass(frozen=True)
class Telling:
    """event: for what the loop tells; warning: for what is no event, such as a dirty lens or a recording that ended."""

    event: Callable[[Event], None]
    warning: Callable[[str], None]


def check_folder(folder: Path) -> None:
    """Raises ValueError when it holds something already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} holds something already; give a new folder for the recording")


@contextmanager
def told(
    whom: Telling, record: Record | None, instruction: str, agent: AgentProfile, server: str, robot: Relay | None = None
) -> Iterator[Telling]:
    """`whom`, after a recorder that is closed at the end. robot: what a robot says of its velocities, for that recorder.
    Raises what Recorder raises, ModuleNotFoundError without its extra."""
    if record is None:
        yield whom
        return
    from agents.recorder import Recorder, RecordingAbout  # needs rosbags, which only those have who record

    about = RecordingAbout(instruction, "agent", agent.name, server)
    with Recorder(record.folder, about, record.last_s, whom.warning) as recorder:

        def event(happened: Event) -> None:
            recorder(happened)
            whom.event(happened)

        def warning(text: str) -> None:
            recorder.warned(text)
            whom.warning(text)

        relay = robot or Relay()
        relay.recorder = recorder
        try:
            yield Telling(event, warning)
        finally:
            relay.recorder = None
