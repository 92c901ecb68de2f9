"""`python -m sim.go2 --house val_unseen_0003`: a simulated Go2 that answers the real one's SDK on loopback; in the environment of scripts/go2_venv.sh."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import NoReturn

import tyro

from sim.go2.camera import MAST_HEIGHT_M, NOSE_AHEAD_M, NOSE_HEIGHT_M, Go2Camera
from sim.go2.dog import Dog, Go2Missing
from sim.go2.scene import house_mjcf
from sim.go2.sdk import Go2Sdk
from sim.go2.walker import DEAD_MAN_S, Walker

_LOG = logging.getLogger("sim.go2")


@dataclass(frozen=True)
class Options:
    """A simulated Go2 in a house, answering Unitree's SDK on one network interface. Stops on SIGINT, SIGTERM, or the end of --seconds."""

    house: str = "val_unseen_0003"
    """train_NNNN or val_unseen_NNNN."""
    episode: int = 0
    """The start, and an instruction from there, of this episode of the house."""
    interface: str = "lo"
    domain: int = 0
    """DDS domain; a real Go2 has 0."""
    camera: str = "mast"
    """mast (1.25 m, what the built-in model was trained with) or nose (0.36 m, the Go2's own)."""
    dead_man_s: float = DEAD_MAN_S
    ignores_move: bool = False
    """As a Go2 Pro: Move returns 0, and nothing moves."""
    seconds: float = 0.0
    """0: until stopped."""


def main(options: Options) -> NoReturn:
    """Serve, then end the process: with status 1 when the robot fell. One JSON line on stdout when it is ready."""
    from sim.dataset import house_episodes
    from sim.geometry import Pose, yaw_of
    from sim.houses.library import HouseLibrary

    if options.camera not in ("mast", "nose"):
        raise ValueError(f"camera {options.camera!r}: allowed are mast and nose")
    out, sys.stdout = sys.stdout, sys.stderr  # the SDK prints
    house, navmesh = HouseLibrary(1)[options.house]
    episode = house_episodes(house, navmesh, options.episode + 1, 0, options.house.rsplit("_", 1)[0])[options.episode]
    dog = Dog(house_mjcf(house), Pose(episode.start_position, yaw_of(episode.start_rotation)))
    walker = Walker(dog, options.dead_man_s)
    at = (0.0, MAST_HEIGHT_M) if options.camera == "mast" else (NOSE_AHEAD_M, NOSE_HEIGHT_M)
    camera = Go2Camera(house, walker, *at)
    sdk = Go2Sdk(walker, camera.view, options.interface, options.domain, options.ignores_move)
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    ready = {"house": house.name, "interface": options.interface, "domain": options.domain, "instruction": episode.instruction}
    out.write(json.dumps({**ready, "goal": episode.goals[0]}) + "\n")
    out.flush()
    _watch(walker, end, options.seconds or float("inf"))
    sdk.close()
    walker.close()
    camera.close()
    sys.stderr.flush()
    os._exit(int(walker.newest.fallen))  # the SDK's servers cannot be closed: their threads crash a Python that ends slowly


def _watch(walker: Walker, end: threading.Event, seconds: float) -> None:
    """Wait for the end; say when it falls, or when this computer is too slow for it."""
    until_s, told_s = time.monotonic() + seconds, 0.0
    while time.monotonic() < until_s and not end.wait(min(1.0, max(0.0, until_s - time.monotonic()))):
        if walker.newest.fallen:
            _LOG.error("the robot fell at %s; start it anew", walker.newest.pose)
            return
        if walker.lost_s > told_s + 1.0:
            told_s = walker.lost_s
            _LOG.warning("the computer is too slow: %.1f s of real time have been lost so far", told_s)


if __name__ == "__main__":
    logging.basicConfig(format="%(levelname)s %(message)s")
    try:
        main(tyro.cli(Options))
    except (Go2Missing, ValueError, ImportError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
