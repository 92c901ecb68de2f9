"""`python -m agents.robots.serve --robot go2:eth0 --bind tcp://127.0.0.1:5600`: a robot as a process of its own, with the watchdog inside.

Prints one JSON line when it is ready; zero velocity and exit status 0 on SIGTERM, SIGINT and SIGHUP, 2 when it could not start.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from agents.limits import read_limits
from agents.protocols import RobotError
from agents.robots.choice import driven, known_robots, velocity_robot
from agents.robots.server import RobotServer
from nvila_edge.ending import ending_signals


def main() -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(prog="python -m agents.robots.serve", description="Serve a robot on a loopback address.")
    parser.add_argument("--robot", default="kinematic", help=known_robots())
    parser.add_argument("--bind", default="tcp://127.0.0.1:5600")
    parser.add_argument(
        "--limits",
        type=Path,
        help="YAML file of velocity limits that no command passes; agents/limits.py shows one. Left out: the robot's own",
    )
    parser.add_argument("--ends-with-stdin", action="store_true", help="end when stdin closes, that is, with the parent process")
    arguments = parser.parse_args()
    out, sys.stdout = sys.stdout, sys.stderr  # Unitree's SDK prints
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        limits = driven(arguments.robot).limits if arguments.limits is None else read_limits(arguments.limits)
        server = RobotServer(velocity_robot(arguments.robot), arguments.bind, arguments.robot, limits)
    except (ValueError, OSError, RobotError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    try:
        for signum in ending_signals():
            signal.signal(signum, lambda *_: server.stop())
        if arguments.ends_with_stdin:
            threading.Thread(target=_stop_at_end_of_stdin, args=(server,), daemon=True).start()
        out.write(json.dumps({"ready": True, "address": server.address, "robot": arguments.robot}) + "\n")
        out.flush()
        server.run()
    finally:
        server.close()
    return 0


def _stop_at_end_of_stdin(server: RobotServer) -> None:
    while os.read(0, 4096):
        pass
    server.stop()


if __name__ == "__main__":
    sys.exit(main())
