"""The function behind `nvila-edge agent`: one instruction, one server, one camera, one robot."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from agents.cameras.choice import open_camera
from agents.cameras.watched import Watched
from agents.events import Ended, Event
from agents.guard import GuardLimits
from agents.loop import Loop, LoopConfig
from agents.profiles import ForcedStop, loop_config, remote_policy
from agents.robots.dry_run import DryRun
from agents.telling import Record, Telling, told
from nvila_edge.navigation.agent_profiles import agent_profile, check_prompt
from nvila_edge.navigation.profiles import checked_instruction
from nvila_edge.serving.client import Client
from nvila_edge.serving.errors import LinkDown
from nvila_edge.serving.keys import client_keys

ROBOTS = ("dry-run",)
DECISION_S, SERVER_S = 10.0, 60.0  # how long an answer, and a lost server, is waited for


def run_agent(
    server: str,
    camera: str | Path,
    instruction: str,
    *,
    robot: str = "dry-run",
    profile: str | None = None,
    on_event: Callable[[Event], None],
    config: LoopConfig | None = None,
    connect_s: float = 10.0,
    keys: Path | None = None,
    record: Record | None = None,
    on_warning: Callable[[str], None] = lambda _: None,
) -> Ended:
    """Follow one instruction and return how it ended (`fault` tells whether something failed); every event goes to `on_event` first.

    server: its address. camera: as `open_camera` takes it. robot: one of ROBOTS. profile: the agent's name, None for the one that the model is meant for.
    config: instead of the agent's own bounds. keys: folder of the client's keys. record: what is recorded.
    on_warning: told of bad pictures, of a camera mounted otherwise than the model wants, of a recording that ended early.
    Raises ValueError for anything that is not allowed, LinkDown when no server answers within `connect_s`.
    """
    checked_instruction(instruction)
    if robot not in ROBOTS:
        raise ValueError(f"unknown robot {robot!r}; known: {', '.join(ROBOTS)}")
    agent = None if profile is None else agent_profile(profile)
    with ExitStack() as stack:
        source = open_camera(camera)
        stack.callback(source.close)
        client = stack.enter_context(Client(server, keys=client_keys(keys) if keys else None))
        if not client.wait_alive(connect_s):
            raise LinkDown(
                f"no server answers at {server} within {connect_s:g} s", f"start one: nvila-edge serve --bundle DIR --bind {server}"
            )
        info = client.hello(connect_s)
        agent = agent or agent_profile(info.agent)
        check_prompt(agent, info.profile)
        tell = stack.enter_context(told(Telling(on_event, on_warning), record, instruction, agent, server))
        policy, bounds = remote_policy(agent, client, DECISION_S), config or loop_config(agent, GuardLimits(), SERVER_S)
        forced = ForcedStop(agent.privileged_stop) if agent.privileged_stop else None
        watched, body = Watched(source, agent.camera, tell.warning), DryRun(turn_deg=agent.steps.turn_deg)
        ended: Event | None = None
        for ended in Loop(policy, watched, body, client, bounds, forced).run(instruction, "agent"):
            tell.event(ended)
    assert isinstance(ended, Ended), "the last event of a run is Ended"
    return ended
