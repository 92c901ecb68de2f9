"""Which robot a word on the command line means."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from agents.executor import Executor, ExecutorConfig
from agents.limits import VelocityLimits
from agents.obstacles import Clearance, nearest
from agents.protocols import Robot, VelocityRobot
from agents.recording.robot import Listener, Recorded
from agents.robots.dry_run import DryRun
from agents.robots.go2 import DRIVEN, open_go2
from agents.robots.kinematic import Kinematic
from agents.robots.remote import Remote
from agents.watchdog import Watchdog
from agents.zones import Zone, zone_clearance
from nvila_edge.navigation.actions import TURN_STEP_DEG


@dataclass(frozen=True)
class Driver:
    """What takes velocities. form: how it is written; pattern: the same, whose groups `make` takes; driven: how its primitives are driven."""

    form: str
    pattern: str
    make: Callable[..., VelocityRobot]
    driven: ExecutorConfig = ExecutorConfig()


# `python -m agents.robots.serve` serves them too
VELOCITY_ROBOTS = (
    Driver("kinematic", "kinematic", Kinematic),
    Driver("go2:INTERFACE[:DOMAIN]", r"go2:([\w.-]+)(?::(\d{1,3}))?", open_go2, DRIVEN),
)


def known_robots() -> str:
    """The velocity robots, as they are written."""
    return (
        ", ".join(driver.form for driver in VELOCITY_ROBOTS)
        + " (INTERFACE: the network's that it is in, such as eth0; `ip address` lists them)"
    )


def velocity_robot(name: str) -> VelocityRobot:
    """The robot of that name, ready to move. Raises ValueError naming those that there are, RobotError when it cannot be reached."""
    found = _driver(name)
    if found is None:
        raise ValueError(f"unknown robot {name!r}; known: {known_robots()}")
    driver, groups = found
    return driver.make(*groups)


def driven(name: str) -> ExecutorConfig:
    """How the velocity robot of that name is driven, its limits included; for a name that means none, as any robot."""
    found = _driver(name)
    return found[0].driven if found else ExecutorConfig()


def _driver(name: str) -> tuple[Driver, tuple[str | None, ...]] | None:
    matches = ((driver, re.fullmatch(driver.pattern, name)) for driver in VELOCITY_ROBOTS)
    return next(((driver, match.groups()) for driver, match in matches if match), None)


def checked_robot(name: str) -> str:
    """`name` when it means a robot. Raises ValueError naming what does."""
    if name != "dry-run" and not name.startswith("tcp:") and _driver(name) is None:
        raise ValueError(
            f"unknown robot {name!r}; known: dry-run, {known_robots()}, or the address of a robot's process, tcp://127.0.0.1:PORT"
        )
    return name


@contextmanager
def open_robot(
    name: str,
    turn_deg: int = TURN_STEP_DEG,
    config: ExecutorConfig | None = None,
    clearance: Callable[[], Clearance] | None = None,
    zones: tuple[Zone, ...] = (),
    recorder: Listener | None = None,
    limits: VelocityLimits | None = None,
) -> Iterator[Robot]:
    """ "dry-run", a velocity robot by name (in this process), or the address of a robot's process (tcp://127.0.0.1:PORT). Halted at the end.

    config: instead of what suits that robot. zones: where it may go, also without a `clearance`.
    recorder: of its velocities and odometry. limits: instead of the robot's own; a robot's process has, besides, those that it was started with.
    Raises ValueError naming what is allowed, RobotError when the robot cannot be reached.
    """
    checked_robot(name)
    with ExitStack() as stack:
        if name == "dry-run":
            robot: Robot = DryRun(turn_deg=turn_deg)
        else:
            if name.startswith("tcp:"):
                moved = stack.enter_context(Remote(name))
                drive = config or driven(moved.state.robot)
            else:
                drive = config or driven(name)
                moved = stack.enter_context(Watchdog(velocity_robot(name), limits or drive.limits))
            drive = replace(drive.within(limits or drive.limits), turn_deg=turn_deg)
            heard = moved if recorder is None else Recorded(moved, recorder)
            robot = Executor(heard, drive, _way(heard, clearance, zones))
        stack.callback(robot.halt)
        yield robot


def _way(robot: VelocityRobot, clearance: Callable[[], Clearance] | None, zones: tuple[Zone, ...]) -> Callable[[], Clearance] | None:
    """How far the way is free of what is in sight, and within the zones."""
    if not zones:
        return clearance

    def way() -> Clearance:
        inside = zone_clearance(zones, robot.odometry())
        return inside if clearance is None else nearest(inside, clearance())

    return way
