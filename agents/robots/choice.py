"""Which robot a word on the command line means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from agents.executor import Executor, ExecutorConfig
from agents.obstacles import Clearance
from agents.protocols import Robot, VelocityRobot
from agents.robots.dry_run import DryRun
from agents.robots.kinematic import Kinematic
from agents.robots.remote import Remote
from agents.watchdog import Watchdog
from nvila_edge.navigation.actions import TURN_STEP_DEG

# What takes velocities, by name; `python -m agents.robots.serve` serves them, and drivers add themselves here
VELOCITY_ROBOTS: dict[str, Callable[[], VelocityRobot]] = {"kinematic": Kinematic}


def velocity_robot(name: str) -> VelocityRobot:
    """The driver of that name. Raises ValueError naming those that there are."""
    if name not in VELOCITY_ROBOTS:
        raise ValueError(f"unknown robot {name!r}; known: {', '.join(VELOCITY_ROBOTS)}")
    return VELOCITY_ROBOTS[name]()


def checked_robot(name: str) -> str:
    """`name` when it means a robot. Raises ValueError naming what does."""
    if name != "dry-run" and name not in VELOCITY_ROBOTS and not name.startswith("tcp:"):
        known = ["dry-run", *VELOCITY_ROBOTS]
        raise ValueError(f"unknown robot {name!r}; known: {', '.join(known)}, or the address of a robot's process, tcp://127.0.0.1:PORT")
    return name


@contextmanager
def open_robot(
    name: str, turn_deg: int = TURN_STEP_DEG, config: ExecutorConfig | None = None, clearance: Callable[[], Clearance] | None = None
) -> Iterator[Robot]:
    """ "dry-run", a velocity robot by name (in this process), or the address of a robot's process (tcp://127.0.0.1:PORT). Halted at the end.

    Raises ValueError naming what is allowed, RobotError when the robot cannot be reached.
    """
    checked_robot(name)
    with ExitStack() as stack:
        if name == "dry-run":
            robot: Robot = DryRun(turn_deg=turn_deg)
        else:
            moved: VelocityRobot = stack.enter_context(Remote(name) if name.startswith("tcp:") else Watchdog(velocity_robot(name)))
            robot = Executor(moved, replace(config or ExecutorConfig(), turn_deg=turn_deg), clearance)
        stack.callback(robot.halt)
        yield robot
