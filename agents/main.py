"""The function behind `nvila-edge agent`: one instruction, one server, one camera, one robot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agents.cameras.choice import open_camera
from agents.events import Ended, Event
from agents.loop import Loop, LoopConfig
from agents.policy import RemotePolicy
from agents.robots.dry_run import DryRun
from nvila_edge.navigation.profiles import checked_instruction
from nvila_edge.serving.client import Client
from nvila_edge.serving.errors import LinkDown
from nvila_edge.serving.keys import client_keys

ROBOTS = ("dry-run",)


def run_agent(
    server: str,
    camera: str | Path,
    instruction: str,
    *,
    robot: str = "dry-run",
    on_event: Callable[[Event], None],
    config: LoopConfig | None = None,
    connect_s: float = 10.0,
    keys: Path | None = None,
) -> Ended:
    """Follow one instruction and return how it ended (`fault` tells whether something failed); every event goes to `on_event` first.

    server: its address. camera: as `open_camera` takes it. robot: one of ROBOTS. keys: folder of the client's keys.
    Raises ValueError for anything that is not allowed, LinkDown when no server answers within `connect_s`.
    """
    checked_instruction(instruction)
    if robot not in ROBOTS:
        raise ValueError(f"unknown robot {robot!r}; known: {', '.join(ROBOTS)}")
    source = open_camera(camera)
    with Client(server, keys=client_keys(keys) if keys else None) as client:
        if not client.wait_alive(connect_s):
            raise LinkDown(
                f"no server answers at {server} within {connect_s:g} s", f"start one: nvila-edge serve --bundle DIR --bind {server}"
            )
        ended: Event | None = None
        for ended in Loop(RemotePolicy(client), source, DryRun(), client, config).run(instruction, "agent"):
            on_event(ended)
    assert isinstance(ended, Ended), "the last event of a run is Ended"
    return ended
