"""Processes under ROS for these tests: the bridge, and its peer."""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "ros_bridge" / "nvila_edge_ros"


def ros_python() -> str:
    """The Python of the ROS environment; skips when there is none."""
    python = Path(os.environ.get("NVILA_EDGE_ROS_VENV", ROOT / ".venv-ros")) / "bin" / "python"
    if not python.exists():
        pytest.skip("no ROS environment; make one with scripts/ros_venv.sh, or name one: NVILA_EDGE_ROS_VENV=FOLDER")
    return str(python)


class Process:
    """A process that answers JSON lines with JSON lines."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Its answer to one command, within 30 s."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self.process.stdin.flush()
        assert select.select([self.process.stdout], [], [], 30.0)[0], f"the peer did not answer {do!r} within 30 s"
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer


@contextlib.contextmanager
def ros_pair(log: Path, server: str, parameters: dict[str, Any], *flags: str) -> Iterator[tuple[subprocess.Popen[str], Process]]:
    """(bridge, peer) in a ROS domain of their own."""
    python = ros_python()
    paths = os.pathsep.join([str(ROOT), str(PACKAGE)])
    environment = os.environ | {
        "PYTHONPATH": paths, "ROS_DOMAIN_ID": str(random.SystemRandom().randint(1, 100)), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOG_DIR": str(log.parent),
    }  # fmt: skip
    given = [item for name, value in {"server": server, **parameters}.items() for item in ("-p", f"{name}:={value}")]
    with log.open("w") as said:
        bridge = subprocess.Popen(
            [python, "-m", "nvila_edge_ros.node", "--ros-args", *given], env=environment, stdout=said, stderr=said, text=True
        )
        command = [python, str(Path(__file__).with_name("peer.py")), *flags]
        peer = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True)
        try:
            yield bridge, Process(peer)
        finally:
            for process in (bridge, peer):
                process.kill()
                process.wait(10)
