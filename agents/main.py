"""The functions behind `nvila-edge agent`: one server, one camera, one robot, and one instruction or many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from agents.cameras.choice import open_camera
from agents.cameras.ranging import Ranging
from agents.cameras.watched import Watched
from agents.events import Ended, Event
from agents.executor import Executor
from agents.guard import ON_ROBOT, GuardLimits
from agents.instructions import Lines
from agents.limits import VelocityLimits
from agents.loop import Loop, LoopConfig
from agents.overlap import Overlapped
from agents.profiles import ForcedStop, loop_config, remote_policy
from agents.recording.robot import Relay
from agents.robots.choice import checked_robot, open_robot
from agents.signals import ending_on_signals, halting_on_signals
from agents.telling import Record, Telling, check_folder, told
from agents.zones import Zone
from nvila_edge.navigation.agent_profiles import AgentProfile, agent_profile, check_prompt
from nvila_edge.navigation.profiles import checked_instruction
from nvila_edge.serving.client import Client
from nvila_edge.serving.errors import LinkDown
from nvila_edge.serving.keys import client_keys

if TYPE_CHECKING:
    from typing_extensions import Unpack  # typing's own from Python 3.11 on

DECISION_S, SERVER_S = 10.0, 60.0  # how long an answer, and a lost server, is waited for


@dataclass(frozen=True)
class Ready:
    """A loop that is ready to follow instructions as an agent."""

    loop: Loop
    agent: AgentProfile
    relay: Relay  # what the robot says of its velocities goes to its recorder


def _unheard(_: str) -> None:
    pass


class Options(TypedDict, total=False):
    """What run_agent and run_lines hand to open_loop as it is."""

    robot: str
    profile: str | None
    connect_s: float
    keys: Path | None
    overlap: bool
    zones: tuple[Zone, ...]
    limits: VelocityLimits | None


@contextmanager
def open_loop(
    server: str,
    camera: str | Path,
    *,
    robot: str = "dry-run",
    profile: str | None = None,
    config: LoopConfig | None = None,
    connect_s: float = 10.0,
    keys: Path | None = None,
    overlap: bool = False,
    zones: tuple[Zone, ...] = (),
    limits: VelocityLimits | None = None,
    on_warning: Callable[[str], None] = _unheard,
) -> Iterator[Ready]:
    """A loop that is ready to follow instructions; at the end the robot is halted and the connections are closed.

    server: its address. camera: as `open_camera` takes it. robot: as `open_robot` takes it. profile: the agent's name, None for the one that the model
    is meant for. config: instead of the agent's own bounds. keys: folder of the client's keys. overlap: think while moving. zones: where the robot
    may go. limits: of its velocities, instead of its own. on_warning: told of bad pictures, and of a camera mounted otherwise than the model wants.
    Raises ValueError for anything that is not allowed, LinkDown when no server answers within `connect_s`, RobotError for a robot out of reach.
    """
    checked_robot(robot)
    agent = None if profile is None else agent_profile(profile)
    with ExitStack() as stack:
        source = stack.enter_context(closing(open_camera(camera)))
        client = stack.enter_context(Client(server, keys=client_keys(keys) if keys else None))
        if not client.wait_alive(connect_s):
            raise LinkDown(
                f"no server answers at {server} within {connect_s:g} s", f"start one: nvila-edge serve --bundle DIR --bind {server}"
            )
        info = client.hello(connect_s)
        agent = agent or agent_profile(info.agent)
        check_prompt(agent, info.profile)
        if agent.leaks_queue:
            raise ValueError(f"{agent.name} starts with what was left of the episode before: for evaluations only; name another --profile")
        policy = remote_policy(agent, client, DECISION_S)
        bounds = config or loop_config(agent, GuardLimits() if robot == "dry-run" else ON_ROBOT, SERVER_S)
        forced = ForcedStop(agent.privileged_stop) if agent.privileged_stop else None
        relay, ranging = Relay(), None
        if robot != "dry-run" and getattr(source, "has_depth", False):
            source = ranging = stack.enter_context(closing(Ranging(source, agent.camera)))
        way = None if ranging is None else ranging.clearance
        body = stack.enter_context(open_robot(robot, agent.steps.turn_deg, clearance=way, zones=zones, recorder=relay, limits=limits))
        pose = body.odometry if isinstance(body, Executor) else None
        parts = (policy, Watched(source, agent.camera, on_warning), body, client, bounds, forced)
        yield Ready((Overlapped if overlap else Loop)(*parts, pose=pose), agent, relay)


def run_agent(
    server: str,
    camera: str | Path,
    instruction: str,
    *,
    on_event: Callable[[Event], None],
    on_warning: Callable[[str], None] = _unheard,
    record: Record | None = None,
    config: LoopConfig | None = None,
    **options: Unpack[Options],
) -> Ended:
    """Follow one instruction and return how it ended (`fault` tells whether something failed); every event goes to `on_event` first.

    record: what is recorded. The rest is as open_loop takes it, and so is what it raises; also ValueError, before a robot stands up, for a folder
    that holds a recording already. SIGINT (KeyboardInterrupt), SIGTERM and SIGHUP (SystemExit) leave zero velocity behind.
    """
    checked_instruction(instruction)
    if record is not None:
        check_folder(record.folder)
    with (
        ending_on_signals(),
        open_loop(server, camera, config=config, on_warning=on_warning, **options) as ready,
        halting_on_signals(ready.loop.cancel),
        told(Telling(on_event, on_warning), record, instruction, ready.agent, server, ready.relay) as tell,
    ):
        return follow(ready.loop, instruction, tell.event)


def run_lines(
    server: str,
    camera: str | Path,
    source: Iterable[str],
    *,
    on_event: Callable[[Event], None],
    on_warning: Callable[[str], None] = _unheard,
    record: Record | None = None,
    **options: Unpack[Options],
) -> Ended | None:
    """Follow one instruction after the other, until no more lines come; a new line cancels the one under way, an empty one only that.

    Each is recorded in a folder of its own. Returns how the last one ended, None when there was none.
    A line that cannot be followed, and so is no ValueError here, ends with "error". The rest is as in run_agent.
    """
    if record is not None:
        check_folder(record.folder)
    ended, count = None, 0
    with (
        ending_on_signals(),
        open_loop(server, camera, on_warning=on_warning, **options) as ready,
        halting_on_signals(ready.loop.cancel),
    ):
        lines = Lines(source, lambda: ready.loop.cancel("a new instruction came"))
        while (line := lines.take()) is not None:
            if line:
                own, count = None if record is None else replace(record, folder=record.folder / f"{count:03d}"), count + 1
                with told(Telling(on_event, on_warning), own, line, ready.agent, server, ready.relay) as tell:
                    ended = _follow_line(ready.loop, line, lines, tell.event)
    return ended


def _follow_line(loop: Loop, line: str, lines: Lines, on_event: Callable[[Event], None]) -> Ended:
    def tell(event: Event) -> None:
        on_event(event)
        if lines.waiting:  # it may have come before this one began, when there was nothing to cancel
            loop.cancel("a new instruction came", wait_s=0.0)

    try:
        return follow(loop, line, tell)
    except ValueError as error:
        ended = Ended("error", str(error), 0, 0, 0)
        on_event(ended)
        return ended


def follow(loop: Loop, instruction: str, on_event: Callable[[Event], None]) -> Ended:
    """Run one episode to its end. However this is left, the robot is halted. Raises ValueError for an instruction that cannot be followed."""
    ended: Event | None = None
    with closing(loop.run(instruction, "agent")) as events:
        for ended in events:
            on_event(ended)
    assert isinstance(ended, Ended), "the last event of a run is Ended"
    return ended
